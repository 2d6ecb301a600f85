//! Does what plugins must not do. `settings = { does = "…" }` says what; see `Deed`.

use serde::Deserialize;
use taimat_sdk::{Detection, DetectionExt, Detector, Error, Frame, Rect, Want, detector, host};

/// What it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
enum Deed {
    /// Nothing bad.
    #[default]
    Nothing,
    LoopInConfigure,
    LoopInFrame,
    LoopInSave,
    LoopInHost,
    MemoryBomb,
    Leak,
    Recursion,
    Detections,
    LongText,
    BadDetections,
    PanicInConfigure,
    PanicInFrame,
    Trap,
    Sleep,
    LogFlood,
    MetricsFlood,
    StateFlood,
    OldFrame,
    LongErrors,
    RefuseSettings,
    Fatal,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Settings {
    does: Deed,
}

struct Hostile {
    deed: Deed,
    kept: Option<Frame>,
    hoard: Vec<Vec<u8>>,
}

fn spin() -> ! {
    let mut value = 1_u64;
    loop {
        value = std::hint::black_box(value.wrapping_mul(6_364_136_223_846_793_005));
    }
}

#[expect(unconditional_recursion, reason = "that is the point")]
fn deeper(depth: u64) -> u64 {
    let room = std::hint::black_box([depth; 64]);
    deeper(depth + 1) + room[usize::try_from(depth % 64).unwrap_or(0)]
}

/// One that is good among one of each way to be bad.
fn bad(frame: &Frame) -> Vec<Detection> {
    let good = || frame.detection("good", 1.0);
    let whole = Rect {
        x: 0.0,
        y: 0.0,
        width: 1.0,
        height: 1.0,
    };
    let nowhere = Rect {
        x: f32::NAN,
        ..whole
    };
    let later = Detection {
        at: i64::MAX,
        ..good()
    };
    vec![
        frame.detection("No Kind", 1.0),
        frame.detection("unsure", f32::NAN),
        good().at(nowhere),
        (0..100).fold(good(), |all, _| all.at(whole)),
        good().text("x".repeat(257)),
        good().track(u64::MAX),
        later,
        good(),
    ]
}

impl Detector for Hostile {
    type Settings = Settings;

    #[expect(clippy::panic, reason = "that is the point")]
    fn new(settings: Settings) -> Result<Self, Error> {
        match settings.does {
            Deed::LoopInConfigure => spin(),
            Deed::PanicInConfigure => panic!("on purpose"),
            Deed::RefuseSettings => return Err(Error::Settings("nothing suits it".into())),
            _ => {}
        }
        Ok(Self {
            deed: settings.does,
            kept: None,
            hoard: Vec::new(),
        })
    }

    fn wants(&self, _camera: &str) -> Want {
        Want::size(64, 36).fps(60.0)
    }

    #[expect(
        clippy::panic,
        clippy::infinite_loop,
        clippy::disallowed_methods,
        reason = "that is the point"
    )]
    fn on_frame(&mut self, frame: &Frame) -> Result<Vec<Detection>, Error> {
        match self.deed {
            Deed::LoopInFrame => spin(),
            Deed::LoopInHost => loop {
                let _mean = frame.grid(1, 1, None)?;
            },
            Deed::MemoryBomb => loop {
                self.hoard.push(vec![1; 1 << 20]);
            },
            Deed::Leak => {
                self.hoard.push(vec![1; 1 << 20]);
                return Ok(vec![
                    frame.detection("leaked", 1.0).text(frame.id().to_string()),
                ]);
            }
            Deed::Recursion => {
                let depth = deeper(frame.id());
                return Err(Error::Retry(depth.to_string()));
            }
            Deed::Detections => return Ok(vec![frame.detection("many", 1.0); 10_000_000]),
            Deed::LongText => {
                let text = "x".repeat(1 << 30);
                return Ok(vec![frame.detection("long", 1.0).text(text)]);
            }
            Deed::BadDetections => return Ok(bad(frame)),
            Deed::PanicInFrame => panic!("on purpose"),
            #[cfg(target_family = "wasm")]
            Deed::Trap => core::arch::wasm32::unreachable(),
            Deed::Sleep => std::thread::sleep(std::time::Duration::from_secs(3600)),
            Deed::LogFlood => loop {
                host::log::info(&"flood ".repeat(100));
            },
            Deed::MetricsFlood => {
                (0..100_000).for_each(|n| host::metrics::add(&format!("m{n}"), 1.0))
            }
            Deed::StateFlood => {
                for n in 0.. {
                    host::state::set(&format!("k{n}"), &[0; 4096])?;
                }
            }
            Deed::OldFrame => {
                let kept = self.kept.replace(frame.clone());
                if let Some(kept) = kept
                    && kept.gray(kept.whole(), 8, 8).is_ok()
                    && frame.id() > kept.id() + 1
                {
                    return Ok(vec![frame.detection("stolen", 1.0)]);
                }
            }
            Deed::LongErrors => return Err(Error::Retry("for ever\n\u{1b}[2J".repeat(50_000))),
            Deed::Fatal => return Err(Error::Fatal("it gives up".into())),
            _ => {}
        }
        Ok(Vec::new())
    }

    fn save(&self) -> Vec<u8> {
        if self.deed == Deed::LoopInSave {
            spin();
        }
        Vec::new()
    }
}

detector!(Hostile);
