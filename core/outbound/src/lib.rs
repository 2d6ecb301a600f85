//! Channels: what carries alerters' messages out of the house, by HTTP, MQTT, mail and bare
//! connections; Web Push, which carries notifications to browsers; and places, where copies of recordings
//! are kept. A plugin names a channel; address, secrets, certificates and how much may be sent are the
//! channel's, and where it may lead is who runs the router's to say.
//!
//! Owner: `server`. Cost: nothing while nobody is told; a task and a socket for each MQTT channel.
//! Not here: what is told to whom and when it is tried again (`events`), how it is worded (alerters).

mod address;
mod body;
mod channel;
mod exchange;
mod failure;
mod guard;
mod hidden;
mod http;
mod mail;
mod metrics;
mod mqtt;
mod oauth;
mod place;
mod push;
mod rate;
mod room;
mod signature;
mod spec;
mod tls;
mod wire;

pub use address::{Address, AddressError, JoinError};
pub use channel::ChannelStatus;
pub use guard::{AllowedNetwork, NotANetwork, Resolver, SystemResolver};
pub use place::spec::{CommunePlaces, LockMode, ObjectLock, PlaceSpec, PlaceWay, S3Spec};
pub use room::{Outbound, OutboundConfig};
pub use spec::{
    ChannelSpec, CommuneChannels, HttpSpec, Identity, Login, MailEncryption, MailSpec, MqttSpec,
    OAuth2Habits, OAuth2Spec, Rate, SignIn, Trust, Way,
};
