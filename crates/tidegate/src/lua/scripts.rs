//! The scripts of a configuration with the modules that they require, each file looked at once.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use super::{
    finding::{Finding, Weight},
    scan::{self, Report},
};

/// Looks at scripts, and at modules where `lua-prepend-path` and the current folder have them. Modules of the system
/// are other people's work.
pub(super) struct Scripts {
    /// Patterns with `?` for the module's name, in the order of search.
    paths: Vec<String>,
    looked_at: BTreeSet<PathBuf>,
}

impl Scripts {
    /// `paths`: what `lua-prepend-path` says, in the order of search.
    pub(super) fn new(paths: Vec<String>) -> Self {
        let here = ["./?.lua", "./?/init.lua"].map(str::to_owned);
        Self { paths: paths.into_iter().chain(here).collect(), looked_at: BTreeSet::new() }
    }

    /// What is to be said of a script and its modules. `shared`: it is loaded by `lua-load`, into the VM of all
    /// threads.
    pub(super) fn look(&mut self, path: &Path, shared: bool) -> Vec<Finding> {
        let Some(script) = read(path) else { return Vec::new() };
        let mut keeps = script.keeps;
        let mut findings = script.findings;
        let mut open = script.requires;
        let mut modules = BTreeSet::new();
        while let Some(name) = open.pop() {
            let Some(path) = self.find(&name) else {
                // What cannot be seen may keep anything; what comes with the proxy keeps nothing.
                keeps |= name != "json";
                continue;
            };
            if !modules.insert(path.clone()) {
                continue;
            }
            let Some(module) = read(&path) else { continue };
            keeps |= module.keeps;
            open.extend(module.requires);
            if self.looked_at.insert(path) {
                findings.extend(module.findings);
            }
        }
        if shared && script.has_functions && !keeps {
            let file = path.display().to_string();
            findings.push(
                Finding::new(
                    Weight::Notice,
                    &file,
                    0,
                    "no function of this script changes what outlives its call",
                )
                .help("it could be loaded by 'lua-load-per-thread', which takes no lock"),
            );
        }
        findings
    }

    /// The file that `require` would take for this name.
    fn find(&self, name: &str) -> Option<PathBuf> {
        let name = name.replace('.', "/");
        let paths = self.paths.iter().map(|path| PathBuf::from(path.replace('?', &name)));
        paths.into_iter().find(|path| path.is_file())
    }
}

fn read(path: &Path) -> Option<Report> {
    let source = std::fs::read(path).ok()?;
    let file = path.strip_prefix("./").unwrap_or(path).display().to_string();
    Some(scan::script(&file, &String::from_utf8_lossy(&source)))
}
