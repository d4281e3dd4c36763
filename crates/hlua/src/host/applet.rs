//! What a service reads and writes: classes AppletTCP and AppletHTTP.

use std::io;
use std::task::{Context, Poll};

use super::{HostResult, Stream};

/// The byte side that both applet classes have.
pub trait AppletIo {
    /// What has arrived, at least a byte; empty at the end. The same bytes come again until
    /// [`consume`](Self::consume)d. Pending with `cx` registered when nothing is there.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>>;
    /// Drops `len` bytes of what [`poll_fill`](Self::poll_fill) showed.
    fn consume(&mut self, len: usize);
    /// Takes bytes to send and says how many it took; Pending with `cx` registered when there is no room.
    fn poll_send(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>>;
}
const _: Option<&dyn AppletIo> = None;

/// The class `AppletTCP`.
pub trait AppletTcp: Stream + AppletIo {}
const _: Option<&dyn AppletTcp> = None;

/// The class `AppletHTTP`. The bytes of [`AppletIo`] are the bodies.
///
/// Status and headers go straight to the host's response; nothing is built in Lua in between.
pub trait AppletHttp: Stream + AppletIo {
    /// One of the parts of the request line; None where the request has none.
    fn request(&self, part: AppletPart) -> Option<&[u8]>;
    /// The body's length as HAProxy gives it: what is announced, 0 if unknown.
    fn length(&self) -> u64;
    /// Shows each request header in order of arrival.
    fn headers(&self, visit: &mut dyn FnMut(&[u8], &[u8]));
    /// The status to answer with, already within 100 to 599; 200 if never called.
    fn set_status(&mut self, status: u16, reason: Option<&[u8]>);
    /// Adds a response header, free of CR, LF and NUL. `content-length` and `transfer-encoding` steer framing.
    fn add_header(&mut self, name: &[u8], value: &[u8]) -> HostResult<()>;
    /// Sends the head. The host frames the body (chunked on HTTP/1.1 when no length was given).
    fn start_response(&mut self) -> HostResult<()>;
}
const _: Option<&dyn AppletHttp> = None;

/// A part of an applet's request, for [`AppletHttp::request`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AppletPart {
    /// `GET`
    Method,
    /// `HTTP/1.1`
    Version,
    /// `/index.html`, without the query string.
    Path,
    /// What follows the question mark; empty if none.
    QueryString,
}
