//! A measured proxy: which program, and one running instance of it.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::aide::{Backstage, on_core};
use super::row::Row;

/// One of the programs compared.
pub(super) struct Peer {
    pub(super) name: &'static str,
    pub(super) program: PathBuf,
}

/// A peer at work.
pub(super) struct Proxy {
    child: Child,
    pub(super) addr: SocketAddr,
}

/// Valgrind is some fifty times slower; nothing else needs this long.
const PATIENCE: Duration = Duration::from_secs(30);

impl Peer {
    /// The command that runs this peer with `row`'s configuration, `under` another program or not.
    fn command(&self, row: Row, backstage: &Backstage, under: &[String]) -> Command {
        let mut words: Vec<&std::ffi::OsStr> = under.iter().map(std::ffi::OsStr::new).collect();
        words.push(self.program.as_os_str());
        let mut command = on_core(backstage.core, words[0]);
        command.args(&words[1..]).args(["-db", "-f", row.config()]).current_dir(&backstage.folder);
        command
    }

    /// Starts it and waits until it has proved that it does the row's work.
    pub(super) fn start(&self, row: Row, backstage: &Backstage, under: &[String]) -> Result<Proxy> {
        let addr = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let mut command = self.command(row, backstage, under);
        command
            .env("BENCH_LISTEN", addr.to_string())
            .env("BENCH_ORIGIN", backstage.http.to_string())
            .env("BENCH_BULK", backstage.bulk.to_string())
            .env("BENCH_AGENT", backstage.agent.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let child = command.spawn().with_context(|| format!("starting {command:?}"))?;
        let mut proxy = Proxy { child, addr };
        proxy.wait_until_it_listens().with_context(|| self.name.to_owned())?;
        if let Some(proof) = row.proof() {
            proxy
                .prove(proof)
                .with_context(|| format!("{} does not do the work of row {row:?}", self.name))?;
        }
        Ok(proxy)
    }
}

impl Proxy {
    /// Its process. (`taskset` and valgrind become the program they start.)
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it as an operator would, and waits.
    pub(super) fn stop(&mut self) -> Result<()> {
        kill(Pid::from_raw(i32::try_from(self.pid())?), Signal::SIGINT)?;
        let deadline = Instant::now() + PATIENCE;
        while self.child.try_wait()?.is_none() {
            ensure!(Instant::now() < deadline, "the proxy does not end on SIGINT");
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn wait_until_it_listens(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(self.addr).is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended at once, with {status}");
            }
            ensure!(Instant::now() < deadline, "it does not listen");
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    fn prove(&self, proof: &str) -> Result<()> {
        let mut stream = TcpStream::connect(self.addr)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(
            b"GET /echo HTTP/1.1\r\nhost: bench.example\r\nx-bench: value\r\nconnection: close\r\n\r\n",
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        ensure!(answer.starts_with("HTTP/1.1 200") && answer.contains(proof), "no {proof:?} in {answer:?}");
        Ok(())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
