//! What others ask of what was recorded. All of it waits for the disk.

use taimat_contract::UnixMicros;
use taimat_hub::ChannelKey;
use taimat_media::AccessUnit;

use crate::archive::{Archive, Configured};
use crate::error::ArchiveError;
use crate::moment::now;
use crate::playback::{self, MovieFile, SegmentFile, Shelves};
use crate::timeline::{self, Near, Timeline};

impl Archive {
    fn shelves<'a>(&'a self, configured: &'a Configured, key: &ChannelKey) -> Shelves<'a> {
        Shelves::of(self.root(), configured, self.fetched(), &key.camera.commune)
    }

    /// What there is of a stream between two moments, and what there is not.
    ///
    /// # Errors
    /// If the interval makes no sense or is longer than a month, or the index can not be read.
    pub fn timeline(
        &self,
        key: &ChannelKey,
        from: UnixMicros,
        to: UnixMicros,
    ) -> Result<Timeline, ArchiveError> {
        let configured = self.configured();
        let shelves = self.shelves(&configured, key);
        let near = Near {
            fetched: self.fetched().all(),
            folders: shelves.near(),
        };
        self.index()
            .read(|index| timeline::timeline(index, key, from, to, now(), &near))
    }

    /// What there is between two moments as one file. Nothing of the media is read.
    ///
    /// # Errors
    /// If there is nothing, the interval makes no sense or is longer than six hours, or the index can not be
    /// read.
    pub fn movie(
        &self,
        key: &ChannelKey,
        from: UnixMicros,
        to: UnixMicros,
    ) -> Result<MovieFile, ArchiveError> {
        let clip = self
            .index()
            .read(|index| playback::clip(index, key, from, to, now()))?;
        playback::movie(&self.shelves(&self.configured(), key), &clip)
    }

    /// What there is between two moments as a playlist; `name` gives a segment's address by its number.
    ///
    /// # Errors
    /// As [`Archive::movie`].
    pub fn playlist(
        &self,
        key: &ChannelKey,
        from: UnixMicros,
        to: UnixMicros,
        name: impl Fn(u64) -> String,
    ) -> Result<String, ArchiveError> {
        let now = now();
        let clip = self
            .index()
            .read(|index| playback::clip(index, key, from, to, now))?;
        if clip.parts.is_empty() {
            return Err(ArchiveError::Unknown);
        }
        Ok(playback::playlist(&clip, to < now, name))
    }

    /// A segment's file by its number.
    ///
    /// # Errors
    /// If there is none of that stream here, or the index can not be read.
    pub fn segment(&self, key: &ChannelKey, id: u64) -> Result<SegmentFile, ArchiveError> {
        let configured = self.configured();
        let shelves = self.shelves(&configured, key);
        self.index()
            .read(|index| playback::segment_file(index, &shelves, key, id))
    }

    /// What has to be decoded to see what was shown at a moment; if it need not be exact, the key frame before
    /// it.
    ///
    /// # Errors
    /// If nothing is there, or the disk says no.
    pub fn still(
        &self,
        key: &ChannelKey,
        at: UnixMicros,
        exact: bool,
    ) -> Result<Vec<AccessUnit>, ArchiveError> {
        // Between two parts there may be less than nothing that the timeline calls a gap: what was shown
        // before it stood.
        let from = UnixMicros(at.0.saturating_sub(timeline::JITTER));
        let to = UnixMicros(at.0.saturating_add(1));
        let clip = self
            .index()
            .read(|index| playback::clip(index, key, from, to, now()))?;
        playback::units(&self.shelves(&self.configured(), key), &clip, at, exact)
    }
}
