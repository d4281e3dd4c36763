//! The probe of hlua's tests in the proxy: wrong calls are told the same as on hlua's host in memory, to the letter.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::support::{PATIENCE, lines::Lines, process::Process};

const CONFIGURATION: &str = "\
global
    lua-load probe.lua

defaults
    mode http
    timeout client 10s
    timeout server 10s
    timeout connect 5s

frontend fe
    bind \"fd@${http}\"
    filter lua.probe
    http-request lua.probe if { path /action }
    http-request use-service lua.probe if { path /service }
    http-request return status 204

frontend raw
    mode tcp
    bind \"fd@${tcp}\"
    tcp-request content use-service lua.probe_tcp

backend be
    stick-table type ip size 100 expire 30s store gpc0,conn_rate(3s)
    server s1 127.0.0.1:80 check inter 1h
";

#[test]
fn wrong_calls_are_told_the_same_in_the_proxy() {
    let Some(program) = std::env::var_os("TIDEGATE_BIN").map(PathBuf::from) else {
        println!("skipped: wrong_calls_are_told_the_same_in_the_proxy needs TIDEGATE_BIN");
        return;
    };
    if !program.ends_with("tidegate") {
        println!("skipped: what another proxy says is its own");
        return;
    }
    let snapshots = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/hlua/tests/lua");
    let told = probe(&program, &snapshots.join("probe.lua"));
    let mut differences = Vec::new();
    for (class, text) in &told {
        let path = snapshots.join(format!("snapshots/lua__probe__wrong_calls_{class}.snap"));
        let snapshot = fs::read_to_string(&path).unwrap_or_default();
        let expected = snapshot.splitn(3, "---\n").nth(2).unwrap_or_default();
        let pairs = expected.trim_end().lines().zip(text.trim_end().lines());
        differences.extend(
            pairs.filter(|(a, b)| a != b).map(|(a, b)| format!("{class}: {a:?} is {b:?} in the proxy")),
        );
        if expected.trim_end().lines().count() != text.trim_end().lines().count() {
            differences.push(format!("{class} has more lines on one side:\n{text}"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert_eq!(told.len(), 24, "a class is missing");
}

/// Every class with what its wrong calls were told.
fn probe(program: &Path, script: &Path) -> BTreeMap<String, String> {
    let folder = TempDir::with_prefix("tg").expect("a folder for temporary files");
    let out = folder.path().join("out");
    fs::create_dir(&out).unwrap();
    fs::copy(script, folder.path().join("probe.lua")).unwrap();
    fs::write(folder.path().join("probe.map"), "a 1\n").unwrap();
    fs::write(folder.path().join("probe.cfg"), CONFIGURATION).unwrap();
    let doors = ["http", "tcp"].map(|name| (name, TcpListener::bind("127.0.0.1:0").expect("a free port")));
    let mut env: BTreeMap<String, String> =
        doors.iter().map(|(name, listener)| ((*name).to_owned(), listener.as_raw_fd().to_string())).collect();
    env.insert("PROBE".to_owned(), out.display().to_string());
    let [http, tcp] = [0, 1].map(|at| doors[at].1.local_addr().unwrap());
    let args = ["-f", "probe.cfg"].map(str::to_owned);
    let listeners: Vec<OwnedFd> = doors.into_iter().map(|(_, listener)| listener.into()).collect();
    let said = Lines::default();
    let _process = Process::start(program, &args, folder.path(), &env, listeners, &said).expect("it starts");
    exchange(http, "GET /action HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    exchange(http, "GET /service HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    exchange(tcp, "");
    let files = fs::read_dir(&out).unwrap().map(|file| file.unwrap().path());
    files
        .map(|path| {
            let class = path.file_stem().unwrap().to_string_lossy().into_owned();
            (class, fs::read_to_string(&path).unwrap())
        })
        .collect()
}

/// Sends that, and waits for the other end to close.
fn exchange(to: SocketAddr, text: &str) {
    let mut stream = TcpStream::connect(to).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(text.as_bytes()).unwrap();
    if text.is_empty() {
        stream.shutdown(std::net::Shutdown::Write).unwrap();
    }
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("the answer ends");
}
