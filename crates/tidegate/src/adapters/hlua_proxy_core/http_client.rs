//! The class HTTPClient: proxy-core's client.

use std::{
    borrow::Cow,
    rc::{Rc, Weak},
};

use hlua::host::{HostError, HostResult, HttpClient, HttpRequest, HttpResponse, LocalFuture, Target};
use proxy_core::{
    applet::Reply,
    client::{BadUrl, Client, Request, Url},
    host::Addr,
    http::error_page,
    worker::Worker,
};

/// The client of one worker, for its scripts.
pub struct LuaHttpClient {
    worker: Weak<Worker>,
    client: Rc<Client>,
}

impl LuaHttpClient {
    /// Of that worker.
    #[must_use]
    pub fn new(worker: &Rc<Worker>, client: Rc<Client>) -> Self {
        Self { worker: Rc::downgrade(worker), client }
    }
}

impl HttpClient for LuaHttpClient {
    fn send(&self, request: HttpRequest) -> HostResult<LocalFuture<HttpResponse>> {
        let refused = |text: &'static str| HostError::Refused(Cow::Borrowed(text));
        let worker = self.worker.upgrade().ok_or(HostError::Unsupported("the HTTP client"))?;
        let url = match Url::parse(&request.url) {
            Ok(url) => url,
            Err(BadUrl::Relative) => return Err(refused("couldn't start the httpclient")),
            Err(BadUrl::Scheme | BadUrl::Host) => {
                return Ok(Box::pin(std::future::ready(response(error_page::reply(503)))));
            }
        };
        let to = match request.dst {
            None => None,
            Some(Target::Ip(ip)) => Some(Addr::Ip(ip)),
            Some(Target::Unix(path)) => Some(unix_addr(&path)),
            Some(Target::Name(..)) => return Err(refused("invalid parameter in 'dst', must be an address")),
        };
        let lines = request.headers.iter().map(|(name, value)| (name.as_slice(), value.as_slice()));
        let prepared = Request::new(request.method, url, lines, request.body)
            .map_err(|error| HostError::Refused(Cow::Owned(format!("httpclient: {error}"))))?;
        let prepared = prepared.to(to).timeout(request.timeout);
        let client = self.client.clone();
        Ok(Box::pin(async move { response(client.send(worker, prepared).await) }))
    }
}

fn response(reply: Reply) -> HttpResponse {
    let Reply { status, reason, headers, body, .. } = reply;
    HttpResponse { status, reason: reason.unwrap_or_default(), headers, body }
}

/// A path, or an abstract name behind a NUL byte.
pub fn unix_addr(path: &[u8]) -> Addr {
    match path.strip_prefix(b"\0") {
        Some(name) => Addr::Abstract(name.to_vec()),
        None => Addr::Unix(String::from_utf8_lossy(path).into_owned().into()),
    }
}
