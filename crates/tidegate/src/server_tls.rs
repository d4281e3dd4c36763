//! How servers whose line says `ssl` are spoken to: made when the configuration is read, kept for all threads.
//!
//! Source: configuration.txt section 5.2 (`ssl`, `verify`, `verifyhost`, `ca-file`, `crt`, `sni`).

use std::{
    collections::BTreeMap,
    future::ready,
    io,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use proxy_core::{
    backend::server::Server,
    config::{Config, ServerConfig},
    host::{BoxIo, ConnectFuture},
    tls::ServerTls,
};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
    client::{
        Resumption, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use crate::{certificates, suites, tls};

/// One a server, by the ids of its proxy and itself.
#[derive(Default)]
pub struct ServerTlsConfigs {
    clients: BTreeMap<(u32, u32), Client>,
}

/// How one server is spoken to.
struct Client {
    config: Arc<ClientConfig>,
    /// Its certificate must be good.
    verifies: bool,
}

impl ServerTlsConfigs {
    /// Makes those of all servers, and says what cannot be.
    #[must_use]
    pub fn prepare(config: &Config) -> (Self, Vec<String>) {
        let (mut made, mut faults) = (Self::default(), Vec::new());
        for server in &config.servers {
            let Some(words) = wanted(&server.config) else { continue };
            match client(words, config.global.trusts_servers) {
                Ok(client) => drop(made.clients.insert(ids(server), client)),
                Err(why) => {
                    let (place, proxy) = (&server.config.place, &server.proxy.name);
                    let name = &server.config.name;
                    faults.push(format!("[{}:{}] : 'server {proxy}/{name}' : {why}", place.file, place.line));
                }
            }
        }
        (made, faults)
    }

    /// Shakes hands with a server. Without `name` none is sent, nor is one that rustls cannot send; where certificates
    /// are verified, that is an error: a certificate is for no such name.
    ///
    /// # Errors
    /// The handshake fails, or the certificate is refused.
    pub fn secure(&self, io: BoxIo, server: &Server, name: Option<&[u8]>) -> ConnectFuture {
        let Some(client) = self.clients.get(&ids(server)) else {
            return Box::pin(ready(Err(io::ErrorKind::Unsupported.into())));
        };
        let name = match name.map(sendable) {
            Some(Some(name)) => name,
            Some(None) if client.verifies => {
                let error = io::Error::new(io::ErrorKind::InvalidInput, "not a server name");
                return Box::pin(ready(Err(error)));
            }
            Some(None) | None => no_name(),
        };
        Box::pin(tls::handshake(client.config.clone(), io, name))
    }
}

/// The ids that a server is found by.
fn ids(server: &Server) -> (u32, u32) {
    (server.proxy.uuid, server.puid)
}

/// A name of a request, if it can be sent and verified. The address that stands for none is no name of anybody.
fn sendable(name: &[u8]) -> Option<ServerName<'static>> {
    let name = ServerName::try_from(str::from_utf8(name).ok()?).ok()?.to_owned();
    (!is_none(&name)).then_some(name)
}

/// An address: rustls sends no name then.
fn no_name() -> ServerName<'static> {
    ServerName::from(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}

fn is_none(name: &ServerName<'_>) -> bool {
    matches!(name, ServerName::IpAddress(addr) if IpAddr::from(*addr).is_unspecified())
}

/// The words about TLS, if traffic or checks are encrypted.
fn wanted(server: &ServerConfig) -> Option<&ServerTls> {
    server.tls.as_deref().filter(|tls| tls.on || tls.check == Some(true))
}

fn client(words: &ServerTls, trusting: bool) -> Result<Client, String> {
    let verifies = words.verify.unwrap_or(!trusting);
    let settings = &words.settings;
    let versions = suites::versions(settings);
    if versions.is_empty() {
        return Err("all SSL/TLS versions are disabled.".to_owned());
    }
    let provider = suites::restrict(
        &tls::provider(),
        settings.ciphers.as_deref(),
        settings.suites.as_deref(),
        settings.curves.as_deref(),
    );
    let provider = Arc::new(provider.map_err(|why| format!("{why}."))?);
    let verifier: Arc<dyn ServerCertVerifier> = if verifies {
        let file = settings.ca_file.as_deref().ok_or(NO_AUTHORITY)?;
        let roots = tls::authorities(file).map_err(|error| {
            format!("Couldn't open the ca-file '{file}' ({}).", crate::process::describe(&error))
        })?;
        let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone());
        let inner = inner.build().map_err(|error| format!("unable to load ca-file '{file}' : {error}."))?;
        let host = words.verify_host.clone().map(ServerName::try_from).transpose();
        let host = host.map_err(|_| "'verifyhost' : not a host name.".to_owned())?;
        Arc::new(NameSent { inner, host })
    } else {
        tls::any_certificate()
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions)
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match &words.crt {
        None => builder.with_no_client_auth(),
        Some(file) => {
            let (chain, key) = certificates::read(file)?;
            builder.with_client_auth_cert(chain, key).map_err(|error| format!("'crt' : {error}."))?
        }
    };
    if words.no_reuse {
        config.resumption = Resumption::disabled();
    }
    Ok(Client { config: Arc::new(config), verifies })
}

/// HAProxy's words for a server that would have to be verified by nobody.
const NO_AUTHORITY: &str = "verify is enabled by default but no CA file specified. If you're running on a LAN where \
                            you're certain to trust the server's certificate, please set an explicit 'verify none' \
                            statement on the 'server' line, or use 'ssl-server-verify none' in the global section to \
                            disable server-side verifications by default.";

/// Verifies the chain always, and the name that was sent; without one, that of `verifyhost`, if any.
#[derive(Debug)]
struct NameSent {
    inner: Arc<WebPkiServerVerifier>,
    host: Option<ServerName<'static>>,
}

impl ServerCertVerifier for NameSent {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let unnamed = is_none(name);
        let name = if unnamed { self.host.as_ref().unwrap_or(name) } else { name };
        match self.inner.verify_server_cert(certificate, intermediates, name, ocsp, now) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if unnamed && self.host.is_none() => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
