//! What recording and playing back cost, in one run, so that the machine's mood cancels out:
//!
//! - recording: CPU time of the router that records, less that of the same router that does not, a camera;
//!   against the floor: a task that writes the bytes that it received once a second, and syncs; and against
//!   `MediaMTX`, if `MEDIAMTX` names its binary;
//! - bytes that reach the device for one that is recorded;
//! - deep in the past: from a question until the first byte of ten seconds, and of what was recorded when;
//! - taking out ten seconds and an hour, with and without a signature;
//! - starting on a long past.
//!
//! Run by `cargo xtask bench archive [-- record CAMERAS… | past | start CAMERAS DAYS]`. The disk is an image
//! with a file system of its own if this may mount one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark"
)]
#![allow(clippy::disallowed_methods, reason = "measures time")]

mod cameras;
mod past;
mod recording;
mod volume;

fn main() {
    let args: Vec<String> = taimat_testkit::measured::arguments();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["child-cameras", count, rate] => runtime.block_on(cameras::serve(
            count.parse().unwrap(),
            rate.parse().unwrap(),
        )),
        ["child-floor", address, count, folder] => runtime.block_on(cameras::floor(
            address.parse().unwrap(),
            count.parse().unwrap(),
            folder,
        )),
        ["record", ref counts @ ..] => {
            let counts: Vec<usize> = counts.iter().filter_map(|c| c.parse().ok()).collect();
            recording::measure(if counts.is_empty() {
                &[1, 10, 30]
            } else {
                &counts
            });
        }
        ["past"] => past::measure(),
        ["start", cameras, days] => {
            past::measure_start(cameras.parse().unwrap(), days.parse().unwrap());
        }
        _ => {
            recording::measure(&[1, 10, 30]);
            past::measure();
            past::measure_start(30, 30);
        }
    }
}

/// The router that is measured.
fn router() -> String {
    std::env::var("TAIMAT").expect("cargo xtask bench archive says where the router is")
}
