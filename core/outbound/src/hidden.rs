//! What must not be seen of a channel: the secrets of its file, and the tokens that it was given since.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};

use taimat_base::{Redactor, Secret};

/// Tokens that are remembered: those that may still come back in an answer.
const RECENT: usize = 8;

/// A channel's secrets, for taking them out of what comes back.
#[derive(Debug)]
pub(crate) struct Hidden {
    file: Redactor,
    recent: Mutex<VecDeque<Secret>>,
}

impl Hidden {
    pub(crate) fn new(file: Redactor) -> Self {
        Self {
            file,
            recent: Mutex::default(),
        }
    }

    /// From now on this is known too; the oldest of its kind is forgotten.
    pub(crate) fn know(&self, token: &str) {
        let mut recent = self.recent();
        if !recent.iter().any(|known| known.reveal() == token) {
            recent.push_back(Secret::new(token));
        }
        while recent.len() > RECENT {
            recent.pop_front();
        }
    }

    /// Knows all of them.
    pub(crate) fn redactor(&self) -> Redactor {
        let mut redactor = self.file.clone();
        for token in self.recent().iter() {
            redactor.know(token.reveal());
        }
        redactor
    }

    fn recent(&self) -> MutexGuard<'_, VecDeque<Secret>> {
        self.recent.lock().unwrap_or_else(|e| e.into_inner())
    }
}
