//! Makes a VM, fills its globals, and runs coroutines in it.
#![expect(unsafe_code, reason = "owns and resumes Lua states; see the module's contract")]

use std::ffi::{CString, c_int, c_void};
use std::ptr::{self, NonNull};

use mlua::{Lua, LuaOptions, StdLib, ffi};

use super::stack::{Failure, Stack};
use super::{coroutine, modules, preempt, recorded, trace};
use crate::api::{self, Class, Method};
use crate::error::Error;
use crate::limits::Config;
use crate::members::Members;
use crate::vm::{ClassTable, VmState};

/// A pooled coroutine: its state, kept alive by `anchor`; `slot` is where its run's own object stays, 0 if it never
/// had one.
pub(crate) struct Coroutine {
    l: NonNull<ffi::lua_State>,
    anchor: c_int,
    slot: c_int,
    pub(crate) members: Option<Box<Members>>,
}

/// What [`make_on`] made.
struct Made {
    l: *mut ffi::lua_State,
    anchor: c_int,
}

/// How a resume ended.
pub(crate) enum Step {
    /// So many results are on the coroutine's stack.
    Finished(c_int),
    /// An operation or a forced yield suspended it.
    Suspended,
    /// The script yielded by itself, outside of any coroutine of its own.
    Strayed,
    /// It is dead.
    Failed(Fault),
}

/// Why a coroutine died: the message, if it was text, and the trace.
pub(crate) struct Fault {
    pub(crate) memory: bool,
    pub(crate) message: Option<String>,
    pub(crate) trace: String,
    /// Every active call, innermost first.
    pub(crate) frames: Vec<String>,
    /// What the outermost function was called with.
    pub(crate) arguments: Vec<String>,
}

/// Makes the Lua VM itself.
pub(crate) fn create(config: &Config) -> Result<Lua, Error> {
    let libs = libraries(config)?;
    // SAFETY: scripts are trusted with `debug` and C modules, as in HAProxy; `tune.lua.openlibs` takes them away.
    let lua = unsafe { Lua::unsafe_new_with(libs, LuaOptions::new()) };
    Ok(lua)
}

fn libraries(config: &Config) -> Result<StdLib, Error> {
    let Some(names) = &config.open_libs else { return Ok(StdLib::ALL) };
    let mut libs = StdLib::COROUTINE;
    for name in names {
        libs |= match name.as_str() {
            "table" => StdLib::TABLE,
            "io" => StdLib::IO,
            "os" => StdLib::OS,
            "string" => StdLib::STRING,
            "math" => StdLib::MATH,
            "utf8" => StdLib::UTF8,
            "package" => StdLib::PACKAGE,
            "debug" => StdLib::DEBUG,
            _ => return Err(Error::Load(format!("unknown library '{name}' in tune.lua.openlibs"))),
        };
    }
    Ok(libs)
}

/// The main state of a VM.
pub(crate) fn main_state(lua: &Lua) -> *mut c_void {
    let mut state = std::ptr::null_mut();
    // SAFETY: only copies the pointer.
    let result = unsafe { lua.exec_raw::<()>((), |l| state = l) };
    result.expect("invariant: copying a pointer raises nothing");
    state.cast()
}

/// Fills globals: `core`, `act`, class metatables, the coroutine functions. Returns the classes' metatables.
pub(crate) fn install(lua: &Lua, vm: &VmState) -> Result<Vec<ClassTable>, Error> {
    let mut classes = Vec::new();
    // SAFETY: runs protected on the main state; what raises is Lua's memory error, before any limit is set.
    let result = unsafe {
        lua.exec_raw::<()>((), |l| {
            coroutine::install(l, vm);
            for class in Class::ALL {
                classes.push(make_class(l, vm, *class));
            }
            for library in api::LIBRARIES {
                make_library(l, vm, library);
                let name = CString::new(library.name).expect("invariant: globals' names are plain text");
                ffi::lua_setglobal(l, name.as_ptr());
            }
            for module in api::MODULES {
                make_library(l, vm, module);
                modules::offer(l, module);
            }
            preempt::arm_by_count(l, vm.preemption.get());
            override_os(l, vm);
            ffi::lua_settop(l, 0);
        })
    };
    result.map_err(|error| Error::Load(error.to_string()))?;
    Ok(classes)
}

/// Replaces what the library `os` would ask the process for and a host answers.
unsafe fn override_os(l: *mut ffi::lua_State, vm: &VmState) {
    // SAFETY: as `make_class`.
    unsafe {
        if ffi::lua_getglobal(l, c"os".as_ptr()) == ffi::LUA_TTABLE {
            set_methods(l, vm, &"os", api::OS);
        }
        ffi::lua_settop(l, -2);
    }
}

/// Sets the main state's hook anew, after the way of preemption changed.
pub(crate) fn rearm(vm: &VmState) {
    // SAFETY: the main state is live and idle.
    unsafe {
        ffi::lua_sethook(vm.main(), None, 0, 0);
        preempt::arm_by_count(vm.main(), vm.preemption.get());
    }
}

unsafe fn make_class(l: *mut ffi::lua_State, vm: &VmState, class: Class) -> ClassTable {
    let def = class.definition();
    // SAFETY: in a protected call with an almost empty stack.
    unsafe {
        ffi::lua_createtable(l, 0, 4);
        let name = CString::new(def.name).expect("invariant: class names are plain text");
        ffi::lua_pushstring(l, name.as_ptr());
        ffi::lua_setfield(l, -2, c"__name".as_ptr());
        ffi::lua_createtable(l, 0, def.methods.len() as c_int);
        set_methods(l, vm, &def.name, def.methods);
        if let Some(lazy) = def.lazy {
            ffi::lua_createtable(l, 0, 1);
            set_methods(l, vm, &def.name, std::slice::from_ref(lazy));
            ffi::lua_setmetatable(l, -2);
        }
        ffi::lua_setfield(l, -2, c"__index".as_ptr());
        set_methods(l, vm, &def.name, def.meta);
        let address = ffi::lua_topointer(l, -1);
        ClassTable { reference: ffi::luaL_ref(l, ffi::LUA_REGISTRYINDEX), address }
    }
}

/// Leaves the library's table on top.
unsafe fn make_library(l: *mut ffi::lua_State, vm: &VmState, library: &'static api::Library) {
    // SAFETY: as `make_class`.
    unsafe {
        ffi::lua_createtable(l, 0, (library.functions.len() + library.constants.len()) as c_int);
        set_methods(l, vm, &library.name, library.functions);
        for (name, number) in library.constants {
            let name = CString::new(*name).expect("invariant: constants' names are plain text");
            ffi::lua_pushinteger(l, *number);
            ffi::lua_setfield(l, -2, name.as_ptr());
        }
        if let Some(lazy) = library.lazy {
            ffi::lua_createtable(l, 0, 1);
            set_methods(l, vm, &library.name, std::slice::from_ref(lazy));
            ffi::lua_setmetatable(l, -2);
        }
        if crate::record::is_on() {
            recorded::watch_constants(l, library);
        }
    }
}

/// Sets each method in the table on top, under its name.
unsafe fn set_methods(
    l: *mut ffi::lua_State,
    vm: &VmState,
    owner: &'static &'static str,
    methods: &'static [Method],
) {
    let is_recorded = crate::record::is_on();
    for method in methods {
        // SAFETY: as `make_class`; pointers outlive the VM's functions.
        unsafe {
            let name = CString::new(method.name).expect("invariant: methods' names are plain text");
            ffi::lua_pushlightuserdata(l, vm.bind(method).cast_mut().cast());
            if is_recorded {
                recorded::push_entry(l, owner);
            } else {
                ffi::lua_pushcclosure(l, super::entry::entry, 1);
            }
            ffi::lua_setfield(l, -2, name.as_ptr());
        }
    }
}

impl Coroutine {
    /// A new coroutine of this VM.
    pub(crate) fn new(vm: &VmState) -> Result<Coroutine, Failure> {
        let mut made = Made { l: ptr::null_mut(), anchor: 0 };
        let main = vm.main();
        // SAFETY: the main state is idle or waits in a resume; `lua_pcall` on it is protected and balanced.
        let status = unsafe {
            if ffi::lua_checkstack(main, 8) == 0 {
                return Err(Failure::error("not enough memory"));
            }
            ffi::lua_pushcfunction(main, make_on);
            ffi::lua_pushlightuserdata(main, (&raw mut made).cast());
            let status = ffi::lua_pcall(main, 1, 0, 0);
            if status != ffi::LUA_OK {
                ffi::lua_settop(main, -2);
            }
            status
        };
        match NonNull::new(made.l) {
            Some(l) if status == ffi::LUA_OK => {
                Ok(Coroutine { l, anchor: made.anchor, slot: 0, members: None })
            }
            _ => Err(Failure::error("not enough memory")),
        }
    }

    fn l(&self) -> *mut ffi::lua_State {
        self.l.as_ptr()
    }

    /// Its stack, with room to push a call.
    pub(crate) fn stack<'a>(&self, vm: &'a VmState, room: usize) -> Option<Stack<'a>> {
        let room = c_int::try_from(room).ok()?.checked_add(16)?;
        // SAFETY: a live state of this VM.
        unsafe { (ffi::lua_checkstack(self.l(), room) != 0).then(|| Stack::new(self.l(), vm)) }
    }

    /// Where its run's own object is.
    pub(crate) fn slot(&self) -> c_int {
        self.slot
    }

    /// Runs it with the `args` values on top of its stack (above the function, the first time).
    pub(crate) fn resume(&self, vm: &VmState, args: c_int) -> Step {
        let before = preempt::enter(self.l(), vm);
        let mut results = 0;
        // SAFETY: a live, suspended or fresh state of this VM, on this thread.
        let status = unsafe {
            let from = before.state().unwrap_or(vm.main());
            let status = ffi::lua_resume(self.l(), from, args, &mut results);
            preempt::settle(self.l(), vm.preemption.get());
            status
        };
        preempt::leave(before);
        match status {
            ffi::LUA_OK => Step::Finished(results),
            ffi::LUA_YIELD if vm.run.suspending.get() => Step::Suspended,
            ffi::LUA_YIELD => {
                // SAFETY: the yielded values are on top.
                unsafe { ffi::lua_settop(self.l(), -results - 1) };
                Step::Strayed
            }
            status => Step::Failed(self.fault(vm, status)),
        }
    }

    fn fault(&self, vm: &VmState, status: c_int) -> Fault {
        // SAFETY: a dead state keeps its frames and has the error on top.
        unsafe {
            let stack = Stack::new(self.l(), vm);
            let message = stack.try_bytes(-1).map(|text| String::from_utf8_lossy(&text).into_owned());
            let memory = status == ffi::LUA_ERRMEM;
            let frames = trace::frames(self.l());
            let trace = trace::one_line(&frames);
            let arguments = if memory { Vec::new() } else { trace::arguments(self.l()) };
            Fault { memory, message, trace, frames, arguments }
        }
    }

    /// Its active calls, and what the outermost was called with.
    pub(crate) fn calls(&self) -> (Vec<String>, Vec<String>) {
        // SAFETY: a live, suspended state.
        unsafe { (trace::frames(self.l()), trace::arguments(self.l())) }
    }

    /// Compiles a chunk onto its stack.
    pub(crate) fn load(&self, vm: &VmState, name: &str, source: &[u8]) -> Result<(), Fault> {
        let name = CString::new(name.replace('\0', "?")).expect("invariant: no NUL is left");
        // SAFETY: the buffer and name outlive the call; errors come back as a status.
        let status = unsafe {
            ffi::luaL_loadbufferx(
                self.l(),
                source.as_ptr().cast(),
                source.len(),
                name.as_ptr(),
                std::ptr::null(),
            )
        };
        if status == ffi::LUA_OK { Ok(()) } else { Err(self.fault(vm, status)) }
    }

    /// Makes it ready for another run: results dropped, its object made stale and taken away.
    pub(crate) fn recycle(&self, vm: &VmState) {
        let l = self.l();
        // SAFETY: a finished state has free slots; overwriting an existing registry integer allocates nothing.
        unsafe {
            ffi::lua_settop(l, 0);
            if self.slot != 0 {
                if ffi::lua_rawgeti(l, ffi::LUA_REGISTRYINDEX, self.slot.into()) == ffi::LUA_TTABLE {
                    ffi::lua_rawgeti(l, ffi::LUA_REGISTRYINDEX, vm.class(Class::Stale).into());
                    ffi::lua_setmetatable(l, 1);
                }
                ffi::lua_pushboolean(l, 0);
                ffi::lua_rawseti(l, ffi::LUA_REGISTRYINDEX, self.slot.into());
                ffi::lua_settop(l, 0);
            }
        }
    }

    /// Ends it wherever it is and lets the collector have it.
    pub(crate) fn discard(self, vm: &VmState) {
        let main = vm.main();
        // SAFETY: not running; closing runs protected and reports by status.
        unsafe {
            let before = preempt::enter(self.l(), vm);
            ffi::lua_closethread(self.l(), main);
            preempt::leave(before);
            if self.slot != 0 {
                ffi::luaL_unref(main, ffi::LUA_REGISTRYINDEX, self.slot);
            }
            for member in self.members.iter().flat_map(|members| members.references()) {
                ffi::luaL_unref(main, ffi::LUA_REGISTRYINDEX, member);
            }
            ffi::luaL_unref(main, ffi::LUA_REGISTRYINDEX, self.anchor);
        }
    }

    /// Gives its own object another class's metatable, the live one or the one that answers nothing; says where the
    /// object is.
    pub(crate) fn dress(&self, vm: &VmState, class: Class) -> *const c_void {
        let main = vm.main();
        if self.slot == 0 {
            return ptr::null();
        }
        // SAFETY: works on the main state, since a suspended one takes no pushes; two free slots are there.
        unsafe {
            let mut object = ptr::null();
            if ffi::lua_rawgeti(main, ffi::LUA_REGISTRYINDEX, self.slot.into()) == ffi::LUA_TTABLE {
                object = ffi::lua_topointer(main, -1);
                ffi::lua_rawgeti(main, ffi::LUA_REGISTRYINDEX, vm.class(class).into());
                ffi::lua_setmetatable(main, -2);
            }
            ffi::lua_settop(main, -2);
            object
        }
    }

    /// Moves the `count` values on top of the main state to this suspended one.
    pub(crate) fn take_from_main(&self, vm: &VmState, count: c_int) -> bool {
        // SAFETY: the values are there; room is made first. A suspended state accepts what its resume will take.
        unsafe {
            if ffi::lua_checkstack(self.l(), count + 1) == 0 {
                ffi::lua_settop(vm.main(), -count - 1);
                return false;
            }
            ffi::lua_xmove(vm.main(), self.l(), count);
        }
        true
    }

    /// Keeps a copy of the object on top of its stack as its run's own; says where it is. None for lack of memory.
    pub(crate) fn keep_object(&mut self, vm: &VmState) -> Option<*const c_void> {
        let l = self.l();
        // SAFETY: the object is on top, with free slots above; overwriting an existing registry integer allocates
        // nothing, and making one is protected.
        unsafe {
            ffi::lua_pushvalue(l, -1);
            if self.slot == 0 {
                self.slot = Stack::new(l, vm).make_ref().ok()?;
            } else {
                ffi::lua_rawseti(l, ffi::LUA_REGISTRYINDEX, self.slot.into());
            }
            Some(ffi::lua_topointer(l, -1))
        }
    }
}

unsafe extern "C-unwind" fn make_on(l: *mut ffi::lua_State) -> c_int {
    // SAFETY: the argument points to a plain struct that outlives the protected call.
    unsafe {
        let made = ffi::lua_touserdata(l, 1).cast::<Made>();
        let thread = ffi::lua_newthread(l);
        (*made).anchor = ffi::luaL_ref(l, ffi::LUA_REGISTRYINDEX);
        (*made).l = thread;
    }
    0
}

/// Lets the collector have what a registry reference names.
pub(crate) fn unref(vm: &VmState, reference: c_int) {
    vm.usage.forget(reference);
    // SAFETY: frees a registry slot that `make_ref` took; allocates nothing.
    unsafe { ffi::luaL_unref(vm.main(), ffi::LUA_REGISTRYINDEX, reference) }
}

/// Where the function that a registry reference names is defined: `file.lua:12`.
pub(crate) fn place_of(vm: &VmState, reference: c_int) -> String {
    let mut stack = main_stack(vm);
    stack.push_ref(reference);
    // SAFETY: the main state is live; the value on top is popped either way.
    unsafe { trace::place(vm.main()) }
}

/// Collects all garbage: after a run hit the memory cap. Lua collects by itself when an allocation fails, but not when
/// a stack must grow, and the next run would fail for the last one's garbage.
pub(crate) fn collect(vm: &VmState) {
    // SAFETY: the main state is live; collecting raises nothing, finalizers' errors become warnings.
    unsafe {
        ffi::lua_gc(vm.main(), ffi::LUA_GCCOLLECT);
    }
}

/// Collects what was made lately and dropped since. In the collector's generational mode this costs as much as the
/// young objects and the live coroutines, however large the rest of the heap is.
pub(crate) fn collect_young(vm: &VmState) {
    // SAFETY: as `collect`.
    unsafe {
        ffi::lua_gc(vm.main(), ffi::LUA_GCSTEP, 0);
    }
}

/// A stack on the main state, for work between runs.
pub(crate) fn main_stack(vm: &VmState) -> Stack<'_> {
    // SAFETY: the main state is live; it is idle or waits in a resume.
    unsafe {
        ffi::lua_checkstack(vm.main(), MAIN_ROOM);
        Stack::new(vm.main(), vm)
    }
}

/// Values that work between runs may leave on the main state at a time.
const MAIN_ROOM: c_int = 64;
