//! Where an agent listens, as the command line says it.

use std::{
    fmt,
    net::{SocketAddr, ToSocketAddrs as _},
    path::PathBuf,
    str::FromStr,
};

/// A TCP address or a unix socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Address {
    /// `host:port`; names are looked up once.
    Tcp(SocketAddr),
    /// `/path`, `unix:PATH` or `unix@PATH`.
    Unix(PathBuf),
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:").or_else(|| text.strip_prefix("unix@")) {
            return Ok(Self::Unix(path.into()));
        }
        if text.contains('/') {
            return Ok(Self::Unix(text.into()));
        }
        let mut found =
            text.to_socket_addrs().map_err(|error| format!("expected host:port or a path ({error})"))?;
        found.next().map(Self::Tcp).ok_or_else(|| "the name has no address".to_owned())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(addr) => addr.fmt(f),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Address;

    #[test]
    fn addresses_are_tcp_unless_they_are_paths() {
        let tcp = |text: &str| Address::Tcp(text.parse().unwrap());
        for (text, address) in [
            ("127.0.0.1:9000", tcp("127.0.0.1:9000")),
            ("[::1]:9000", tcp("[::1]:9000")),
            ("/run/agent", Address::Unix("/run/agent".into())),
            ("./agent", Address::Unix("./agent".into())),
            ("unix:agent", Address::Unix("agent".into())),
            ("unix@agent", Address::Unix("agent".into())),
        ] {
            assert_eq!(text.parse(), Ok(address), "{text}");
        }
        assert!("9000".parse::<Address>().is_err());
    }
}
