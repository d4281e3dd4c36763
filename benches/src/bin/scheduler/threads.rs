//! Waking from another thread.

use std::cell::Cell;
use std::future::poll_fn;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::task::{Poll, Wake, Waker};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use anyhow::Result;
use benches::{Contest, Row, Span};
use nix::sys::eventfd::{EfdFlags, EventFd};
use scheduler::{Budget, Scheduler, TaskHandle, Woken};

pub(crate) fn rows(contest: &mut Contest) -> Result<()> {
    contest.row(
        Row::new("cross-thread wake of an awake thread, one way")
            .goal_ns(300.0)
            .uncounted()
            .ours(awake)
            .beside("two flags, spinning", flags),
    )?;
    contest.row(Row::new("cross-thread wake of a sleeping thread, and back").uncounted().ours(asleep).peer(
        "eventfd pair",
        1.1,
        eventfd_pair,
    ))
}

#[expect(clippy::disallowed_methods, reason = "two threads are measured by the clock")]
fn clock() -> Instant {
    Instant::now()
}

/// Starts a scheduler on a thread of its own; `park` is called when it has nothing to do.
#[expect(clippy::disallowed_methods, reason = "a benchmark of threads needs them")]
fn owner(
    pender: Waker,
    mut park: impl FnMut() + Send + 'static,
    mut on_run: impl FnMut() + Send + 'static,
) -> (TaskHandle, Arc<AtomicBool>, JoinHandle<()>) {
    let (tell, told) = mpsc::channel();
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let thread = thread::spawn(move || {
        let now = clock();
        let mut scheduler = Scheduler::new(now);
        scheduler.set_pender(&pender);
        let task = scheduler.spawn_tasklet(
            "target",
            poll_fn(move |_| {
                on_run();
                Poll::Pending
            }),
        );
        scheduler.run(now, Budget::default());
        tell.send(task.handle()).expect("the other thread waits for it");
        while !stopped.load(Ordering::Relaxed) {
            if !scheduler.run(now, Budget::default()).more {
                park();
            }
        }
    });
    (told.recv().expect("the thread has started"), stop, thread)
}

/// There and back between two schedulers that never sleep: each one's task wakes the other's. A wake of one way
/// is half of that: appended here, taken in and run there.
fn awake() -> impl FnMut(&mut Span) {
    let (tell, told) = mpsc::channel::<TaskHandle>();
    let (answer, answered) = mpsc::channel::<TaskHandle>();
    let spinner = Spinner::start(move || {
        let now = clock();
        let mut scheduler = Scheduler::new(now);
        let other = told.recv().expect("the other thread tells its task");
        // Its first run answers nobody.
        let mut first = true;
        let back = scheduler.spawn_tasklet(
            "pong",
            poll_fn(move |_| {
                if !std::mem::take(&mut first) {
                    other.wake(Woken::MSG);
                }
                Poll::Pending
            }),
        );
        stay_awake(&scheduler);
        scheduler.run(now, Budget::default());
        answer.send(back.handle()).expect("the other thread waits for it");
        move || {
            scheduler.run(now, Budget::default());
        }
    });
    let now = clock();
    let mut scheduler = Scheduler::new(now);
    let turns = Rc::new(Cell::new(0_u64));
    let counted = Rc::clone(&turns);
    let ping = scheduler.spawn_tasklet(
        "ping",
        poll_fn(move |_| {
            counted.set(counted.get() + 1);
            Poll::Pending
        }),
    );
    stay_awake(&scheduler);
    scheduler.run(now, Budget::default());
    tell.send(ping.handle()).expect("the other thread waits for it");
    let pong = answered.recv().expect("the other thread answers");
    let mut trip = move || {
        let before = turns.get();
        pong.wake(Woken::MSG);
        while turns.get() == before {
            scheduler.run(now, Budget::default());
        }
    };
    move |span| spinner.trips(span, &mut trip)
}

/// Gives it something to do in each pass, so that it never falls asleep.
fn stay_awake(scheduler: &Scheduler) {
    scheduler.spawn_tasklet(
        "busy",
        poll_fn(|cx| {
            cx.waker().wake_by_ref();
            Poll::Pending
        }),
    );
}

/// What two cores need at the least to see each other's store, there and back.
fn flags() -> impl FnMut(&mut Span) {
    let (call, reply) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (called, replied) = (Arc::clone(&call), Arc::clone(&reply));
    let spinner =
        Spinner::start(move || move || replied.store(called.load(Ordering::Acquire), Ordering::Release));
    let mut trip = move || {
        let next = call.load(Ordering::Relaxed) + 1;
        call.store(next, Ordering::Release);
        while reply.load(Ordering::Acquire) != next {
            std::hint::spin_loop();
        }
    };
    move |span| spinner.trips(span, &mut trip)
}

/// A thread on another core that answers without rest while it is measured, and sleeps while others are.
struct Spinner {
    spins: Arc<AtomicBool>,
    owner: Owner,
}

impl Spinner {
    /// `prepare` runs on the thread and gives what it does again and again.
    #[expect(clippy::disallowed_methods, reason = "a benchmark of threads needs them")]
    fn start<W: FnMut()>(prepare: impl FnOnce() -> W + Send + 'static) -> Self {
        let (spins, stop) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (spun, stopped) = (Arc::clone(&spins), Arc::clone(&stop));
        let here = benches::pin_here();
        let thread = thread::spawn(move || {
            benches::pin_away_from(here);
            let mut work = prepare();
            while !stopped.load(Ordering::Relaxed) {
                if spun.load(Ordering::Relaxed) {
                    work();
                    std::hint::spin_loop();
                } else {
                    thread::park();
                }
            }
        });
        Self { spins, owner: Owner { stop, thread: Some(thread) } }
    }

    /// Measures trips there and back, each two operations.
    fn trips(&self, span: &mut Span, trip: &mut impl FnMut()) {
        self.spins.store(true, Ordering::Relaxed);
        if let Some(thread) = &self.owner.thread {
            thread.thread().unpark();
        }
        trip(); // the first one waits for the thread to come
        let trips = span.operations.div_ceil(2);
        let start = clock();
        (0..trips).for_each(|_| trip());
        span.charge(clock() - start);
        span.did(2 * trips);
        self.spins.store(false, Ordering::Relaxed);
    }
}

/// Ends its thread when dropped.
struct Owner {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
        }
    }
}

/// A pender that rings an eventfd.
struct Bell(EventFd);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }
    fn wake_by_ref(self: &Arc<Self>) {
        self.0.write(1).expect("an eventfd takes it");
    }
}

fn eventfd() -> EventFd {
    EventFd::from_value_and_flags(0, EfdFlags::EFD_CLOEXEC).expect("an eventfd")
}

fn share(fd: &EventFd) -> OwnedFd {
    fd.as_fd().try_clone_to_owned().expect("a copy of an eventfd")
}

fn wait(fd: &OwnedFd) {
    let mut count = [0; 8];
    nix::unistd::read(fd, &mut count).expect("an eventfd is read");
}

fn ring(fd: &OwnedFd) {
    nix::unistd::write(fd, &1_u64.to_ne_bytes()).expect("an eventfd takes it");
}

/// There and back: our wake of a thread that sleeps on an eventfd, whose task rings another one.
fn asleep() -> impl FnMut(&mut Span) {
    let (bell, back) = (Arc::new(Bell(eventfd())), eventfd());
    let (bed, answer) = (share(&bell.0), share(&back));
    let (task, stop, thread) =
        owner(Waker::from(Arc::clone(&bell)), move || wait(&bed), move || ring(&answer));
    let answer = share(&back);
    wait(&answer); // of the first run
    let owner = Owner { stop, thread: Some(thread) };
    move |span| {
        let (_keep, _fd) = (&owner, &back);
        let start = clock();
        for _ in 0..span.operations {
            task.wake(Woken::MSG);
            wait(&answer);
        }
        span.charge(clock() - start);
    }
}

/// There and back with eventfds alone.
#[expect(clippy::disallowed_methods, reason = "a benchmark of threads needs them")]
fn eventfd_pair() -> impl FnMut(&mut Span) {
    let (there, back) = (eventfd(), eventfd());
    let (bed, answer) = (share(&there), share(&back));
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let thread = thread::spawn(move || {
        while !stopped.load(Ordering::Relaxed) {
            wait(&bed);
            ring(&answer);
        }
    });
    let owner = Owner { stop, thread: Some(thread) };
    let (call, answer) = (share(&there), share(&back));
    move |span| {
        let _keep = &owner;
        let start = clock();
        for _ in 0..span.operations {
            ring(&call);
            wait(&answer);
        }
        span.charge(clock() - start);
    }
}
