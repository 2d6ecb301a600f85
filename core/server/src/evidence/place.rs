//! Which folders a command about evidence means.

use std::path::PathBuf;

use clap::Args;

use crate::sealing::FOLDER;

/// Where the router keeps things.
#[derive(Debug, Args)]
pub(super) struct DataArgs {
    /// The router's folder for what is kept between runs
    #[arg(long, env = "TAIMAT_DATA", default_value = "taimat-data")]
    pub(super) data: PathBuf,
    /// Folder that cameras are recorded to, where the log of what people did is [default: archive, within the
    /// folder for what is kept]
    #[arg(long, value_name = "FOLDER")]
    pub(super) archive: Option<PathBuf>,
}

impl DataArgs {
    pub(super) fn keys(&self) -> PathBuf {
        self.data.join(FOLDER)
    }

    pub(super) fn archive(&self) -> PathBuf {
        let within = || self.data.join(crate::recordings::FOLDER);
        self.archive.clone().unwrap_or_else(within)
    }
}
