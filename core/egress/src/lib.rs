//! Serves every viewer cheaply: WebRTC (WHEP) and RTSP, from packets made once per camera.
//!
//! Owner: `server` makes one [`webrtc::Whep`] and one [`rtsp::RtspServer`]. Cost per packet and
//! viewer: a header, a seal, and a share of one system call. This is the only room that knows the
//! webrtc-rs family.
//! Not here: HTTP, who may watch, recording.

mod live;
pub mod metrics;
mod pace;
pub mod packets;
mod report;
pub mod rtsp;
#[cfg(test)]
mod testing;
pub mod track;
pub mod webrtc;
