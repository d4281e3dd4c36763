//! The watchdog: a thread that makes scripts yield which run for long.
//!
//! Scripts run without a hook, at full speed. The watchdog looks at each worker's count of runs; a
//! run that it sees twice is interrupted, and so yields or has its limits checked
//! (`tune.lua.*-timeout`). Where `tune.lua.forced-yield` counts instructions there is no watchdog.

use std::{
    io,
    sync::mpsc::{RecvTimeoutError, Sender, channel},
    thread::JoinHandle,
    time::Duration,
};

use hlua::Interrupter;

/// The thread. Ends when this is dropped.
pub struct Watchdog {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    /// Watches these workers' runs.
    ///
    /// # Errors
    /// The system refuses a thread or the signal handler.
    #[expect(clippy::disallowed_methods, reason = "the real threads")]
    pub fn start(scripts: Vec<Interrupter>) -> io::Result<Self> {
        hlua::install_preemption()?;
        let (stop, stopped) = channel::<()>();
        let watch = move || {
            let mut rounds = Rounds::new(scripts);
            let mut pause = IDLE;
            while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                pause = if rounds.look() { SLICE } else { IDLE };
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
struct Rounds(Vec<(Interrupter, u64)>);

impl Rounds {
    fn new(scripts: Vec<Interrupter>) -> Self {
        Self(scripts.into_iter().map(|script| (script, 0)).collect())
    }

    /// Interrupts every run that was there before; whether anything ran since.
    fn look(&mut self) -> bool {
        let mut busy = false;
        for (script, seen) in &mut self.0 {
            let epoch = script.epoch();
            if epoch == *seen {
                script.interrupt(epoch);
            }
            busy |= epoch != *seen || script.is_running();
            *seen = epoch;
        }
        busy
    }
}

/// How often it looks while scripts run: one gets between one and two of these at a time.
const SLICE: Duration = Duration::from_millis(2);
/// How often while none runs.
const IDLE: Duration = Duration::from_millis(10);
