//! What a file may say about how a camera speaks RTSP, lets clients in, and describes itself.

use serde::Deserialize;

/// How a camera speaks RTSP. In texts `{url}` is the address asked for, `{path}` path and query of
/// it, `{host}` host and port, `{authorization}` what the client signed in with.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Rtsp {
    /// Path and query at which it is; the case's name if not said.
    pub path: Option<String>,
    /// It listens at `[::1]`.
    pub ipv6: bool,
    /// RTSP within TLS, with a certificate that it signed itself.
    pub tls: bool,
    /// RTSP within HTTP: one GET for what it says, one POST for what it hears.
    pub tunnel: bool,
    /// Transports that it takes.
    pub transports: Vec<Transport>,
    /// How it answers SETUP by TCP; `{a}` and `{b}` are the channels asked for.
    pub tcp_answer: String,
    /// How it answers SETUP by UDP; `{a}` and `{b}` are the client's ports, `{c}` and `{d}` its own.
    pub udp_answer: String,
    /// The channel of the first packets whatever was asked for.
    pub channel: Option<u8>,
    /// All tracks share the first one's channels.
    pub one_channel: bool,
    /// Datagrams come from another port than from the one that it says.
    pub other_port: bool,
    /// The `Session` header; `{n}` counts answers. Left out if empty.
    pub session: String,
    /// Methods whose answers carry it.
    pub session_in: Vec<String>,
    /// The `Content-Base` header. Left out if empty.
    pub content_base: String,
    /// The `Content-Type` header. Left out if empty.
    pub content_type: String,
    /// The `RTP-Info` header. Left out if empty.
    pub rtp_info: String,
    /// The `Public` header. Left out if empty.
    pub public: String,
    /// The ends of its lines.
    pub line_end: String,
    /// Added to the length of a body that it announces.
    pub length_off: i64,
    /// Written before each answer.
    pub before: String,
    /// How what it writes is cut.
    pub delivery: Delivery,
    /// Tracks are found at any address that ends as they are called.
    pub any_address: bool,
    /// Sound has to be set up before pictures.
    pub sound_first: bool,
    /// It hangs up when it has heard no request for so many milliseconds.
    pub hangs_up_after: Option<u64>,
    /// What it asks the client.
    pub asks: Option<Asks>,
}

impl Default for Rtsp {
    fn default() -> Self {
        Self {
            path: None,
            ipv6: false,
            tls: false,
            tunnel: false,
            transports: vec![Transport::Tcp, Transport::Udp],
            tcp_answer: "RTP/AVP/TCP;unicast;interleaved={a}-{b}".into(),
            udp_answer: "RTP/AVP;unicast;client_port={a}-{b};server_port={c}-{d}".into(),
            channel: None,
            one_channel: false,
            other_port: false,
            session: "12345678;timeout=60".into(),
            session_in: vec!["SETUP".into(), "PLAY".into()],
            content_base: "{url}/".into(),
            content_type: "application/sdp".into(),
            rtp_info: "url={url}/trackID=1;seq=0;rtptime=0".into(),
            public: "OPTIONS, DESCRIBE, SETUP, TEARDOWN, PLAY, GET_PARAMETER".into(),
            line_end: "\r\n".into(),
            length_off: 0,
            before: String::new(),
            delivery: Delivery::Whole,
            any_address: false,
            sound_first: false,
            hangs_up_after: None,
            asks: None,
        }
    }
}

/// How media travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// In the RTSP connection.
    Tcp,
    /// As datagrams to the client.
    Udp,
    /// As datagrams to a group.
    Multicast,
}

/// How bytes are cut into writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Delivery {
    /// What belongs together comes together.
    Whole,
    /// Answers come byte by byte.
    Bytes,
    /// Everything is cut at places of chance.
    Pieces,
}

/// Requests of the camera to the client.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Asks {
    /// The request's method and its URL.
    pub request: String,
    /// Milliseconds between them.
    pub every: u64,
    /// How many at once.
    #[serde(default = "one")]
    pub burst: usize,
    /// It hangs up when one is not answered within so many milliseconds.
    pub hangs_up_after: Option<u64>,
}

fn one() -> usize {
    1
}

/// How clients have to sign in.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct SignIn {
    /// What it offers, in this order.
    pub offers: Vec<Offer>,
    /// All offers stand in one header.
    pub one_header: bool,
    /// The realm, as it stands in the header.
    pub realm: String,
    /// `qop` of Digest.
    pub qop: Option<String>,
    /// Values stand without quotes.
    pub unquoted: bool,
    /// A nonce is good for one request.
    pub nonce_once: bool,
    /// The user.
    pub user: String,
    /// The password.
    pub password: String,
}

impl Default for SignIn {
    fn default() -> Self {
        Self {
            offers: vec![Offer::Digest],
            one_header: false,
            realm: "cam".into(),
            qop: None,
            unquoted: false,
            nonce_once: false,
            user: "admin".into(),
            password: "Falcon37".into(),
        }
    }
}

/// A way to sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Offer {
    /// Basic.
    Basic,
    /// Digest with MD5, which is not said.
    Digest,
    /// Digest with MD5, which is said.
    DigestMd5,
    /// Digest with MD5-sess.
    DigestMd5Sess,
    /// Digest with SHA-256.
    DigestSha256,
    /// Something that nobody speaks.
    Unknown,
}

/// A request that is answered in another way.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Rule {
    /// The method; `keep-alive` is every OPTIONS, GET_PARAMETER or SET_PARAMETER after PLAY, `any` is
    /// every request.
    pub to: String,
    /// Only if the address contains this.
    pub url: String,
    /// Not if the address contains this.
    pub unless: String,
    /// From so many requests of the kind on.
    pub after: u32,
    /// So often; always if not said.
    pub times: Option<u32>,
    /// Status and reason; the usual answer if not said.
    pub status: Option<String>,
    /// More headers.
    pub headers: Vec<String>,
    /// The body.
    pub body: String,
    /// The whole answer.
    pub raw: Option<String>,
    /// With a new challenge.
    pub challenge: bool,
    /// No answer.
    pub silent: bool,
    /// It hangs up afterwards.
    pub hangs_up: bool,
    /// So many milliseconds later.
    pub late: u64,
    /// The number of the answer.
    pub cseq: Cseq,
}

/// The number of an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cseq {
    /// As the request's.
    #[default]
    Right,
    /// None.
    Missing,
    /// Another one.
    Wrong,
}

/// How a camera describes itself. In texts `{sprop}` is the parameter set attribute's value, `{sps}`,
/// `{pps}` and `{vps}` are single sets in base64.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Description {
    /// The whole text, with LF at the ends of lines.
    pub text: Option<String>,
    /// The parameter sets in it: of what it plays, if nothing is said.
    pub sets: DescribedSets,
    /// The payload type of pictures.
    pub payload_type: u8,
    /// More lines at the end.
    pub more: Vec<String>,
    /// What is replaced in the text, one after the other, before the names in braces are.
    pub replace: Vec<[String; 2]>,
    /// Base64 has no padding.
    pub unpadded: bool,
    /// The ends of its lines.
    pub line_end: String,
    /// Characters beyond ASCII are single bytes (ISO 8859-1).
    pub latin1: bool,
}

impl Default for Description {
    fn default() -> Self {
        Self {
            text: None,
            sets: DescribedSets::Right,
            payload_type: 96,
            more: Vec::new(),
            replace: Vec::new(),
            unpadded: false,
            line_end: "\r\n".into(),
            latin1: false,
        }
    }
}

/// Parameter sets in the description.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DescribedSets {
    /// Those of what is played.
    Right,
    /// None.
    Missing,
    /// Those of pictures of another size.
    OtherSize,
}
