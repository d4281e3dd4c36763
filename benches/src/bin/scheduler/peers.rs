//! The public executors, brought to the same shape: sleepers that are woken together and then run.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use async_task::Runnable;
use benches::Span;

thread_local! {
    static QUEUE: RefCell<VecDeque<Runnable>> = const { RefCell::new(VecDeque::new()) };
}

/// The least a scheduler on async-task can be: a queue of this thread.
pub(crate) fn schedule(runnable: Runnable) {
    QUEUE.with_borrow_mut(|queue| queue.push_back(runnable));
}

pub(crate) fn run_queue() {
    while let Some(runnable) = QUEUE.with_borrow_mut(VecDeque::pop_front) {
        runnable.run();
    }
}

/// A future that counts its runs, for ever.
pub(crate) fn counting(
    wakers: Rc<RefCell<Vec<Waker>>>,
    runs: Rc<Cell<usize>>,
) -> impl Future<Output = ()> + 'static {
    let mut first = true;
    poll_fn(move |cx| {
        if std::mem::take(&mut first) {
            wakers.borrow_mut().push(cx.waker().clone());
        }
        runs.set(runs.get() + 1);
        Poll::Pending
    })
}

/// Sleepers on async-task.
pub(crate) fn async_task(count: usize) -> impl FnMut(&mut Span) + 'static {
    let (wakers, runs) = (Rc::default(), Rc::new(Cell::new(0)));
    for _ in 0..count {
        let (runnable, task) =
            async_task::spawn_local(counting(Rc::clone(&wakers), Rc::clone(&runs)), schedule);
        runnable.schedule();
        task.detach();
    }
    run_queue();
    let wakers = wakers.take();
    move |span| {
        let rounds = span.operations.div_ceil(count as u64);
        span.measure(|| {
            for _ in 0..rounds {
                wakers.iter().for_each(Waker::wake_by_ref);
                run_queue();
            }
        });
        span.did(rounds * count as u64);
    }
}

/// Sleepers on tokio's `LocalSet`.
pub(crate) fn local_set(count: usize) -> impl FnMut(&mut Span) + 'static {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let local = tokio::task::LocalSet::new();
    let (wakers, runs) = (Rc::default(), Rc::new(Cell::new(0)));
    for _ in 0..count {
        local.spawn_local(counting(Rc::clone(&wakers), Rc::clone(&runs)));
    }
    runtime.block_on(local.run_until(all_ran(Rc::clone(&runs), count)));
    let wakers: Vec<Waker> = wakers.take();
    move |span| {
        let rounds = span.operations.div_ceil(count as u64);
        let (wakers, runs) = (&wakers, &runs);
        let work = async move {
            for _ in 0..rounds {
                let goal = runs.get() + count;
                wakers.iter().for_each(Waker::wake_by_ref);
                all_ran(Rc::clone(runs), goal).await;
            }
        };
        span.measure(|| runtime.block_on(local.run_until(work)));
        span.did(rounds * count as u64);
    }
}

/// Lets the others run until they have run so many times.
pub(crate) async fn all_ran(runs: Rc<Cell<usize>>, goal: usize) {
    while runs.get() < goal {
        tokio::task::yield_now().await;
    }
}
