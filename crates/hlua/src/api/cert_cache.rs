//! The global `CertCache`.
//!
//! The field `issuer` is looked at for its type and of no further use: an OCSP response says itself whom it is about.
//! `sctl` is refused, since TLS here has no use for it.
//!
//! Source: lua-api "CertCache class".

use crate::api::{Library, Method};
use crate::context::ContextKind::*;
use crate::context::Contexts;
use crate::host::{CertificateUpdate, HostError};
use crate::raw::stack::{Failure, Flow, Ret, Stack};

pub(crate) const LIBRARY: Library = Library {
    name: "CertCache",
    functions: &[Method::new("set", "(certificate)", set).only(Contexts::of(&[
        Init,
        Task,
        Action,
        ServiceHttp,
        ServiceTcp,
        Event,
        Cli,
    ]))],
    constants: &[],
    lazy: None,
    attributes: &[],
};

fn set(stack: &mut Stack<'_>) -> Flow {
    if stack.top() != 1 || !stack.is_table(1) {
        return Err(Failure::error("'CertCache.set' needs a table as argument"));
    }
    let mut update = CertificateUpdate::default();
    stack.push_nil();
    while stack.next(1) {
        let key = if stack.type_name(-2) == "string" { stack.text(-2)? } else { String::new() };
        let value = stack.try_bytes(-1).map(|value| value.into_owned());
        let value = value.ok_or_else(|| Failure::Error(format!("'{key}' must be a string").into()))?;
        match &*key {
            "filename" => update.filename = String::from_utf8_lossy(&value).into_owned(),
            "crt" => update.certificate = Some(value),
            "key" => update.key = Some(value),
            "ocsp" => {
                let text = "Error reading OCSP response in base64 format\nCan't load the payload for 'ocsp'";
                update.ocsp = Some(from_base64(&value).ok_or(Failure::error(text))?);
            }
            "issuer" => {}
            "sctl" => return Err(Failure::error("Can't load the payload for 'sctl': not supported")),
            other => return Err(Failure::Error(format!("Unsupported field '{other}'").into())),
        }
        stack.pop(1);
    }
    if update.filename.is_empty() {
        return Err(Failure::error("No filename specified!"));
    }
    let core = stack.core();
    let certificates = core.certificates().ok_or(HostError::Unsupported("certificates"))?;
    certificates.set(update)?;
    Ok(Ret::Count(0))
}

/// Bytes of base64, with blanks and line ends between; None if it is none.
fn from_base64(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0u32, 0);
    for byte in text.iter().filter(|byte| !byte.is_ascii_whitespace() && **byte != b'=') {
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(digit);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    (!bytes.is_empty()).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::from_base64;

    #[test]
    fn base64_may_be_in_lines() {
        assert_eq!(from_base64(b"aGVs\nbG8="), Some(b"hello".to_vec()));
        assert_eq!(from_base64(b"aGVsbG8"), Some(b"hello".to_vec()));
        assert_eq!(from_base64(b"a-b"), None);
        assert_eq!(from_base64(b""), None);
    }
}
