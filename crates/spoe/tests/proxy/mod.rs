//! A real HAProxy and what a test needs around it: a directory, agents, clients. Everything listens on unix sockets there.

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use spoe::agent::{Handler, Options, listen};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A directory with the sockets and configurations of one test.
pub(crate) struct Place {
    pub(crate) dir: TempDir,
    /// Lines for the global section.
    pub(crate) global: &'static str,
}

impl Place {
    /// `None` if there is no haproxy and that may be.
    pub(crate) fn new() -> Option<Self> {
        match Command::new("haproxy").arg("-v").output() {
            Ok(_) => Some(Self { dir: TempDir::new().unwrap(), global: "" }),
            Err(error) if std::env::var_os("CI").is_some() => panic!("haproxy cannot be run: {error}"),
            Err(error) => {
                println!("skipped: haproxy cannot be run: {error}");
                None
            }
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn agent<H: Handler + Send + Sync + 'static>(&self, handler: H) -> Agent {
        self.agent_with(Options::default(), handler)
    }

    pub(crate) fn agent_with<H: Handler + Send + Sync + 'static>(
        &self,
        options: Options,
        handler: H,
    ) -> Agent {
        let path = self.path("agent.sock");
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(path).unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let task = spawn(async move {
            let stopped = async move {
                let _ = stopped.await;
            };
            listen(listener, handler, options, stopped).await;
        });
        Agent { stop, task }
    }

    /// Runs haproxy: a frontend with the filter, a backend with an origin of its own, the agent's backend.
    pub(crate) fn haproxy(&self, frontend: &str, backend: &str, agent: &str, messages: &str) -> Haproxy {
        let (dir, global) = (self.dir.path().display(), self.global);
        let main = format!(
            "global\n  stats socket {dir}/stats.sock level admin\n  tune.bufsize 1200000\n{global}\
             defaults\n  mode http\n  timeout connect 2s\n  timeout client 10s\n  timeout server 10s\n\
             frontend www\n  bind unix@{dir}/www.sock\n  filter spoe engine e config {dir}/spoe.cfg\n{frontend}  default_backend app\n\
             backend app\n{backend}  server origin unix@{dir}/origin.sock\n\
             frontend origin\n  bind unix@{dir}/origin.sock\n  option http-buffer-request\n  http-request return status 200 content-type text/plain string ok\n\
             backend agents\n  mode tcp\n  option spop-check\n  server agent unix@{dir}/agent.sock check inter 50ms\n"
        );
        let spoe = format!(
            "[e]\nspoe-agent a\n  option var-prefix t\n  option set-on-error err\n  timeout hello 2s\n  timeout idle 10s\n  timeout processing 5s\n  use-backend agents\n{agent}{messages}"
        );
        self.run(&main, &spoe)
    }

    pub(crate) fn run(&self, main: &str, spoe: &str) -> Haproxy {
        std::fs::write(self.path("haproxy.cfg"), main).unwrap();
        std::fs::write(self.path("spoe.cfg"), spoe).unwrap();
        let _ = std::fs::remove_file(self.path("www.sock"));
        let child = Command::new("haproxy")
            .args(["-db", "-f"])
            .arg(self.path("haproxy.cfg"))
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Haproxy { child, www: self.path("www.sock") }
    }
}

impl Place {
    /// Starts another haproxy with the same configuration, which tells the running one to finish and end.
    pub(crate) fn reload(&self, old: &Haproxy) -> Haproxy {
        let child = Command::new("haproxy")
            .args(["-db", "-sf", &old.child.id().to_string(), "-f"])
            .arg(self.path("haproxy.cfg"))
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Haproxy { child, www: old.www.clone() }
    }
}

/// A running agent.
pub(crate) struct Agent {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Agent {
    pub(crate) async fn stop(self) {
        self.stop.send(()).unwrap();
        self.task.await.unwrap();
    }
}

/// A running haproxy, killed with the value.
pub(crate) struct Haproxy {
    pub(crate) child: Child,
    pub(crate) www: PathBuf,
}

impl Haproxy {
    pub(crate) async fn client(&self) -> Client {
        Client::connect(&self.www).await
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A keep-alive HTTP client.
pub(crate) struct Client {
    io: UnixStream,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let value = |line: &'_ str| line.split_once(':').is_some_and(|(n, _)| n.eq_ignore_ascii_case(name));
        let line = self.head.lines().find(|line| value(line))?;
        Some(line.split_once(':')?.1.trim())
    }
}

impl Client {
    pub(crate) async fn connect(www: &Path) -> Self {
        Self { io: connect(www).await }
    }

    pub(crate) async fn get(&mut self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        self.ask(format!("GET {path} HTTP/1.1\r\nhost: test\r\n{headers}\r\n").as_bytes()).await
    }

    pub(crate) async fn post(&mut self, path: &str, body: &[u8]) -> Answer {
        let head = format!("POST {path} HTTP/1.1\r\nhost: test\r\ncontent-length: {}\r\n\r\n", body.len());
        self.ask(&[head.as_bytes(), body].concat()).await
    }

    pub(crate) async fn ask(&mut self, request: &[u8]) -> Answer {
        self.io.write_all(request).await.unwrap();
        let mut bytes = Vec::new();
        let head_len = loop {
            if let Some(at) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            assert!(self.io.read_buf(&mut bytes).await.unwrap() > 0, "haproxy closed: {bytes:?}");
        };
        let head = String::from_utf8(bytes[..head_len].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut answer = Answer { status, head, body: String::new() };
        let length: usize = answer.header("content-length").unwrap().parse().unwrap();
        let read = bytes.len();
        bytes.resize(head_len + length, 0);
        self.io.read_exact(&mut bytes[read..]).await.unwrap();
        answer.body = String::from_utf8(bytes.split_off(head_len)).unwrap();
        answer
    }
}

/// Connects as soon as somebody listens.
pub(crate) async fn connect(path: &Path) -> UnixStream {
    for _ in 0..500 {
        match UnixStream::connect(path).await {
            Ok(stream) => return stream,
            Err(error)
                if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) =>
            {
                sleep(Duration::from_millis(10)).await;
            }
            Err(error) => panic!("{}: {error}", path.display()),
        }
    }
    panic!("nobody listens on {}", path.display());
}

#[expect(clippy::disallowed_methods, reason = "a test is its own host")]
pub(crate) async fn sleep(time: Duration) {
    tokio::time::sleep(time).await;
}

#[expect(clippy::disallowed_methods, reason = "a test is its own host")]
pub(crate) fn spawn<F: Future<Output = ()> + Send + 'static>(task: F) -> JoinHandle<()> {
    tokio::spawn(task)
}
