//! What the other side may send, and what is said when it sends more.

/// How much the other side may send of each thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// One line, without its end.
    pub line_bytes: usize,
    /// Header lines of one message, understood or not.
    pub header_count: usize,
    /// All lines of one message.
    pub head_bytes: usize,
    /// Content of one message.
    pub body_bytes: usize,
    /// Bytes that make no sense, beyond those that do.
    pub stray_bytes: usize,
    /// Asked of the socket at once; the size of the buffer in quiet times.
    pub read_bytes: usize,
}

impl Limits {
    /// What a camera may send to us: long descriptions, and stray bytes now and then.
    pub const fn client() -> Self {
        Self {
            line_bytes: 8 << 10,
            header_count: 100,
            head_bytes: 32 << 10,
            body_bytes: 256 << 10,
            stray_bytes: 1 << 20,
            read_bytes: 32 << 10,
        }
    }

    /// What a viewer's program may send to us: requests, receiver reports, no nonsense.
    pub const fn server() -> Self {
        Self {
            line_bytes: 4 << 10,
            header_count: 64,
            head_bytes: 16 << 10,
            body_bytes: 16 << 10,
            stray_bytes: 0,
            read_bytes: 4 << 10,
        }
    }
}

/// Why there is no going on with what the other side sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The other side answers in HTTP: a web server is at this port.
    #[error("a web server answers at this port (HTTP status {status})")]
    Http {
        /// Its status.
        status: u16,
    },
    /// The other side asks in HTTP.
    #[error("a web client asks at this port")]
    HttpRequest,
    /// A line without an end.
    #[error("a line of a message is longer than {0} bytes")]
    LineTooLong(usize),
    /// Lines without an end.
    #[error("the head of a message is longer than {0} bytes")]
    HeadTooLong(usize),
    /// Headers without an end.
    #[error("a message has more than {0} header lines")]
    TooManyHeaders(usize),
    /// More content is announced than we take.
    #[error("a message announces content of more than {0} bytes")]
    BodyTooLong(usize),
    /// Neither messages nor media.
    #[error("what is sent is not RTSP")]
    Nonsense,
}
