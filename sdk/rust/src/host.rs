//! What the host does for a plugin besides showing it frames.

/// Lines for the operator. They come out in the router's log and on the plugin's page.
pub mod log {
    use crate::bindings::taimat::plugin::log::{Level, write};

    /// For the operator.
    pub fn info(text: &str) {
        write(Level::Info, text);
    }
    /// Something is not as it should be.
    pub fn warn(text: &str) {
        write(Level::Warn, text);
    }
    /// For who looks for a mistake.
    pub fn debug(text: &str) {
        write(Level::Debug, text);
    }
}

/// Numbers for the operator.
pub mod metrics {
    pub use crate::bindings::taimat::plugin::metrics::{add, set};
}

/// What the commune's file says: cameras with the zones that people drew, targets, the clock on the
/// wall. Needs no grant.
pub mod commune {
    pub use crate::commune::{
        CameraFacts, LocalTime, Point, TargetFacts, Zone, camera, camera_title, cameras, language,
        local, next, targets, title, zones,
    };
}

/// A little memory that outlives instances; needs the grant `state`.
pub mod state {
    pub use crate::bindings::taimat::plugin::state::{delete, get, list, set};
}
