//! What a camera showed at one moment: the units that have to be decoded for it.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use taimat_base::clock;
use taimat_contract::UnixMicros;
use taimat_media::codec::VIDEO_CLOCK;
use taimat_media::mp4;
use taimat_media::{AccessUnit, MediaTime, Start, TrackKind, VideoParams};

use super::clip::{Clip, ClipPart};
use super::shelves::Shelves;
use crate::error::ArchiveError;
use crate::ticks;

/// Units that are decoded for one picture at most: a key frame a minute at 25 pictures a second.
const MOST: usize = 2000;
/// Bytes of them at most.
const MOST_BYTES: u64 = 128 << 20;

/// What has to be decoded to see what was shown at a moment of the clip: from the key frame before on, or, if
/// it need not be exact, that key frame only. Reads it.
pub(crate) fn units(
    shelves: &Shelves<'_>,
    clip: &Clip,
    at: UnixMicros,
    exact: bool,
) -> Result<Vec<AccessUnit>, ArchiveError> {
    let wanted = ticks::video(at.0);
    let Some(first) = clip.parts.first() else {
        return Err(ArchiveError::Unknown);
    };
    let params = params(first)?;
    let mut all: Vec<AccessUnit> = Vec::new();
    let mut bytes = 0;
    let files = shelves.all(&clip.parts)?;
    for part in &clip.parts {
        if part.segment.format != first.segment.format {
            break;
        }
        let mut offset = part.payload_offset();
        let path = files.get(&part.segment.id).cloned().unwrap_or_default();
        let file = File::open(&path).map_err(ArchiveError::disk("reading", &path))?;
        for (shown, sample) in part.row.video.shown() {
            if shown > wanted && !all.is_empty() {
                return Ok(all);
            }
            let own = offset;
            offset += u64::from(sample.size);
            if all.is_empty() && !sample.sync {
                continue;
            }
            if sample.sync {
                all.clear();
                bytes = 0;
            } else if !exact {
                continue;
            }
            bytes += u64::from(sample.size);
            if all.len() >= MOST || bytes > MOST_BYTES {
                return Ok(all);
            }
            let mut data = vec![0; sample.size as usize];
            let read = file.read_exact_at(&mut data, own);
            read.map_err(ArchiveError::disk("reading", &path))?;
            all.push(unit(data, shown, sample.sync, &params));
        }
    }
    if all.is_empty() {
        return Err(ArchiveError::Unknown);
    }
    Ok(all)
}

fn params(part: &ClipPart) -> Result<Arc<VideoParams>, ArchiveError> {
    let damaged = |_| ArchiveError::Damaged("what a segment begins with can not be read".into());
    let read = mp4::read_init(&part.segment.init).map_err(damaged)?;
    let video = read.tracks.iter().find(|t| t.kind() == TrackKind::Video);
    let video = video.ok_or_else(|| ArchiveError::Damaged("a segment without pictures".into()))?;
    Ok(Arc::new(video.params().map_err(damaged)?))
}

fn unit(data: Vec<u8>, shown: u64, key: bool, params: &Arc<VideoParams>) -> AccessUnit {
    let micros = u64::try_from(ticks::video_micros(shown)).unwrap_or(0);
    AccessUnit {
        track: TrackKind::Video,
        media_time: MediaTime::new(i64::try_from(shown).unwrap_or(i64::MAX), VIDEO_CLOCK),
        wall_time: SystemTime::UNIX_EPOCH + Duration::from_micros(micros),
        camera_time: None,
        received: clock::thread_now(),
        keyframe: key,
        start: key.then_some(Start::Idr),
        params: Some(Arc::clone(params)),
        data: data.into(),
        lost_packets: 0,
        damaged: false,
    }
}
