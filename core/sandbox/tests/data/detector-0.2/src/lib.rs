//! A detector against the contract's version 0.2: uses every interface once a frame.

wit_bindgen::generate!({
    path: "../../../../../wit/released/0.2.0/plugin.wit",
    world: "detector-plugin",
});

use exports::taimat::plugin::{detector, lifecycle};
use taimat::plugin::types::{Detection, Error};
use taimat::plugin::{frames, log, metrics, state};

struct Old;

impl lifecycle::Guest for Old {
    fn describe() -> lifecycle::About {
        lifecycle::About {
            name: "detector-0-2".into(),
            version: "0.1.0".into(),
            settings_schema: "{}".into(),
        }
    }
    fn configure(_settings: String) -> Result<(), Error> {
        Ok(())
    }
}

impl detector::Guest for Old {
    fn wants(_camera: String) -> Result<detector::Want, Error> {
        Ok(detector::Want {
            width: 64,
            height: 36,
            max_fps: 60.0,
            keyframes_only: false,
            history: 1,
            extra: vec![],
        })
    }

    fn on_frame(frame: frames::FrameInfo) -> Result<Vec<Detection>, Error> {
        let before = state::get("count")?.map_or(0, |bytes| bytes[0]);
        state::set("count", &[before.wrapping_add(1)])?;
        metrics::add("frames", 1.0);
        log::write(log::Level::Info, &format!("frame {}", frame.id));
        let mean = frames::grid(frame.id, None, 1, 1).map_err(|_| Error::Retry("grid".into()))?;
        Ok(vec![Detection {
            kind: "old".into(),
            at: frame.at,
            confidence: 1.0,
            regions: vec![],
            track: Some(u64::from(before)),
            text: mean.mean[0].to_string(),
            extra: vec![],
        }])
    }

    fn on_tick(_now: i64) -> Result<Vec<Detection>, Error> {
        Ok(vec![])
    }
}

export!(Old);
