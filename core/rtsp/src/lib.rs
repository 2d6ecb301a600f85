//! RTSP 1.0 (RFC 2326) on the wire, for both sides, without sockets and clocks.
//!
//! Bytes go into a [`Reader`] and come out as messages and interleaved data; everything else is made
//! of messages. Owner: a connection of `ingest` (client) or of `egress` (server). Cost: each byte is
//! looked at once; media bytes are never copied.
//! Not here: sockets, TLS, timers, RTP (`media`).

pub mod address;
pub mod auth;
pub mod client;
pub mod keepalive;
pub mod message;
pub mod reader;
pub mod sdp;
pub mod session;
pub mod tracks;
pub mod transport;

pub use address::{Address, AddressError, Base, Carrier, Target};
pub use auth::{AuthError, Authenticator, Credentials};
pub use message::{Headers, Method, Request, Response};
pub use reader::{Item, Limits, ReadError, Reader};
pub use session::{Methods, Session};
pub use transport::{Transport, TransportProfile};
