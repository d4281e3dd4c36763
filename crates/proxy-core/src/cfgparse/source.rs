//! The files that make up a configuration.

use std::{fs, io, path::Path, sync::Arc};

use super::Diagnostic;

/// One file, read whole.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its name as messages show it.
    pub name: Arc<str>,
    /// Its contents.
    pub bytes: Vec<u8>,
}

impl Source {
    /// Text that does not come from a file.
    pub fn new(name: &str, bytes: impl Into<Vec<u8>>) -> Self {
        Self { name: name.into(), bytes: bytes.into() }
    }

    /// Reads a file, or the `*.cfg` files of a folder in lexical order (hidden ones are left out).
    ///
    /// # Errors
    /// Something could not be opened or read; the text is HAProxy's.
    pub fn read(path: &Path) -> Result<Vec<Self>, Diagnostic> {
        let refuse = |path: &Path, error: &io::Error| {
            Diagnostic::alert(format!(
                "Cannot open configuration file/directory {} : {}",
                path.display(),
                reason(error)
            ))
        };
        let files = match list(path) {
            Ok(files) => files,
            Err(error) => return Err(refuse(path, &error)),
        };
        files
            .into_iter()
            .map(|file| match fs::read(&file) {
                Ok(bytes) => Ok(Self::new(&file.display().to_string(), bytes)),
                Err(error) => Err(refuse(&file, &error)),
            })
            .collect()
    }
}

/// The system's words for an error, without Rust's number behind them.
pub(super) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
}

fn list(path: &Path) -> io::Result<Vec<std::path::PathBuf>> {
    if !fs::metadata(path)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path)? {
        let name = entry?.file_name();
        let file = path.join(&name);
        let hidden = name.to_string_lossy().starts_with('.');
        if !hidden && file.extension().is_some_and(|e| e == "cfg") && file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}
