//! A program under test: started with listeners it inherits, watched, and ended by its process id.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::lines::Lines;

/// The running program.
pub(crate) struct Process {
    child: Child,
    status: Option<ExitStatus>,
}

/// While one program starts, its listeners are inheritable; no other may start then.
static STARTING: Mutex<()> = Mutex::new(());

impl Process {
    /// Starts `program` in `folder`. It inherits `listeners` under their own numbers; what it prints
    /// goes to `said`.
    pub(crate) fn start(
        program: &Path,
        args: &[String],
        folder: &Path,
        env: &BTreeMap<String, String>,
        listeners: Vec<OwnedFd>,
        said: &Lines,
    ) -> io::Result<Self> {
        let mut command = Command::new(program);
        command.args(args).current_dir(folder).envs(env);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = {
            let _starting = STARTING.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            for listener in &listeners {
                fcntl(listener, FcntlArg::F_SETFD(FdFlag::empty()))?;
            }
            let child = command.spawn();
            // Ours are closed before another program can inherit them.
            drop(listeners);
            child?
        };
        said.follow(child.stdout.take().expect("invariant: piped"));
        said.follow(child.stderr.take().expect("invariant: piped"));
        Ok(Self { child, status: None })
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        let pid = i32::try_from(self.child.id()).expect("invariant: a process id fits");
        if self.status.is_none() {
            kill(Pid::from_raw(pid), signal)?;
        }
        Ok(())
    }

    /// Waits until it ends; `None` if `patience` ends first.
    pub(crate) fn wait(&mut self, patience: Duration) -> io::Result<Option<ExitStatus>> {
        let deadline = Instant::now() + patience;
        while self.status.is_none() && Instant::now() < deadline {
            self.status = self.child.try_wait()?;
            if self.status.is_none() {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        Ok(self.status)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.status.is_none() {
            self.child.kill().ok();
            self.child.wait().ok();
        }
    }
}
