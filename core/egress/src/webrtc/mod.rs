//! Viewers by WebRTC: WHEP negotiation, ICE, DTLS, SRTP, and the fan-out of packets.
//!
//! A viewer's first datagrams come in at the [`socket`] that all share and are sorted by `receiver` to one of
//! the sender threads (`worker`), which own the `session`s. Once it is connected it has an `own_socket`, which
//! its thread reads. Sessions are sans-IO: they take datagrams and `now`,
//! and leave what is to be sent in an [`outbox`].

mod addresses;
pub mod answer;
mod arrivals;
mod bell;
pub mod candidate;
mod command;
mod entity_tags;
mod fingerprint;
mod fragment;
mod handshake_budget;
mod header;
mod ice;
mod identity;
mod info;
mod media;
pub mod negotiate;
pub mod offer;
pub mod outbox;
mod own_socket;
pub mod path;
mod receiver;
mod refusal;
mod registry;
mod routes;
pub mod rtcp;
pub mod seal;
mod segments;
mod senders;
mod sent;
mod session;
pub mod socket;
mod stun;
mod way;
mod whep;
mod worker;

pub use entity_tags::EntityTags;
pub use handshake_budget::fragments as handshake_fragments;
pub use info::{EndReason, SessionInfo};
pub use refusal::Refusal;
pub use stun::local_ufrag;
pub use whep::{Answer, Fragment, ViewerPlaces, Whep, WhepConfig};
