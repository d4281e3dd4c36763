//! Certificates that frontends serve: class CertCache.

use super::HostResult;

/// The certificates, by the file they were read from.
pub trait Certificates {
    /// Exchanges what a file held, for connections that come from now on.
    ///
    /// # Errors
    /// The file is not one of the configuration's, or a part is of no use: nothing was changed.
    fn set(&self, update: CertificateUpdate) -> HostResult<()>;
}
const _: Option<&dyn Certificates> = None;

/// What a script gives; what is absent stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CertificateUpdate {
    /// The file, as the configuration names it.
    pub filename: String,
    /// A certificate in PEM, with its chain, and perhaps its key.
    pub certificate: Option<Vec<u8>>,
    /// A private key in PEM.
    pub key: Option<Vec<u8>>,
    /// An OCSP response in DER.
    pub ocsp: Option<Vec<u8>>,
}
