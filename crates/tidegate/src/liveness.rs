//! Tasks that do not return: what a worker has been running for long, by its thread's CPU time.
//!
//! A task that has been running for 100 ms of CPU time keeps the others of its thread waiting: a warning names it, once
//! a run. As in HAProxy CPU time counts, so a machine that stands still warns of nobody.
//!
//! Source: configuration.txt `warn-blocked-traffic-after`.

use std::time::{Duration, Instant};

use scheduler::Watch;

use crate::{clock, worker::Member};

/// A worker whose tasks are watched.
pub struct Watched {
    worker: Member,
    watch: Watch,
    /// Where its thread's CPU time is counted from: to the watch any clock will do.
    base: Instant,
    warned: bool,
}

impl Watched {
    /// Begins to watch it.
    #[must_use]
    pub fn new(worker: Member, base: Instant) -> Self {
        let watch = Watch::new(worker.remote.clone(), base);
        Self { worker, watch, base, warned: false }
    }

    /// Looks; a warning, once for each run that lasts.
    pub fn look(&mut self) -> Option<String> {
        let used = clock::thread_cpu(self.worker.tid)?;
        self.look_at(used)
    }

    /// Looks when the worker's thread has used so much CPU time.
    fn look_at(&mut self, used: Duration) -> Option<String> {
        let Some(running) = self.watch.look(self.base + used) else {
            self.warned = false;
            return None;
        };
        if running.lasted < BLOCKED || std::mem::replace(&mut self.warned, true) {
            return None;
        }
        Some(format!(
            "task '{}' has been running on thread {} for {} ms of CPU time without giving way: the traffic of \
             that thread is blocked.",
            running.name,
            self.worker.thread + 1,
            running.lasted.as_millis()
        ))
    }
}

/// A run of so much CPU time is told of: HAProxy's default.
const BLOCKED: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, rc::Rc, sync::Arc};

    use scheduler::{Budget, Scheduler};

    use super::*;

    #[test]
    fn a_task_that_does_not_return_is_told_of_once_a_run() {
        let base = clock::instant();
        let mut scheduler = Scheduler::new(base);
        let worker =
            Member { thread: 1, remote: scheduler.remote(), pace: Arc::default(), tid: clock::thread() };
        let watched = Rc::new(RefCell::new(Watched::new(worker, base)));
        let said = Rc::new(RefCell::new(Vec::new()));
        for _ in 0..2 {
            let (watched, said) = (watched.clone(), said.clone());
            scheduler.spawn("hog", async move {
                // As the watchdog's thread would look while it runs.
                for used in [10, 60, 109, 110, 200] {
                    said.borrow_mut().push(watched.borrow_mut().look_at(Duration::from_millis(used)));
                }
            });
        }
        scheduler.run(base, Budget::default());
        let warning = "task 'hog' has been running on thread 2 for 100 ms of CPU time without giving way: the \
                       traffic of that thread is blocked.";
        let once = [None, None, None, Some(warning.to_owned()), None];
        assert_eq!(*said.borrow(), [once.clone(), once].concat());
        assert_eq!(watched.borrow_mut().look_at(Duration::from_secs(9)), None, "nothing runs");
    }
}
