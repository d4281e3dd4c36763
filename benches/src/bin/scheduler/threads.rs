//! Waking from another thread.

use std::future::poll_fn;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::task::{Poll, Wake, Waker};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use anyhow::Result;
use benches::{Contest, Row, Span};
use nix::sys::eventfd::{EfdFlags, EventFd};
use scheduler::{Budget, Scheduler, TaskHandle, Woken};

pub(crate) fn rows(contest: &mut Contest) -> Result<()> {
    contest.row(Row::new("cross-thread wake of an awake thread").goal_ns(300.0).uncounted().ours(awake))?;
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

/// The time a wake takes the thread that calls it, while the woken one never sleeps.
fn awake() -> impl FnMut(&mut Span) {
    let (task, stop, thread) = owner(Waker::noop().clone(), std::hint::spin_loop, || {});
    let owner = Owner { stop, thread: Some(thread) };
    move |span| {
        let _keep = &owner;
        let operations = span.operations;
        span.measure(|| (0..operations).for_each(|_| task.wake(Woken::MSG)));
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
