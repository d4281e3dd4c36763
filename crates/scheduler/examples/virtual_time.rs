//! A scheduler on virtual time: a day of a small shop, run in an instant and always the same.
//!
//! Customers come at their times, queue for the one till and leave if they wait too long. Nothing here
//! reads a clock: the loop jumps from one expiry to the next. The same loop with `sleep_until` in place of
//! the jump is a real-time one.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use scheduler::{Budget, Handle, Scheduler, Woken};

/// One till, and whoever waits for it.
#[derive(Default)]
struct Till {
    busy: Cell<bool>,
    queue: RefCell<VecDeque<Waker>>,
}

impl Till {
    /// Waits for the till; false if patience ran out first.
    async fn take(&self, handle: &Handle, patience: Duration) -> bool {
        let timer = handle.timer();
        timer.set(Some(handle.now() + patience));
        poll_fn(|cx| {
            if !self.busy.replace(true) {
                return Poll::Ready(true);
            }
            if timer.poll_expired(cx).is_ready() {
                return Poll::Ready(false);
            }
            self.queue.borrow_mut().push_back(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    fn leave(&self) {
        self.busy.set(false);
        // A waker of somebody who has given up does nothing: wake the next, and the next.
        self.queue.borrow_mut().drain(..).for_each(Waker::wake);
    }
}

async fn customer(name: usize, handle: Handle, till: Rc<Till>, served: Rc<Cell<usize>>) {
    handle.sleep_until(handle.now() + Duration::from_secs(97 * name as u64)).await;
    if till.take(&handle, Duration::from_secs(300)).await {
        handle.sleep_until(handle.now() + Duration::from_secs(120)).await;
        till.leave();
        served.set(served.get() + 1);
    }
}

fn main() {
    #[expect(clippy::disallowed_methods, reason = "some instant to start from; it is never read again")]
    let start = Instant::now();
    let mut scheduler = Scheduler::new(start);
    let (till, served) = (Rc::new(Till::default()), Rc::new(Cell::new(0)));
    for name in 0..300 {
        let customer = customer(name, scheduler.handle(), Rc::clone(&till), Rc::clone(&served));
        scheduler.spawn("customer", customer);
    }
    let handle = scheduler.handle();
    let auditor = scheduler.spawn_tasklet("auditor", async move {
        for hour in 1..=8 {
            handle.sleep_until(start + Duration::from_secs(3600 * hour)).await;
            let here = handle.snapshot().names[0].live;
            println!("{hour} h: {here} customers still to come or in the shop ({:?})", handle.woken());
        }
    });
    auditor.wake(Woken::MSG);

    let mut now = start;
    let mut passes = 0;
    loop {
        let outcome = scheduler.run(now, Budget::default());
        passes += 1;
        match outcome.next_expiry {
            _ if outcome.more => {}
            Some(next) => now = next,
            None => break,
        }
    }
    let hours = now.duration_since(start).as_secs_f64() / 3600.0;
    println!("{} of 300 served in {hours:.1} hours, {passes} passes", served.get());
}
