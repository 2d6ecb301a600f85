//! A kind of plugin, as the rest of the sandbox sees it: one small piece, made by the kind's own file.

use std::pin::Pin;

use taimat_base::tasks::Stop;

use crate::board::SharedRunStatus;
use crate::place::Place;
use crate::rules::KindRules;
use crate::seat::{Desired, SeatContext};
use crate::spec::PluginSpec;

/// What runs a plugin at one place until told to stop.
pub(crate) type Run = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A kind of plugin that is run.
#[derive(Debug)]
pub(crate) struct ServedKind {
    pub(crate) rules: KindRules,
    /// Where a plugin of this kind has an instance each.
    pub(crate) places: fn(&PluginSpec) -> Vec<Place>,
    /// Runs it at one of these places.
    pub(crate) run: fn(Place, SeatContext, Desired, Stop) -> (SharedRunStatus, Run),
}
