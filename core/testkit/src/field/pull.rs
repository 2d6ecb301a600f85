//! Pictures as ffmpeg gets them from an address, held against the footage.

use std::collections::HashMap;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::Command;

/// What to pull.
#[derive(Debug, Clone)]
pub struct Pull {
    /// The address.
    pub url: String,
    /// As ffmpeg calls it.
    pub transport: &'static str,
    /// How many pictures.
    pub frames: usize,
    /// Seconds pass between pictures: ffmpeg is not to find out how many.
    pub slow: bool,
    /// Whether sound is asked for too.
    pub sound: bool,
    /// The longest that it may take.
    pub limit: Duration,
}

/// What arrived.
#[derive(Debug, Clone, Default)]
pub struct Pulled {
    /// The hashes of the decoded pictures, in the order of their arrival.
    pub frames: Vec<String>,
    /// How many packets of sound.
    pub sound: usize,
    /// The first line of what ffmpeg said.
    pub said: String,
}

/// Streams and hashes in the lines of ffmpeg's `framemd5`.
pub(super) fn hashes(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| {
            let stream = line.split(',').next()?.trim();
            let hash = line.rsplit(',').next()?.trim();
            (hash.len() == 32).then_some((stream, hash))
        })
}

/// Lets ffmpeg pull and decode.
pub async fn pull(what: &Pull) -> anyhow::Result<Pulled> {
    let mut ffmpeg = ffmpeg(what)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let (mut out, mut said) = (Vec::new(), Vec::new());
    let (mut stdout, mut stderr) = (ffmpeg.stdout.take(), ffmpeg.stderr.take());
    let read = async {
        let out = async {
            if let Some(stdout) = &mut stdout {
                drop(stdout.read_to_end(&mut out).await);
            }
        };
        let said = async {
            if let Some(stderr) = &mut stderr {
                drop(stderr.read_to_end(&mut said).await);
            }
        };
        tokio::join!(out, said);
    };
    // What came until then counts.
    let ended = tokio::time::timeout(what.limit, read).await;
    drop(ffmpeg.start_kill());
    drop(ffmpeg.wait().await);
    let mut pulled = Pulled::default();
    for (stream, hash) in hashes(&String::from_utf8_lossy(&out)) {
        match stream {
            "0" => pulled.frames.push(hash.to_owned()),
            _ => pulled.sound += 1,
        }
    }
    let said = String::from_utf8_lossy(&said);
    pulled.said = match (ended, said.lines().next()) {
        (Err(_), None) => "nothing more".to_owned(),
        (_, line) => line.unwrap_or_default().chars().take(160).collect(),
    };
    Ok(pulled)
}

fn ffmpeg(what: &Pull) -> Command {
    let frames = what.frames.to_string();
    let mut command = Command::new("ffmpeg");
    command
        .args(["-hide_banner", "-nostdin", "-v", "error", "-threads", "1"])
        .args(["-timeout", "20000000"])
        .args(["-rtsp_transport", what.transport]);
    match what.slow {
        true => command.args(["-probesize", "32", "-analyzeduration", "0"]),
        false => command.args(["-analyzeduration", "1000000"]),
    };
    command.args(["-i", &what.url]);
    if what.sound {
        command.args(["-map", "0:v:0", "-map", "0:a:0"]);
        command.args(["-c:a", "copy", "-shortest"]);
    } else {
        command.arg("-an");
    }
    // Pictures of another size stay as they are.
    command
        .args(["-fps_mode", "passthrough", "-autoscale", "0"])
        .args(["-frames:v", &frames, "-flush_packets", "1"])
        .args(["-f", "framemd5", "-"]);
    command
}

/// How pictures that were pulled compare with those that were sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Pictures that arrived.
    pub frames: usize,
    /// Of them as they were sent.
    pub right: usize,
    /// After this many all are right, and none is left out. As many as arrived if the last is wrong.
    pub settled: usize,
}

impl Verdict {
    /// `shown` are the hashes of one round of what the camera plays, in the order of showing.
    pub fn of(pulled: &[String], shown: &[String]) -> Self {
        let places: HashMap<&str, usize> =
            (0..).zip(shown).map(|(at, h)| (h.as_str(), at)).collect();
        let mut verdict = Self {
            frames: pulled.len(),
            ..Self::default()
        };
        let mut before: Option<usize> = None;
        for (number, hash) in pulled.iter().enumerate() {
            let place = places.get(hash.as_str()).copied();
            match place {
                None => verdict.settled = number + 1,
                Some(at) => {
                    verdict.right += 1;
                    let next = before.is_none_or(|b| at == (b + 1) % shown.len().max(1));
                    if !next {
                        verdict.settled = number;
                    }
                }
            }
            before = place;
        }
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Vec<String> {
        text.chars().map(|c| c.to_string()).collect()
    }

    #[test]
    fn pictures_are_judged_by_what_they_are_and_by_their_order() {
        let shown = list("abcdef");
        let judge = |text| Verdict::of(&list(text), &shown);
        let all = Verdict {
            frames: 5,
            right: 5,
            settled: 0,
        };
        assert_eq!(judge("cdefa"), all);
        assert_eq!(judge("cdxab").settled, 3);
        assert_eq!(judge("cdxab").right, 4);
        assert_eq!(judge("cdfab").settled, 2, "one is left out");
        assert_eq!(judge("xxx").settled, 3);
        assert_eq!(judge(""), Verdict::default());
    }

    #[test]
    fn reads_the_lines_of_framemd5() {
        let text = "#format: frame checksums\n0, 0, 0, 1, 115200, d39da7fc5b8243aaa5af6a1115809071\n1, 0, 0, 1, 80, 65dd21a8844691abbdd1d4ab15f21dc8\n0, cut\n";
        let read: Vec<_> = hashes(text).map(|(stream, _)| stream).collect();
        assert_eq!(read, ["0", "1"]);
    }
}
