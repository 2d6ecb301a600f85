//! The tools that others wrote, and what they say of a file.

use std::path::Path;
use std::process::{Command, Output};

fn run(program: &str, args: &[&str]) -> Output {
    let package = match program {
        "ffmpeg" | "ffprobe" => "ffmpeg",
        "gst-discoverer-1.0" => "gstreamer1.0-plugins-base-apps",
        _ => "gstreamer1.0-tools",
    };
    Command::new(program)
        .args(args)
        .output()
        .unwrap_or_else(|error| panic!("starting {program} (Debian package {package}): {error}"))
}

/// What a program prints; that it fails or complains fails the test.
pub(crate) fn output(program: &str, args: &[&str]) -> String {
    let output = run(program, args);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && complaints.is_empty(),
        "{program} {args:?}: {}\n{complaints}",
        output.status
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// ffmpeg, which may warn of nothing.
pub(crate) fn ffmpeg(args: &[&str]) -> String {
    let all = [&["-v", "warning", "-nostdin", "-y", "-xerror"], args].concat();
    output("ffmpeg", &all)
}

/// The hash of each stream's packets, as they are stored.
pub(crate) fn stream_hashes(file: &Path) -> Vec<String> {
    let file = file.to_string_lossy();
    let listed = ffmpeg(&[
        // All of them, those too that are not shown.
        "-ignore_editlist",
        "1",
        "-i",
        &file,
        "-map",
        "0",
        "-c",
        "copy",
        "-f",
        "streamhash",
        "-hash",
        "md5",
        "-",
    ]);
    listed
        .lines()
        .map(|line| line.rsplit(',').next().unwrap().to_owned())
        .collect()
}

/// The hashes of all decoded pictures, in the order in which they are shown.
pub(crate) fn pictures(file: &Path) -> Vec<String> {
    let file = file.to_string_lossy();
    // Each in its own size, and none twice or left out.
    let how = [
        "-autoscale",
        "0",
        "-fps_mode",
        "passthrough",
        "-f",
        "framemd5",
        "-",
    ];
    let all = [&["-i", &file, "-map", "0:v"], &how[..]].concat();
    let listed = ffmpeg(&all);
    let lines = listed.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| line.rsplit(',').next().unwrap().trim().to_owned())
        .collect()
}

/// The hash of what a decoder of the first stream has to know before the first sample.
pub(crate) fn set_up(file: &Path) -> String {
    let file = file.to_string_lossy();
    let asked = [
        "-v",
        "error",
        "-select_streams",
        "0",
        "-show_data_hash",
        "md5",
    ];
    let shown = [
        "-show_entries",
        "stream=extradata_hash",
        "-of",
        "csv=p=0",
        &file,
    ];
    output("ffprobe", &[&asked[..], &shown].concat())
}

/// How long a file plays, in ms: as ffprobe says, and as GStreamer says.
pub(crate) fn durations(file: &Path) -> [u32; 2] {
    let file = file.to_string_lossy();
    let ffprobe = output(
        "ffprobe",
        &[
            "-v",
            "error",
            "-show_entries",
            "format=duration",
            "-of",
            "csv=p=0",
            &file,
        ],
    );
    let seconds: f64 = ffprobe.trim().parse().unwrap();
    let said = output("gst-discoverer-1.0", &[&file]);
    let duration = said
        .lines()
        .find_map(|line| line.trim().strip_prefix("Duration: "));
    let gstreamer = duration
        .unwrap()
        .split(':')
        .fold(0.0, |all, part| all * 60.0 + part.parse::<f64>().unwrap());
    [seconds, gstreamer].map(|seconds| (seconds * 1000.0).round() as u32)
}

/// The decoded sound.
pub(crate) fn sound(file: &Path, input: &[&str]) -> Vec<u8> {
    let out = file.with_extension("s16");
    let (path, to) = (file.to_string_lossy(), out.to_string_lossy());
    ffmpeg(&[input, &["-i", &path, "-map", "0:a", "-f", "s16le", &to]].concat());
    std::fs::read(&out).unwrap()
}

/// How many pictures or frames of sound ffprobe decodes of each stream.
pub(crate) fn frames(file: &Path) -> Vec<u32> {
    let file = file.to_string_lossy();
    let listed = output(
        "ffprobe",
        &[
            "-v",
            "warning",
            "-count_frames",
            "-show_entries",
            "stream=nb_read_frames",
            "-of",
            "csv=p=0",
            &file,
        ],
    );
    listed.lines().map(|line| line.parse().unwrap()).collect()
}

/// GStreamer decodes a stream of the file to its end.
pub(crate) fn gstreamer(file: &Path, pad: &str, decoder: &str) {
    let pipeline = format!(
        "filesrc location={} ! qtdemux name=d d.{pad} ! queue ! {decoder} ! fakesink",
        file.display()
    );
    let words: Vec<&str> = pipeline.split(' ').collect();
    let output = run("gst-launch-1.0", &[&["-q"][..], &words].concat());
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(
        output.status.success() && said.is_empty(),
        "{pipeline}: {said}"
    );
}
