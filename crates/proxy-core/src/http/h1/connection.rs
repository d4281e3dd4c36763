//! What two heads mean for the connections that carry them: body lengths, persistence, and which
//! hop-by-hop lines go out.

use super::{
    super::{
        message::{Message, Version},
        text,
    },
    parse::{Head, Length},
};

/// How the body of a response ends, given the request's method and the status
/// (RFC 9112 §6.3). A successful answer to CONNECT and a 101 are followed by a tunnel, not a body.
#[must_use]
pub fn response_length(method: &[u8], status: u16, head: &Head) -> Length {
    match status {
        100..=199 | 204 | 304 => Length::None,
        200..=299 if method == b"CONNECT" => Length::None,
        _ if method == b"HEAD" => Length::None,
        _ => head.length,
    }
}

/// Whether this answer turns the connection into a tunnel.
#[must_use]
pub fn opens_tunnel(method: &[u8], request: &Head, status: u16) -> bool {
    (status == 101 && request.upgrade) || (method == b"CONNECT" && (200..300).contains(&status))
}

/// Whether the sender of this head is ready for another message on the same connection.
#[must_use]
pub fn persists(version: Version, head: &Head) -> bool {
    match version {
        Version::Http11 => !head.close,
        Version::Http10 => head.keep_alive && !head.close,
    }
}

/// How a body is framed towards a peer of that version.
#[must_use]
pub fn framing_for(length: Length, peer: Version) -> Length {
    match (length, peer) {
        (Length::Chunked, Version::Http10) => Length::UntilClose,
        _ => length,
    }
}

/// The `connection` token for a request to a server.
#[must_use]
pub fn token_to_server(version: Version, keep: bool) -> Option<&'static str> {
    match (version, keep) {
        (Version::Http11, true) | (Version::Http10, false) => None,
        (Version::Http11, false) => Some("close"),
        (Version::Http10, true) => Some("keep-alive"),
    }
}

/// The `connection` token for a response to a client that spoke this version.
#[must_use]
pub fn token_to_client(version: Version, keep: bool) -> Option<&'static str> {
    match (version, keep) {
        (Version::Http11, true) => None,
        (_, false) => Some("close"),
        (Version::Http10, true) => Some("keep-alive"),
    }
}

/// Takes `close` and `keep-alive` (and `upgrade` unless `keep_upgrade`) out of the `connection`
/// lines: they concern the hop that the message came over. Other tokens stay.
pub fn strip_hop_tokens(message: &mut Message, keep_upgrade: bool) {
    let is_hop = |token: &[u8]| {
        token.eq_ignore_ascii_case(b"close")
            || token.eq_ignore_ascii_case(b"keep-alive")
            || (!keep_upgrade && token.eq_ignore_ascii_case(b"upgrade"))
    };
    if !message.header_values(b"connection").any(|token| token.is_empty() || is_hop(token)) {
        return;
    }
    // INVARIANT: the new values are pieces of valid ones, so the edit is not refused.
    let _ = message.replace_header(b"connection", |line| {
        let kept: Vec<&[u8]> = text::split_values(line).filter(|t| !t.is_empty() && !is_hop(t)).collect();
        Some(kept.join(&b", "[..]))
    });
    message.retain_headers(|name, value| !value.is_empty() || !name.eq_ignore_ascii_case(b"connection"));
    if !keep_upgrade {
        message.del_header(b"upgrade");
    }
}
