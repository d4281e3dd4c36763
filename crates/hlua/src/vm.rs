//! One VM's state on the Rust side, and what is true of the run that goes on in it.
//!
//! Everything here stays with its VM: per-thread VMs never leave their thread, the shared one is only reached with
//! its lock held. What belongs to a worker (its host, its sockets) is in [`Worker`], and is here only while that
//! worker runs the VM.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::ffi::{c_int, c_void};
use std::rc::Rc;
use std::sync::Arc;

use mlua::Lua;
use rustc_hash::FxHashMap;

use crate::api::{Class, Method};
use crate::context::ContextKind;
use crate::error::Error;
use crate::garbage::{Dropped, Garbage};
use crate::host::{Core, EventHandle};
use crate::interned::Interned;
use crate::judgement::Timeouts;
use crate::limits::{Beat, BoolSamples, Config, MemoryShare, Preemption};
use crate::members::Places;
use crate::op::SocketTable;
use crate::raw::entry::Bound;
use crate::raw::machine::{self, Coroutine, Fault};
use crate::registry::{FunctionInfo, FunctionKind, Registry};
use crate::run::Run;
use crate::usage::Usage;

/// A Lua VM and its state. INVARIANT: `lua` is dropped first, since closing it runs functions that use `state`.
pub(crate) struct Vm {
    lua: Lua,
    pub(crate) state: Box<VmState>,
}

/// One worker thread's side: its host and what only it may touch.
pub(crate) struct Worker {
    pub(crate) core: Rc<dyn Core>,
    pub(crate) beat: Arc<Beat>,
    pub(crate) sockets: RefCell<SocketTable>,
    /// The name of every run that has none.
    pub(crate) unnamed: Rc<str>,
    /// Functions bound to rules; never freed.
    pub(crate) sites: RefCell<Vec<Rc<Job>>>,
}

/// What scripts asked for at load time that only a scheduler can do.
pub(crate) enum Startup {
    Task(Job),
    Events {
        scope: crate::host::Scope,
        names: Vec<String>,
        handler: c_int,
        id: i64,
    },
    /// Collects dropped sockets a little later.
    Reap,
}

/// A function to run with arguments, both by registry reference.
pub(crate) struct Job {
    pub(crate) context: ContextKind,
    pub(crate) name: Rc<str>,
    pub(crate) function: c_int,
    pub(crate) args: Box<[c_int]>,
}

pub(crate) struct VmState {
    main: Cell<*mut c_void>,
    classes: RefCell<Vec<ClassTable>>,
    /// What the C functions of this VM point to; freed with it.
    bounds: RefCell<Vec<Rc<Bound>>>,
    /// The members that each function touched so far, by the number that it is counted as.
    touched: RefCell<Vec<Places>>,
    limited: Cell<bool>,
    memory: RefCell<Option<MemoryShare>>,
    pub(crate) bools: Cell<BoolSamples>,
    pub(crate) preemption: Cell<Preemption>,
    pub(crate) timeouts: Cell<Timeouts>,
    /// `core.thread`; 0 for the shared VM.
    pub(crate) thread: u32,
    /// Another VM of the same scripts does what happens once a process (event subscriptions at load).
    pub(crate) secondary: bool,
    worker: RefCell<Option<Rc<Worker>>>,
    pub(crate) run: Run,
    pool: RefCell<Vec<Coroutine>>,
    suspended: RefCell<Vec<Option<Coroutine>>>,
    free: RefCell<Vec<u32>>,
    /// What other owners dropped and this VM must free; filled from any thread.
    pub(crate) garbage: Arc<Garbage>,
    pub(crate) registered: RefCell<Vec<Registered>>,
    pub(crate) inits: RefCell<Vec<c_int>>,
    pub(crate) startup: RefCell<Vec<Startup>>,
    next_handle: Cell<i64>,
    pub(crate) servers: RefCell<Interned>,
    pub(crate) subscriptions: RefCell<FxHashMap<i64, Option<Box<dyn EventHandle>>>>,
    pub(crate) concats: crate::api::concat::Buffers,
    pub(crate) maps: RefCell<Vec<crate::api::map::Opened>>,
    pub(crate) patrefs: RefCell<FxHashMap<i64, crate::api::patref::Held>>,
    pub(crate) cursors: RefCell<FxHashMap<i64, crate::api::patref::Cursor>>,
    pub(crate) filters: RefCell<crate::api::filter::Filters>,
    pub(crate) queues: RefCell<FxHashMap<i64, crate::api::queue::Queue>>,
    pub(crate) regexes: RefCell<FxHashMap<i64, Arc<dyn crate::host::Regex>>>,
    /// Sockets collected while another worker than theirs ran this VM.
    orphans: RefCell<Vec<i64>>,
    pub(crate) usage: Usage,
    pub(crate) reaper: crate::reaper::Reaper,
    /// Tasks were started once: what is registered from now on starts at once.
    pub(crate) went_up: Cell<bool>,
}

/// A class's metatable: how to push it, and how to know it.
pub(crate) struct ClassTable {
    pub(crate) reference: c_int,
    pub(crate) address: *const c_void,
}

/// A function under a name.
pub(crate) struct Registered {
    pub(crate) info: FunctionInfo,
    pub(crate) function: c_int,
}

impl Vm {
    pub(crate) fn new(config: &Config, thread: u32) -> Result<Vm, Error> {
        let lua = machine::create(config)?;
        let state = Box::new(VmState::new(config, thread));
        state.main.set(machine::main_state(&lua));
        *state.classes.borrow_mut() = machine::install(&lua, &state)?;
        let vm = Vm { lua, state };
        for (kind, path) in &config.prepend_paths {
            vm.prepend_path(kind, path)?;
        }
        // Short-lived strings and tables are what scripts make: the collector that expects that.
        vm.lua.gc_set_mode(mlua::state::GcMode::Generational(mlua::state::GcGenParams::default()));
        vm.state.limited.set(config.memory.is_some());
        Ok(vm)
    }

    /// Takes over settings that changed while nothing runs. `open_libs` stays as the VM was made.
    pub(crate) fn apply(&self, config: &Config) {
        let state = &*self.state;
        state.bools.set(config.bool_samples);
        state.timeouts.set(Timeouts::of(config));
        if state.preemption.replace(config.preemption) != config.preemption {
            // Coroutines inherit the hook when they are made.
            for coroutine in state.pool.take() {
                coroutine.discard(state);
            }
            machine::rearm(state);
        }
        *state.memory.borrow_mut() = config.memory.as_ref().map(MemoryShare::new);
        if config.memory.is_none() && state.limited() {
            // What runs from now on allocates without protection, so no limit may be left to meet.
            self.lua.set_memory_limit(0).expect("invariant: this VM was made with a limiting allocator");
        }
        state.limited.set(config.memory.is_some());
    }

    /// Puts a path in front of `package.path` or `package.cpath`.
    pub(crate) fn prepend_path(&self, kind: &str, path: &str) -> Result<(), Error> {
        let load = |error: mlua::Error| Error::Load(error.to_string());
        let Ok(package) = self.lua.globals().get::<mlua::Table>("package") else { return Ok(()) };
        let old: String = package.get(kind).map_err(load)?;
        package.set(kind, format!("{path};{old}")).map_err(load)
    }

    /// Before anything runs: frees what was dropped meanwhile and sets this VM's part of the memory budget.
    pub(crate) fn open(&self, worker: &Rc<Worker>) {
        if self.state.worker.borrow().is_none() {
            *self.state.worker.borrow_mut() = Some(worker.clone());
        }
        if self.state.garbage.any.load(std::sync::atomic::Ordering::Acquire)
            && self.state.run.handle.get() == 0
        {
            self.state.sweep();
        }
        self.state.drop_orphans(worker);
        if let Some(share) = &*self.state.memory.borrow() {
            let limit = share.allowance();
            self.lua.set_memory_limit(limit).expect("invariant: this VM was made with a limiting allocator");
        }
    }

    /// After it ran: publishes what this VM holds and, for the shared VM, forgets the worker.
    pub(crate) fn close(&self, forget: bool) {
        if let Some(share) = &*self.state.memory.borrow() {
            share.publish(self.lua.used_memory());
        }
        let runs = self.state.next_handle.get();
        if runs & MEMORY_EVERY == 0 || !self.state.went_up.get() {
            self.state.usage.publish_memory(self.lua.used_memory());
        }
        if forget && self.state.run.handle.get() == 0 {
            *self.state.worker.borrow_mut() = None;
        }
    }
}

impl VmState {
    fn new(config: &Config, thread: u32) -> VmState {
        VmState {
            main: Cell::new(std::ptr::null_mut()),
            classes: RefCell::default(),
            bounds: RefCell::default(),
            touched: RefCell::default(),
            limited: Cell::new(false),
            memory: RefCell::new(config.memory.as_ref().map(MemoryShare::new)),
            bools: Cell::new(config.bool_samples),
            preemption: Cell::new(config.preemption),
            timeouts: Cell::new(Timeouts::of(config)),
            thread,
            secondary: thread > 1,
            worker: RefCell::new(None),
            run: Run::default(),
            pool: RefCell::default(),
            suspended: RefCell::default(),
            free: RefCell::default(),
            garbage: Arc::default(),
            registered: RefCell::default(),
            inits: RefCell::default(),
            startup: RefCell::default(),
            next_handle: Cell::new(1),
            servers: RefCell::default(),
            subscriptions: RefCell::default(),
            concats: Default::default(),
            maps: RefCell::default(),
            patrefs: RefCell::default(),
            cursors: RefCell::default(),
            filters: RefCell::default(),
            queues: RefCell::default(),
            regexes: RefCell::default(),
            orphans: RefCell::default(),
            usage: Usage::new(thread),
            reaper: Default::default(),
            went_up: Cell::new(false),
        }
    }

    pub(crate) fn main(&self) -> *mut mlua::ffi::lua_State {
        self.main.get().cast()
    }

    /// Whether a memory cap is set, so that allocating calls must be protected.
    pub(crate) fn limited(&self) -> bool {
        self.limited.get()
    }

    /// What a C function of this VM that runs `method` points to.
    pub(crate) fn bind(&self, method: &'static Method) -> *const Bound {
        let bound = Rc::new(Bound { vm: std::ptr::from_ref(self), method });
        let address = Rc::as_ptr(&bound);
        self.bounds.borrow_mut().push(bound);
        address
    }

    /// The members that a function touched in its runs so far.
    pub(crate) fn touched(&self, counted: u32) -> Places {
        self.touched.borrow().get(counted as usize).copied().unwrap_or_default()
    }

    /// It touched these.
    pub(crate) fn touch(&self, counted: u32, places: Places) {
        let mut touched = self.touched.borrow_mut();
        if touched.len() <= counted as usize {
            touched.resize(counted as usize + 1, 0);
        }
        touched[counted as usize] |= places;
    }

    /// The registry reference of a class's metatable.
    pub(crate) fn class(&self, class: Class) -> c_int {
        self.classes.borrow()[class as usize].reference
    }

    /// Where a class's metatable is; it stays there as long as the VM.
    pub(crate) fn class_address(&self, class: Class) -> *const c_void {
        self.classes.borrow()[class as usize].address
    }

    /// Who runs this VM now.
    pub(crate) fn worker(&self) -> Rc<Worker> {
        self.worker.borrow().clone().expect("invariant: a worker has opened this VM")
    }

    /// A number that no other run or object of this VM has.
    pub(crate) fn new_handle(&self) -> i64 {
        let handle = self.next_handle.get();
        self.next_handle.set(handle + 1);
        handle
    }

    pub(crate) fn coroutine(&self) -> Option<Coroutine> {
        let pooled = self.pool.borrow_mut().pop();
        pooled.or_else(|| Coroutine::new(self).ok()).or_else(|| {
            machine::collect(self);
            Coroutine::new(self).ok()
        })
    }

    /// Takes a finished coroutine back.
    pub(crate) fn give_back(&self, coroutine: Coroutine) {
        coroutine.recycle(self);
        let mut pool = self.pool.borrow_mut();
        if pool.len() < POOL_MAX {
            pool.push(coroutine);
            return;
        }
        drop(pool);
        coroutine.discard(self);
    }

    pub(crate) fn park(&self, coroutine: Coroutine) -> u32 {
        let mut suspended = self.suspended.borrow_mut();
        if let Some(at) = self.free.borrow_mut().pop() {
            suspended[at as usize] = Some(coroutine);
            return at;
        }
        suspended.push(Some(coroutine));
        u32::try_from(suspended.len() - 1).expect("invariant: fewer than 2^32 runs are suspended")
    }

    pub(crate) fn unpark(&self, at: u32) -> Option<Coroutine> {
        let coroutine = self.suspended.borrow_mut().get_mut(at as usize)?.take()?;
        self.free.borrow_mut().push(at);
        Some(coroutine)
    }

    fn sweep(&self) {
        let dropped = std::mem::take(&mut *self.garbage.list.lock());
        self.garbage.any.store(false, std::sync::atomic::Ordering::Release);
        for item in dropped {
            match item {
                Dropped::Reference(reference) => machine::unref(self, reference),
                Dropped::Suspended(at) => {
                    if let Some(coroutine) = self.unpark(at) {
                        coroutine.discard(self);
                    }
                }
            }
        }
    }

    /// The number under which a function's runs are counted; kept by its reference where that lasts.
    pub(crate) fn counted_as(&self, function: c_int, context: ContextKind, name: &str, lasting: bool) -> u32 {
        let usage = &self.usage;
        if let Some(number) = usage.find(function) {
            return number;
        }
        let number = usage.number(context, name, machine::place_of(self, function));
        if lasting {
            usage.keep(function, number);
        }
        number
    }

    /// Gives way without leaving the VM, where leaving would come straight back; true if that is so.
    pub(crate) fn pass_turn(&self, forced: bool) -> bool {
        if self.garbage.waiting.load(std::sync::atomic::Ordering::Relaxed)
            || self.garbage.any.load(std::sync::atomic::Ordering::Relaxed)
            || !self.startup.borrow().is_empty()
        {
            return false;
        }
        let worker = self.worker.borrow();
        let Some(worker) = &*worker else { return false };
        if !worker.core.nothing_else_ready() {
            return false;
        }
        // As if it had ended and begun again: the watchdog counts from here.
        worker.beat.tick();
        worker.beat.tick();
        self.usage.count_turn(forced);
        true
    }

    /// The error for a run that died, with HAProxy's words.
    pub(crate) fn error(&self, function: String, fault: Fault) -> Error {
        let Fault { memory, message, trace, .. } = fault;
        if let Some(message) = self.run.panicked.take() {
            return Error::Internal { function, message };
        }
        if memory {
            return Error::Memory { function };
        }
        let from = if trace.is_empty() { String::new() } else { format!(" from {trace}") };
        let id = self.thread;
        if self.run.kill.get().is_some() {
            let text = message.unwrap_or_default();
            return Error::Timeout {
                function,
                message: format!("[state-id {id}] runtime error: {text}{from}."),
            };
        }
        let message = match message {
            Some(text) => format!("[state-id {id}] runtime error: {text}{from}."),
            None => format!("[state-id {id}] unknown runtime error{from}."),
        };
        Error::Script { function, message }
    }

    pub(crate) fn registry(&self) -> Registry {
        let functions = self.registered.borrow().iter().map(|entry| entry.info.clone()).collect();
        Registry { functions, filters: self.filters.borrow().names() }
    }

    pub(crate) fn find(&self, kind: &FunctionKind, name: &str) -> Option<c_int> {
        let registered = self.registered.borrow();
        let entry =
            registered.iter().find(|entry| entry.info.name == name && entry.info.kind.is_like(kind))?;
        Some(entry.function)
    }

    /// Forgets a socket whose object was collected.
    pub(crate) fn drop_socket(&self, number: i64) {
        let worker = self.worker.borrow().clone();
        if !worker.is_some_and(|worker| worker.sockets.borrow_mut().remove(number)) {
            self.orphans.borrow_mut().push(number);
        }
    }

    fn drop_orphans(&self, worker: &Worker) {
        let mut orphans = self.orphans.borrow_mut();
        if !orphans.is_empty() {
            let mut sockets = worker.sockets.borrow_mut();
            orphans.retain(|number| !sockets.remove(*number));
        }
    }
}

/// A panic's text.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    if let Some(text) = panic.downcast_ref::<&str>() {
        return (*text).to_string();
    }
    panic.downcast_ref::<String>().cloned().unwrap_or_else(|| "panic".to_string())
}

/// What a VM holds is published while it starts, and when the count of its runs and objects has none of these bits.
const MEMORY_EVERY: i64 = 15;
/// Idle coroutines kept; each holds about a kilobyte.
const POOL_MAX: usize = 256;
