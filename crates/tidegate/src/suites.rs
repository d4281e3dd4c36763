//! Versions, cipher lists, suites and curves as configurations spell them, in terms of what rustls has.
//!
//! `ciphers` is a list in OpenSSL's language, of which every operator has a copy from somewhere; names that mean
//! nothing here are passed over, as OpenSSL passes over names it does not know. A list that leaves nothing is an error.
//!
//! Source: configuration.txt section 5.1 (`ciphers`, `ciphersuites`, `curves`); OpenSSL's manual page `ciphers`.

use proxy_core::tls::{TlsSettings, TlsVersion};
use rustls::{
    NamedGroup, SupportedCipherSuite, SupportedProtocolVersion,
    crypto::{CryptoProvider, SupportedKxGroup},
    version::{TLS12, TLS13},
};

/// One TLS 1.2 suite in OpenSSL's words: its name, and all that a list may call it by.
struct Suite {
    name: &'static str,
    words: &'static [&'static str],
}

const SUITES: [(rustls::CipherSuite, Suite); 6] = [
    (
        rustls::CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        Suite {
            name: "ECDHE-ECDSA-AES256-GCM-SHA384",
            words: &["ECDSA", "AES", "AES256", "AESGCM", "SHA384"],
        },
    ),
    (
        rustls::CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        Suite {
            name: "ECDHE-ECDSA-AES128-GCM-SHA256",
            words: &["ECDSA", "AES", "AES128", "AESGCM", "SHA256"],
        },
    ),
    (
        rustls::CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        Suite { name: "ECDHE-ECDSA-CHACHA20-POLY1305", words: &["ECDSA", "CHACHA20"] },
    ),
    (
        rustls::CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        Suite { name: "ECDHE-RSA-AES256-GCM-SHA384", words: &["RSA", "AES", "AES256", "AESGCM", "SHA384"] },
    ),
    (
        rustls::CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        Suite { name: "ECDHE-RSA-AES128-GCM-SHA256", words: &["RSA", "AES", "AES128", "AESGCM", "SHA256"] },
    ),
    (
        rustls::CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        Suite { name: "ECDHE-RSA-CHACHA20-POLY1305", words: &["RSA", "CHACHA20"] },
    ),
];

/// Words that all of them answer to.
const COMMON: [&str; 10] =
    ["ALL", "DEFAULT", "HIGH", "ECDHE", "EECDH", "kECDHE", "kEECDH", "AEAD", "TLSv1.2", "FIPS"];

impl Suite {
    /// Whether a word of a list means it (too).
    fn is(&self, word: &str) -> bool {
        // `aRSA` is about certificates, plain `RSA` about a key exchange that none of these has.
        let authenticates =
            word.strip_prefix('a').is_some_and(|by| ["RSA", "ECDSA"].contains(&by) && self.words[0] == by);
        let named = word != "RSA" && self.words.contains(&word);
        word == self.name || COMMON.contains(&word) || authenticates || named
    }
}

/// The suites of an OpenSSL list, in its order; empty if it means none that is there.
fn tls12(list: &str) -> Vec<rustls::CipherSuite> {
    let mut chosen: Vec<rustls::CipherSuite> = Vec::new();
    let mut killed: Vec<rustls::CipherSuite> = Vec::new();
    for item in list.split([':', ',', ' ']).filter(|item| !item.is_empty() && !item.starts_with('@')) {
        let word = item.trim_start_matches(['!', '-', '+']);
        let meant =
            SUITES.iter().filter(|(_, suite)| word.split('+').all(|word| suite.is(word))).map(|(id, _)| *id);
        match item.as_bytes()[0] {
            b'!' => killed.extend(meant),
            b'-' => {
                let gone: Vec<_> = meant.collect();
                chosen.retain(|id| !gone.contains(id));
            }
            b'+' => {
                let (last, first): (Vec<_>, Vec<_>) = {
                    let moved: Vec<_> = meant.collect();
                    chosen.iter().partition(|id| moved.contains(id))
                };
                chosen = [first, last].concat();
            }
            _ => chosen.extend(meant.filter(|id| !chosen.contains(id)).collect::<Vec<_>>()),
        }
    }
    chosen.retain(|id| !killed.contains(id));
    chosen
}

fn tls13(list: &str) -> Vec<rustls::CipherSuite> {
    let known = [
        ("TLS_AES_256_GCM_SHA384", rustls::CipherSuite::TLS13_AES_256_GCM_SHA384),
        ("TLS_AES_128_GCM_SHA256", rustls::CipherSuite::TLS13_AES_128_GCM_SHA256),
        ("TLS_CHACHA20_POLY1305_SHA256", rustls::CipherSuite::TLS13_CHACHA20_POLY1305_SHA256),
    ];
    list.split(':')
        .filter_map(|name| known.iter().find(|(known, _)| *known == name).map(|(_, id)| *id))
        .collect()
}

/// The versions that both the settings and rustls have, newest first.
pub(crate) fn versions(settings: &TlsSettings) -> Vec<&'static SupportedProtocolVersion> {
    let known = [(TlsVersion::Tls13, &TLS13), (TlsVersion::Tls12, &TLS12)];
    known.into_iter().filter(|(version, _)| settings.allows(*version)).map(|(_, rustls)| rustls).collect()
}

/// What is left of `provider` by those three lists, in their order.
///
/// # Errors
/// A list that leaves nothing, as HAProxy says it: the words before "for bind".
pub(crate) fn restrict(
    provider: &CryptoProvider,
    ciphers: Option<&str>,
    suites: Option<&str>,
    curves: Option<&str>,
) -> Result<CryptoProvider, String> {
    let of = |ids: &[rustls::CipherSuite]| -> Vec<SupportedCipherSuite> {
        let find = |id: &rustls::CipherSuite| {
            provider.cipher_suites.iter().find(|suite| suite.suite() == *id).copied()
        };
        ids.iter().filter_map(find).collect()
    };
    let is13 = |suite: &&SupportedCipherSuite| suite.tls13().is_some();
    let by_default =
        |tls13: bool| provider.cipher_suites.iter().filter(|suite| is13(suite) == tls13).copied().collect();
    let new = match suites {
        None => by_default(true),
        Some(list) => {
            let chosen = of(&tls13(list));
            if chosen.is_empty() && !list.is_empty() {
                return Err(format!("unable to set TLS 1.3 cipher suites to '{list}'"));
            }
            chosen
        }
    };
    let old: Vec<_> = match ciphers {
        None => by_default(false),
        Some(list) => {
            let chosen = of(&tls12(list));
            if chosen.is_empty() {
                return Err(format!("unable to set SSL cipher list to '{list}'"));
            }
            chosen
        }
    };
    let kx_groups = match curves {
        None => provider.kx_groups.clone(),
        Some(list) => {
            let chosen = groups(provider, list);
            if chosen.is_empty() {
                return Err(format!("unable to set SSL curves list to '{list}'"));
            }
            chosen
        }
    };
    Ok(CryptoProvider { cipher_suites: [new, old].concat(), kx_groups, ..provider.clone() })
}

fn groups(provider: &CryptoProvider, list: &str) -> Vec<&'static dyn SupportedKxGroup> {
    let named = |name: &str| {
        Some(match name {
            "X25519" | "x25519" => NamedGroup::X25519,
            "P-256" | "prime256v1" | "secp256r1" => NamedGroup::secp256r1,
            "P-384" | "secp384r1" => NamedGroup::secp384r1,
            _ => return None,
        })
    };
    let find = |group| provider.kx_groups.iter().find(|known| known.name() == group).copied();
    list.split(':').filter_map(named).filter_map(find).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &str) -> Vec<&'static str> {
        let name = |id: rustls::CipherSuite| {
            SUITES.iter().find(|(known, _)| *known == id).expect("one of ours").1.name
        };
        tls12(list).into_iter().map(name).collect()
    }

    #[test]
    fn lists_are_read_as_openssl_reads_them() {
        let all = names("HIGH:!aNULL:!MD5");
        assert_eq!(all.len(), 6, "{all:?}");
        assert_eq!(
            names("ECDHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384"),
            ["ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384"],
            "in the list's order, and what is not there is passed over"
        );
        assert_eq!(
            names("EECDH+AESGCM+aRSA:!AES128"),
            ["ECDHE-RSA-AES256-GCM-SHA384"],
            "words joined by a plus must all be true"
        );
        assert_eq!(
            names("ECDSA:-CHACHA20:+AES256"),
            ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"]
        );
        assert_eq!(names("!AES:ALL:AES"), ["ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305"]);
        assert!(names("RSA:foo").is_empty(), "no suite here exchanges keys by RSA");
    }

    #[test]
    fn a_list_that_leaves_nothing_is_refused_by_its_text() {
        let provider = crate::tls::provider();
        let refused = |ciphers, suites, curves| restrict(&provider, ciphers, suites, curves).err();
        assert_eq!(
            refused(Some("foo"), None, None).as_deref(),
            Some("unable to set SSL cipher list to 'foo'")
        );
        assert_eq!(
            refused(None, Some("foo"), None).as_deref(),
            Some("unable to set TLS 1.3 cipher suites to 'foo'")
        );
        assert_eq!(
            refused(None, None, Some("foo")).as_deref(),
            Some("unable to set SSL curves list to 'foo'")
        );
    }

    #[test]
    fn without_a_list_everything_is_there() {
        let provider = crate::tls::provider();
        let whole = restrict(&provider, None, None, None).expect("nothing was asked for");
        assert_eq!(whole.cipher_suites.len(), provider.cipher_suites.len());
        assert_eq!(whole.kx_groups.len(), provider.kx_groups.len());
    }
}
