//! How many descriptors the process may have: sockets and files.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// More than 2,000 cameras and 50,000 viewers need.
const MOST: u64 = 1 << 16;
/// What systems give if nobody says anything, for one that does not say what it gives.
const USUAL: usize = 1024;

/// Takes as many as the system lets a process have: a viewer has a socket of its own, a camera up to five.
/// Returns how many there are now.
pub(crate) fn raise() -> usize {
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, most)| {
        let wanted = most.min(MOST).max(soft);
        setrlimit(Resource::RLIMIT_NOFILE, wanted, most)
    });
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
    // What it is, whatever was wished for.
    match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok((soft, _)) => usize::try_from(soft).unwrap_or(usize::MAX),
        Err(_) => USUAL,
    }
}
