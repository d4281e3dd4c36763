//! The class CertCache: the frontends' certificates.

use std::{borrow::Cow, sync::Arc};

use hlua::host::{CertificateUpdate, HostError, HostResult};

use crate::certificates::{Certificates, Update};

/// The certificates of the process, for scripts.
pub struct LuaCertificates(pub Arc<Certificates>);

impl hlua::host::Certificates for LuaCertificates {
    fn set(&self, update: CertificateUpdate) -> HostResult<()> {
        let CertificateUpdate { filename, certificate, key, ocsp } = update;
        let done = self.0.update(&filename, Update { certificate, key, ocsp });
        done.map_err(|why| HostError::Refused(Cow::Owned(why)))
    }
}
