//! Words about TLS: on `bind` and `server` lines, and as defaults for them in `global`.
//!
//! Source: configuration.txt sections 3.1, 5.1 and 5.2.

use super::{ParseError, global::GlobalLine, words};
use crate::{
    config::{Global, ServerConfig},
    registry::Registry,
    sample::expr::Expr,
    tls::{ClientCertificate, TlsSettings, TlsVersion},
};

/// Takes one of the words of a `bind` line, with what follows it; `None` if it is another's.
///
/// # Errors
/// What is wrong with the value.
pub(super) fn word(settings: &mut TlsSettings, word: &str, value: &str) -> Option<Result<usize, String>> {
    if let Some(version) = forced(word) {
        (settings.min, settings.max) = (Some(version), Some(version));
        return Some(Ok(0));
    }
    if let Some(version) = word.strip_prefix("no-").and_then(named) {
        settings.without.push(version);
        return Some(Ok(0));
    }
    let text = |what: &str| {
        if value.is_empty() { Err(format!("missing {what}")) } else { Ok(Some(value.to_owned())) }
    };
    let version = || match value {
        "" => Err("missing the ssl/tls version".to_owned()),
        _ => TlsVersion::from_name(value).map(Some).ok_or_else(|| "unknown ssl/tls version".to_owned()),
    };
    let done = match word {
        "no-tls-tickets" => return Some(Ok(flag(&mut settings.no_tickets))),
        "strict-sni" => return Some(Ok(flag(&mut settings.strict_sni))),
        "prefer-client-ciphers" => return Some(Ok(flag(&mut settings.clients_choose))),
        "ssl-min-ver" => version().map(|version| settings.min = version),
        "ssl-max-ver" => version().map(|version| settings.max = version),
        "ciphers" => text("cipher suite").map(|list| settings.ciphers = list),
        "ciphersuites" => text("cipher suite").map(|list| settings.suites = list),
        "curves" => text("curve suite").map(|list| settings.curves = list),
        "ecdhe" => text("named curve").map(|list| settings.curves = list),
        "ca-file" => text("CAfile path").map(|path| settings.ca_file = path),
        "verify" => verify(value).map(|verify| settings.verify = Some(verify)),
        _ => return None,
    };
    Some(done.map(|()| 1))
}

/// All words that [`word`] takes.
pub(super) const WORDS: [&str; 21] = [
    "ca-file",
    "ciphers",
    "ciphersuites",
    "curves",
    "ecdhe",
    "force-sslv3",
    "force-tlsv10",
    "force-tlsv11",
    "force-tlsv12",
    "force-tlsv13",
    "no-sslv3",
    "no-tls-tickets",
    "no-tlsv10",
    "no-tlsv11",
    "no-tlsv12",
    "no-tlsv13",
    "prefer-client-ciphers",
    "ssl-max-ver",
    "ssl-min-ver",
    "strict-sni",
    "verify",
];

/// Takes one of the words of a `server` line, with what follows it; `None` if it is another's.
///
/// # Errors
/// What is wrong with the value.
pub(super) fn server_word(
    server: &mut ServerConfig,
    name: &str,
    value: &str,
    registry: &Registry,
) -> Option<Result<usize, String>> {
    if !SERVER_WORDS.contains(&name) && !WORDS.contains(&name) {
        return None;
    }
    let tls = server.tls.get_or_insert_default();
    let text = |what: &str| {
        if value.is_empty() { Err(format!("'{name}' : missing {what}.")) } else { Ok(Some(value.to_owned())) }
    };
    let done = match name {
        "ssl" => return Some(Ok(flag(&mut tls.on))),
        "no-ssl" => {
            tls.on = false;
            return Some(Ok(0));
        }
        "check-ssl" | "no-check-ssl" => {
            tls.check = Some(name == "check-ssl");
            return Some(Ok(0));
        }
        "sni-auto" | "no-sni-auto" => {
            tls.no_sni_auto = name == "no-sni-auto";
            return Some(Ok(0));
        }
        "ssl-reuse" | "no-ssl-reuse" => {
            tls.no_reuse = name == "no-ssl-reuse";
            return Some(Ok(0));
        }
        "no-verifyhost" => {
            tls.verify_host = None;
            return Some(Ok(0));
        }
        "tls-tickets" => return Some(Ok(0)),
        "verify" => match value {
            "none" | "required" => {
                tls.verify = Some(value == "required");
                Ok(())
            }
            "" => Err("'verify' : missing verify method.".to_owned()),
            other => Err(format!(
                "'verify' : unknown verify method '{other}', only 'none' and 'required' are supported."
            )),
        },
        "verifyhost" => text("hostname to verify against").map(|host| tls.verify_host = host),
        "crt" => text("certificate file path").map(|path| tls.crt = path),
        "check-sni" => text("SNI").map(|sni| tls.check_sni = sni),
        // One protocol is spoken to servers: to offer it alone is what a list with it comes to.
        "alpn" | "check-alpn" => text("ALPN protocol name list").map(drop),
        "sni" => match value {
            "" => Err("'sni' : missing sni expression.".to_owned()),
            _ => Expr::parse(&[value], &mut 0, registry)
                .map(|expr| tls.sni = Some(expr))
                .map_err(|why| format!("error detected while parsing sni expression : {}", why.message)),
        },
        _ => {
            return word(&mut tls.settings, name, value)
                .map(|taken| taken.map_err(|why| format!("'{name}' : {why}.")));
        }
    };
    Some(done.map(|()| 1))
}

/// The words of `server` lines that listeners do not have.
pub(super) const SERVER_WORDS: [&str; 17] = [
    "alpn",
    "check-alpn",
    "check-sni",
    "check-ssl",
    "crt",
    "no-check-ssl",
    "no-sni-auto",
    "no-ssl",
    "no-ssl-reuse",
    "no-verifyhost",
    "sni",
    "sni-auto",
    "ssl",
    "ssl-reuse",
    "tls-tickets",
    "verify",
    "verifyhost",
];

/// `ssl-server-verify`.
pub(super) fn server_verify(line: &mut GlobalLine<'_>) -> Result<(), ParseError> {
    line.global.trusts_servers = match line.words.get(1).copied() {
        Some("none") => true,
        Some("required") => false,
        _ => return Err(ParseError::at(0, "'ssl-server-verify' expects 'none' or 'required' as argument.")),
    };
    words::at_most(line.words, 1)
}

/// `ssl-default-bind-options`, `ssl-default-server-options`.
pub(super) fn default_options(
    line: &mut GlobalLine<'_>,
    settings: fn(&mut Global) -> &mut TlsSettings,
) -> Result<(), ParseError> {
    let statement = format!("on global statement '{}'", line.words[0]);
    if line.words.len() < 2 {
        let text = format!("global statement '{}' expects an option as an argument.", line.words[0]);
        return Err(ParseError::at(0, text));
    }
    let mut at = 1;
    while let Some(name) = line.words.get(at).copied() {
        let value = line.words.get(at + 1).copied().unwrap_or_default();
        let known = DEFAULT_OPTIONS.contains(&name) || forced(name).is_some();
        let taken = if known { word(settings(line.global), name, value) } else { None };
        match taken {
            Some(Ok(values)) => at += 1 + values,
            Some(Err(why)) => {
                let shown = if value.is_empty() { name } else { value };
                return Err(ParseError::at(at, format!("'{shown}' : {why} {statement}.")));
            }
            None => return Err(ParseError::at(at, format!("unknown option '{name}' {statement}."))),
        }
    }
    Ok(())
}

/// One word for all listeners or servers: `ssl-default-bind-ciphers` and its kin.
pub(super) fn default_list(
    line: &mut GlobalLine<'_>,
    field: fn(&mut Global) -> &mut Option<String>,
) -> Result<(), ParseError> {
    let name = line.words[0];
    let expected = format!("global statement '{name}' expects a cipher suite as an argument.");
    let value = words::word(line.words, 1, &expected)?;
    words::at_most(line.words, 1)?;
    *field(line.global) = Some(value.to_owned());
    Ok(())
}

/// A directory that relative names start from; the second one is a mistake.
pub(super) fn base(
    line: &mut GlobalLine<'_>,
    field: fn(&mut Global) -> &mut Option<String>,
) -> Result<(), ParseError> {
    let name = line.words[0];
    let expected = format!("global statement '{name}' expects a directory path as an argument.");
    let value = words::word(line.words, 1, &expected)?;
    words::at_most(line.words, 1)?;
    let field = field(line.global);
    if field.is_some() {
        return Err(ParseError::at(0, format!("'{name}' already specified.")));
    }
    *field = Some(value.to_owned());
    Ok(())
}

/// Puts a directory in front of a relative name.
pub(super) fn under(base: Option<&str>, name: &str) -> String {
    match base {
        Some(base) if !name.starts_with(['/', '@']) => format!("{base}/{name}"),
        _ => name.to_owned(),
    }
}

fn forced(word: &str) -> Option<TlsVersion> {
    word.strip_prefix("force-").and_then(named)
}

/// A version as `no-…` and `force-…` spell it.
fn named(name: &str) -> Option<TlsVersion> {
    let at = ["sslv3", "tlsv10", "tlsv11", "tlsv12", "tlsv13"].iter().position(|known| *known == name)?;
    TlsVersion::ALL.get(at).copied()
}

fn verify(value: &str) -> Result<ClientCertificate, String> {
    match value {
        "none" => Ok(ClientCertificate::None),
        "optional" => Ok(ClientCertificate::Optional),
        "required" => Ok(ClientCertificate::Required),
        "" => Err("missing verify method".to_owned()),
        other => Err(format!(
            "unknown verify method '{other}', only 'none', 'optional', and 'required' are supported"
        )),
    }
}

fn flag(field: &mut bool) -> usize {
    *field = true;
    0
}

/// What `ssl-default-bind-options` takes beside `force-…`.
const DEFAULT_OPTIONS: [&str; 9] = [
    "no-sslv3",
    "no-tls-tickets",
    "no-tlsv10",
    "no-tlsv11",
    "no-tlsv12",
    "no-tlsv13",
    "prefer-client-ciphers",
    "ssl-max-ver",
    "ssl-min-ver",
];
