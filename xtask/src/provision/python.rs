//! Python packages that tests run against, each in an environment of its own below `target`.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::command::{find_program, succeeds};
use crate::workspace::Workspace;

/// A package by its name, at the version the tests were written for.
struct Package {
    name: &'static str,
    version: &'static str,
}

const PACKAGES: [Package; 1] = [Package { name: "haproxyspoa", version: "0.0.1" }];

/// Installs what is missing where that is possible, and says what is missing where it is not.
pub(super) fn provide(workspace: &Workspace) -> Result<()> {
    for package in &PACKAGES {
        let folder = workspace.target().join("peers").join(package.name);
        if !has(&folder, package)? && !install(&folder, package)? {
            println!("the Python package {} is missing and cannot be installed here", package.name);
        }
    }
    Ok(())
}

fn has(folder: &Path, package: &Package) -> Result<bool> {
    let python = folder.join("bin/python3");
    if !python.is_file() {
        return Ok(false);
    }
    let Package { name, version } = package;
    let question =
        format!("import importlib.metadata as m, sys; sys.exit(m.version('{name}') != '{version}')");
    succeeds(Command::new(python).args(["-c", &question]).stderr(std::process::Stdio::null()))
}

fn install(folder: &Path, package: &Package) -> Result<bool> {
    let Some(python) = find_program("python3") else { return Ok(false) };
    println!("installing the Python package {}", package.name);
    if !succeeds(Command::new(python).args(["-m", "venv", "--clear"]).arg(folder))? {
        return Ok(false);
    }
    let wanted = format!("{}=={}", package.name, package.version);
    let mut pip = Command::new(folder.join("bin/python3"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", &wanted]);
    let installed = succeeds(&mut pip)?;
    if !installed {
        // Half an environment would be taken for a whole one.
        std::fs::remove_dir_all(folder).ok();
    }
    Ok(installed)
}
