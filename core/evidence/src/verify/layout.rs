//! The boxes of a file that is to be checked, without their content.

use std::io::{self, Read, Seek, SeekFrom};

use crate::boxes::{BoxHead, C2PA_UUID, ORDER, head};

/// A file of ours has five.
const MOST_BOXES: usize = 256;

/// A box, and where it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placed {
    pub(super) at: u64,
    pub(super) head: BoxHead,
}

impl Placed {
    pub(super) fn end(&self) -> u64 {
        self.at.saturating_add(self.head.length)
    }
}

/// What a file is made of.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) boxes: Vec<Placed>,
    /// Which of them is the manifest.
    pub(super) manifest: Option<usize>,
    pub(super) length: u64,
}

impl Layout {
    pub(super) fn read<F: Read + Seek>(file: &mut F) -> io::Result<Self> {
        let length = file.seek(SeekFrom::End(0))?;
        let mut boxes = Vec::new();
        let mut manifest = None;
        let mut at = 0;
        while at < length && boxes.len() < MOST_BOXES {
            let mut start = [0; 24];
            let have = (length - at).min(24);
            let have = usize::try_from(have).unwrap_or(24);
            file.seek(SeekFrom::Start(at))?;
            let start = start.get_mut(..have).unwrap_or(&mut []);
            file.read_exact(start)?;
            let Some(head) = head(start) else {
                break;
            };
            let is_manifest = head.kind == *b"uuid" && start.get(8..) == Some(&C2PA_UUID);
            if is_manifest && manifest.is_none() {
                manifest = Some(boxes.len());
            }
            let placed = Placed { at, head };
            boxes.push(placed);
            at = placed.end();
        }
        Ok(Self {
            boxes,
            manifest,
            length,
        })
    }

    /// Whether the boxes are those of an export, in their order, but for the end of the last.
    pub(super) fn in_order(&self) -> bool {
        let kinds = self.boxes.iter().take(ORDER.len()).map(|b| b.head.kind);
        kinds.eq(ORDER) && self.manifest == Some(1)
    }
}
