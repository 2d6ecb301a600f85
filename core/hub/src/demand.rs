//! Who reads: a source that is not always on runs while somebody does.

use tokio::sync::watch;

/// Counts readers.
#[derive(Debug)]
pub(crate) struct Demand(watch::Sender<usize>);

impl Demand {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(0))
    }

    pub(crate) fn join(&self) -> Reader {
        self.0.send_modify(|n| *n += 1);
        Reader(self.0.clone())
    }

    pub(crate) fn watch(&self) -> watch::Receiver<usize> {
        self.0.subscribe()
    }

    pub(crate) fn count(&self) -> usize {
        *self.0.borrow()
    }
}

/// Counts as a reader until it is dropped.
#[derive(Debug)]
pub struct Reader(watch::Sender<usize>);

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.send_modify(|n| *n = n.saturating_sub(1));
    }
}
