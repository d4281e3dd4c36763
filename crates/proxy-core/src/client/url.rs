//! URLs as far as a client needs them.

/// Where connections of one kind go: what a connection can be used again for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// `https`
    pub tls: bool,
    /// A name, or an address without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
}

/// A URL taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// Where it leads.
    pub origin: Origin,
    /// What the `host` header says: host and port as written, without a user.
    pub authority: String,
    /// Path and query, as they go into the request line.
    pub target: Vec<u8>,
}

/// Why a URL is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadUrl {
    /// There is no `scheme://host`.
    #[error("not an absolute url")]
    Relative,
    /// Neither `http` nor `https`.
    #[error("unsupported scheme")]
    Scheme,
    /// The host or port is malformed.
    #[error("malformed host or port")]
    Host,
}

impl Url {
    /// Takes a URL apart. A fragment is left out; an empty path is `/`.
    ///
    /// # Errors
    /// It is none for this client.
    pub fn parse(text: &str) -> Result<Self, BadUrl> {
        let (scheme, rest) = text.split_once("://").ok_or(BadUrl::Relative)?;
        let tls = if scheme.eq_ignore_ascii_case("https") {
            true
        } else if scheme.eq_ignore_ascii_case("http") {
            false
        } else {
            return Err(BadUrl::Scheme);
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let (host, port) = host_and_port(authority)?;
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        let port = port.unwrap_or(if tls { 443 } else { 80 });
        Ok(Self {
            origin: Origin { tls, host: host.to_ascii_lowercase(), port },
            authority: authority.to_owned(),
            target: target.into_bytes(),
        })
    }
}

fn host_and_port(authority: &str) -> Result<(&str, Option<u16>), BadUrl> {
    let (host, rest) = match authority.strip_prefix('[') {
        Some(inside) => inside.split_once(']').ok_or(BadUrl::Host)?,
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let port = match rest.strip_prefix(':') {
        Some("") | None if rest.len() <= 1 => None,
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(digits.parse().map_err(|_| BadUrl::Host)?)
        }
        _ => return Err(BadUrl::Host),
    };
    let is_host = |byte: u8| byte.is_ascii_graphic() && !b"[]<>\"\\^`{|}%".contains(&byte);
    if host.is_empty() || !host.bytes().all(is_host) {
        return Err(BadUrl::Host);
    }
    Ok((host, port))
}

#[cfg(test)]
mod tests {
    use super::{BadUrl, Url};

    #[test]
    fn urls_lead_to_an_origin_and_a_target() {
        let cases = [
            ("http://example.org", "example.org", 80, false, "example.org", "/"),
            ("HTTPS://Example.org/a?b#c", "example.org", 443, true, "Example.org", "/a?b"),
            ("http://[::1]:81/x", "::1", 81, false, "[::1]:81", "/x"),
            ("http://me:pw@10.0.0.1:8080?q=1", "10.0.0.1", 8080, false, "10.0.0.1:8080", "/?q=1"),
        ];
        for (text, host, port, tls, authority, target) in cases {
            let url = Url::parse(text).unwrap();
            assert_eq!(
                (url.origin.host.as_str(), url.origin.port, url.origin.tls),
                (host, port, tls),
                "{text}"
            );
            assert_eq!(
                (url.authority.as_str(), url.target.as_slice()),
                (authority, target.as_bytes()),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_url_is_named() {
        let cases = [
            ("example.org/x", BadUrl::Relative),
            ("", BadUrl::Relative),
            ("ftp://example.org/", BadUrl::Scheme),
            ("http:///x", BadUrl::Host),
            ("http://a b/", BadUrl::Host),
            ("http://a:b/", BadUrl::Host),
            ("http://a:70000/", BadUrl::Host),
            ("http://[::1/", BadUrl::Host),
            ("http://[::1]x/", BadUrl::Host),
        ];
        for (text, fault) in cases {
            assert_eq!(Url::parse(text), Err(fault), "{text}");
        }
    }
}
