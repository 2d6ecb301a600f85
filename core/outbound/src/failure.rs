//! Why nothing came back, in a closed set for metrics and in words for people.

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Taken: 2xx, PUBACK, 250, a device's answer.
    Delivered,
    /// 3xx: not followed.
    Redirected,
    /// Other 4xx, 5xx of a mail server, an answer that says no.
    Refused,
    /// 408, 425, 429, 4xx of a mail server.
    Busy,
    /// 5xx.
    Broken,
    /// No connection, or it ended.
    Unreachable,
    /// The guards do not let it there.
    Guarded,
    /// Nobody trusts the other side's certificate, or no TLS came about.
    Untrusted,
    /// No answer in time.
    Late,
    /// An answer that is none.
    Garbage,
    /// More than the channel may send.
    Rate,
    /// The channel is not ready: a secret is missing, a grant is lost, no such channel.
    Unready,
    /// The message does not fit the channel, or its media are gone.
    Unfit,
}

impl Outcome {
    /// All of them.
    pub(crate) const ALL: [Self; 13] = [
        Self::Delivered,
        Self::Redirected,
        Self::Refused,
        Self::Busy,
        Self::Broken,
        Self::Unreachable,
        Self::Guarded,
        Self::Untrusted,
        Self::Late,
        Self::Garbage,
        Self::Rate,
        Self::Unready,
        Self::Unfit,
    ];

    /// The label.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Redirected => "redirected",
            Self::Refused => "refused",
            Self::Busy => "busy",
            Self::Broken => "broken",
            Self::Unreachable => "unreachable",
            Self::Guarded => "guarded",
            Self::Untrusted => "untrusted",
            Self::Late => "late",
            Self::Garbage => "garbage",
            Self::Rate => "rate",
            Self::Unready => "unready",
            Self::Unfit => "unfit",
        }
    }

    /// What a status of HTTP says.
    pub(crate) fn of_status(status: u16) -> Self {
        match status {
            200..=299 => Self::Delivered,
            300..=399 => Self::Redirected,
            408 | 425 | 429 => Self::Busy,
            400..=499 => Self::Refused,
            _ => Self::Broken,
        }
    }
}

/// Why nothing came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) outcome: Outcome,
    /// For the plugin and for people; redacted before it leaves the room.
    pub(crate) text: String,
    /// For the commune's people only: it may name an address.
    pub(crate) hint: String,
    /// The same message will never be taken: what waits behind it need not wait for it.
    pub(crate) for_good: bool,
}

impl Failure {
    pub(crate) fn new(outcome: Outcome, text: impl Into<String>) -> Self {
        Self {
            outcome,
            text: text.into(),
            hint: String::new(),
            for_good: false,
        }
    }

    /// It is not worth another try, until a person has changed something.
    pub(crate) fn for_good(mut self) -> Self {
        self.for_good = true;
        self
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }
}
