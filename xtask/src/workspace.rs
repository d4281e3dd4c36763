//! Where the repository is, and what is in it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The library crates. None of them knows a sibling; `crates/tidegate` joins them.
pub(crate) const LIBRARIES: [&str; 5] = ["event-hdl", "scheduler", "hlua", "spoe", "proxy-core"];

/// The checked-out repository.
pub(crate) struct Workspace {
    /// The folder of the root manifest.
    pub(crate) root: PathBuf,
}

impl Workspace {
    /// The workspace that this program was built from.
    pub(crate) fn find() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask has no parent folder")?;
        Ok(Self { root: root.to_owned() })
    }

    /// Where cargo puts what it builds.
    pub(crate) fn target(&self) -> PathBuf {
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| self.root.join("target"), PathBuf::from)
    }

    /// Every file under `folder` (relative to the root) with one of these extensions, sorted, build
    /// output left out.
    pub(crate) fn files(&self, folder: &str, extensions: &[&str]) -> Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        let start = self.root.join(folder);
        if start.is_dir() {
            collect(&start, extensions, &mut found)?;
        }
        found.sort();
        Ok(found)
    }

    /// `path` as the reader knows it: relative to the root.
    pub(crate) fn relative<'a>(&self, path: &'a Path) -> &'a Path {
        path.strip_prefix(&self.root).unwrap_or(path)
    }
}

fn collect(folder: &Path, extensions: &[&str], found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default();
        if path.is_dir() {
            if name != "target" && name != ".git" {
                collect(&path, extensions, found)?;
            }
        } else if path.extension().is_some_and(|ext| extensions.iter().any(|wanted| ext == *wanted)) {
            found.push(path);
        }
    }
    Ok(())
}
