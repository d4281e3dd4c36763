//! Our SPOE engine drives agents that others have written: each variable arrives, and the counters are right.
//!
//! The agents are programs in `tests/peers`. Where an agent's language or package is missing the test is skipped with
//! a word, or fails if `CI` is set; `cargo xtask test` installs what it can.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::{AsRawFd as _, OwnedFd},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::support::{PATIENCE, http::Reader, lines::Lines, peer, process::Process, wire::Wire};

/// An agent of another make at work. Killed when dropped.
struct Stranger {
    child: Child,
    addr: SocketAddr,
}

impl Stranger {
    fn start(mut command: Command) -> Self {
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the agent starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("the agent prints its address");
        let addr = line.trim().parse().unwrap_or_else(|_| panic!("the agent said {line:?}"));
        Self { child, addr }
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn the_agent_of_the_crate_spop_is_driven() {
    drive("the_agent_of_the_crate_spop_is_driven", Command::new(env!("CARGO_BIN_EXE_agent-spop")));
}

#[test]
fn the_agent_of_the_package_haproxyspoa_is_driven() {
    let test = "the_agent_of_the_package_haproxyspoa_is_driven";
    let Some(python) = peer::python_with(test, "haproxyspoa") else { return };
    let mut command = Command::new(python);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/haproxyspoa_agent.py"));
    drive(test, command);
}

/// The yardstick: what holds for strangers holds for our own agent.
#[test]
fn our_own_agent_is_driven_likewise() {
    drive("our_own_agent_is_driven_likewise", Command::new(env!("CARGO_BIN_EXE_agent-ours")));
}

fn drive(test: &str, agent: Command) {
    let Some(program) = peer::ours(test) else { return };
    let agent = Stranger::start(agent);
    let proxy = Proxy::start(program, agent.addr);
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let proxy = &proxy;
            scope.spawn(move || proxy.ask(client));
        }
    });
    let total = CLIENTS * REQUESTS;
    let wanted = format!("queued 0 waiting 0 sent {total} acked {total} failed 0 abandoned 0 late_acks 0");
    let shown = proxy.until("show spoe", &wanted);
    assert!(shown.contains("failures: none") && shown.contains("greetings_failed 0"), "{shown}");
    // Its health checks are answered, too.
    proxy.until("show servers state", " agents 1 agent 127.0.0.1 2 ");
    proxy.stop();
}

struct Proxy {
    process: Process,
    said: Lines,
    addr: SocketAddr,
    tmp: TempDir,
}

impl Proxy {
    fn start(program: PathBuf, agent: SocketAddr) -> Self {
        let tmp = TempDir::with_prefix("tg").expect("a folder for temporary files");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
        let addr = listener.local_addr().expect("a bound socket has an address");
        let env: BTreeMap<String, String> = [
            ("tmp", tmp.path().display().to_string()),
            ("fe", listener.as_raw_fd().to_string()),
            ("agent", agent.to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        let words = ["-db", "-f", "haproxy.cfg"].map(str::to_owned);
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("interop");
        let said = Lines::default();
        let process = Process::start(&program, &words, &folder, &env, vec![OwnedFd::from(listener)], &said);
        Self { process: process.expect("the proxy starts"), said, addr, tmp }
    }

    /// A client that holds each answer against its request.
    fn ask(&self, client: u32) {
        let mut stream = TcpStream::connect(self.addr).expect("the proxy listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout above zero");
        let mut reader = Reader::new(stream.try_clone().expect("one descriptor more"));
        for request in 0..REQUESTS {
            let path = format!("/{client}/{request}");
            write!(stream, "GET {path} HTTP/1.1\r\nhost: test\r\nuser-agent: interop\r\n\r\n")
                .expect("it reads");
            let mut answer = reader.head().expect("an answer").expect("an answer");
            reader.response_body(&mut answer, "GET").expect("a whole answer");
            assert_eq!(answer.body, format!("score=42 echo={path} failed="), "{:?}", self.said.all());
        }
    }

    /// Repeats a command until its answer has that; the answer.
    fn until(&self, command: &str, wanted: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut wire = Wire::unix(&self.tmp.path().join("cli")).expect("the runtime API listens");
            writeln!(wire, "{command}").expect("it reads");
            let mut answer = String::new();
            std::io::Read::read_to_string(&mut wire, &mut answer).expect("an answer");
            if answer.contains(wanted) {
                return answer;
            }
            assert!(Instant::now() < deadline, "no {wanted:?} in {answer:?}; it said {:?}", self.said.all());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn stop(mut self) {
        self.process.signal(Signal::SIGINT).expect("it is there");
        let status = self.process.wait(PATIENCE).expect("it can be waited for");
        assert!(status.is_some_and(|status| status.success()), "{status:?} {:?}", self.said.all());
    }
}

const CLIENTS: u32 = 8;
const REQUESTS: u32 = 50;
