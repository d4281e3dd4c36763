//! How tasks end: killed, finished or with their scheduler; and when their slots are free again.

use crate::body::Vtable;
use crate::core::Core;
use crate::slot::{DONE, KILLED, NO_TIMER, QUEUED, RUNNING, SlotRef};
use crate::sync::Ordering;

impl Core {
    /// Kills a task unless somebody has; true for the first.
    pub(crate) fn kill_first(&self, slot: SlotRef) -> bool {
        if slot.state.get() & DONE != 0 || slot.shared.fetch_or(KILLED, Ordering::AcqRel) & KILLED != 0 {
            return false;
        }
        self.kill(slot);
        true
    }

    /// Frees a task, or marks it if it is the one running.
    pub(crate) fn kill(&self, slot: SlotRef) {
        let state = slot.state.get();
        if state & (DONE | KILLED) != 0 {
            return;
        }
        slot.state.set(state | KILLED);
        if state & RUNNING == 0 {
            self.end_quietly(slot);
        }
    }

    /// Ends a task at rest; a panic of its drop is reported.
    pub(crate) fn end_quietly(&self, slot: SlotRef) -> bool {
        self.panics.catch(|| self.end(slot)).is_err_and(|payload| {
            self.panics.report(self.name_of(slot), Some(slot.id()), &*payload);
            self.finish(slot);
            true
        })
    }

    /// Drops a task's future and frees its slot. If the drop panics, the caller is to [`finish`](Self::finish).
    #[expect(unsafe_code, reason = "see `body`")]
    #[inline]
    pub(crate) fn end(&self, slot: SlotRef) {
        // RUNNING keeps the slot while the future is dropped.
        slot.state.set(slot.state.get() | RUNNING | DONE);
        if slot.shared.load(Ordering::Acquire) != 0 {
            slot.shared.fetch_or(DONE, Ordering::AcqRel);
        }
        let timer = slot.timer.get();
        if timer != NO_TIMER {
            // A task's own timer has no other listener.
            let _ = self.waits.borrow_mut().remove(timer);
        }
        let vtable = match self.hot.get(usize::from(slot.site.get())) {
            Some(hot) => {
                hot.ended.set(hot.ended.get() + 1);
                hot.vtable.get()
            }
            None => self.vtable_of(slot.site.get()),
        };
        self.live.set(self.live.get() - 1);
        let data = slot.data.replace(std::ptr::null_mut());
        // SAFETY: `data` was made by `put` of the type whose table the site holds, and DONE, set only
        // here and before, keeps everybody from using it again.
        unsafe { self.pool.end(data, vtable) };
        self.finish(slot);
    }

    #[cold]
    fn vtable_of(&self, site: u16) -> &'static Vtable {
        let mut sites = self.sites.borrow_mut();
        let site = &mut sites.list[usize::from(site)];
        site.ended += 1;
        site.vtable
    }

    /// The future is gone.
    pub(crate) fn finish(&self, slot: SlotRef) {
        slot.state.set(slot.state.get() & !RUNNING);
        self.try_release(slot);
    }

    /// Frees the slot of a task that has ended, once nothing refers to it.
    pub(crate) fn try_release(&self, slot: SlotRef) {
        let state = slot.state.get();
        if state & (DONE | RUNNING | QUEUED) != DONE
            || slot.shared.load(Ordering::Acquire) & !(DONE | KILLED) != 0
        {
            return;
        }
        // Nobody else can reach the slot.
        slot.shared.store(0, Ordering::Relaxed);
        slot.state.set(DONE | RUNNING);
        self.slab.borrow_mut().release(slot);
    }

    /// Ends every task and takes no more.
    pub(crate) fn close(&self) {
        self.closed.set(true);
        self.shared.close();
        let mut index = 0;
        // One by one: dropping a future may end others, or make wakers.
        loop {
            let next = self.slab.borrow().from(&mut index);
            let Some(slot) = next else { break };
            if slot.state.get() & DONE == 0 {
                self.end_quietly(slot);
            }
        }
        while self.shared.pop_job().is_some() {}
        let unbound = self.queue.borrow_mut().clear();
        unbound.iter().for_each(|task| task.abandon());
        let timers = self.waits.borrow_mut().clear();
        drop(timers);
        let slab = self.slab.borrow();
        slab.all().for_each(|slot| self.shared.orphan(slot));
        slab.disown();
        drop(slab);
        self.shared.close_queues();
    }
}
