//! What a configuration says of TLS, on listeners and towards servers. Nothing here speaks it: whoever accepts and makes
//! connections does, by these.
//!
//! Source: configuration.txt sections 3.1 (`ssl-default-…`, `ca-base`, `crt-base`), 5.1 and 5.2.

use std::fmt;

use crate::sample::expr::Expr;

/// Versions that a configuration can name, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TlsVersion {
    /// SSLv3
    Ssl30,
    /// TLSv1.0
    Tls10,
    /// TLSv1.1
    Tls11,
    /// TLSv1.2
    Tls12,
    /// TLSv1.3
    Tls13,
}

impl TlsVersion {
    /// All of them, oldest first.
    pub const ALL: [Self; 5] = [Self::Ssl30, Self::Tls10, Self::Tls11, Self::Tls12, Self::Tls13];

    /// The version of that name, as `ssl-min-ver` has it.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let at =
            ["SSLv3", "TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"].iter().position(|known| *known == name)?;
        Self::ALL.get(at).copied()
    }
}

/// `verify`: whether clients must show a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientCertificate {
    /// They are not asked.
    #[default]
    None,
    /// They are asked and may decline.
    Optional,
    /// They are asked and must have one.
    Required,
}

/// Settings of either side, or those that listeners or servers start from; what is absent was not said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// `ssl-min-ver`, or one of `force-tlsv1…`.
    pub min: Option<TlsVersion>,
    /// `ssl-max-ver`, or one of `force-tlsv1…`.
    pub max: Option<TlsVersion>,
    /// `no-sslv3`, `no-tlsv1…`: they count where neither `min` nor `max` is given.
    pub without: Vec<TlsVersion>,
    /// `no-tls-tickets`
    pub no_tickets: bool,
    /// `ciphers`: a list in OpenSSL's language, for TLS 1.2.
    pub ciphers: Option<String>,
    /// `ciphersuites`: names separated by colons, for TLS 1.3.
    pub suites: Option<String>,
    /// `prefer-client-ciphers`: of the suites, the client's first one is taken, not ours.
    pub clients_choose: bool,
    /// `curves`, or `ecdhe`: names separated by colons.
    pub curves: Option<String>,
    /// `strict-sni`: a name that no certificate is for ends the handshake.
    pub strict_sni: bool,
    /// `verify`
    pub verify: Option<ClientCertificate>,
    /// `ca-file`: who signs the other side's certificates.
    pub ca_file: Option<String>,
}

impl TlsSettings {
    /// These settings, with `defaults` where they say nothing.
    #[must_use]
    pub fn over(mut self, defaults: &Self) -> Self {
        if self.min.is_none() && self.max.is_none() && self.without.is_empty() {
            (self.min, self.max) = (defaults.min, defaults.max);
            self.without.clone_from(&defaults.without);
        }
        self.no_tickets |= defaults.no_tickets;
        self.strict_sni |= defaults.strict_sni;
        self.clients_choose |= defaults.clients_choose;
        self.ciphers = self.ciphers.or_else(|| defaults.ciphers.clone());
        self.suites = self.suites.or_else(|| defaults.suites.clone());
        self.curves = self.curves.or_else(|| defaults.curves.clone());
        self.verify = self.verify.or(defaults.verify);
        self.ca_file = self.ca_file.or_else(|| defaults.ca_file.clone());
        self
    }

    /// Whether that version may be spoken. Without any word on it, that is from TLS 1.2 on.
    #[must_use]
    pub fn allows(&self, version: TlsVersion) -> bool {
        match (self.min, self.max) {
            (None, None) => version >= TlsVersion::Tls12 && !self.without.contains(&version),
            (min, max) => {
                version >= min.unwrap_or(TlsVersion::Tls12) && version <= max.unwrap_or(TlsVersion::Tls13)
            }
        }
    }
}

/// What a `server` line says of TLS.
#[derive(Clone, Default)]
pub struct ServerTls {
    /// `ssl`: traffic is encrypted.
    pub on: bool,
    /// What both sides have in common; its `verify` is not looked at.
    pub settings: TlsSettings,
    /// `verify`: whether the server's certificate must be good; `ssl-server-verify` when absent.
    pub verify: Option<bool>,
    /// `verifyhost`: the name that the certificate must be for where no name was sent.
    pub verify_host: Option<String>,
    /// `sni`: the name that is sent.
    pub sni: Option<Expr>,
    /// `no-sni-auto`: without `sni`, the request's host is not sent either.
    pub no_sni_auto: bool,
    /// `crt`: our certificate, for servers that ask.
    pub crt: Option<String>,
    /// `check-ssl`, `no-check-ssl`; without either, checks do as traffic does unless they go elsewhere.
    pub check: Option<bool>,
    /// `check-sni`: the name that checks send.
    pub check_sni: Option<String>,
    /// `no-ssl-reuse`: no session is resumed.
    pub no_reuse: bool,
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls")
            .field("on", &self.on)
            .field("verify", &self.verify)
            .finish_non_exhaustive()
    }
}
