//! `cargo xtask lua-types`: the definitions for Lua language servers, held against our examples by a real checker.
//!
//! The checker is `emmylua_check`, which reads the annotations of LuaLS; it is built once into `target/tools`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::command::{cargo, find_program, shown, succeeds};
use crate::workspace::Workspace;

const CHECKER: &str = "emmylua_check";
const SCRIPTS: [&str; 2] = ["examples", "crates/tidegate/src/demo"];

/// Checks; true if the definitions parse and no example is complained about.
pub(crate) fn run(workspace: &Workspace) -> Result<bool> {
    println!("== lua-types");
    let mut build = cargo(workspace, &["build", "--quiet", "--package", "tidegate"]);
    if !succeeds(&mut build)? {
        println!("lua-types failed; repeat it with: {}", shown(&build));
        return Ok(false);
    }
    let program = workspace.target().join("debug/tidegate");
    let folder = workspace.target().join("lua-types");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("removing {}", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    write(&program, &["lua", "types"], &folder.join("haproxy.lua"))?;
    write(&program, &["lua", "types", "--module", "json"], &folder.join("json.lua"))?;
    for script in scripts(workspace)? {
        let name = workspace.relative(&script).to_string_lossy().replace('/', "_");
        fs::copy(&script, folder.join(name)).with_context(|| format!("copying {}", script.display()))?;
    }
    let Some(checker) = checker(workspace)? else {
        println!(
            "{CHECKER} is missing and cannot be installed here: the definitions were only parsed by our tests"
        );
        return Ok(std::env::var_os("CI").is_none());
    };
    let green = succeeds(Command::new(checker).args(["--warnings-as-errors"]).arg(&folder))?;
    if !green {
        println!("lua-types failed; repeat it with: cargo xtask lua-types");
    }
    Ok(green)
}

/// Our scripts; tests of scripts use words of the test runner, which are not the proxy's.
fn scripts(workspace: &Workspace) -> Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for folder in SCRIPTS {
        all.extend(workspace.files(folder, &["lua"])?);
    }
    all.retain(|path| !path.to_string_lossy().ends_with("_test.lua"));
    Ok(all)
}

fn write(program: &Path, args: &[&str], into: &Path) -> Result<()> {
    let output = Command::new(program).args(args).output();
    let output = output.with_context(|| format!("starting {}", program.display()))?;
    fs::write(into, output.stdout).with_context(|| format!("writing {}", into.display()))
}

/// The checker: installed already, or built now.
fn checker(workspace: &Workspace) -> Result<Option<PathBuf>> {
    let root = workspace.target().join("tools");
    let own = root.join("bin").join(CHECKER);
    if own.is_file() {
        return Ok(Some(own));
    }
    if let Some(found) = find_program(CHECKER) {
        return Ok(Some(found));
    }
    println!("installing {CHECKER}");
    let mut install = cargo(workspace, &["install", "--quiet", "--locked", CHECKER, "--root"]);
    let installed = succeeds(install.arg(&root).env("CARGO_PROFILE_RELEASE_LTO", "off"))?;
    Ok(installed.then_some(own).filter(|path| path.is_file()))
}
