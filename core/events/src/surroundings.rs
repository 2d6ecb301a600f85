//! What the room is given by the house: it knows none of it.

use std::sync::Arc;
use std::time::SystemTime;

use taimat_base::{CameraId, CommuneId};
use taimat_contract::{Alerters, Channels, Policies, Pushes};

use crate::house::Condition;

/// Makes a JPEG narrower; none if it is no picture. Never makes it wider.
pub type Shrink = fn(&[u8], u32) -> Option<Vec<u8>>;

/// Says what is the case that should not be, for what is not seen from here.
pub trait Conditions: Send + Sync + std::fmt::Debug {
    /// All of it, now. Does not wait.
    fn conditions(&self) -> Vec<Condition>;

    /// Which of a commune's cameras give pictures, and since when they do or do not. Does not wait.
    fn cameras(&self, commune: &CommuneId) -> Vec<(CameraId, bool, SystemTime)>;
}

/// Who is asked and who carries.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// How the house is.
    pub conditions: Arc<dyn Conditions>,
    /// The communes' policies.
    pub policies: Arc<dyn Policies>,
    /// The communes' alerters.
    pub alerters: Arc<dyn Alerters>,
    /// The communes' channels.
    pub channels: Arc<dyn Channels>,
    /// Who carries notifications to browsers.
    pub pushes: Arc<dyn Pushes>,
    /// Makes pictures smaller.
    pub shrink: Shrink,
    /// Where people find the console, for links: no `/` at its end.
    pub public_url: String,
}
