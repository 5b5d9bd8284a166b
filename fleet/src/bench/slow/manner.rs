//! How clients waste time.

/// How a client wastes time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Sends a head byte by byte.
    Head,
    /// Sends a body byte by byte.
    Body,
    /// Says nothing.
    Silent,
    /// Asks once, and then nothing more.
    Idle,
    /// Begins HTTP/2, and asks nothing.
    Http2,
    /// Asks for much, and takes it byte by byte.
    Reader,
}

/// How often a reader asks: for more than the buffers of the system hold.
const ASKED: usize = 40;

impl Manner {
    /// Everybody but readers: a server may hang up on them as soon as it has waited for long enough.
    pub const SENDERS: [Self; 5] = [Self::Head, Self::Body, Self::Silent, Self::Idle, Self::Http2];

    /// Those whose requests or answers are under way all the time.
    pub const BUSY: [Self; 3] = [Self::Head, Self::Body, Self::Reader];

    /// What such a client says at once.
    pub(super) fn opening(self) -> String {
        let head = "HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n";
        match self {
            Self::Head => format!("GET /livez {head}x-slow: "),
            Self::Body => format!("POST /api/v1/auth/login {head}content-length: 1000\r\n\r\n{{"),
            Self::Silent => String::new(),
            Self::Idle => format!("GET /livez {head}\r\n"),
            Self::Http2 => "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_owned(),
            Self::Reader => format!("GET /openapi.json {head}\r\n").repeat(ASKED),
        }
    }

    /// Whether it goes on sending, a byte at a time.
    pub(super) fn is_dripping(self) -> bool {
        matches!(self, Self::Head | Self::Body)
    }

    /// Whether it takes answers a byte at a time.
    pub(super) fn is_reluctant(self) -> bool {
        self == Self::Reader
    }
}
