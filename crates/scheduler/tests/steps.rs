//! Random steps against a model (R05): every wake leads to a run that sees its reasons, no task runs
//! twice in a pass or after its end, and the timer that counts is the one set last.
//!
//! `SCHEDULER_STEPS` and `SCHEDULER_SEED` make it longer or repeat it; the seed is printed on failure.

mod support;

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::mpsc;
use std::task::{Context, Poll};
use std::time::Duration;

use scheduler::{Budget, Class, Handle, Scheduler, TaskHandle, TaskRef, Timer, Woken};
use support::start;

/// A small generator of chance (xorshift*): one seed, one run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }
    fn reason(&mut self) -> Woken {
        [Woken::IO, Woken::MSG, Woken::RES, Woken::OTHER, Woken::USER1][self.below(5) as usize]
    }
}

struct Task {
    handle: TaskRef,
    timer: Timer,
    /// Reasons given since its last run; `None`: it has no reason to run.
    pending: Option<Woken>,
    /// When it wants to be woken, and whether anybody listens for it.
    deadline: Option<u64>,
    listening: bool,
    /// Its timer has been due at the start of a pass since its last run: it may have been woken for it.
    was_due: bool,
    /// When the task's own timer is due; whether it was at the start of a pass, and has not been heard of.
    own: Option<u64>,
    own_due: bool,
    /// It may yet be heard of, although a run for the timer above may have been for it.
    own_maybe: bool,
    alive: bool,
    last_pass: u64,
}

impl Task {
    fn wake(&mut self, reasons: Woken) {
        if self.alive {
            self.pending = Some(self.pending.unwrap_or_default() | reasons);
        }
    }
}

struct Model {
    dice: Dice,
    tasks: Vec<Task>,
    handle: Handle,
    start: std::time::Instant,
    now: u64,
    pass: u64,
    runs: u64,
}

type Shared = Rc<RefCell<Model>>;

impl Model {
    fn set_timer(&mut self, which: usize, after: Option<u64>) {
        let task = &mut self.tasks[which];
        task.deadline = after.map(|after| self.now + after);
        task.timer.set(task.deadline.map(|at| self.start + Duration::from_nanos(at)));
    }

    fn set_own(&mut self, which: usize, after: Option<u64>) {
        let task = &mut self.tasks[which];
        if !task.alive {
            return;
        }
        task.own = after.map(|after| self.now + after);
        // One that is due, or was, may already have been heard by the scheduler.
        task.own_maybe |= task.own_due;
        task.own_due = false;
        task.handle.set_deadline(task.own.map(|at| self.start + Duration::from_nanos(at)));
    }

    fn random_deadline(&mut self) -> Option<u64> {
        match self.dice.below(6) {
            0 => None,
            1 => Some(0),
            2 => Some(self.dice.below(100)),
            3 | 4 => Some(self.dice.below(10_000_000)),
            _ => Some(self.dice.below(10_000_000_000)),
        }
    }

    /// What a task does when it runs; true if it ends.
    fn run(&mut self, own: usize, cx: &mut Context<'_>) -> bool {
        let (now, pass, woken) = (self.now, self.pass, self.handle.woken());
        let task = &mut self.tasks[own];
        assert!(task.alive, "task {own} runs after its end");
        assert!(task.last_pass < pass, "task {own} runs twice in a pass");
        task.last_pass = pass;
        let due = std::mem::take(&mut task.was_due) || task.own_due || task.own_maybe;
        if woken.contains(Woken::TIMER) && task.own_due {
            (task.own, task.own_due, task.own_maybe) = (None, false, true);
        }
        let pending = task.pending.take();
        let with_timer = pending.unwrap_or_default() | Woken::TIMER;
        let expected = pending == Some(woken) || (due && woken == with_timer);
        assert!(expected, "task {own} ran with {woken:?}, pending {pending:?}, due {due}");
        let expired = task.timer.poll_expired(cx).is_ready();
        assert_eq!(expired, task.deadline.is_some_and(|at| at <= now), "task {own}");
        task.listening = !expired;
        if expired {
            self.set_timer(own, None);
        }
        self.runs += 1;
        self.act(own, cx);
        self.dice.below(20) == 0
    }

    fn act(&mut self, own: usize, cx: &mut Context<'_>) {
        let other = self.dice.below(self.tasks.len() as u64) as usize;
        match self.dice.below(12) {
            0 => {
                cx.waker().wake_by_ref();
                self.tasks[own].wake(Woken::OTHER);
            }
            1 | 2 => self.wake(other),
            3 => self.kill(other),
            4 | 5 => {
                let after = self.random_deadline();
                self.set_timer(own, after);
            }
            6 => {
                let after = self.random_deadline();
                self.set_timer(other, after);
            }
            9 => {
                let (which, after) = ([own, other][self.dice.below(2) as usize], self.random_deadline());
                self.set_own(which, after);
            }
            7 => self.tasks[other].handle.set_nice(self.dice.below(2049) as i32 - 1024),
            8 => {
                let class = Class::ALL.get(self.dice.below(8) as usize).copied();
                self.tasks[other].handle.set_class(class);
            }
            _ => {}
        }
    }

    fn wake(&mut self, which: usize) {
        let reason = self.dice.reason();
        self.tasks[which].handle.wake(reason);
        self.tasks[which].wake(reason);
    }

    /// From inside a run: a sibling is freed at once, the running task when it returns.
    fn kill(&mut self, which: usize) {
        let task = &mut self.tasks[which];
        assert_eq!(task.handle.kill(), task.alive);
        task.alive = false;
        task.pending = None;
    }
}

fn spawn(shared: &Shared) {
    let mut model = shared.borrow_mut();
    let own = model.tasks.len();
    let inner = Rc::downgrade(shared);
    let future = poll_fn(move |cx| {
        let shared = inner.upgrade().expect("the model outlives the tasks");
        let mut model = shared.borrow_mut();
        if !model.run(own, cx) {
            return Poll::Pending;
        }
        model.tasks[own].alive = false;
        model.tasks[own].pending = None;
        Poll::Ready(())
    });
    let handle = match model.dice.below(2) {
        0 => model.handle.spawn("task", future),
        _ => model.handle.spawn_tasklet("tasklet", future),
    };
    let timer = model.handle.timer();
    let pending = Some(Woken::INIT);
    model.tasks.push(Task {
        handle,
        timer,
        pending,
        deadline: None,
        listening: false,
        was_due: false,
        own: None,
        own_due: false,
        own_maybe: false,
        alive: true,
        last_pass: 0,
    });
}

/// Something to be done by the other thread.
enum Order {
    Wake(TaskHandle, Woken),
    Kill(TaskHandle),
}

struct World {
    scheduler: Scheduler,
    shared: Shared,
    orders: mpsc::SyncSender<Order>,
    done: mpsc::Receiver<bool>,
}

impl World {
    fn pass(&mut self, budget: usize) -> bool {
        let now = {
            let mut model = self.shared.borrow_mut();
            model.pass += 1;
            let now = model.now;
            for task in &mut model.tasks {
                task.was_due |= task.listening && task.deadline.is_some_and(|at| at <= now);
                task.own_due |= task.alive && task.own.is_some_and(|at| at <= now);
            }
            model.start + Duration::from_nanos(model.now)
        };
        let outcome = self.scheduler.run(now, Budget::new(budget));
        assert_eq!(outcome.panicked, 0);
        assert!(outcome.ran <= budget + 3, "{} ran of {budget}", outcome.ran);
        outcome.more
    }

    fn elsewhere(&self, order: Order) -> bool {
        self.orders.send(order).expect("the other thread lives");
        self.done.recv().expect("the other thread lives")
    }

    fn step(&mut self) {
        let mut model = self.shared.borrow_mut();
        let count = model.tasks.len() as u64;
        let which = if count == 0 { 0 } else { model.dice.below(count) as usize };
        match model.dice.below(100) {
            _ if count == 0 => {
                drop(model);
                spawn(&self.shared);
            }
            0..10 if count < 40 => {
                drop(model);
                spawn(&self.shared);
            }
            0..40 => model.wake(which),
            40..43 => {
                let reason = model.dice.reason();
                let handle = model.tasks[which].handle.handle();
                self.elsewhere(Order::Wake(handle, reason));
                model.tasks[which].wake(reason);
            }
            43..45 => model.kill(which),
            45 => {
                let handle = model.tasks[which].handle.handle();
                let first = self.elsewhere(Order::Kill(handle));
                assert_eq!(first, model.tasks[which].alive);
                model.tasks[which].alive = false;
                model.tasks[which].pending = None;
            }
            46..56 => {
                let after = model.random_deadline();
                model.set_timer(which, after);
            }
            56..58 => {
                let after = model.random_deadline();
                model.set_own(which, after);
            }
            58..70 => model.now += model.dice.0 % 1_000_000,
            70..74 => {
                let next = model.handle.next_expiry();
                let all =
                    model.tasks.iter().flat_map(|task| [task.deadline, task.own.filter(|_| task.alive)]);
                let earliest = all.flatten().min();
                let next = next.map(|at| at.duration_since(model.start).as_nanos() as u64);
                assert!(earliest.is_none_or(|at| at <= model.now || next.is_some_and(|next| next <= at)));
                model.now = model.now.max(next.unwrap_or(0));
            }
            74..78 => {
                // The slot of a task that has ended may be used again by the next one.
                let ended = model.tasks.iter().position(|task| !task.alive);
                let gone = ended.filter(|at| *at + 1 == model.tasks.len()).map(|_| model.tasks.pop());
                drop(model);
                drop(gone);
            }
            78..82 => {
                drop(model);
                while self.pass(50) {}
                self.check_settled();
            }
            _ => {
                let budget = 1 + model.dice.below(20) as usize;
                drop(model);
                self.pass(budget);
            }
        }
    }

    fn check_settled(&self) {
        let mut model = self.shared.borrow_mut();
        let now = model.now;
        for (number, task) in model.tasks.iter_mut().enumerate() {
            assert_eq!(task.pending, None, "task {number} was woken and has not run");
            let missed = task.listening && task.deadline.is_some_and(|at| at <= now);
            assert!(!task.alive || !task.own_due, "the own timer of task {number} was lost");
            task.own_maybe = false;
            assert!(!task.alive || !missed, "the timer of task {number} was lost");
            assert_eq!(task.handle.is_finished(), !task.alive);
        }
        assert_eq!(self.scheduler.snapshot().live, model.tasks.iter().filter(|task| task.alive).count());
        assert_eq!(self.scheduler.snapshot().waiting, [0; 4]);
    }
}

fn obey(orders: &mpsc::Receiver<Order>, done: &mpsc::Sender<bool>) {
    while let Ok(order) = orders.recv() {
        let answer = match order {
            Order::Wake(task, reason) => {
                task.wake(reason);
                true
            }
            Order::Kill(task) => task.kill(),
        };
        if done.send(answer).is_err() {
            return;
        }
    }
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn random_steps_match_the_model() {
    steps(setting("SCHEDULER_STEPS", 300_000));
}

#[test]
#[ignore = "ten million steps take minutes: cargo xtask soak"]
fn ten_million_random_steps_match_the_model() {
    steps(10_000_000);
}

fn steps(steps: u64) {
    let first = setting("SCHEDULER_SEED", 1);
    const ROUND: u64 = 5_000;
    for seed in first..first + steps.div_ceil(ROUND) {
        println!("SCHEDULER_SEED={seed}");
        std::thread::scope(|s| {
            let (orders, to_obey) = mpsc::sync_channel(0);
            let (answers, done) = mpsc::channel();
            s.spawn(move || obey(&to_obey, &answers));
            let start = start();
            let scheduler = Scheduler::new(start);
            let dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
            let handle = scheduler.handle();
            let model = Model { dice, tasks: Vec::new(), handle, start, now: 0, pass: 0, runs: 0 };
            let mut world = World { scheduler, shared: Rc::new(RefCell::new(model)), orders, done };
            (0..ROUND).for_each(|_| world.step());
            while world.pass(50) {}
            world.check_settled();
            assert!(world.shared.borrow().runs > 100);
        });
    }
}
