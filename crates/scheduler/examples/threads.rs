//! Several threads that wake, kill, spawn and drop each other's tasks as fast as they can.
//!
//! A plain program, for the sanitizers: it has no test harness around it, and ends with its own counts.
//! `RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer" cargo run
//! -p scheduler --example threads --target x86_64-unknown-linux-gnu`, and the same with `address`.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_queue::SegQueue;
use scheduler::{Budget, Next, Scheduler, SharedTask, TaskHandle, Woken};

const THREADS: usize = 3;
const TASKS: usize = 8;

/// What the threads leave for each other. Queues without std's locks: those are not instrumented.
#[derive(Default)]
struct Board {
    handles: SegQueue<TaskHandle>,
    wakers: SegQueue<Waker>,
    shared: SegQueue<SharedTask>,
    runs: AtomicUsize,
    shared_runs: AtomicUsize,
    ended: AtomicUsize,
}

/// What one thread does with what the others left on the board.
fn meddle(board: &Board, round: usize) {
    if let Some(handle) = board.handles.pop() {
        match round % 5 {
            0 => drop(handle.kill()),
            1 => handle.waker().wake(),
            _ => handle.wake(Woken::MSG),
        }
        if !handle.is_finished() {
            board.handles.push(handle);
        }
    }
    if board.wakers.len() > 4 * TASKS {
        drop(board.wakers.pop());
    }
    if let Some(shared) = board.shared.pop() {
        shared.wake(Woken::IO);
        board.shared.push(shared);
    }
}

/// Spawns tasks that leave their wakers on the board, until there are enough.
fn restock(scheduler: &Scheduler, board: &Arc<Board>) {
    while board.handles.len() < TASKS * THREADS {
        let inner = Arc::clone(board);
        let task = scheduler.spawn_tasklet(
            "busy",
            poll_fn(move |cx| {
                if inner.runs.fetch_add(1, Ordering::Relaxed).is_multiple_of(3) {
                    inner.wakers.push(cx.waker().clone());
                }
                Poll::<()>::Pending
            }),
        );
        board.handles.push(task.handle());
    }
}

#[expect(clippy::disallowed_methods, reason = "threads and their clock are what this is about")]
fn main() {
    let rounds = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(20_000);
    let (board, start) = (Arc::new(Board::default()), Instant::now());
    let threads: Vec<_> = (0..THREADS)
        .map(|number| {
            let board = Arc::clone(&board);
            thread::spawn(move || {
                let mut scheduler = Scheduler::new(start);
                let runs = Arc::clone(&board);
                let mut inside = 0_usize;
                let task = scheduler.spawn_shared("shared", move |_: Woken, now: Instant| {
                    inside += 1; // unsynchronised: the scheduler promises one run at a time
                    runs.shared_runs.fetch_add(1, Ordering::Relaxed);
                    if inside.is_multiple_of(3) {
                        Next::At(now + Duration::from_millis(1))
                    } else {
                        Next::Wait
                    }
                });
                board.shared.push(task);
                for round in 0..rounds {
                    restock(&scheduler, &board);
                    meddle(&board, round + number);
                    scheduler.run(start + Duration::from_micros(round as u64), Budget::new(20));
                }
                drop(scheduler);
                board.ended.fetch_add(1, Ordering::Relaxed);
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().expect("no thread panics"));
    // The last wake of each ends it: its threads have gone. It holds the board, and the board holds it.
    while let Some(shared) = board.shared.pop() {
        shared.wake(Woken::OTHER);
        assert!(shared.is_finished());
    }
    let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
    println!("{} runs, {} of shared tasks", count(&board.runs), count(&board.shared_runs));
    assert_eq!(count(&board.ended), THREADS);
    assert!(count(&board.runs) > 0 && count(&board.shared_runs) > 0);
}
