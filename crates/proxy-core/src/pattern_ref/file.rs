//! Names of references, and files of patterns. Source: configuration.txt 2.7, 7.1, 7.3.1 (map).

use std::{io::ErrorKind, path::Path};

use super::{
    reference::{EditError, PatternRef},
    table::Kind,
};

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Name<'a> {
    /// What identifies the reference.
    pub(super) key: &'a str,
    /// The file behind it; `None` for a virtual one.
    pub(super) path: Option<&'a str>,
    /// The file need not be there.
    pub(super) optional: bool,
}

impl<'a> Name<'a> {
    /// `file@` and `opt@` are no part of what identifies a reference, `virt@` is.
    pub(super) fn parse(name: &'a str) -> Self {
        if name.starts_with("virt@") {
            return Self { key: name, path: None, optional: true };
        }
        match (name.strip_prefix("opt@"), name.strip_prefix("file@")) {
            (Some(path), _) => Self { key: path, path: Some(path), optional: true },
            (_, Some(path)) => Self { key: path, path: Some(path), optional: false },
            _ => Self { key: name, path: Some(name), optional: false },
        }
    }
}

/// Reads a file into a new reference.
pub(super) fn load(reference: &PatternRef, name: Name<'_>) -> Result<(), String> {
    let Some(path) = name.path else { return Ok(()) };
    let bytes = match std::fs::read(Path::new(path)) {
        Ok(bytes) => bytes,
        Err(error) if name.optional && error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(_) => return Err(format!("failed to open pattern file <{path}>")),
    };
    for (number, line) in (1..).zip(bytes.split(|b| *b == b'\n')) {
        let Some((key, value)) = entry(line, reference.kind) else { continue };
        reference.load(key, value, number).map_err(|error| match error {
            EditError::Malformed(text) => format!("{text} at line {number} of file '{path}'"),
            other => other.to_string(),
        })?;
    }
    Ok(())
}

/// The key and, in a map, the value of a line; `None` for a comment or an empty line.
fn entry(line: &[u8], kind: Kind) -> Option<(&[u8], Option<&[u8]>)> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.first() == Some(&b'#') {
        return None;
    }
    let blank = |b: &u8| matches!(b, b' ' | b'\t');
    let line = &line[line.iter().position(|b| !blank(b))?..];
    if kind == Kind::Acl {
        return Some((line, None));
    }
    Some(split(line))
}

/// A line of a map: the first word is the key, the rest without its blanks the value.
pub(crate) fn split(line: &[u8]) -> (&[u8], Option<&[u8]>) {
    let blank = |b: &u8| matches!(b, b' ' | b'\t');
    let end = line.iter().position(blank).unwrap_or(line.len());
    let (key, rest) = line.split_at(end);
    let from = rest.iter().position(|b| !blank(b)).unwrap_or(rest.len());
    let to = rest.iter().rposition(|b| !blank(b)).map_or(from, |last| last + 1);
    (key, Some(&rest[from..to]))
}
