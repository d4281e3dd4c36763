//! Error files: whole answers, as `errorfile` and its kin name them.
//!
//! A file is read once. What stands in it goes out as it stands there, `connection` lines apart: those are for the stream
//! to say.
//!
//! Source: configuration.txt section 4.2, `errorfile`, and what HAProxy 2.6 accepts and sends.

use super::{
    Message,
    h1::parse::{self, Limits},
};
use crate::applet::{Form, Reply};

/// Reads the bytes of an error file that stands for `logged`. An empty one is the answer that says nothing.
///
/// # Errors
/// Why it is no answer, in HAProxy's words.
pub fn parse(bytes: &[u8], logged: u16) -> Result<Reply, String> {
    if bytes.is_empty() {
        return Ok(Reply { status: logged, form: Form::Silent, ..Reply::default() });
    }
    let mut message = Message::default();
    let limits = Limits { head_max: bytes.len() + 1, headers_max: HEADERS_MAX };
    let unreadable = |at: usize| format!("unable to parse headers (error offset: {at})");
    let head = match parse::response(bytes, &limits, &mut message) {
        Ok(Some(head)) => head,
        Ok(None) => return Err(unreadable(bytes.len())),
        Err(_) => return Err(unreadable(0)),
    };
    let body = &bytes[head.len..];
    let status = message.status();
    if message.header(b"transfer-encoding").is_some() {
        return Err("chunk-encoded payload not supported".to_owned());
    }
    if matches!(status, 100..=199 | 204 | 304) && !body.is_empty() {
        return Err("message payload not expected".to_owned());
    }
    if let Some(announced) = message.header(b"content-length") {
        let announced = String::from_utf8_lossy(announced);
        if announced.parse() != Ok(body.len()) {
            return Err(format!(
                "payload size does not match the announced content-length ({} != {announced})",
                body.len()
            ));
        }
    }
    let lines = message.headers().filter(|(name, _)| !name.eq_ignore_ascii_case(b"connection"));
    Ok(Reply {
        status,
        reason: Some(message.reason().to_vec()),
        headers: lines.map(|(name, value)| (name.to_ascii_lowercase(), value.to_vec())).collect(),
        body: body.to_vec(),
        close: false,
        form: Form::File { version: message.version(), logged },
    })
}

/// No answer of a person has more lines.
const HEADERS_MAX: usize = 101;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Version;

    #[test]
    fn a_file_is_taken_as_it_stands_but_for_its_connection_lines() {
        let file =
            b"HTTP/1.0 503 Gone fishing\r\nCache-Control: no-cache\r\nConnection: close\r\n\r\nback\nsoon";
        let reply = parse(file, 504).expect("a valid file");
        assert_eq!((reply.status, reply.reason.as_deref()), (503, Some(&b"Gone fishing"[..])));
        assert_eq!(reply.headers, [(b"cache-control".to_vec(), b"no-cache".to_vec())]);
        assert_eq!(reply.body, b"back\nsoon");
        assert_eq!(reply.form, Form::File { version: Version::Http10, logged: 504 });
    }

    #[test]
    fn an_empty_file_says_nothing() {
        assert_eq!(parse(b"", 408).map(|reply| (reply.status, reply.form)), Ok((408, Form::Silent)));
    }

    #[test]
    fn what_is_no_answer_is_refused_in_haproxys_words() {
        for (file, why) in [
            (&b"nonsense"[..], "unable to parse headers (error offset: 0)"),
            (b"HTTP/1.1 503 X\r\nA: b\r\n", "unable to parse headers (error offset: 22)"),
            (
                b"HTTP/1.1 503 X\r\nContent-Length: 3\r\n\r\nhello",
                "payload size does not match the announced content-length (5 != 3)",
            ),
            (
                b"HTTP/1.1 503 X\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                "chunk-encoded payload not supported",
            ),
            (b"HTTP/1.1 204 X\r\n\r\nhello", "message payload not expected"),
        ] {
            assert_eq!(parse(file, 503), Err(why.to_owned()), "{}", String::from_utf8_lossy(file));
        }
    }
}
