//! One run of one Lua function that may yield.
//!
//! ```text
//! Fresh ──poll──▶ runs ──returns──▶ Over
//!                  │ ▲
//!         waits    ▼ │ results
//!               Waiting ──ready, VM busy──▶ Ready
//! ```
//! While it waits, the coroutine is parked in the VM and the operation is here, on the worker.

use std::ffi::{c_int, c_void};
use std::num::NonZero;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::api::Class;
use crate::context::ContextKind;
use crate::garbage::Dropped;
use crate::host::{Lent, Value};
use crate::members::{self, Places};
use crate::op::{Means, Op, Results};
use crate::raw::machine::{self, Coroutine, Step};
use crate::raw::stack::Stack;
use crate::shared::Ticket;
use crate::value::Out;
use crate::vm::{Job, Vm, VmState};
use crate::{Error, Failure, Runtime};

/// One run of an action, service, task or handler: begin it with [`Runtime::start`], poll it to its end.
///
/// Dropping it ends the run wherever it waits; what the script holds is collected when the VM runs next.
pub struct Execution {
    runtime: Runtime,
    inner: Inner,
}

/// All but the way into the VM. There may be as many as tasks that sleep: it is to be small.
struct Inner {
    state: State,
    context: ContextKind,
    name: Rc<str>,
    handle: i64,
    used_ns: u64,
    started: bool,
    /// The first result is kept if it is a table, for whoever made this run.
    keeps_table: bool,
    table: Option<NonZero<c_int>>,
    /// What wakes its `core.wait`.
    alarm: Option<std::sync::Arc<crate::op::Alarm>>,
    /// The run asked for tasks or handlers to be started.
    wants_tasks: bool,
    /// The members that are in its own object.
    touched: Places,
    /// Its place among those who wait for the VM.
    place: Option<Ticket>,
    /// What its runs are counted as.
    counted: u32,
}

enum State {
    Fresh { function: c_int, args: Args },
    Waiting { slot: u32, op: Op },
    Ready { slot: u32, results: Results },
    Over,
}

/// A coroutine ready to be resumed.
struct Loaded {
    coroutine: Coroutine,
    args: c_int,
    /// Where the run's own object is.
    own: *const c_void,
    /// When its slice began, if that counts already.
    start: Option<Instant>,
    /// What the operation it waited for failed with.
    error: Option<String>,
}

/// What a run is called with, after its object.
pub(crate) enum Args {
    Site(Rc<Job>),
    References(Box<[c_int]>),
    /// References that end, with the function's, when the run begins.
    Owned(Box<[c_int]>),
    Values(Box<[Out]>),
    /// A callback of a filter: its instance, then what the callback gets beside the TXN.
    Filter(crate::filter::Running, c_int),
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcome {
    /// What the function returned. For an action the first is its `act.…` code.
    pub values: Vec<Value<'static>>,
    /// `txn:done()` was called: the transaction ends here.
    pub done: bool,
    /// `act.wake_time(ms)` was called.
    pub wake_after: Option<Duration>,
    /// A filter's callback registered or unregistered itself for payload of requests and responses.
    pub filter_data: [Option<bool>; 2],
}

/// The same inside this crate: most functions return one value or none, which takes no memory of its own.
pub(crate) struct Ended {
    pub(crate) values: Values,
    pub(crate) done: bool,
    pub(crate) wake_after: Option<Duration>,
    pub(crate) filter_data: [Option<bool>; 2],
}

/// What a function returned.
#[derive(Default)]
pub(crate) struct Values {
    pub(crate) first: Option<Value<'static>>,
    rest: Vec<Value<'static>>,
}

impl Values {
    fn into_vec(self) -> Vec<Value<'static>> {
        let mut values = self.rest;
        if let Some(first) = self.first {
            values.insert(0, first);
        }
        values
    }
}

impl From<Ended> for Outcome {
    fn from(ended: Ended) -> Self {
        let Ended { values, done, wake_after, filter_data } = ended;
        Outcome { values: values.into_vec(), done, wake_after, filter_data }
    }
}

impl Outcome {
    /// The `act.…` code of an action; 0 (`act.CONTINUE`) if it returned none.
    pub fn action_code(&self) -> i64 {
        match self.values.first() {
            Some(Value::Int(code)) => *code,
            _ => 0,
        }
    }
}

impl Execution {
    pub(crate) fn of_site(runtime: Runtime, job: Rc<Job>) -> Execution {
        let (context, name, function) = (job.context, job.name.clone(), job.function);
        Execution::new(runtime, context, name, function, Args::Site(job))
    }

    /// The same function with other arguments.
    pub(crate) fn of_site_with(runtime: Runtime, job: &Job, args: Vec<Out>) -> Execution {
        Execution::new(runtime, job.context, job.name.clone(), job.function, Args::Values(args.into()))
    }

    /// A run that owns its function and arguments.
    pub(crate) fn of_job(runtime: Runtime, job: Job) -> Execution {
        Execution::new(runtime, job.context, job.name, job.function, Args::Owned(job.args))
    }

    pub(crate) fn of_values(
        runtime: Runtime,
        context: ContextKind,
        function: c_int,
        values: Vec<Out>,
    ) -> Execution {
        let name = runtime.worker.unnamed.clone();
        Execution::new(runtime, context, name, function, Args::Values(values.into()))
    }

    fn new(runtime: Runtime, context: ContextKind, name: Rc<str>, function: c_int, args: Args) -> Execution {
        let state = State::Fresh { function, args };
        let inner = Inner {
            state,
            context,
            name,
            handle: 0,
            used_ns: 0,
            started: false,
            keeps_table: false,
            table: None,
            alarm: None,
            wants_tasks: false,
            touched: 0,
            place: None,
            counted: 0,
        };
        Execution { runtime, inner }
    }

    pub(crate) fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// A run of Filter context that makes something: gives how it ended and a reference to the table it returned.
    pub(crate) fn make_table(
        runtime: &Runtime,
        name: Rc<str>,
        function: c_int,
        args: Args,
    ) -> Result<(Ended, Option<c_int>), Error> {
        let mut run = Execution::new(runtime.clone(), ContextKind::Filter, name, function, args);
        run.inner.keeps_table = true;
        let outcome = run.run_through(Lent::Nothing).1?;
        Ok((outcome, run.inner.table.take().map(NonZero::get)))
    }

    /// A run of a filter's callback.
    pub(crate) fn of_filter(
        runtime: Runtime,
        name: Rc<str>,
        running: crate::filter::Running,
        object: c_int,
    ) -> Execution {
        Execution::new(runtime, ContextKind::Filter, name, 0, Args::Filter(running, object))
    }

    /// Runs until the script ends, fails or must wait.
    ///
    /// `lent` goes in with every poll and comes back with every answer; while the answer is `Pending` the script
    /// has no way to reach it. `now` is the worker's current instant. Pending always has `cx` registered.
    /// On the shared VM, Pending may also mean that another worker runs it: this one is woken when it is free.
    ///
    /// # Errors
    /// The run is over; the text is ready to log.
    pub fn poll(
        &mut self,
        mut lent: Lent,
        now: Instant,
        cx: &mut Context<'_>,
    ) -> (Lent, Poll<Result<Outcome, Error>>) {
        let _ = now;
        loop {
            if let State::Waiting { slot, op } = &mut self.inner.state {
                let mut means = Means { worker: &self.runtime.worker, lent: &mut lent, cx };
                match op.poll(&mut means) {
                    Poll::Pending => return (lent, Poll::Pending),
                    Poll::Ready(results) => self.inner.state = State::Ready { slot: *slot, results },
                }
            }
            let inner = &mut self.inner;
            let mut place = inner.place.take();
            let entered = self.runtime.try_with(cx, &mut place, |vm| {
                let (back, ended) = inner.run(vm, std::mem::take(&mut lent), None);
                lent = back;
                ended
            });
            self.inner.place = place;
            self.start_tasks();
            match entered {
                None => return (lent, Poll::Pending),
                Some(None) => {}
                Some(Some(result)) => {
                    self.finish();
                    return (lent, Poll::Ready(result.map(Outcome::from)));
                }
            }
        }
    }

    /// Runs to the end at once, where waiting is not possible; blocks for the shared VM's lock.
    pub(crate) fn run_through(&mut self, lent: Lent) -> (Lent, Result<Ended, Error>) {
        self.run_through_with(lent, None)
    }

    /// The same with a converter's input before the arguments.
    pub(crate) fn run_through_with(
        &mut self,
        lent: Lent,
        input: Option<&Value<'_>>,
    ) -> (Lent, Result<Ended, Error>) {
        let (lent, ended) = self.runtime.with(|vm| self.inner.run(vm, lent, input));
        self.finish();
        let impossible =
            || Error::Internal { function: self.inner.label(), message: "a run did not end".into() };
        (lent, ended.unwrap_or_else(|| Err(impossible())))
    }

    fn finish(&mut self) {
        self.inner.state = State::Over;
        self.start_tasks();
    }

    /// Starts what the last stretch asked for: not only at the end, which may never come.
    fn start_tasks(&mut self) {
        if std::mem::take(&mut self.inner.wants_tasks) {
            self.runtime.start_new_tasks();
        }
    }
}

impl Inner {
    fn label(&self) -> String {
        self.context.label(&self.name)
    }

    /// One stretch inside the VM. None: it waits, and the state says for what.
    fn run(
        &mut self,
        vm: &Vm,
        mut lent: Lent,
        input: Option<&Value<'_>>,
    ) -> (Lent, Option<Result<Ended, Error>>) {
        let state = &*vm.state;
        let Loaded { mut coroutine, args, own, start, error } = match self.load(state, &mut lent, input) {
            Ok(loaded) => loaded,
            Err(error) => return (lent, Some(Err(error))),
        };
        let outer = state.begin_run(self.handle, self.context, Duration::from_nanos(self.used_ns), start);
        let before = state.usage.enter(self.counted);
        state.run.slot.set(coroutine.slot());
        state.run.objects.set(own, coroutine.members.as_deref(), self.touched);
        state.run.touched.set(self.touched);
        state.run.members.set(coroutine.members.take());
        state.run.op_error.set(error);
        state.run.started.set(self.started);
        state.run.alarm.set(self.alarm.take());
        state.run.lent.set(lent);
        let step = coroutine.resume(state, args);
        let mut lent = state.run.lent.take();
        coroutine.members = state.run.members.take();
        if state.run.touched.get() != self.touched {
            self.touched = state.run.touched.get();
            state.touch(self.counted, self.touched);
        }
        self.started = state.run.started.get();
        self.alarm = state.run.alarm.take();
        let ended = self.settle(state, coroutine, step, &mut lent);
        state.usage.leave(before);
        let used = state.end_run(outer, ended.is_none());
        self.used_ns = u64::try_from(used.as_nanos()).unwrap_or(u64::MAX);
        self.wants_tasks |= state.went_up.get() && !state.startup.borrow().is_empty();
        (lent, ended)
    }

    /// The coroutine with its arguments on its stack.
    fn load(&mut self, vm: &VmState, lent: &mut Lent, input: Option<&Value<'_>>) -> Result<Loaded, Error> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Fresh { function, args } => {
                self.handle = vm.new_handle();
                // What is run once is not looked for by its reference.
                let lasting = !matches!(args, Args::Owned(_));
                self.counted = vm.counted_as(function, self.context, &self.name, lasting);
                vm.usage.count_call(self.counted);
                let mut coroutine = vm.coroutine().ok_or_else(|| self.out_of_memory())?;
                let pushed = self.push_call(vm, &mut coroutine, (function, &args, input), lent);
                if let Args::Owned(references) = args {
                    machine::unref(vm, function);
                    references.into_iter().for_each(|reference| machine::unref(vm, reference));
                }
                match pushed {
                    Some((args, own)) => Ok(Loaded { coroutine, args, own, start: None, error: None }),
                    None => {
                        coroutine.discard(vm);
                        Err(self.out_of_memory())
                    }
                }
            }
            State::Ready { slot, results } => {
                let coroutine = vm.unpark(slot).expect("invariant: a waiting run is parked");
                let own = coroutine.dress(vm, class_of(lent));
                let start = Some(vm.worker().core.now());
                match results {
                    Ok(values) => match push_all(vm, &coroutine, &values) {
                        Some(args) => Ok(Loaded { coroutine, args, own, start, error: None }),
                        None => {
                            coroutine.discard(vm);
                            Err(self.out_of_memory())
                        }
                    },
                    Err(text) => Ok(Loaded { coroutine, args: 0, own, start, error: Some(text) }),
                }
            }
            State::Waiting { .. } | State::Over => {
                let message = "polled after its end".to_string();
                Err(Error::Internal { function: self.label(), message })
            }
        }
    }

    fn out_of_memory(&self) -> Error {
        Error::Memory { function: self.label() }
    }

    /// Pushes function, object and arguments; gives the number of both and where the object is. None for lack of
    /// memory.
    fn push_call(
        &mut self,
        vm: &VmState,
        coroutine: &mut Coroutine,
        (function, args, input): (c_int, &Args, Option<&Value<'_>>),
        lent: &mut Lent,
    ) -> Option<(c_int, *const c_void)> {
        let (mut count, mut own) = (0, std::ptr::null());
        let room = match args {
            Args::Site(job) => job.args.len() + 1,
            Args::References(references) | Args::Owned(references) => references.len(),
            Args::Values(values) => values.len(),
            Args::Filter(..) => 8,
        };
        let mut stack = coroutine.stack(vm, room)?;
        if let Args::Filter(running, object) = args {
            vm.run.filter.set(*running);
            let pushed = crate::filter::push_call(&mut stack, coroutine, (*running, *object), self.handle);
            return Some((pushed?, own));
        }
        stack.push_ref(function);
        if !matches!(lent, Lent::Nothing) {
            let wanted = wanted_members(vm, self.counted, lent);
            let kept = coroutine.members.as_deref();
            self.touched = stack.push_own(class_of(lent), self.handle, kept, wanted).ok()?;
            own = coroutine.keep_object(vm)?;
            count += 1;
        }
        if input.is_some() {
            stack.push_text(input).ok()?;
            count += 1;
        }
        let references = match args {
            Args::Site(job) => &*job.args,
            Args::References(references) | Args::Owned(references) => references,
            Args::Values(_) | Args::Filter(..) => &[],
        };
        for reference in references {
            stack.push_ref(*reference);
            count += 1;
        }
        if let Args::Values(values) = args {
            count += push_values(&mut stack, values)?;
        }
        Some((count, own))
    }

    /// What the step means: the end, or something to wait for (None).
    fn settle(
        &mut self,
        vm: &VmState,
        coroutine: Coroutine,
        step: Step,
        lent: &mut Lent,
    ) -> Option<Result<Ended, Error>> {
        let result = match step {
            Step::Suspended | Step::Strayed => {
                let op = vm.run.op.take().unwrap_or(Op::Turn { taken: false });
                coroutine.dress(vm, Class::Stale);
                if self.context.may_yield() {
                    vm.usage.count_yield(self.counted, vm.run.preempted.get());
                    self.state = State::Waiting { slot: vm.park(coroutine), op };
                    return None;
                }
                let (frames, arguments) = coroutine.calls();
                coroutine.discard(vm);
                let error = self.may_not_wait(vm, matches!(step, Step::Strayed));
                self.report(vm, lent, &error, frames, arguments);
                Err(error)
            }
            Step::Finished(count) => {
                let values = read_values(vm, &coroutine, count);
                if self.keeps_table && count > 0 {
                    self.table = keep_table(vm, &coroutine, count).and_then(NonZero::new);
                }
                vm.give_back(coroutine);
                vm.reaper.run_ended(vm);
                Ok(values)
            }
            Step::Failed(mut fault) => {
                let (frames, arguments) =
                    (std::mem::take(&mut fault.frames), std::mem::take(&mut fault.arguments));
                coroutine.dress(vm, Class::Stale);
                let exited = vm.run.exit.get() && !vm.run.killed();
                coroutine.discard(vm);
                if fault.memory {
                    machine::collect(vm);
                }
                if exited {
                    Ok(Values { first: vm.run.exit_value.take(), rest: Vec::new() })
                } else {
                    let error = vm.error(self.label(), fault);
                    self.report(vm, lent, &error, frames, arguments);
                    Err(error)
                }
            }
        };
        Some(result.map(|values| Ended {
            values,
            done: vm.run.done.take(),
            wake_after: vm.run.wake_after.take(),
            filter_data: if self.context == ContextKind::Filter {
                vm.run.filter.get().data
            } else {
                [None; 2]
            },
        }))
    }

    /// Counts a failure and tells the host of it.
    fn report(
        &self,
        vm: &VmState,
        lent: &mut Lent,
        error: &Error,
        traceback: Vec<String>,
        arguments: Vec<String>,
    ) {
        vm.usage.count_error(self.counted);
        let failure = Failure {
            function: self.label(),
            context: self.context,
            vm: vm.thread,
            message: error.to_string(),
            traceback,
            arguments,
            stream: lent.stream_id(),
        };
        vm.worker().core.failed(&failure);
    }

    fn may_not_wait(&self, vm: &VmState, strayed: bool) -> Error {
        let name = if strayed { "coroutine.yield" } else { vm.run.op_name.get() };
        Error::Yield {
            function: self.label(),
            message: format!("'{name}' waits, and {}", self.context.instead()),
        }
    }
}

impl Drop for Execution {
    fn drop(&mut self) {
        if let Some(ticket) = self.inner.place.take() {
            self.runtime.leave(ticket);
        }
        let garbage = self.runtime.garbage();
        match &self.inner.state {
            State::Waiting { slot, .. } | State::Ready { slot, .. } => garbage.add(Dropped::Suspended(*slot)),
            State::Fresh { function, args: Args::Owned(references) } => {
                for reference in references.iter().chain([function]) {
                    garbage.add(Dropped::Reference(*reference));
                }
            }
            State::Fresh { .. } | State::Over => {}
        }
    }
}

/// The members to put into a run's own object: those that its function touched before and that it may have now. While
/// what scripts reach is recorded, each is to be touched.
fn wanted_members(vm: &VmState, counted: u32, lent: &mut Lent) -> Places {
    let wanted = vm.touched(counted);
    if wanted == 0 || crate::record::is_on() {
        return 0;
    }
    let http = 1 << members::HTTP;
    match lent {
        Lent::Txn(txn) if wanted & http != 0 => wanted & !(http * Places::from(txn.http().is_none())),
        _ => wanted,
    }
}

/// The class of the object that stands for what is lent.
fn class_of(lent: &Lent) -> Class {
    match lent {
        Lent::AppletHttp(_) => Class::AppletHttp,
        Lent::AppletTcp(_) => Class::AppletTcp,
        Lent::Txn(_) | Lent::Nothing => Class::Txn,
    }
}

fn push_all(vm: &VmState, coroutine: &Coroutine, values: &[Out]) -> Option<c_int> {
    if values.is_empty() {
        // Making room would let the frame of a run that was stopped by the hook grow, a slot each time.
        return Some(0);
    }
    let mut stack = machine::main_stack(vm);
    let count = push_values(&mut stack, values)?;
    coroutine.take_from_main(vm, count).then_some(count)
}

fn push_values(stack: &mut Stack<'_>, values: &[Out]) -> Option<c_int> {
    for value in values {
        match value {
            Out::Int(int) => stack.push_int(*int),
            Out::Name(name) => stack.push_bytes(name.as_bytes()).ok()?,
            Out::Bytes(bytes) => stack.push_bytes(bytes).ok()?,
            other => stack.push_out(other).ok()?,
        }
    }
    c_int::try_from(values.len()).ok()
}

/// The `count` values on top of a finished coroutine.
fn read_values(vm: &VmState, coroutine: &Coroutine, count: c_int) -> Values {
    if count == 0 {
        return Values::default();
    }
    let Some(stack) = coroutine.stack(vm, 0) else { return Values::default() };
    let value = |index| stack.value(index).into_owned();
    Values { first: Some(value(-count)), rest: (-count..0).take(VALUES_MAX).skip(1).map(value).collect() }
}

/// A reference to the first of the `count` values on top of a finished coroutine, if it is a table.
fn keep_table(vm: &VmState, coroutine: &Coroutine, count: c_int) -> Option<c_int> {
    let mut stack = coroutine.stack(vm, 0)?;
    if !stack.is_table(-count) {
        return None;
    }
    stack.copy(-count);
    stack.make_ref().ok()
}

/// More results than anyone reads are left behind.
const VALUES_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::{Execution, Op};

    /// Each task that sleeps holds both.
    #[test]
    fn what_a_waiting_run_holds_is_small() {
        assert_eq!(size_of::<Op>(), 32);
        assert_eq!(size_of::<Execution>(), 128);
    }
}
