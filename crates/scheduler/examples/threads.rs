//! Several threads that wake, kill, spawn and drop each other's tasks as fast as they can.
//!
//! A plain program, for the sanitizers: it has no test harness around it, and ends with its own counts.
//! `RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer" cargo run
//! -p scheduler --example threads --target x86_64-unknown-linux-gnu`, and the same with `address`.

use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::task::{Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use scheduler::{Budget, Next, Scheduler, SharedTask, TaskHandle, Woken};

const THREADS: usize = 3;
const TASKS: usize = 8;

#[derive(Default)]
struct Board {
    handles: Mutex<Vec<TaskHandle>>,
    wakers: Mutex<Vec<Waker>>,
    shared: Mutex<Vec<SharedTask>>,
    runs: AtomicUsize,
    shared_runs: AtomicUsize,
    ended: AtomicUsize,
}

/// What one thread does with what the others left on the board.
fn meddle(board: &Board, round: usize) {
    let pick = |length: usize| if length == 0 { 0 } else { round * 7 % length };
    let handle = {
        let handles = board.handles.lock().unwrap();
        handles.get(pick(handles.len())).cloned()
    };
    match (handle, round % 5) {
        (Some(handle), 0) => drop(handle.kill()),
        (Some(handle), 1) => handle.waker().wake(),
        (Some(handle), _) => handle.wake(Woken::MSG),
        (None, _) => {}
    }
    let waker = {
        let mut wakers = board.wakers.lock().unwrap();
        if wakers.len() > 4 * TASKS { wakers.pop() } else { None }
    };
    drop(waker);
    let shared = board.shared.lock().unwrap().get(round % THREADS).cloned();
    if let Some(shared) = shared {
        shared.wake(Woken::IO);
    }
}

/// Spawns tasks that leave their wakers on the board, until there are enough.
fn restock(scheduler: &Scheduler, board: &Arc<Board>) {
    let mut handles = board.handles.lock().unwrap();
    handles.retain(|handle| !handle.is_finished());
    while handles.len() < TASKS * THREADS {
        let inner = Arc::clone(board);
        let task = scheduler.spawn_tasklet(
            "busy",
            poll_fn(move |cx| {
                if inner.runs.fetch_add(1, Ordering::Relaxed) % 3 == 0 {
                    inner.wakers.lock().unwrap().push(cx.waker().clone());
                }
                Poll::<()>::Pending
            }),
        );
        handles.push(task.handle());
    }
}

#[expect(clippy::disallowed_methods, reason = "threads and their clock are what this is about")]
fn main() {
    let rounds = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(20_000);
    let (board, start) = (Arc::new(Board::default()), Instant::now());
    let barrier = Arc::new(Barrier::new(THREADS));
    let threads: Vec<_> = (0..THREADS)
        .map(|number| {
            let (board, barrier) = (Arc::clone(&board), Arc::clone(&barrier));
            thread::spawn(move || {
                let mut scheduler = Scheduler::new(start);
                let runs = Arc::clone(&board);
                let mut inside = 0_usize;
                let task = scheduler.spawn_shared("shared", move |_: Woken, now: Instant| {
                    inside += 1; // unsynchronised: the scheduler promises one run at a time
                    runs.shared_runs.fetch_add(1, Ordering::Relaxed);
                    if inside % 3 == 0 { Next::At(now + Duration::from_millis(1)) } else { Next::Wait }
                });
                board.shared.lock().unwrap().push(task);
                barrier.wait();
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
    let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
    println!("{} runs, {} of shared tasks", count(&board.runs), count(&board.shared_runs));
    assert_eq!(count(&board.ended), THREADS);
    assert!(count(&board.runs) > 0 && count(&board.shared_runs) > 0);
}
