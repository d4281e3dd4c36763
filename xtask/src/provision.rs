//! The programs the tests need beside Rust, and how a Debian machine gets them.

mod python;

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::command::{find_program, succeeds};
use crate::workspace::Workspace;

/// A program that tests run against, and the Debian package that brings it.
struct Peer {
    program: &'static str,
    package: &'static str,
    /// The service that the package starts, which the tests do not want.
    service: Option<&'static str>,
}

/// A C module that a script of the tests loads.
const C_MODULE: &str = "/usr/lib/x86_64-linux-gnu/lua/5.4/cjson.so";

/// Another, for cryptography.
const CRYPTO_MODULE: &str = "/usr/lib/x86_64-linux-gnu/lua/5.4/_openssl.so";

const PEERS: [Peer; 5] = [
    Peer { program: C_MODULE, package: "lua-cjson", service: None },
    Peer { program: CRYPTO_MODULE, package: "lua-luaossl", service: None },
    Peer { program: "haproxy", package: "haproxy", service: Some("haproxy") },
    Peer { program: "python3", package: "python3-venv", service: None },
    Peer { program: "varnishtest", package: "varnish", service: Some("varnish") },
];

/// Installs what is missing where that is possible, and says what is missing where it is not.
///
/// Never an error: the tests themselves decide what a missing peer means (a skip, or with `CI` set a
/// failure).
pub(crate) fn provision(workspace: &Workspace) -> Result<()> {
    provide(&PEERS)?;
    python::provide(workspace)
}

/// The same for what counts instructions.
pub(crate) fn provision_valgrind() -> Result<()> {
    provide(&[Peer { program: "valgrind", package: "valgrind", service: None }])
}

fn provide(peers: &[Peer]) -> Result<()> {
    let missing: Vec<_> = peers.iter().filter(|peer| find_program(peer.program).is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !nix::unistd::geteuid().is_root() || find_program("apt-get").is_none() {
        for peer in missing {
            println!(
                "{} is missing (Debian package {}) and cannot be installed here",
                peer.program, peer.package
            );
        }
        return Ok(());
    }
    install(&missing)?;
    missing.iter().filter_map(|peer| peer.service).try_for_each(stop)
}

fn install(peers: &[&Peer]) -> Result<()> {
    let packages: Vec<_> = peers.iter().map(|peer| peer.package).collect();
    println!("installing {}", packages.join(", "));
    let updated = succeeds(&mut apt(&["update", "-qq"]))?;
    let mut install = apt(&["install", "-y", "-qq", "--no-install-recommends"]);
    if !(updated && succeeds(install.args(&packages))?) {
        println!("apt could not install {}", packages.join(", "));
    }
    Ok(())
}

/// Stops a service that its package has just started.
fn stop(service: &str) -> Result<()> {
    let by_systemd = Path::new("/run/systemd/system").is_dir();
    let stopped = if by_systemd {
        succeeds(Command::new("systemctl").args(["stop", service]))?
    } else if Path::new("/etc/init.d").join(service).is_file() && find_program("service").is_some() {
        succeeds(Command::new("service").args([service, "stop"]))?
    } else {
        true
    };
    if !stopped {
        println!("the service {service} could not be stopped; it may hold a port");
    }
    Ok(())
}

fn apt(args: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive").args(args);
    command
}
