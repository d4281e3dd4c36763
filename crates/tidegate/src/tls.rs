//! TLS over any connection, by rustls: as a client, and as a server with the certificates of
//! [`certificates`](crate::certificates).
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

use proxy_core::host::{Addr, BoxIo, Io, PacketMarks};
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, ServerConfig, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::{Accept, TlsAcceptor, TlsConnector, TlsStream};

static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| Arc::new(ring::default_provider()));
static UNVERIFIED: LazyLock<Arc<ClientConfig>> = LazyLock::new(|| {
    Arc::new(builder().dangerous().with_custom_certificate_verifier(any_certificate()).with_no_client_auth())
});

fn builder() -> rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier> {
    ClientConfig::builder_with_provider(PROVIDER.clone())
        .with_safe_default_protocol_versions()
        .expect("invariant: the provider has suites for both versions")
}

/// The cryptography that everything here uses.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    PROVIDER.clone()
}

/// Takes any certificate whose key the server has.
pub(crate) fn any_certificate() -> Arc<dyn ServerCertVerifier> {
    Arc::new(AnyCertificate(PROVIDER.clone()))
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
    Ok(Arc::new(builder().with_root_certificates(authorities(ca_file)?).with_no_client_auth()))
}

/// The authorities in a file, or [the system's](SYSTEM_CA).
///
/// # Errors
/// As [`verified`].
pub(crate) fn authorities(ca_file: &str) -> io::Result<RootCertStore> {
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
    Ok(roots)
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
    handshake(config, io, name).await
}

/// Shakes hands with a server of that name; an address is not sent.
///
/// # Errors
/// The handshake fails, or the certificate is refused.
pub(crate) async fn handshake(
    config: Arc<ClientConfig>,
    io: BoxIo,
    name: ServerName<'static>,
) -> io::Result<BoxIo> {
    let stream = TlsConnector::from(config).connect(name, io).await?;
    Ok(Box::new(TlsIo::new(stream)))
}

/// A connection that speaks TLS, hands shaken.
///
/// Bytes count as written once the system has them, encrypted: those who write plain bytes need not flush, and do not.
struct TlsIo {
    stream: TlsStream<BoxIo>,
    /// Bytes that were encrypted and are not wholly with the system. INVARIANT: after a pending write the same bytes come
    /// again.
    held: usize,
}

impl TlsIo {
    fn new(stream: impl Into<TlsStream<BoxIo>>) -> Self {
        Self { stream: stream.into(), held: 0 }
    }
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
        if self.held == 0 {
            self.held = ready!(Pin::new(&mut self.stream).poll_write(cx, buf))?;
        }
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        Poll::Ready(Ok(std::mem::take(&mut self.held)))
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
        match &mut self.stream {
            TlsStream::Client(stream) => stream.get_mut().0.reset_on_drop(),
            TlsStream::Server(stream) => stream.get_mut().0.reset_on_drop(),
        }
    }

    fn mark_packets(&mut self, marks: PacketMarks) {
        match &mut self.stream {
            TlsStream::Client(stream) => stream.get_mut().0.mark_packets(marks),
            TlsStream::Server(stream) => stream.get_mut().0.mark_packets(marks),
        }
    }
}

/// Serves TLS on an accepted connection. The handshake happens while the first bytes are read, so whoever limits that
/// limits it, too.
#[must_use]
pub fn accept(config: Arc<ServerConfig>, io: BoxIo) -> BoxIo {
    let (peer, local) = (io.peer_addr(), io.local_addr());
    let accepting = TlsAcceptor::from(config).accept(io);
    Box::new(ServerIo { state: ServerState::Accepting(Box::new(accepting)), peer, local })
}

/// A connection of a client that speaks TLS.
struct ServerIo {
    state: ServerState,
    peer: Option<Addr>,
    local: Option<Addr>,
}

enum ServerState {
    Accepting(Box<Accept<BoxIo>>),
    Open(Box<TlsIo>),
    Failed,
}

impl ServerIo {
    /// The stream, once hands are shaken.
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Pin<&mut TlsIo>>> {
        if let ServerState::Accepting(accepting) = &mut self.state {
            match ready!(Pin::new(accepting).poll(cx)) {
                Ok(stream) => self.state = ServerState::Open(Box::new(TlsIo::new(stream))),
                Err(error) => {
                    self.state = ServerState::Failed;
                    return Poll::Ready(Err(error));
                }
            }
        }
        Poll::Ready(match &mut self.state {
            ServerState::Open(io) => Ok(Pin::new(io)),
            _ => Err(io::ErrorKind::NotConnected.into()),
        })
    }
}

impl AsyncRead for ServerIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_open(cx))?.poll_read(cx, buf)
    }
}

impl AsyncWrite for ServerIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_open(cx))?.poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_open(cx))?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_open(cx))?.poll_shutdown(cx)
    }
}

impl Io for ServerIo {
    fn peer_addr(&self) -> Option<Addr> {
        self.peer.clone()
    }

    fn local_addr(&self) -> Option<Addr> {
        self.local.clone()
    }

    fn reset_on_drop(&mut self) {
        match &mut self.state {
            ServerState::Accepting(accepting) => {
                if let Some(io) = accepting.get_mut() {
                    io.reset_on_drop();
                }
            }
            ServerState::Open(io) => io.reset_on_drop(),
            ServerState::Failed => {}
        }
    }

    fn mark_packets(&mut self, marks: PacketMarks) {
        match &mut self.state {
            ServerState::Accepting(accepting) => {
                if let Some(io) = accepting.get_mut() {
                    io.mark_packets(marks);
                }
            }
            ServerState::Open(io) => io.mark_packets(marks),
            ServerState::Failed => {}
        }
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
