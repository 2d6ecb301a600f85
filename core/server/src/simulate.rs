//! `taimat simulate`: the command line's side of the simulated fleet.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use taimat_base::CameraId;
use taimat_base::problem::Lines;
use taimat_base::units::Span;
use taimat_simulate::{CameraSpec, Encoding, Fault, Fleet, FleetConfig, PictureSize, SceneKind};

use crate::config;

/// Options of `taimat simulate`.
#[derive(Debug, Clone, clap::Args)]
pub struct SimulateArgs {
    /// Address of the RTSP server
    #[arg(long, default_value = "127.0.0.1:8654")]
    pub listen: SocketAddr,
    /// Number of cameras, named camera-1, camera-2 and so on
    #[arg(long, default_value_t = 10)]
    pub cameras: u32,
    /// Take the cameras' names from a commune's folder instead
    #[arg(long, value_name = "DIR", conflicts_with = "cameras")]
    pub like: Option<PathBuf>,
    /// Scenes, used in turn: street, night, bag, covered
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "street,bag,night,covered"
    )]
    pub scenes: Vec<String>,
    /// Picture size of the main profile
    #[arg(long, default_value = "1280x720")]
    pub size: String,
    /// Picture size of the sub profile; "none" for none
    #[arg(long, default_value = "640x360")]
    pub sub_size: String,
    /// Pictures a second
    #[arg(long, default_value_t = 25)]
    pub rate: u32,
    /// Time between key frames
    #[arg(long, default_value = "2s")]
    pub keyframe_interval: String,
    /// Bits a second of the main profile
    #[arg(long, default_value_t = 2_000_000)]
    pub bitrate: u32,
    /// Bits a second of the sub profile
    #[arg(long, default_value_t = 400_000)]
    pub sub_bitrate: u32,
    /// Length of the loop
    #[arg(long, default_value = "20s")]
    pub length: String,
    /// Decides the scenes' details
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Give the cameras a microphone
    #[arg(long)]
    pub audio: bool,
    /// What goes wrong: CAMERA=drop:10s, CAMERA=stall, CAMERA=garbage, CAMERA=parameters:10s
    #[arg(long, value_name = "CAMERA=FAULT")]
    pub fault: Vec<String>,
    /// Write what is true in the scenes to this file, as JSON
    #[arg(long, value_name = "FILE")]
    pub truth: Option<PathBuf>,
}

impl SimulateArgs {
    /// The fleet that the options describe.
    pub fn config(&self) -> anyhow::Result<FleetConfig> {
        let names = self.names()?;
        let scenes: Vec<SceneKind> = self
            .scenes
            .iter()
            .map(|s| scene(s))
            .collect::<anyhow::Result<_>>()?;
        anyhow::ensure!(!scenes.is_empty(), "--scenes names none");
        anyhow::ensure!((1..=60).contains(&self.rate), "--rate has to be 1 to 60");
        let interval = span(&self.keyframe_interval).context("--keyframe-interval")?;
        let frames = u32::try_from(interval.as_millis()).unwrap_or(u32::MAX) / 1000 * self.rate;
        let encoding = |size: &str, bitrate| -> anyhow::Result<Encoding> {
            let size: PictureSize = size.parse()?;
            Ok(Encoding {
                width: size.width,
                height: size.height,
                keyframe_interval: frames.max(1),
                bitrate,
            })
        };
        let sub = match self.sub_size.as_str() {
            "none" => None,
            size => Some(encoding(size, self.sub_bitrate).context("--sub-size")?),
        };
        let mut cameras: Vec<CameraSpec> = names
            .into_iter()
            .zip(scenes.into_iter().cycle())
            .map(|(id, scene)| CameraSpec {
                id,
                scene,
                fault: Fault::None,
            })
            .collect();
        for text in &self.fault {
            let (camera, what) = text
                .split_once('=')
                .context("--fault has to be CAMERA=FAULT")?;
            let found = cameras.iter_mut().find(|c| c.id.as_str() == camera);
            let found = found.with_context(|| format!("--fault: no camera is named {camera:?}"))?;
            found.fault = fault(what)?;
        }
        Ok(FleetConfig {
            bind: self.listen,
            cameras,
            seed: self.seed,
            rate: self.rate,
            length: span(&self.length).context("--length")?,
            main: encoding(&self.size, self.bitrate).context("--size")?,
            sub,
            audio: self.audio,
        })
    }

    fn names(&self) -> anyhow::Result<Vec<CameraId>> {
        let Some(folder) = &self.like else {
            let name = |n| format!("camera-{n}").parse().context("camera name");
            return (1..=self.cameras).map(name).collect();
        };
        let communes = config::load(std::slice::from_ref(folder))
            .map_err(|problems| anyhow::anyhow!("{}", Lines(&problems)))?;
        Ok(communes
            .into_iter()
            .flat_map(|c| c.cameras)
            .map(|c| c.id)
            .collect())
    }
}

/// Starts the fleet, and says where it is.
pub async fn start(args: &SimulateArgs) -> anyhow::Result<Fleet> {
    let fleet = Fleet::start(args.config()?).await?;
    if let Some(file) = &args.truth {
        std::fs::write(file, fleet.truth()?)
            .with_context(|| format!("writing {}", file.display()))?;
    }
    writeln!(
        std::io::stdout(),
        "cameras: rtsp://{}/NAME/main",
        fleet.local_addr()
    )?;
    Ok(fleet)
}

fn scene(word: &str) -> anyhow::Result<SceneKind> {
    let known = SceneKind::ALL.map(SceneKind::as_str).join(", ");
    let found = SceneKind::ALL.into_iter().find(|k| k.as_str() == word);
    found.with_context(|| format!("--scenes: {word:?} is not one of {known}"))
}

fn span(text: &str) -> anyhow::Result<Duration> {
    let Span(duration) = text.parse()?;
    anyhow::ensure!(duration >= Duration::from_secs(1), "has to be at least 1s");
    Ok(duration)
}

fn fault(text: &str) -> anyhow::Result<Fault> {
    let (word, time) = text.split_once(':').unwrap_or((text, "10s"));
    Ok(match word {
        "none" => Fault::None,
        "drop" => Fault::Drop(span(time)?),
        "stall" => Fault::Stall,
        "garbage" => Fault::Garbage,
        "parameters" => Fault::Parameters(span(time)?),
        other => anyhow::bail!("{other:?} is no fault: none, drop, stall, garbage, parameters"),
    })
}
