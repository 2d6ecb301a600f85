//! RTSP 1.0 (RFC 2326) on the wire, for both sides, without sockets and clocks.
//!
//! Bytes go into a [`Reader`] and come out as messages and interleaved data; everything else is made
//! of messages. Owner: a connection of `ingest` (client) or of `egress` (server). Cost: each byte is
//! looked at once; media bytes are never copied.
//! Not here: sockets, TLS, timers, RTP (`media`).

pub mod message;

pub use message::{Headers, Method, Request, Response};
