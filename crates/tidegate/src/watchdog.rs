//! The watchdog: a thread that makes scripts yield which run for long, and tells of tasks that do not return.
//!
//!
//! Scripts run without a hook, at full speed. The watchdog looks at each worker's count of runs; a
//! run that it sees twice is interrupted, and so yields or has its limits checked
//! (`tune.lua.*-timeout`). Where `tune.lua.forced-yield` counts instructions it only looks. What it finds
//! running is what `show lua` gives run time to.
//!
//! Source: configuration.txt `tune.lua.*-timeout`, `tune.lua.forced-yield`.

use std::{
    io,
    sync::mpsc::{RecvTimeoutError, Sender, channel},
    thread::JoinHandle,
    time::Duration,
};

use crate::{clock, console, liveness::Watched, worker::Member};
use hlua::Interrupter;

/// The thread. Ends when this is dropped.
pub struct Watchdog {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    /// Watches these workers, and the scripts' runs on them.
    ///
    /// # Errors
    /// The system refuses a thread or the signal handler.
    pub fn start(scripts: Vec<Interrupter>, workers: Vec<Member>) -> io::Result<Self> {
        let idle = if scripts.is_empty() { QUIET } else { IDLE };
        if !scripts.is_empty() {
            hlua::install_preemption()?;
        }
        let (stop, stopped) = channel::<()>();
        let watch = move || {
            let mut rounds = Rounds::new(scripts);
            let base = clock::instant();
            let mut watched: Vec<Watched> =
                workers.into_iter().map(|worker| Watched::new(worker, base)).collect();
            let mut pause = idle;
            while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                pause = if rounds.look(pause) { SLICE } else { idle };
                for warning in watched.iter_mut().filter_map(Watched::look) {
                    console::warn(&warning);
                }
            }
        };
        let thread = std::thread::Builder::new().name("watchdog".to_owned()).spawn(watch)?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // Its panic was printed; there is nobody left to watch.
            let _ = thread.join();
        }
    }
}

/// What the watchdog saw last of each worker.
struct Rounds(Vec<Seen>);

struct Seen {
    script: Interrupter,
    epoch: u64,
    /// Looks that found the same run.
    looks: u32,
    /// So many of them before it is interrupted.
    patience: u32,
}

impl Rounds {
    fn new(scripts: Vec<Interrupter>) -> Self {
        let unseen = |script| Seen { script, epoch: 0, looks: 0, patience: 1 };
        Self(scripts.into_iter().map(unseen).collect())
    }

    /// Interrupts every run that was there before; whether anything ran since.
    /// `since` is how long ago it looked last: what runs now is taken to have run for that long.
    fn look(&mut self, since: Duration) -> bool {
        let mut busy = false;
        for seen in &mut self.0 {
            seen.script.sample(since);
            busy |= seen.look();
        }
        busy
    }
}

impl Seen {
    fn look(&mut self) -> bool {
        let epoch = self.script.epoch();
        if epoch != self.epoch {
            self.epoch = epoch;
            self.looks = 0;
            self.patience = (self.patience / 2).max(1);
            return true;
        }
        if !self.script.is_running() {
            return false;
        }
        self.looks += 1;
        if self.looks >= self.patience {
            self.script.interrupt(epoch);
            self.looks = 0;
            // Setting the hook takes as long as the script's calls are deep: one that does not
            // yield at once is left alone for longer, or it would do nothing else.
            self.patience = (self.patience * 2).min(PATIENCE_MAX);
        }
        true
    }
}

/// How often it looks where there are no scripts: often enough to see a run that blocks traffic twice.
const QUIET: Duration = Duration::from_millis(50);
/// How often it looks while scripts run: one gets between one and two of these at a time.
const SLICE: Duration = Duration::from_millis(2);
/// How often while none runs.
const IDLE: Duration = Duration::from_millis(10);
/// So many looks a run that may not yield gets between two interruptions.
const PATIENCE_MAX: u32 = 32;
