//! The VM of `lua-load`: one for all worker threads, behind one lock, and who waits for it.
//!
//! An execution that finds the VM taken leaves its waker and is called when it is free: one at a time, since only one
//! can have it. A worker that lets go of the VM calls its own next execution before another worker's, for a while:
//! that costs neither a wake-up of a sleeping thread nor a move of the heap to another core.
//!
//! INVARIANT: while executions wait, the VM is held, or one was called and has not answered yet. Who holds it calls
//! the next on leaving; who was called answers by taking it, by waiting again, or, when it is dropped, by calling the
//! next.

use std::collections::VecDeque;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::task::Waker;

use parking_lot::{Mutex, ReentrantMutex, ReentrantMutexGuard};

use crate::Error;
use crate::garbage::Garbage;
use crate::limits::Config;
use crate::vm::Vm;

/// The VM of `lua-load`, for all worker threads: `Send`, `Sync`, cheap to clone. Each worker makes its
/// [`Runtime`](crate::Runtime) from it.
#[derive(Clone)]
pub struct SharedVm(pub(crate) Arc<Shared>);

pub(crate) struct Shared {
    vm: ReentrantMutex<confined::Confined>,
    pub(crate) garbage: Arc<Garbage>,
    queue: Mutex<Queue>,
}

/// The VM, held.
pub(crate) struct Held<'a>(ReentrantMutexGuard<'a, confined::Confined>);

/// A worker, by a number that no other has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct WorkerId(pub(crate) usize);

/// A place among those who wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket(NonZero<u32>);

/// Executions that found the VM taken.
#[derive(Default)]
struct Queue {
    /// Who came first is first.
    waiting: VecDeque<Waiting>,
    /// Those woken that have not answered yet.
    called: Vec<(Ticket, WorkerId)>,
    tickets: u32,
    /// Times in a row that a worker called one of its own while others waited.
    kept: u32,
}

struct Waiting {
    ticket: Ticket,
    worker: WorkerId,
    waker: Waker,
}

impl SharedVm {
    /// Makes the VM; nothing is loaded yet.
    ///
    /// # Errors
    /// [`Error::Load`] if a setting is unusable.
    pub fn new(config: &Config) -> Result<SharedVm, Error> {
        let vm = Vm::new(config, 0)?;
        let garbage = vm.state.garbage.clone();
        let vm = ReentrantMutex::new(confined::Confined::new(vm));
        Ok(SharedVm(Arc::new(Shared { vm, garbage, queue: Mutex::default() })))
    }
}

impl Held<'_> {
    pub(crate) fn vm(&self) -> &Vm {
        self.0.vm()
    }
}

impl Shared {
    /// Blocks until the VM is free. [`call_next`](Self::call_next) comes after it was let go.
    pub(crate) fn hold(&self) -> Held<'_> {
        Held(self.vm.lock())
    }

    /// The VM if it is free at once.
    pub(crate) fn try_hold(&self) -> Option<Held<'_>> {
        self.vm.try_lock().map(Held)
    }

    /// The VM if it is free; else `waker` is called when it is, by the ticket that `place` gets. A ticket from before
    /// is given back first.
    pub(crate) fn hold_or_wait(
        &self,
        worker: WorkerId,
        place: &mut Option<Ticket>,
        waker: &Waker,
    ) -> Option<Held<'_>> {
        let was_called = place.take().is_some_and(|ticket| self.withdraw(ticket));
        if let Some(held) = self.try_hold() {
            return Some(held);
        }
        let ticket = self.wait(worker, was_called, waker.clone());
        // The holder may have left before it could see the ticket.
        let Some(held) = self.try_hold() else {
            *place = Some(ticket);
            return None;
        };
        self.withdraw(ticket);
        Some(held)
    }

    /// A place in the queue, the first one for who lost its turn to somebody quicker.
    fn wait(&self, worker: WorkerId, first: bool, waker: Waker) -> Ticket {
        let mut queue = self.queue.lock();
        let ticket = queue.new_ticket();
        let waiting = Waiting { ticket, worker, waker };
        if first {
            queue.waiting.push_front(waiting)
        } else {
            queue.waiting.push_back(waiting)
        }
        self.garbage.waiting.store(true, Ordering::SeqCst);
        drop(queue);
        fence(Ordering::SeqCst);
        ticket
    }

    /// Gives a ticket back; whether it was called.
    fn withdraw(&self, ticket: Ticket) -> bool {
        let mut queue = self.queue.lock();
        let was_called = queue.withdraw(ticket);
        self.garbage.waiting.store(!queue.waiting.is_empty(), Ordering::SeqCst);
        was_called
    }

    /// Who waited with that ticket is gone.
    pub(crate) fn leave(&self, worker: WorkerId, ticket: Ticket) {
        if self.withdraw(ticket) {
            self.call_next(worker);
        }
    }

    /// Calls one who waits; after `worker` let go of the VM.
    pub(crate) fn call_next(&self, worker: WorkerId) {
        fence(Ordering::SeqCst);
        if !self.garbage.waiting.load(Ordering::SeqCst) {
            return;
        }
        let next = {
            let mut queue = self.queue.lock();
            let next = queue.call(worker);
            self.garbage.waiting.store(!queue.waiting.is_empty(), Ordering::SeqCst);
            next
        };
        if let Some(waker) = next {
            waker.wake();
        }
    }
}

impl Queue {
    fn new_ticket(&mut self) -> Ticket {
        self.tickets = self.tickets.wrapping_add(1).max(1);
        Ticket(NonZero::new(self.tickets).expect("invariant: just made positive"))
    }

    fn withdraw(&mut self, ticket: Ticket) -> bool {
        if let Some(at) = self.called.iter().position(|(called, _)| *called == ticket) {
            self.called.swap_remove(at);
            return true;
        }
        self.waiting.retain(|waiting| waiting.ticket != ticket);
        false
    }

    /// The next one: of `worker` itself a few times in a row, then of another that was not called yet.
    fn call(&mut self, worker: WorkerId) -> Option<Waker> {
        let is_called = |other: WorkerId| self.called.iter().any(|(_, called)| *called == other);
        let find = |what: &dyn Fn(&Waiting) -> bool| self.waiting.iter().position(what);
        let own_called = is_called(worker);
        let own = find(&|waiting| waiting.worker == worker);
        let other = find(&|waiting| waiting.worker != worker && !is_called(waiting.worker));
        let own_turn = self.kept < KEPT_MAX && (own_called || own.is_some());
        let at = match (own, other) {
            (_, Some(other)) if !own_turn => {
                self.kept = 0;
                other
            }
            (Some(own), other) if !own_called => {
                self.kept += u32::from(other.is_some());
                own
            }
            _ => return None,
        };
        let Waiting { ticket, worker, waker } = self.waiting.remove(at)?;
        self.called.push((ticket, worker));
        Some(waker)
    }
}

/// So many runs later another worker gets the VM.
const KEPT_MAX: u32 = 8;

/// The shared VM's confinement.
mod confined {
    #![expect(unsafe_code, reason = "one VM moves between threads under a lock")]

    use crate::vm::Vm;

    /// A VM that any thread may run, one at a time.
    pub(super) struct Confined(Vm);

    // SAFETY: the VM is reached only through the mutex around this value, so one thread at a time uses it and the
    // lock orders their uses. What inside is not `Send` (`Rc`s and `Cell`s of this VM, Lua's own pointers) is
    // owned by it alone and never handed out. What belongs to one thread (its worker, with the host; a lent TXN;
    // an operation) is put in by `Runtime::inside` or `Execution::run` and taken out before the lock is released.
    // Lua itself has no thread-local state.
    unsafe impl Send for Confined {}

    impl Confined {
        pub(super) fn new(vm: Vm) -> Self {
            Confined(vm)
        }

        pub(super) fn vm(&self) -> &Vm {
            &self.0
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Calls(AtomicUsize);

    impl Wake for Calls {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Executions that wait for a VM which somebody else holds.
    struct Bench {
        shared: Shared,
        calls: Vec<Arc<Calls>>,
        tickets: Vec<Option<Ticket>>,
    }

    const HERE: WorkerId = WorkerId(1);
    const THERE: WorkerId = WorkerId(2);

    impl Bench {
        fn new(workers: &[WorkerId]) -> Bench {
            let vm = Arc::into_inner(SharedVm::new(&Config::default()).unwrap().0).unwrap();
            let mut bench = Bench { shared: vm, calls: Vec::new(), tickets: Vec::new() };
            for worker in workers {
                let calls = Arc::<Calls>::default();
                let waker = Waker::from(calls.clone());
                bench.calls.push(calls);
                bench.tickets.push(Some(bench.shared.wait(*worker, false, waker)));
            }
            bench
        }

        fn called(&self) -> Vec<usize> {
            self.calls.iter().map(|calls| calls.0.load(Ordering::SeqCst)).collect()
        }

        /// The execution is polled and has the VM.
        fn answers(&mut self, who: usize, worker: WorkerId) {
            let waker = Waker::from(self.calls[who].clone());
            assert!(self.shared.hold_or_wait(worker, &mut self.tickets[who], &waker).is_some());
        }
    }

    #[test]
    fn one_is_called_at_a_time() {
        let mut bench = Bench::new(&[HERE, HERE]);
        bench.shared.call_next(HERE);
        bench.shared.call_next(HERE);
        assert_eq!(bench.called(), [1, 0], "the first has not answered yet");
        bench.answers(0, HERE);
        bench.shared.call_next(HERE);
        assert_eq!(bench.called(), [1, 1]);
    }

    #[test]
    fn who_was_called_and_is_dropped_calls_the_next() {
        let mut bench = Bench::new(&[HERE, THERE, HERE]);
        bench.shared.leave(THERE, bench.tickets[1].take().unwrap());
        bench.shared.call_next(HERE);
        bench.shared.leave(HERE, bench.tickets[0].take().unwrap());
        assert_eq!(bench.called(), [1, 0, 1]);
    }

    #[test]
    fn another_worker_gets_its_turn_after_a_few_runs_of_one() {
        let mut bench = Bench::new(&[HERE; KEPT_MAX as usize + 2]);
        let calls = Arc::<Calls>::default();
        bench.shared.wait(THERE, false, Waker::from(calls.clone()));
        for who in 0..KEPT_MAX as usize {
            bench.shared.call_next(HERE);
            assert_eq!(calls.0.load(Ordering::SeqCst), 0);
            bench.answers(who, HERE);
        }
        bench.shared.call_next(HERE);
        assert_eq!(calls.0.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_worker_that_was_called_is_not_called_again_and_the_vm_is_not_left_idle() {
        let bench = Bench::new(&[THERE, THERE, HERE]);
        bench.shared.queue.lock().kept = KEPT_MAX;
        bench.shared.call_next(HERE);
        assert_eq!(bench.called(), [1, 0, 0]);
        bench.shared.call_next(HERE);
        assert_eq!(bench.called(), [1, 0, 1]);
    }
}
