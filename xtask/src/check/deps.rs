//! Who may depend on whom.
//!
//! A library crate depends on no other crate of the workspace, in no way (normal, dev, build). Inside
//! `crates/tidegate` only the composition root may see two of them at once: `src/wiring.rs`,
//! `src/adapters/` and `src/services/`. `xtask` and `tests` span crates and are not held to this.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use cargo_metadata::{MetadataCommand, Package};

use super::Finding;
use crate::workspace::{LIBRARIES, Workspace};

const ROOT: &str = "crates/tidegate";
const MAY_JOIN: [&str; 3] = ["src/wiring.rs", "src/adapters/", "src/services/"];

pub(super) fn check(workspace: &Workspace) -> Result<Vec<Finding>> {
    let metadata = MetadataCommand::new()
        .current_dir(&workspace.root)
        .no_deps()
        .exec()
        .context("asking cargo for the workspace's metadata")?;
    let members: BTreeSet<&str> = metadata.packages.iter().map(|package| package.name.as_str()).collect();
    let mut findings = Vec::new();
    for package in &metadata.packages {
        if LIBRARIES.contains(&package.name.as_str()) {
            findings.extend(siblings(workspace, package, &members));
        }
    }
    for name in LIBRARIES.iter().filter(|name| !members.contains(*name)) {
        let manifest = workspace.root.join("Cargo.toml");
        findings.push(Finding::new(workspace, &manifest, 1, format!("library crate {name} is not a member")));
    }
    for file in workspace.files(&format!("{ROOT}/src"), &["rs"])? {
        findings.extend(joins(workspace, &file)?);
    }
    Ok(findings)
}

/// Dependencies of a library crate on other members.
fn siblings(workspace: &Workspace, package: &Package, members: &BTreeSet<&str>) -> Vec<Finding> {
    let siblings =
        package.dependencies.iter().filter(|dependency| members.contains(dependency.name.as_str()));
    siblings
        .map(|dependency| {
            let what = format!(
                "{} must not depend on {} ({} dependency)",
                package.name, dependency.name, dependency.kind
            );
            Finding::new(workspace, package.manifest_path.as_std_path(), 1, what)
        })
        .collect()
}

/// A file of the product outside the composition root that names two libraries.
fn joins(workspace: &Workspace, file: &Path) -> Result<Option<Finding>> {
    let inside = file.strip_prefix(workspace.root.join(ROOT)).unwrap_or(file);
    if MAY_JOIN.iter().any(|place| inside.to_string_lossy().starts_with(place)) {
        return Ok(None);
    }
    let text = fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    let named = libraries_named(&text);
    let second = named.get(1).map(|(_, line)| *line);
    Ok(second.map(|line| {
        let names: Vec<_> = named.iter().map(|(name, _)| *name).collect();
        let what = format!("names {}; only {} may join libraries", names.join(" and "), MAY_JOIN.join(", "));
        Finding::new(workspace, file, line, what)
    }))
}

/// Each library that code (not comments) of `text` names as a path, with the first line that does.
fn libraries_named(text: &str) -> Vec<(&'static str, usize)> {
    let mut named: Vec<(&'static str, usize)> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        for library in LIBRARIES {
            if names_crate(code, &library.replace('-', "_"))
                && !named.iter().any(|(name, _)| *name == library)
            {
                named.push((library, index + 1));
            }
        }
    }
    named
}

/// Whether `code` uses the crate `name`: `name::…`, or `name` in a `use` item or re-export.
fn names_crate(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        let before = code[..at].trim_end();
        let after = &code[at + name.len()..];
        let starts = !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_')
            && (!before.ends_with("::") || before.trim_start_matches("::").is_empty());
        let used = after.starts_with("::") || (before.ends_with("use") && !after.starts_with(is_word));
        starts && used
    })
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::libraries_named;

    fn check(text: &str, expected: &[&str]) {
        let named: Vec<_> = libraries_named(text).into_iter().map(|(name, _)| name).collect();
        assert_eq!(named, expected, "in {text:?}");
    }

    #[test]
    fn paths_of_libraries_are_found_in_code_only() {
        check("use hlua::Engine;\nlet s: spoe::Frame = x;", &["hlua", "spoe"]);
        check("// hlua::Engine and spoe::Frame", &[]);
        check("use crate::hlua::x; let y = my_spoe::z;", &[]);
        check("use proxy_core as core;", &["proxy-core"]);
        check("event_hdl::List; event_hdl::Other", &["event-hdl"]);
        check("use scheduler_like; let spoe = 1;", &[]);
    }
}
