//! The versions of the contract that are served.

/// A version of the contract. Patch versions of one are compatible in both directions.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, utoipa::ToSchema,
)]
pub enum ContractVersion {
    /// 0.1: `want` without history.
    #[serde(rename = "0.1")]
    V0_1,
    /// 0.2: detectors only.
    #[serde(rename = "0.2")]
    V0_2,
    /// 0.3.
    #[serde(rename = "0.3")]
    V0_3,
}

impl ContractVersion {
    /// For messages.
    pub(crate) const RANGE: &str = "0.1, 0.2 and 0.3";
    /// The newest, for which the present SDKs build.
    pub(crate) const NEWEST: &str = "0.3.1";

    /// The version that `0.2.7` belongs to.
    pub(crate) fn of(version: &str) -> Option<Self> {
        let mut parts = version.split('.');
        match (parts.next()?, parts.next()?) {
            ("0", "1") => Some(Self::V0_1),
            ("0", "2") => Some(Self::V0_2),
            ("0", "3") => Some(Self::V0_3),
            _ => None,
        }
    }

    /// The full version that exports are looked up with.
    pub(crate) const fn package(self) -> &'static str {
        match self {
            Self::V0_1 => "0.1.0",
            Self::V0_2 => "0.2.0",
            Self::V0_3 => "0.3.1",
        }
    }
}
