//! A measured proxy: which program, and one running instance of it.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::aide::{Backstage, on_cores};
use super::row::Setup;

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

/// As `taskset` takes it.
const EVERY_CORE: &str = "0-1023";

/// Valgrind is some fifty times slower; nothing else needs this long.
const PATIENCE: Duration = Duration::from_secs(30);

impl Peer {
    /// The command that runs this peer with `setup`'s configuration, `under` another program or not.
    fn command(&self, setup: &Setup, backstage: &Backstage, under: &[String]) -> Command {
        let mut words: Vec<&std::ffi::OsStr> = under.iter().map(std::ffi::OsStr::new).collect();
        words.push(self.program.as_os_str());
        let core = backstage.core.to_string();
        let mut command = on_cores(if setup.every_core { EVERY_CORE } else { &core }, words[0]);
        command.args(&words[1..]).args(["-db", "-f", setup.config]).current_dir(&backstage.folder);
        command.envs(setup.env.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Starts it and waits until it has proved that it does the work.
    pub(super) fn start(&self, setup: &Setup, backstage: &Backstage, under: &[String]) -> Result<Proxy> {
        let mut proxy = self.launch(setup, backstage, under, Stdio::null())?;
        proxy.wait_until_it_listens().with_context(|| self.name.to_owned())?;
        if let Some(proof) = setup.proof {
            proxy
                .prove(proof)
                .with_context(|| format!("{} does not do the work of {}", self.name, setup.config))?;
        }
        Ok(proxy)
    }

    /// Starts it, and waits for nothing.
    pub(super) fn launch(
        &self,
        setup: &Setup,
        backstage: &Backstage,
        under: &[String],
        stdout: Stdio,
    ) -> Result<Proxy> {
        let addr = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let mut command = self.command(setup, backstage, under);
        command
            .env("BENCH_LISTEN", addr.to_string())
            .env("BENCH_ORIGIN", backstage.http.to_string())
            .env("BENCH_BULK", backstage.bulk.to_string())
            .env("BENCH_AGENT", backstage.agent.to_string())
            .stdin(Stdio::null())
            .stdout(stdout);
        if setup.silent {
            command.stderr(Stdio::null());
        }
        let child = command.spawn().with_context(|| format!("starting {command:?}"))?;
        Ok(Proxy { child, addr })
    }
}

impl Proxy {
    /// Its process. (`taskset` and valgrind become the program they start.)
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The end of its standard output, if that is a pipe.
    pub(super) fn stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
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
