//! Certificates for `localhost` made for one test, and a server that takes TLS off a connection and passes the rest on.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, StreamOwned};
use tokio_rustls::TlsAcceptor;

use super::service::Service;

/// Our end of a connection over TLS.
pub(crate) type Client = StreamOwned<ClientConnection, TcpStream>;

/// An authority.
pub(crate) struct Authority {
    pem: String,
    roots: Arc<RootCertStore>,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate with its key, for some names.
pub(crate) struct Certificate {
    /// Both, as one PEM file.
    pub(crate) pem: String,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    config: Arc<ServerConfig>,
}

impl Authority {
    /// A new one.
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params.self_signed(&key).expect("a key signs its own certificate");
        let mut roots = RootCertStore::empty();
        roots.add(certificate.der().clone()).expect("a certificate of an authority");
        Self { pem: certificate.pem(), roots: Arc::new(roots), issuer: Issuer::new(params, key) }
    }

    /// Writes its certificate.
    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        fs::write(path, &self.pem)
    }

    /// Shakes hands over a connection with a server that must have a certificate of ours for `name`; shows it `own`, if
    /// it asks.
    pub(crate) fn connect(
        &self,
        mut stream: TcpStream,
        name: &str,
        own: Option<&Certificate>,
    ) -> io::Result<Client> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has suites for both versions")
            .with_root_certificates(self.roots.clone());
        let config = match own {
            Some(own) => config
                .with_client_auth_cert(own.chain.clone(), own.key.clone_key())
                .map_err(io::Error::other)?,
            None => config.with_no_client_auth(),
        };
        let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
        let mut session = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
        while session.is_handshaking() {
            session.complete_io(&mut stream)?;
        }
        Ok(StreamOwned::new(session, stream))
    }

    /// A certificate for those names and addresses.
    pub(crate) fn certify(&self, names: &[&str]) -> Certificate {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names.clone()).expect("plain names");
        params.distinguished_name.push(rcgen::DnType::CommonName, names.first().map_or("", String::as_str));
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params.signed_by(&key, &self.issuer).expect("the authority signs");
        let pem = certificate.pem() + &key.serialize_pem();
        let chain = vec![certificate.der().clone()];
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key in PKCS#8");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has suites for both versions")
            .with_no_client_auth()
            .with_single_cert(chain.clone(), key.clone_key())
            .expect("key and certificate belong together");
        Certificate { pem, chain, key, config: Arc::new(config) }
    }
}

/// Serves TLS with that certificate in front of `behind`.
pub(crate) fn start(certificate: &Certificate, behind: SocketAddr) -> io::Result<Service> {
    let acceptor = TlsAcceptor::from(certificate.config.clone());
    Service::start(move |stream| {
        // A client that does not like the certificate is no failure of the server.
        pass_on(&acceptor, stream, behind).ok();
    })
}

fn pass_on(acceptor: &TlsAcceptor, stream: TcpStream, behind: SocketAddr) -> io::Result<()> {
    stream.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut client = acceptor.accept(tokio::net::TcpStream::from_std(stream)?).await?;
        let mut server = tokio::net::TcpStream::connect(behind).await?;
        tokio::io::copy_bidirectional(&mut client, &mut server).await.map(drop)
    })
}
