//! Processes beside the measured one: this program again, as origin, agent or load.
//!
//! They run as batch tasks on the core of the measured process, so that they take what it leaves and
//! never push it to another core; that is what makes figures repeat.

use std::io::{BufRead, BufReader, Read, stdin};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio, exit};
use std::thread;

use anyhow::{Context, Result, ensure};

/// A running aide. Ended when dropped, and by itself when this process ends.
pub(super) struct Aide {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

/// A command that runs `program` on these cores only, in the form that `taskset` takes.
pub(super) fn on_cores(cores: &str, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", cores]).arg(program);
    command
}

/// The words of a command for one of our hidden subcommands, as a batch task on `core`.
pub(super) fn batch(core: usize, subcommand: &str) -> Result<Command> {
    let mut command = on_cores(&core.to_string(), "chrt");
    command.args(["-b", "0"]).arg(std::env::current_exe()?).arg(subcommand);
    Ok(command)
}

impl Aide {
    /// Starts `command`, with a pipe at both ends.
    pub(super) fn start(mut command: Command) -> Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("starting {command:?}"))?;
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().expect("invariant: stdout was piped"));
        Ok(Self { child, stdin, stdout })
    }

    /// The numbers of the next line it prints.
    pub(super) fn numbers(&mut self) -> Result<Vec<u64>> {
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        let numbers = line.split_whitespace().map(str::parse).collect::<Result<Vec<_>, _>>();
        let numbers = numbers.with_context(|| format!("an aide said {line:?}"))?;
        ensure!(!numbers.is_empty(), "an aide ended without a word");
        Ok(numbers)
    }
}

impl Drop for Aide {
    fn drop(&mut self) {
        drop(self.stdin.take());
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Ends this process when the one that started it lets go of our standard input.
pub(super) fn end_with_parent() {
    thread::spawn(|| {
        stdin().read_to_end(&mut Vec::new()).ok();
        exit(0);
    });
}

/// Where the proxies are measured, and everybody behind them.
pub(super) struct Backstage {
    /// The core on which everything runs.
    pub(super) core: usize,
    /// The folder of the configurations.
    pub(super) folder: PathBuf,
    _origin: Aide,
    _agent: Aide,
    /// Answers every GET.
    pub(super) http: SocketAddr,
    /// Pours bytes.
    pub(super) bulk: SocketAddr,
    /// Speaks SPOP.
    pub(super) agent: SocketAddr,
}

impl Backstage {
    /// Starts the origin and the agent.
    pub(super) fn start(core: usize, folder: PathBuf) -> Result<Self> {
        let mut origin = Aide::start(batch(core, "bench-origin")?)?;
        let mut agent = Aide::start(batch(core, "bench-agent")?)?;
        let ports = [origin.numbers()?, agent.numbers()?].concat();
        let [http, bulk, spop] = ports[..] else { anyhow::bail!("aides printed {ports:?} for ports") };
        let loopback =
            |port: u64| Ok::<_, anyhow::Error>(SocketAddr::from(([127, 0, 0, 1], u16::try_from(port)?)));
        Ok(Self {
            core,
            folder,
            http: loopback(http)?,
            bulk: loopback(bulk)?,
            agent: loopback(spop)?,
            _origin: origin,
            _agent: agent,
        })
    }
}
