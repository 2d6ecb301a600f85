//! What a camera gives is kept, found again, and played by others.
#![allow(clippy::unwrap_used, reason = "a set-up that fails fails its test")]

mod house;

use std::time::Duration;

use house::{House, key, micros, pictures_in, recorded, until, write_movie};
use taimat_archive::GapReason;
use taimat_base::clock;
use taimat_testkit::movies::movies_below;

#[tokio::test]
async fn two_minutes_and_a_pause() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::open(folder.path(), vec![recorded("cho")]);
    let begun = clock::wall() - Duration::from_secs(3600);
    let mut camera = house.camera("cho", begun);
    until("recorded", || camera.channel.readers() == 1).await;
    camera.film(Duration::from_secs(125)).await;
    camera.pause(Duration::from_secs(10));
    camera.film(Duration::from_secs(20)).await;
    let end = camera.at;
    let archive = std::sync::Arc::clone(&house.archive);
    let of = |from, to| {
        archive
            .timeline(&key("cho"), micros(from), micros(to))
            .unwrap()
    };
    until("all of it is in the index", || {
        of(begun, end)
            .recorded
            .last()
            .is_some_and(|last| micros(end).0 - last.end.0 < 50_000)
    })
    .await;

    let timeline = of(begun, end);
    assert_eq!(timeline.recorded.len(), 2, "{timeline:?}");
    assert_eq!(timeline.recorded[0].start, micros(begun));
    assert_eq!(timeline.gaps.len(), 1, "{timeline:?}");
    let gap = timeline.gaps[0];
    assert_eq!(gap.reason, GapReason::PicturesMissing);
    assert_eq!(gap.end.0 - gap.start.0, 10_000_000);

    // A piece in the middle, as a file of its own.
    let from = begun + Duration::from_millis(57_300);
    let movie = archive
        .movie(
            &key("cho"),
            micros(from),
            micros(from + Duration::from_secs(10)),
        )
        .unwrap();
    let clip = folder.path().join("clip.mp4");
    write_movie(&movie, &clip);
    // Cut to the frame, though it is decoded from the key frame before on.
    assert!((100..=101).contains(&pictures_in(&clip)));
    assert!(
        movie.covered().start.abs_diff(micros(from).0) < 100,
        "ticks are 11 µs"
    );

    // Over the gap.
    let movie = archive
        .movie(&key("cho"), micros(begun), micros(end))
        .unwrap();
    write_movie(&movie, &clip);
    // One more or less at each cut: a picture that begins before it and ends after.
    assert!((1446..=1450).contains(&pictures_in(&clip)));
    assert_eq!(movie.gaps.len(), 1);

    house.close().await;
    drop(archive);
    let all = movies_below(folder.path());
    let segments: Vec<_> = all.iter().filter(|f| !f.ends_with("clip.mp4")).collect();
    assert!((4..=5).contains(&segments.len()), "{segments:?}");
    let pictures: u32 = segments.iter().map(|file| pictures_in(file)).sum();
    assert_eq!(pictures, 1450);
}
