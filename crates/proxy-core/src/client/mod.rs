//! An HTTP/1 client for what runs inside the proxy: one request, one whole response.
//!
//! ```text
//! Request ──► an idle connection to its origin ──► sent, read ──► Reply
//!                 │ none, or it was dead             ▲    │ keep-alive
//!                 └────► Dial (host's) ──────────────┘    └──► idle again
//! ```
//!
//! It runs as a future on the worker that polls it, over the worker's own connections, timers and HTTP/1 code: see
//! `docs/decisions/0005-http-client.md`. What goes wrong is an answer, never an error: 503 where there is no connection,
//! 504 where nothing comes in time, 502 for what is no HTTP, with the pages that the proxy itself would send.
//!
//! Source: configuration.txt, `httpclient.*`.

mod exchange;
mod idle;
mod url;

use std::{cell::RefCell, io, rc::Rc, time::Duration};

use crate::{
    applet::Reply,
    host::{Addr, ConnectFuture},
    http::{InvalidText, Message, Version, error_page},
    stream::deadline::Deadline,
    worker::Worker,
};
use idle::Idle;
pub use url::{BadUrl, Origin, Url};

/// Connects to origins: names, TLS and all.
pub trait Dial {
    /// Begins to connect; to `to` instead of where the origin's name leads, if given.
    fn dial(&self, origin: &Origin, to: Option<&Addr>) -> ConnectFuture;
}
const _: Option<&dyn Dial> = None;

/// What holds for every request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `httpclient.timeout.connect`
    pub connect_timeout: Duration,
    /// How long the server may be silent, unless the request says.
    pub server_timeout: Duration,
    /// `httpclient.retries`
    pub retries: u32,
    /// Longest body of a response, in bytes; a longer one is answered with 502.
    pub body_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            server_timeout: Duration::from_secs(5),
            retries: 3,
            body_max: BODY_MAX,
        }
    }
}

/// Longest response body unless set otherwise: scripts get it whole, in memory.
const BODY_MAX: usize = 256 * 1024 * 1024;

/// A request, ready to be sent.
pub struct Request {
    /// Where it goes.
    key: idle::Key,
    head: Message,
    body: Vec<u8>,
    timeout: Option<Duration>,
    repeatable: bool,
}

impl Request {
    /// A request for `url`. `headers` go first, in their order; `host`, `accept`, `user-agent` and the body's
    /// length are added where missing. The length is always that of `body`.
    ///
    /// # Errors
    /// A part may not stand where it was to be put.
    pub fn new<'a>(
        method: &str,
        url: Url,
        headers: impl Iterator<Item = (&'a [u8], &'a [u8])>,
        body: Vec<u8>,
    ) -> Result<Self, InvalidText> {
        let mut head = Message::with_room(USUAL_HEAD);
        head.set_request(method.as_bytes(), &url.target, Version::Http11)?;
        for (name, value) in headers.filter(|(name, _)| !is_ours(name)) {
            head.add_header(&name.to_ascii_lowercase(), value)?;
        }
        let usual: [(&[u8], &[u8]); 3] =
            [(b"host", url.authority.as_bytes()), (b"accept", b"*/*"), (b"user-agent", b"HAProxy")];
        for (name, value) in usual {
            if head.header(name).is_none() {
                head.add_header(name, value)?;
            }
        }
        if !body.is_empty() || matches!(method, "POST" | "PUT") {
            head.add_header(b"content-length", itoa::Buffer::new().format(body.len()).as_bytes())?;
        }
        let repeatable = !matches!(method, "POST" | "PATCH");
        Ok(Self { key: (url.origin, None), head, body, timeout: None, repeatable })
    }

    /// Connects there instead of where the URL's host leads.
    #[must_use]
    pub fn to(mut self, to: Option<Addr>) -> Self {
        self.key.1 = to;
        self
    }

    /// How long the server may be silent.
    #[must_use]
    pub fn timeout(mut self, timeout: Option<Duration>) -> Self {
        self.timeout = timeout;
        self
    }
}

/// Bytes of a request head that most fit into.
const USUAL_HEAD: usize = 256;

/// Lines that tell of the connection or the body's length.
fn is_ours(name: &[u8]) -> bool {
    [&b"content-length"[..], b"transfer-encoding", b"connection", b"keep-alive", b"te", b"upgrade", b"expect"]
        .iter()
        .any(|ours| name.eq_ignore_ascii_case(ours))
}

/// The client of one worker.
pub struct Client {
    settings: Settings,
    dial: Box<dyn Dial>,
    idle: RefCell<Idle>,
}

/// Why a try gave no answer.
#[derive(Debug)]
enum Failure {
    /// No connection.
    Connect,
    /// The connection had been used before and was dead: nothing was answered.
    Stale,
    /// It broke off before anything was answered.
    Lost,
    /// Nothing came in time.
    Timeout,
    /// What came is no HTTP, breaks off, or is too much.
    Malformed,
}

impl From<io::Error> for Failure {
    fn from(_: io::Error) -> Self {
        Self::Lost
    }
}

impl Client {
    /// A client with these settings.
    #[must_use]
    pub fn new(settings: Settings, dial: Box<dyn Dial>) -> Rc<Self> {
        Rc::new(Self { settings, dial, idle: RefCell::default() })
    }

    /// Sends the request and reads the whole response.
    ///
    /// A try that fails is repeated, up to [`Settings::retries`] times: when there was no connection always, else
    /// if the request may be sent twice (no POST) or was certainly not looked at.
    ///
    /// # Cancel safety
    /// Dropping the future closes its connection.
    pub async fn send(self: Rc<Self>, worker: Rc<Worker>, request: Request) -> Reply {
        let mut timer = Deadline::new(worker.host.timer());
        let mut left = self.settings.retries;
        loop {
            let failure = match self.attempt(&worker, &request, &mut timer).await {
                Ok(reply) => return reply,
                Err(failure) => failure,
            };
            let again = match failure {
                Failure::Stale => continue, // each takes an idle connection away
                Failure::Connect => true,
                Failure::Lost | Failure::Timeout => request.repeatable,
                Failure::Malformed => false,
            };
            if !again || left == 0 {
                return error_page::reply(failure.status());
            }
            left -= 1;
            if matches!(failure, Failure::Connect) {
                let pause = self.settings.connect_timeout.min(PAUSE);
                exchange::sleep(&worker, &mut timer, pause).await;
            }
        }
    }
}

/// Between two tries to connect.
const PAUSE: Duration = Duration::from_secs(1);

impl Failure {
    fn status(&self) -> u16 {
        match self {
            Self::Connect => 503,
            Self::Timeout => 504,
            Self::Stale | Self::Lost | Self::Malformed => 502,
        }
    }
}
