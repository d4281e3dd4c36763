//! The answers the proxy gives on its own account: status line, body and headers as HAProxy's
//! clients know them.

use crate::applet::Reply;

/// The answer for a status, as rules (`deny`) and the stream give it. A status without a page of
/// its own gets an empty body.
#[must_use]
pub fn reply(status: u16) -> Reply {
    let Some((reason, text)) = page(status) else { return Reply { status, ..Reply::default() } };
    let body = body(status, reason, text);
    let line = |name: &str, value: &str| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
    Reply {
        status,
        reason: Some(reason.as_bytes().to_vec()),
        headers: vec![
            line("content-length", itoa::Buffer::new().format(body.len())),
            line("cache-control", "no-cache"),
            line("content-type", "text/html"),
        ],
        body,
        ..Reply::default()
    }
}

/// The answer to bytes that are no request: sent as it is, and the connection closed.
#[must_use]
pub fn raw(status: u16) -> Vec<u8> {
    let (reason, text) = page(status).unwrap_or(("Bad request", ""));
    let body = body(status, reason, text);
    let mut out = format!(
        "HTTP/1.1 {status} {reason}\r\ncontent-length: {}\r\ncache-control: no-cache\r\nconnection: close\r\ncontent-type: text/html\r\n\r\n",
        body.len()
    )
    .into_bytes();
    out.extend_from_slice(&body);
    out
}

fn body(status: u16, reason: &str, text: &str) -> Vec<u8> {
    format!("<html><body><h1>{status} {reason}</h1>\n{text}\n</body></html>\n").into_bytes()
}

/// Reason phrase and sentence of a page.
fn page(status: u16) -> Option<(&'static str, &'static str)> {
    Some(match status {
        200 => ("OK", "Service ready."),
        400 => ("Bad request", "Your browser sent an invalid request."),
        401 => ("Unauthorized", "You need a valid user and password to access this content."),
        403 => ("Forbidden", "Request forbidden by administrative rules."),
        404 => ("Not Found", "The resource could not be found."),
        405 => (
            "Method Not Allowed",
            "A request was made of a resource using a request method not supported by that resource",
        ),
        407 => ("Unauthorized", "You need a valid user and password to access this content."),
        408 => ("Request Time-out", "Your browser didn't send a complete request in time."),
        410 => ("Gone", "The resource is no longer available and will not be available again."),
        413 => ("Payload Too Large", "The request entity exceeds the maximum allowed."),
        421 => ("Misdirected Request", "Request sent to a non-authoritative server."),
        422 => ("Unprocessable Content", "The server cannot process the contained instructions."),
        425 => ("Too Early", "Your browser sent early data."),
        429 => ("Too Many Requests", "You have sent too many requests in a given amount of time."),
        500 => ("Internal Server Error", "An internal server error occurred."),
        501 => (
            "Not Implemented",
            "The server does not support the functionality required to fulfill the request.",
        ),
        502 => ("Bad Gateway", "The server returned an invalid or incomplete response."),
        503 => ("Service Unavailable", "No server is available to handle this request."),
        504 => ("Gateway Time-out", "The server didn't respond in time."),
        _ => return None,
    })
}
