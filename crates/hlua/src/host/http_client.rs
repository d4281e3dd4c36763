//! Requests that scripts make: class HTTPClient.

use std::time::Duration;

use super::{HostResult, LocalFuture, Target};

/// The HTTP client, for `core.httpclient`.
pub trait HttpClient {
    /// Begins a request. The future gives the whole response: what fails on the way is a response too (502, 503,
    /// 504), as the script would get it from a proxy. Dropping it gives up.
    ///
    /// # Errors
    /// The request cannot be made at all: raised in the script with this text.
    fn send(&self, request: HttpRequest) -> HostResult<LocalFuture<HttpResponse>>;
}
const _: Option<&dyn HttpClient> = None;

/// What the script asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// `GET`, `HEAD`, `PUT`, `POST` or `DELETE`.
    pub method: &'static str,
    /// As written.
    pub url: String,
    /// Header lines, as the table gave them.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// Empty for none.
    pub body: Vec<u8>,
    /// Where to connect to instead of where the URL leads.
    pub dst: Option<Target>,
    /// How long the server may be silent.
    pub timeout: Option<Duration>,
}

/// What came back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HttpResponse {
    /// The status code.
    pub status: u16,
    /// The reason phrase.
    pub reason: Vec<u8>,
    /// Header lines in order of arrival.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// The whole body.
    pub body: Vec<u8>,
}
