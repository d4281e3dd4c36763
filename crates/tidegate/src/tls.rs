//! TLS over any connection, by rustls.
//!
//! Two kinds of client: one that takes any certificate, as HAProxy's Lua sockets do, and one that verifies. Either
//! way the server proves that it has the certificate's key.
//!
//! A name is sent (SNI) where the server was asked for by name, none where by address (RFC 6066 §3).

use std::{
    io,
    pin::Pin,
    sync::{Arc, LazyLock},
    task::{Context, Poll, Waker, ready},
};

use proxy_core::host::{Addr, BoxIo, Io};
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::{TlsConnector, client::TlsStream};

static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| Arc::new(ring::default_provider()));
static UNVERIFIED: LazyLock<Arc<ClientConfig>> = LazyLock::new(|| {
    let verifier = Arc::new(AnyCertificate(PROVIDER.clone()));
    Arc::new(builder().dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
});

fn builder() -> rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier> {
    ClientConfig::builder_with_provider(PROVIDER.clone())
        .with_safe_default_protocol_versions()
        .expect("invariant: the provider has suites for both versions")
}

/// A client that takes any certificate (`verify none`).
#[must_use]
pub fn unverified() -> Arc<ClientConfig> {
    UNVERIFIED.clone()
}

/// A client that takes the certificates of the authorities in `ca_file`, or `@system-ca` for the system's.
///
/// # Errors
/// The file cannot be read, or holds no certificate.
pub fn verified(ca_file: &str) -> io::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    if ca_file == SYSTEM_CA {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    } else {
        let certificates = CertificateDer::pem_file_iter(ca_file).map_err(io::Error::other)?;
        for certificate in certificates {
            roots.add(certificate.map_err(io::Error::other)?).map_err(io::Error::other)?;
        }
    }
    if roots.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "no certificate authorities found"));
    }
    Ok(Arc::new(builder().with_root_certificates(roots).with_no_client_auth()))
}

/// The name of the system's authorities.
pub const SYSTEM_CA: &str = "@system-ca";

/// Shakes hands over a connection. `host` is a name or an address, as the connection was asked for.
///
/// # Errors
/// The handshake fails, the certificate is refused, or `host` is neither a name nor an address.
pub async fn connect(config: Arc<ClientConfig>, io: BoxIo, host: String) -> io::Result<BoxIo> {
    let name = ServerName::try_from(host)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "not a server name"))?;
    let stream = TlsConnector::from(config).connect(name, io).await?;
    Ok(Box::new(TlsIo { stream }))
}

/// A connection of ours that speaks TLS.
struct TlsIo {
    stream: TlsStream<BoxIo>,
}

impl Drop for TlsIo {
    /// Says goodbye if that can be done at once.
    fn drop(&mut self) {
        let _ = Pin::new(&mut self.stream).poll_shutdown(&mut Context::from_waker(Waker::noop()));
    }
}

impl AsyncRead for TlsIo {
    /// A server that leaves without a goodbye has ended the stream all the same, as OpenSSL has it: whether all of a
    /// message came is for its own framing to say.
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match ready!(Pin::new(&mut self.stream).poll_read(cx, buf)) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
            read => Poll::Ready(read),
        }
    }
}

impl AsyncWrite for TlsIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Io for TlsIo {
    fn peer_addr(&self) -> Option<Addr> {
        self.stream.get_ref().0.peer_addr()
    }

    fn local_addr(&self) -> Option<Addr> {
        self.stream.get_ref().0.local_addr()
    }

    fn reset_on_drop(&mut self) {
        self.stream.get_mut().0.reset_on_drop();
    }
}

/// Takes any certificate whose key the server has.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
