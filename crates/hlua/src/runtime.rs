//! Lua VMs and the door to them: load scripts, look at what they registered, run what they registered.
//!
//! Two kinds of VM, and a worker may have both: the per-thread VM (`lua-load-per-thread`), which never leaves its
//! thread and has no lock, and the shared VM (`lua-load`), one for all threads behind one mutex. The mutex is taken
//! once a resume. An execution that finds it taken is parked and woken when it is free; a fetch or converter, which
//! cannot wait, blocks its thread for it.

use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use crate::context::ContextKind;
use crate::event_runner::EventRunner;
use crate::execution::{Ended, Execution};
use crate::garbage::Garbage;
use crate::host::{Core, Lent, Level, Txn, Value};
use crate::limits::{Config, Interrupter, Preemption};
use crate::raw::machine;
use crate::shared::{Held, Shared, SharedVm, Ticket, WorkerId};
use crate::usage::VmUsage;
use crate::value::Out;
use crate::vm::{Job, Startup, Vm, VmState, Worker};
use crate::{Error, FunctionKind, Registry};

/// Which VM a function lives in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VmKind {
    /// `lua-load-per-thread`
    PerThread,
    /// `lua-load`
    Shared,
}

/// A worker's view of one VM: `!Send`, cheap to clone.
#[derive(Clone)]
pub struct Runtime {
    vm: VmRef,
    pub(crate) worker: Rc<Worker>,
}

#[derive(Clone)]
enum VmRef {
    Local(Rc<Vm>),
    Shared(Arc<Shared>),
}

/// A registered function with the arguments of one configuration rule: what [`Runtime::start`],
/// [`Runtime::fetch`] and [`Runtime::convert`] run. Valid for the runtime that made it and its clones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallSite(u32);

impl Runtime {
    /// Makes a per-thread VM. `thread` is what `core.thread` gives, from 1.
    ///
    /// # Errors
    /// [`Error::Load`] if a setting is unusable.
    pub fn per_thread(config: &Config, core: Rc<dyn Core>, thread: u32) -> Result<Runtime, Error> {
        Ok(Runtime::new(VmRef::Local(Rc::new(Vm::new(config, thread)?)), core))
    }

    /// This worker's view of the shared VM; `core.thread` is 0 in it. One a worker.
    pub fn shared(vm: &SharedVm, core: Rc<dyn Core>) -> Runtime {
        Runtime::new(VmRef::Shared(vm.0.clone()), core)
    }

    fn new(vm: VmRef, core: Rc<dyn Core>) -> Runtime {
        let worker = Rc::new(Worker {
            core,
            beat: Arc::default(),
            sockets: Default::default(),
            unnamed: Rc::from(""),
            sites: Default::default(),
        });
        Runtime { vm, worker }
    }

    /// The host of the worker it runs on.
    pub fn core(&self) -> &dyn Core {
        &*self.worker.core
    }

    /// Which VM this is.
    pub fn kind(&self) -> VmKind {
        match self.vm {
            VmRef::Local(_) => VmKind::PerThread,
            VmRef::Shared(_) => VmKind::Shared,
        }
    }

    /// Takes over settings that changed since the VM was made, for what runs from now on; `open_libs` and
    /// `prepend_paths` are not looked at. On the shared VM this blocks for the lock.
    pub fn apply(&self, config: &Config) {
        self.with(|vm| vm.apply(config));
    }

    /// Puts a path in front of `package.path` (`kind` is `path`) or `package.cpath` (`cpath`).
    ///
    /// # Errors
    /// [`Error::Load`] if the script has made something else of the `package` library.
    pub fn prepend_path(&self, kind: &str, path: &str) -> Result<(), Error> {
        self.with(|vm| vm.prepend_path(kind, path))
    }

    // ---- loading -------------------------------------------------------------------------------------------------

    /// Reads and runs a script's main chunk, with `args` as its `...`. Body context.
    ///
    /// # Errors
    /// The script's, with HAProxy's text.
    pub fn load_file(&self, path: &Path, args: &[String]) -> Result<(), Error> {
        let shown = path.display();
        let source = std::fs::read(path).map_err(|error| {
            // The system's words, without its number.
            let why = error.to_string();
            let why = why.split(" (os error").next().unwrap_or_default();
            Error::Load(format!("cannot open {shown}: {why}"))
        })?;
        self.load_source(&shown.to_string(), &source, args)
    }

    /// The same for a script in memory; `name` stands where the path would.
    ///
    /// # Errors
    /// As [`load_file`](Self::load_file).
    pub fn load_source(&self, name: &str, source: &[u8], args: &[String]) -> Result<(), Error> {
        let chunk = self.compile(name, source)?;
        let args = args.iter().map(|arg| Out::text(arg.as_str())).collect();
        let mut execution = Execution::of_values(self.clone(), ContextKind::Body, chunk, args);
        let result = execution.run_through(Lent::Nothing).1;
        self.garbage().add(crate::garbage::Dropped::Reference(chunk));
        result.map(|_| ()).map_err(load_error)
    }

    /// A registry reference to the compiled chunk.
    pub(crate) fn compile(&self, name: &str, source: &[u8]) -> Result<i32, Error> {
        self.with(|vm| {
            let vm = &*vm.state;
            let out_of_memory = || Error::Memory { function: "Lua".into() };
            let coroutine = vm.coroutine().ok_or_else(out_of_memory)?;
            let loaded = coroutine.load(vm, &format!("@{name}"), without_shebang(source));
            let reference = match loaded {
                Ok(()) => coroutine
                    .stack(vm, 0)
                    .and_then(|mut stack| stack.make_ref().ok())
                    .ok_or_else(out_of_memory),
                Err(fault) => {
                    Err(Error::Load(format!("Lua syntax error: {}", fault.message.unwrap_or_default())))
                }
            };
            coroutine.discard(vm);
            reference
        })
    }

    /// What the scripts registered so far.
    pub fn registry(&self) -> Registry {
        self.with(|vm| vm.state.registry())
    }

    /// Runs the functions of `core.register_init`, in order. Once, after the configuration is read.
    ///
    /// # Errors
    /// The first that fails; the process should not start.
    pub fn run_init(&self) -> Result<(), Error> {
        let inits = self.with(|vm| std::mem::take(&mut *vm.state.inits.borrow_mut()));
        for function in inits {
            let name = self.worker.unnamed.clone();
            let job = Job { context: ContextKind::Init, name, function, args: Box::default() };
            Execution::of_job(self.clone(), job).run_through(Lent::Nothing).1?;
        }
        Ok(())
    }

    /// Hands the tasks and event handlers that wait for the scheduler to [`Core::spawn`]. Once a worker; of the
    /// shared VM the first worker gets them.
    ///
    /// # Errors
    /// [`Error::Host`] if the host cannot spawn.
    pub fn start_tasks(&self) -> Result<(), Error> {
        let waiting = self.with(|vm| {
            vm.state.went_up.set(true);
            std::mem::take(&mut *vm.state.startup.borrow_mut())
        });
        for item in waiting {
            self.start_one(item)?;
        }
        Ok(())
    }

    fn start_one(&self, item: Startup) -> Result<(), Error> {
        match item {
            Startup::Task(job) => {
                let execution = Execution::of_job(self.clone(), job);
                self.worker.core.spawn(Box::pin(Background(execution)))?;
            }
            // A host without tasks leaves it to the collector alone.
            Startup::Reap => drop(self.worker.core.spawn(Box::pin(crate::reaper::run(self.clone())))),
            Startup::Events { scope, names, handler, id } => {
                let core = &self.worker.core;
                let events = core.events().ok_or(crate::host::HostError::Unsupported("events"))?;
                let subscribed = events.subscribe(scope, &names)?;
                self.with(|vm| vm.state.subscriptions.borrow_mut().insert(id, Some(subscribed.handle)));
                let runner = EventRunner::new(self.clone(), subscribed.events, handler, id);
                core.spawn(Box::pin(runner))?;
            }
        }
        Ok(())
    }

    /// Starts what a run asked for while the process is up; waits for [`start_tasks`](Self::start_tasks) before.
    pub(crate) fn start_new_tasks(&self) {
        let ready = self.with_if_free(|vm| {
            let state = &*vm.state;
            let idle = state.run.handle.get() == 0 || !state.run.context.get().is_start();
            let any = state.went_up.get() && idle && !state.startup.borrow().is_empty();
            if any { std::mem::take(&mut *state.startup.borrow_mut()) } else { Vec::new() }
        });
        for item in ready.into_iter().flatten() {
            if let Err(error) = self.start_one(item) {
                self.worker.core.log(Level::Alert, &error.to_string());
            }
        }
    }

    // ---- calls ---------------------------------------------------------------------------------------------------

    /// Binds a registered function to a rule's arguments.
    ///
    /// # Errors
    /// [`Error::Unknown`].
    pub fn call_site(&self, kind: &FunctionKind, name: &str, args: &[&[u8]]) -> Result<CallSite, Error> {
        let job = self.with(|vm| bind(&vm.state, kind, name, args))?;
        let mut sites = self.worker.sites.borrow_mut();
        sites.push(Rc::new(job));
        let site = u32::try_from(sites.len() - 1).expect("invariant: a configuration has fewer rules");
        Ok(CallSite(site))
    }

    /// Begins a run of an action or service; nothing runs before the first poll.
    ///
    /// # Panics
    /// If `site` is another runtime's.
    pub fn start(&self, site: CallSite) -> Execution {
        let job = self.worker.sites.borrow()[site.0 as usize].clone();
        Execution::of_site(self.clone(), job)
    }

    /// The same with arguments of this run alone, instead of the site's: the words of a command.
    ///
    /// # Panics
    /// If `site` is another runtime's.
    pub fn start_with(&self, site: CallSite, args: &[&[u8]]) -> Execution {
        let job = self.worker.sites.borrow()[site.0 as usize].clone();
        Execution::of_site_with(self.clone(), &job, args.iter().map(|arg| Out::text(*arg)).collect())
    }

    /// Runs a sample fetch to its end. `None`: no sample. May not yield; on the shared VM it blocks for the lock.
    ///
    /// # Errors
    /// As [`Execution::poll`]; the caller logs it and takes it as no sample.
    pub fn fetch(
        &self,
        site: CallSite,
        txn: Box<dyn Txn>,
        now: Instant,
    ) -> (Box<dyn Txn>, Result<Option<Value<'static>>, Error>) {
        let _ = now;
        let (lent, result) = self.start(site).run_through(Lent::Txn(txn));
        let txn = lent.into_txn().expect("invariant: what was lent comes back");
        (txn, result.map(first_value))
    }

    /// Runs a converter to its end; as [`fetch`](Self::fetch), without a TXN.
    ///
    /// # Errors
    /// As [`fetch`](Self::fetch).
    pub fn convert(
        &self,
        site: CallSite,
        input: Value<'_>,
        now: Instant,
    ) -> Result<Option<Value<'static>>, Error> {
        let _ = now;
        self.start(site).run_through_with(Lent::Nothing, Some(&input)).1.map(first_value)
    }

    /// The handle with which a watchdog thread stops this worker's long runs
    /// ([`Preemption::OnDemand`](crate::Preemption)). Call it on the thread that runs the worker; a `fork` gives that
    /// another number.
    pub fn interrupter(&self) -> Interrupter {
        let (preempts, usage) = self.with(|vm| {
            let preempts = vm.state.preemption.get() == Preemption::OnDemand;
            (preempts, vm.state.usage.shared().clone())
        });
        Interrupter::here(self.worker.beat.clone(), preempts, usage)
    }

    /// What this VM's functions cost so far; readable from any thread. On the shared VM this blocks for the lock.
    pub fn usage(&self) -> VmUsage {
        self.with(|vm| vm.state.usage.shared().clone())
    }

    // ---- entering the VM -----------------------------------------------------------------------------------------

    pub(crate) fn garbage(&self) -> &Arc<Garbage> {
        match &self.vm {
            VmRef::Local(vm) => &vm.state.garbage,
            VmRef::Shared(shared) => &shared.garbage,
        }
    }

    fn inside<R>(&self, vm: &Vm, shared: bool, f: impl FnOnce(&Vm) -> R) -> R {
        let outermost = vm.state.run.handle.get() == 0;
        vm.open(&self.worker);
        if outermost {
            self.worker.beat.tick();
        }
        let result = f(vm);
        if outermost {
            self.worker.beat.tick();
        }
        vm.close(shared);
        result
    }

    /// Runs `f` in the VM, blocking for the shared VM's lock.
    pub(crate) fn with<R>(&self, f: impl FnOnce(&Vm) -> R) -> R {
        match &self.vm {
            VmRef::Local(vm) => self.inside(vm, false, f),
            VmRef::Shared(shared) => self.held(shared, shared.hold(), f),
        }
    }

    /// Runs `f` in the VM if it is free at once.
    fn with_if_free<R>(&self, f: impl FnOnce(&Vm) -> R) -> Option<R> {
        match &self.vm {
            VmRef::Local(vm) => Some(self.inside(vm, false, f)),
            VmRef::Shared(shared) => Some(self.held(shared, shared.try_hold()?, f)),
        }
    }

    /// Runs `f` in the VM, or sees to it that `cx` is woken when it is free; `place` is kept until the next try.
    pub(crate) fn try_with<R>(
        &self,
        cx: &mut Context<'_>,
        place: &mut Option<Ticket>,
        f: impl FnOnce(&Vm) -> R,
    ) -> Option<R> {
        match &self.vm {
            VmRef::Local(vm) => Some(self.inside(vm, false, f)),
            VmRef::Shared(shared) => {
                let held = shared.hold_or_wait(self.worker_id(), place, cx.waker())?;
                Some(self.held(shared, held, f))
            }
        }
    }

    fn held<R>(&self, shared: &Shared, held: Held<'_>, f: impl FnOnce(&Vm) -> R) -> R {
        let result = self.inside(held.vm(), true, f);
        drop(held);
        shared.call_next(self.worker_id());
        result
    }

    /// Who waited for the VM is gone.
    pub(crate) fn leave(&self, ticket: Ticket) {
        if let VmRef::Shared(shared) = &self.vm {
            shared.leave(self.worker_id(), ticket);
        }
    }

    /// Its worker's address, which no other has as long as this one lives.
    fn worker_id(&self) -> WorkerId {
        WorkerId(Rc::as_ptr(&self.worker).addr())
    }
}

/// A registered function and its arguments, as references into the VM.
fn bind(vm: &VmState, kind: &FunctionKind, name: &str, args: &[&[u8]]) -> Result<Job, Error> {
    let unknown = || Error::Unknown { kind: kind.to_string(), name: name.to_string() };
    let function = vm.find(kind, name).ok_or_else(unknown)?;
    let mut stack = machine::main_stack(vm);
    let mut references = Vec::new();
    for arg in args {
        let reference = stack.push_bytes(arg).and_then(|()| stack.make_ref());
        references.push(reference.map_err(|_| Error::Memory { function: "Lua".into() })?);
    }
    Ok(Job { context: kind.context(), name: Rc::from(name), function, args: references.into() })
}

/// A task from its start to its end; an error is one log line.
///
/// By hand: an async block would have room for the execution twice, and there may be many that sleep.
struct Background(Execution);

impl Future for Background {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let worker = self.0.runtime().worker.clone();
        let end = ready!(self.0.poll(Lent::Nothing, worker.core.now(), cx).1);
        if let Err(error) = end {
            worker.core.log(Level::Alert, &error.to_string());
        }
        Poll::Ready(())
    }
}

fn first_value(ended: Ended) -> Option<Value<'static>> {
    ended.values.first
}

/// A main chunk's error as the configuration parser shows it.
fn load_error(error: Error) -> Error {
    match error {
        Error::Script { message, .. } => Error::Load(format!("Lua {}", without_state_id(&message))),
        Error::Memory { .. } => Error::Load("Lua out of memory error".into()),
        other => other,
    }
}

fn without_state_id(message: &str) -> &str {
    message.split_once("] ").map_or(message, |(_, rest)| rest)
}

/// A first line that starts with `#` is for the shell.
fn without_shebang(source: &[u8]) -> &[u8] {
    if source.first() != Some(&b'#') {
        return source;
    }
    let end = source.iter().position(|byte| *byte == b'\n').unwrap_or(source.len());
    &source[end..]
}
