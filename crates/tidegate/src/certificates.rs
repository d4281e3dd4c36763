//! The certificates that frontends serve, by the file they were read from; each can be exchanged while the process runs.
//!
//! A `bind` line names files. Which of them a client gets is decided by the name it asks for; the first one serves all
//! others.
//!
//! Source: configuration.txt section 5.1 (`ssl`, `crt`, `alpn`); lua-api "CertCache class"; RFC 6125 §6.4 for names.

use std::{collections::BTreeMap, fmt, fs, io, path::Path, sync::Arc};

use parking_lot::RwLock;
use proxy_core::{config::Bind, tls::ClientCertificate};
use rustls::{
    RootCertStore, ServerConfig,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::{
        ClientHello, NoClientAuth, ResolvesServerCert, WebPkiClientVerifier, danger::ClientCertVerifier,
    },
    sign::CertifiedKey,
};

use crate::{suites, tls};

/// All of them, shared by all threads.
#[derive(Default)]
pub struct Certificates {
    files: RwLock<BTreeMap<String, Entry>>,
    /// By the place and address of the line.
    servers: RwLock<BTreeMap<ListenerKey, Arc<ServerConfig>>>,
}

/// File, line and address of a `bind` line; a range of ports makes several of one line.
type ListenerKey = (Arc<str>, u32, String);

fn listener(bind: &Bind) -> ListenerKey {
    (bind.place.file.clone(), bind.place.line, bind.addr.to_string())
}

/// What one file holds.
struct Entry {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    ready: Arc<CertifiedKey>,
    /// The names it is for, in lower case.
    names: Vec<String>,
}

/// What an update brings; what is absent stays.
#[derive(Default)]
pub struct Update {
    /// A certificate with its chain, and perhaps its key.
    pub certificate: Option<Vec<u8>>,
    /// A private key.
    pub key: Option<Vec<u8>>,
    /// An OCSP response, in DER.
    pub ocsp: Option<Vec<u8>>,
}

impl Certificates {
    /// Reads a file, unless it is known. Its key may stand in it, or in a file beside it with `.key` behind its name.
    ///
    /// # Errors
    /// Why it is of no use, in HAProxy's words.
    pub fn load(&self, file: &str) -> Result<(), String> {
        if self.files.read().contains_key(file) {
            return Ok(());
        }
        let (chain, key) = read(file)?;
        let entry = Entry::new(chain, key, None).map_err(|error| format!("'{file}' : {error}"))?;
        self.files.write().insert(file.to_owned(), entry);
        Ok(())
    }

    /// Exchanges what a file held: for the handshakes that begin from now on.
    ///
    /// # Errors
    /// The file is not known, or a part is of no use; nothing was changed.
    pub fn update(&self, file: &str, update: Update) -> Result<(), String> {
        let mut files = self.files.write();
        let entry = files
            .get_mut(file)
            .ok_or("Can't replace a certificate which is not referenced by the configuration!")?;
        let unable = |what: &str, field: &str| {
            format!("unable to load {what} from file '{file}'.\nCan't load the payload for '{field}'")
        };
        let (mut new_chain, mut new_key) = (None, None);
        if let Some(pem) = &update.certificate {
            new_chain = Some(chain(pem).ok_or_else(|| unable("certificate", "crt"))?);
            new_key = key(pem);
        }
        if let Some(pem) = &update.key {
            new_key = Some(key(pem).ok_or_else(|| unable("private key", "key"))?);
        }
        let chain = new_chain.unwrap_or_else(|| entry.chain.clone());
        let key = new_key.unwrap_or_else(|| entry.key.clone_key());
        let ocsp = update.ocsp.or_else(|| entry.ready.ocsp.clone());
        let refused = |_| format!("unable to load SSL private key into SSL Context '{file}'.\n");
        *entry = Entry::new(chain, key, ocsp).map_err(refused)?;
        Ok(())
    }

    /// Makes what a listener serves TLS by. Its files must be loaded; those of its authorities are read here.
    ///
    /// # Errors
    /// What its words cannot mean, in HAProxy's words as far as "for bind".
    pub fn prepare(self: &Arc<Self>, bind: &Bind) -> Result<(), String> {
        let settings = &bind.tls;
        let versions = suites::versions(settings);
        if versions.is_empty() {
            return Err("all SSL/TLS versions are disabled".to_owned());
        }
        let provider = Arc::new(suites::restrict(
            &tls::provider(),
            settings.ciphers.as_deref(),
            settings.suites.as_deref(),
            settings.curves.as_deref(),
        )?);
        let resolver = BySni { store: self.clone(), files: bind.crts.clone(), strict: settings.strict_sni };
        let verifier = verifier(bind, &provider)?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions)
            .map_err(|error| error.to_string())?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(resolver));
        config.ignore_client_order = !settings.clients_choose;
        if settings.no_tickets {
            config.send_tls13_tickets = 0;
        }
        // Nothing else is spoken here.
        let spoken = bind.alpn.iter().filter(|name| *name == "http/1.1");
        config.alpn_protocols = spoken.map(|name| name.clone().into_bytes()).collect();
        self.servers.write().insert(listener(bind), Arc::new(config));
        Ok(())
    }

    /// What a listener that was [prepared](Self::prepare) serves TLS by.
    #[must_use]
    pub fn server(&self, bind: &Bind) -> Option<Arc<ServerConfig>> {
        self.servers.read().get(&listener(bind)).cloned()
    }
}

impl Entry {
    fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        ocsp: Option<Vec<u8>>,
    ) -> Result<Self, rustls::Error> {
        let signer = tls::provider().key_provider.load_private_key(key.clone_key())?;
        let mut ready = CertifiedKey::new(chain.clone(), signer);
        ready.keys_match()?;
        ready.ocsp = ocsp;
        let names = names(&chain);
        Ok(Self { chain, key, ready: Arc::new(ready), names })
    }

    fn is_for(&self, name: &str) -> bool {
        self.names.iter().any(|known| match known.strip_prefix("*.") {
            Some(parent) => name.split_once('.').is_some_and(|(_, rest)| rest == parent),
            None => known == name,
        })
    }
}

/// Reads a certificate with its chain, and its key from the same file or the one beside it.
///
/// # Errors
/// Why it is of no use, in HAProxy's words.
pub(crate) fn read(file: &str) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), String> {
    let pem = fs::read(file).map_err(|error| {
        let reason = crate::process::describe(&error);
        format!("unable to stat SSL certificate from file '{file}' : {reason}.")
    })?;
    let chain = chain(&pem).ok_or_else(|| format!("unable to load certificate from file '{file}'."))?;
    let beside = format!("{file}.key");
    let key = match key(&pem) {
        Some(key) => key,
        None => read_key(Path::new(&beside)).map_err(|_| format!("No Private Key found in '{beside}'."))?,
    };
    Ok((chain, key))
}

/// Who judges the clients' certificates.
fn verifier(bind: &Bind, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let asked = bind.tls.verify.unwrap_or_default();
    if asked == ClientCertificate::None {
        return Ok(Arc::new(NoClientAuth));
    }
    let Some(file) = &bind.tls.ca_file else {
        return Err("verify is enabled but no CA file specified".to_owned());
    };
    let roots: RootCertStore =
        tls::authorities(file).map_err(|_| format!("unable to load CA file '{file}'"))?;
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let builder =
        if asked == ClientCertificate::Optional { builder.allow_unauthenticated() } else { builder };
    let verifier = builder.build().map_err(|error| format!("unable to load CA file '{file}' ({error})"))?;
    Ok(verifier)
}

/// The certificates of a PEM text; None if there is none, or one is malformed.
fn chain(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().ok()?;
    let whole = chain.first().is_some_and(|first| webpki::EndEntityCert::try_from(first).is_ok());
    whole.then_some(chain)
}

fn key(pem: &[u8]) -> Option<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_slice(pem).ok()
}

fn read_key(path: &Path) -> io::Result<PrivateKeyDer<'static>> {
    key(&fs::read(path)?).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn names(chain: &[CertificateDer<'static>]) -> Vec<String> {
    let first = chain.first().and_then(|first| webpki::EndEntityCert::try_from(first).ok());
    first.map(|cert| cert.valid_dns_names().map(str::to_ascii_lowercase).collect()).unwrap_or_default()
}

/// Chooses among the files of one `bind` line.
struct BySni {
    store: Arc<Certificates>,
    files: Vec<String>,
    /// `strict-sni`
    strict: bool,
}

impl fmt::Debug for BySni {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BySni").field("files", &self.files).finish_non_exhaustive()
    }
}

impl ResolvesServerCert for BySni {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let store = self.store.files.read();
        let entries = || self.files.iter().filter_map(|file| store.get(file));
        let asked = hello.server_name().map(str::to_ascii_lowercase);
        let fitting = asked.and_then(|name| entries().find(|entry| entry.is_for(&name)));
        fitting.or_else(|| entries().next().filter(|_| !self.strict)).map(|entry| entry.ready.clone())
    }
}
