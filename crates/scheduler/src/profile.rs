//! Measuring runs and waits with the host's clock, while it is asked for.
//!
//! When each task was woken stands beside the slots, not in them: it costs nothing while off. Times are
//! of 64 bits, so that a wait of any length counts as what it was.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Instant;

use crate::core::Core;
use crate::slot::SlotRef;
use crate::stats::Profile;

type Clock = Rc<dyn Fn() -> Instant>;

#[derive(Default)]
pub(crate) struct Profiler {
    on: Cell<bool>,
    clock: RefCell<Option<Clock>>,
    /// By slot: when it was woken; `None` for before the pass.
    dates: RefCell<Vec<Option<Instant>>>,
}

/// A run that is being measured.
pub(crate) struct Started {
    clock: Clock,
    at: Instant,
    woken: Instant,
}

impl Profiler {
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.on.get()
    }

    pub(crate) fn set(&self, clock: Option<Clock>) {
        self.on.set(clock.is_some());
        let old = self.clock.replace(clock);
        drop(old);
        self.dates.take();
    }

    /// Notes when a task was put into the run queue.
    #[cold]
    pub(crate) fn woken(&self, core: &Core, slot: SlotRef) {
        let clock = self.clock.borrow().clone();
        // Outside the pass, whoever wakes has just come back from waiting: the pass is about to start.
        let date = clock.filter(|_| core.is_in_pass()).map(|clock| clock());
        let (mut dates, index) = (self.dates.borrow_mut(), slot.index() as usize);
        if dates.len() <= index {
            dates.resize(index + 1, None);
        }
        dates[index] = date;
    }

    #[cold]
    pub(crate) fn start(&self, core: &Core, slot: SlotRef) -> Option<Started> {
        let clock = self.clock.borrow().clone()?;
        let woken = self.dates.borrow().get(slot.index() as usize).copied().flatten();
        let at = clock();
        Some(Started { clock, at, woken: woken.unwrap_or_else(|| core.now()) })
    }

    #[cold]
    pub(crate) fn stop(&self, core: &Core, site: u16, started: Started) {
        let Started { clock, at, woken } = started;
        let end = clock();
        let mut sites = core.sites.borrow_mut();
        let profile: &mut Profile = sites.list[usize::from(site)].profile.get_or_insert_default();
        profile.cpu.record(end.saturating_duration_since(at));
        profile.latency.record(at.saturating_duration_since(woken));
    }
}
