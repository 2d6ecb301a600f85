//! Web Push, as events know it: which browsers asked, for what, and in which words they are told.
//!
//! A target whose alerter is [`PUSH_ALERTER`](crate::PUSH_ALERTER) stands for all browsers of the commune that
//! asked. Rules and policies tell it as any other target, by its name, so that they need not know who has a
//! phone; the outbox tells each browser by itself, as `NAME/NUMBER`, with its own turn, waits and end. A
//! browser that can not be reached thus holds back nobody, and the story says who was told.
//!
//! Not here: how a notification is sealed and carried (`outbound`).

mod notice;
mod subscription;
mod words;

pub(crate) use notice::Notice;
pub(crate) use subscription::Browser;
pub use subscription::{Language, NewSubscription, Subscription, Wants};
