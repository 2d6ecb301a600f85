//! RTSP for whoever wants to pull: recorders, players, other routers; and for `taimat simulate`.
//!
//! RTSP 1.0 (RFC 2326): OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, GET_PARAMETER, SET_PARAMETER,
//! TEARDOWN; media interleaved in the connection or by UDP. A slow client is held back by nobody
//! but itself: its cursor falls behind and goes on at the next key frame.

mod connection;
mod describe;
mod legs;
mod mounts;
mod refusal;
mod requests;
mod server;
#[cfg(test)]
mod testing;
mod transport;

pub use mounts::Mounts;
pub use server::{RtspConfig, RtspServer};
