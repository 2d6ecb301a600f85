//! `field-camera KIND` plays a camera of the field (a name or a file) and says its address.
//! `field-camera --ffmpeg [PART]` lets ffmpeg pull each kind whose name contains PART.
//! `field-camera --browser FOLDER` plays all kinds that are tried in a browser, as a commune in FOLDER,
//! with what each plays beside it (`NAME.h264`), and names them in a line of JSON.

use std::io::Write;
use std::path::Path;

use anyhow::Context;
use futures::StreamExt;
use taimat_testkit::FieldCamera;
use taimat_testkit::field::pull::Verdict;
use taimat_testkit::field::{self, Case, straight::straight};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["--ffmpeg"] => by_ffmpeg("").await,
        ["--ffmpeg", part] => by_ffmpeg(part).await,
        ["--browser", folder] => for_browser(Path::new(folder)).await,
        [kind] => play(kind).await,
        _ => anyhow::bail!("field-camera KIND | field-camera --ffmpeg [PART]"),
    }
}

async fn play(kind: &str) -> anyhow::Result<()> {
    let case = if Path::new(kind).exists() {
        field::read(Path::new(kind))?
    } else {
        field::case(kind)?
    };
    let camera = FieldCamera::start(&case).await?;
    let mut out = std::io::stdout();
    writeln!(out, "{}\n{}", case.what, camera.player_url())?;
    if let Some(fingerprint) = camera.fingerprint() {
        writeln!(out, "certificate: SHA-256 {fingerprint}")?;
    }
    tokio::signal::ctrl_c().await?;
    Ok(())
}

async fn for_browser(folder: &Path) -> anyhow::Result<()> {
    let mut cameras = Vec::new();
    let mut text = String::from("[commune]\nname = \"Thử nghiệm\"\n");
    let mut listed = Vec::new();
    for case in field::cases()? {
        if !case.expect.chromium {
            continue;
        }
        let camera = FieldCamera::start(&case).await?;
        let section = camera.section(folder)?;
        text.push_str(&format!("\n[camera.{}]\n{section}", case.name));
        // Where the size changes there are several: one picture of one of them is as good as another.
        let mut clips = Vec::new();
        for (number, (reel, _)) in case.reels()?.into_iter().enumerate() {
            let clip = folder.join(format!("{}-{number}.h264", case.name));
            let units = reel.units.iter().flat_map(|unit| unit.iter());
            let stream: Vec<u8> = units
                .flat_map(|nal| [&[0, 0, 0, 1], &nal[..]].concat())
                .collect();
            std::fs::write(&clip, stream)?;
            clips.push(clip);
        }
        listed.push(serde_json::json!({"name": case.name, "clips": clips}));
        cameras.push(camera);
    }
    std::fs::write(folder.join("commune.toml"), text)?;
    writeln!(std::io::stdout(), "{}", serde_json::Value::from(listed))?;
    tokio::signal::ctrl_c().await?;
    drop(cameras);
    Ok(())
}

async fn by_ffmpeg(part: &str) -> anyhow::Result<()> {
    let cases = field::cases()?;
    let asked = cases
        .into_iter()
        .filter(|case| case.misbehaves.hostile.is_none() && case.name.contains(part));
    let line = async |case: Case| -> anyhow::Result<String> {
        let seen = straight(&case).await.context(case.name.clone())?;
        let Verdict {
            frames,
            right,
            settled,
        } = seen.verdict;
        Ok(format!(
            "{} {:36} {frames:4} of {:<3} right {right:4} settled {settled:4} {:?} {}",
            if seen.as_expected { "  " } else { "!!" },
            case.name,
            case.expect.frames,
            case.expect.ffmpeg,
            seen.said
        ))
    };
    let mut lines = futures::stream::iter(asked.map(line)).buffered(24);
    while let Some(line) = lines.next().await {
        let line = line.unwrap_or_else(|error| format!("!! {error:#}"));
        writeln!(std::io::stdout(), "{line}")?;
    }
    Ok(())
}
