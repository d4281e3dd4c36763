//! What a process asks of its system: limits, privileges, names, signals.

use std::{
    io,
    net::{IpAddr, ToSocketAddrs as _},
    rc::Rc,
    sync::Arc,
};

use nix::{
    sys::{
        resource::{Resource, getrlimit, setrlimit},
        signal::Signal,
    },
    unistd::{Gid, Group, Pid, Uid, User},
};
use proxy_core::{config::Global, log::Level};
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    console,
    control::Stop,
    wiring::{Node, Process},
    worker::Handle,
};

/// How many threads the machine runs at once.
#[must_use]
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The first address of a host name. Blocks; used while the configuration is read.
#[must_use]
pub fn resolve(host: &str) -> Option<IpAddr> {
    (host, 0).to_socket_addrs().ok()?.next().map(|addr| addr.ip())
}

/// An error in the system's words, without its number.
#[must_use]
pub fn describe(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => nix::errno::Errno::from_raw(number).desc().to_owned(),
        None => error.to_string(),
    }
}

/// Opens as many descriptors as the system lets us.
pub fn raise_descriptor_limit() {
    let hard = descriptors();
    // Refused only where it is as high as it may be.
    let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
}

/// How many descriptors the system lets us open.
#[must_use]
pub fn descriptors() -> u64 {
    getrlimit(Resource::RLIMIT_NOFILE).map_or(DESCRIPTORS_LEAST, |(_, hard)| hard)
}

/// The `maxconn` of a configuration that gives none: two descriptors for each client, some kept for
/// listeners and files, as HAProxy counts.
#[must_use]
pub fn default_maxconn() -> usize {
    let pairs = (descriptors() / 2).saturating_sub(DESCRIPTORS_KEPT).max(DESCRIPTORS_KEPT);
    usize::try_from(pairs).unwrap_or(usize::MAX)
}

/// What every system grants.
const DESCRIPTORS_LEAST: u64 = 256;
/// Descriptors that no client may use, in pairs.
const DESCRIPTORS_KEPT: u64 = 9;

/// Limits the address space.
///
/// # Errors
/// The system refuses.
pub fn limit_memory(mib: u64) -> io::Result<()> {
    let bytes = mib.saturating_mul(1024 * 1024);
    Ok(setrlimit(Resource::RLIMIT_AS, bytes, bytes)?)
}

/// Sends a signal to older processes; those that are gone do not matter.
pub fn tell(pids: &[i32], signal: Signal) {
    for pid in pids {
        let _ = nix::sys::signal::kill(Pid::from_raw(*pid), signal);
    }
}

/// `chroot`, `group`, `user`, in this order.
///
/// # Errors
/// Names the keyword that could not be carried out.
pub fn drop_privileges(global: &Global) -> Result<(), String> {
    if let Some(folder) = &global.chroot {
        nix::unistd::chroot(folder.as_str()).map_err(|error| format!("Cannot chroot({folder}): {error}"))?;
        std::env::set_current_dir("/").map_err(|error| format!("Cannot chroot({folder}): {error}"))?;
    }
    if let Some(name) = &global.group {
        let gid = group_id(name).ok_or_else(|| format!("cannot find group '{name}'"))?;
        nix::unistd::setgroups(&[gid])
            .and_then(|()| nix::unistd::setgid(gid))
            .map_err(|error| format!("Cannot set gid {gid}: {error}"))?;
    }
    if let Some(name) = &global.user {
        let uid = user_id(name).ok_or_else(|| format!("cannot find user '{name}'"))?;
        nix::unistd::setuid(uid).map_err(|error| format!("Cannot set uid {uid}: {error}"))?;
    }
    Ok(())
}

/// What is wrong with `user` and `group`, before anything needs them.
#[must_use]
pub fn unknown_accounts(global: &Global) -> Vec<String> {
    let user = global.user.as_ref().filter(|name| user_id(name).is_none());
    let group = global.group.as_ref().filter(|name| group_id(name).is_none());
    let users = user.map(|name| format!("cannot find user id for '{name}'"));
    users.into_iter().chain(group.map(|name| format!("cannot find group id for '{name}'"))).collect()
}

fn group_id(name: &str) -> Option<Gid> {
    let number = || name.parse().ok().map(Gid::from_raw);
    Group::from_name(name).ok().flatten().map(|group| group.gid).or_else(number)
}

fn user_id(name: &str) -> Option<Uid> {
    let number = || name.parse().ok().map(Uid::from_raw);
    User::from_name(name).ok().flatten().map(|user| user.uid).or_else(number)
}

/// A signal, and what it asks for.
type Reaction = (fn() -> SignalKind, fn(&Process, &Node));

/// Signals and what they do; all others keep the system's meaning.
///
/// Source: management.txt §4 (stopping and restarting), §5.
const REACTIONS: &[Reaction] = &[
    (SignalKind::interrupt, |process, _| process.facts.stop.ask(Stop::Now)),
    (SignalKind::terminate, |process, _| process.facts.stop.ask(Stop::Now)),
    (SignalKind::user_defined1, soft_stop),
    (SignalKind::hangup, show_servers),
    // Only a master process reloads; without one HAProxy ignores it too.
    (SignalKind::user_defined2, |_, _| {}),
];

/// Reacts to signals, on this thread. Must be called inside its runtime.
pub fn handle_signals(handle: &Handle, process: &Arc<Process>, node: &Rc<Node>) {
    for (kind, reaction) in REACTIONS {
        let mut stream = match signal(kind()) {
            Ok(stream) => stream,
            Err(error) => {
                console::print(Level::Alert, &format!("cannot handle a signal: {error}"));
                continue;
            }
        };
        let (process, node) = (process.clone(), node.clone());
        handle.spawn("signal", async move {
            while stream.recv().await.is_some() {
                reaction(&process, &node);
            }
        });
    }
}

fn soft_stop(process: &Process, node: &Node) {
    for proxy in node.worker.shared.config.proxies.iter().filter(|proxy| !proxy.disabled) {
        let text = format!(
            "Proxy {} stopped (cumulated conns: FE: {}, BE: {}).",
            proxy.name,
            proxy.state.fe_sessions.total(),
            proxy.state.be_sessions.total(),
        );
        console::print(Level::Warning, &text);
        proxy_core::log::send(&node.worker, &proxy.logs, Level::Warning, text.as_bytes());
    }
    process.facts.stop.ask(Stop::Soft);
}

/// `SIGHUP`: the state of every server goes to the log.
fn show_servers(_process: &Process, node: &Node) {
    console::print(Level::Warning, "SIGHUP received, dumping servers states.");
    for proxy in &node.worker.shared.config.proxies {
        for server in &proxy.servers {
            let up = if server.is_usable() { "UP" } else { "DOWN" };
            let text = format!(
                "SIGHUP: Server {}/{} is {up}. Conn: {} act, {} pend.",
                proxy.name,
                server.name(),
                server.served(),
                server.queued.cur(),
            );
            console::print(Level::Warning, &text);
            proxy_core::log::send(&node.worker, &proxy.logs, Level::Notice, text.as_bytes());
        }
    }
}
