//! The handlers, by subject.

pub(crate) mod console;
pub(crate) mod events;
pub(crate) mod exports;
pub(crate) mod ops;
pub(crate) mod plugins;
pub(crate) mod push;
pub(crate) mod recordings;
pub(crate) mod rest;
pub(crate) mod storage;
pub(crate) mod targets;
pub(crate) mod whep;
