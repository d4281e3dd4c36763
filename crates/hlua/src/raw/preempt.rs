//! Stops a running script: the count hook, and the signal that sets it on demand.
//!
//! A permanent count hook slows every loop two to three times, whatever its count. On demand there is none: a
//! watchdog thread that sees a run go on for too long sends a signal to the worker; the handler calls
//! `lua_sethook` on the state that runs there, which Lua documents as safe from a signal, and the next instruction
//! of Lua code meets the hook.
//!
//! INVARIANT: `RUNNING` is the innermost running state of this thread or null, and is set before and cleared after
//! every resume, so that the handler never touches a state that another thread may run.
#![expect(unsafe_code, reason = "hooks and a signal handler; see the module's contract")]

use std::cell::Cell;
use std::ffi::c_int;
use std::io;
use std::ptr;
use std::sync::Once;

use mlua::ffi;

use super::stack::Stack;
use crate::judgement::Judgement;
use crate::limits::Preemption;
use crate::vm::VmState;

thread_local! {
    static RUNNING: Cell<*mut ffi::lua_State> = const { Cell::new(ptr::null_mut()) };
    static VM: Cell<*const VmState> = const { Cell::new(ptr::null()) };
}

/// What ran before a resume, to be put back after it.
pub(crate) struct Before(*mut ffi::lua_State, *const VmState);

impl Before {
    /// The state that waits for this resume, if it is itself inside one.
    pub(super) fn state(&self) -> Option<*mut ffi::lua_State> {
        (!self.0.is_null()).then_some(self.0)
    }
}

pub(super) fn enter(l: *mut ffi::lua_State, vm: &VmState) -> Before {
    Before(RUNNING.replace(l), VM.replace(vm))
}

pub(super) fn leave(before: Before) {
    RUNNING.set(before.0);
    VM.set(before.1);
}

/// Tells which state of the same VM runs now.
pub(super) fn switch(l: *mut ffi::lua_State) {
    RUNNING.set(l);
}

/// Sets the permanent hook where the configuration asks for it; coroutines inherit it.
///
/// # Safety
/// `l` is a live state on this thread.
pub(super) unsafe fn arm_by_count(l: *mut ffi::lua_State, preemption: Preemption) {
    if let Preemption::Count(count) = preemption {
        let count = c_int::try_from(count.max(1)).unwrap_or(c_int::MAX);
        // SAFETY: as this function's.
        unsafe { ffi::lua_sethook(l, Some(hook), ffi::LUA_MASKCOUNT, count) }
    }
}

/// # Safety
/// `l` is a live state on this thread.
pub(super) unsafe fn arm_every_instruction(l: *mut ffi::lua_State) {
    // SAFETY: as this function's.
    unsafe { ffi::lua_sethook(l, Some(hook), ffi::LUA_MASKCOUNT, 1) }
}

unsafe fn disarm(l: *mut ffi::lua_State) {
    // SAFETY: `l` is the state whose hook runs.
    unsafe { ffi::lua_sethook(l, None, 0, 0) }
}

/// Removes a hook that came too late to fire.
///
/// # Safety
/// `l` is a live state on this thread.
pub(super) unsafe fn settle(l: *mut ffi::lua_State, preemption: Preemption) {
    // SAFETY: as this function's.
    unsafe {
        if preemption == Preemption::OnDemand && ffi::lua_gethookmask(l) != 0 {
            disarm(l);
        }
    }
}

/// The hook. At its tail it yields, raises or goes on.
unsafe extern "C-unwind" fn hook(l: *mut ffi::lua_State, _frame: *mut ffi::lua_Debug) {
    // SAFETY: Lua calls this on the running state; Rust values are gone when it yields or raises.
    unsafe {
        match decide(l) {
            Tail::GoOn => {}
            Tail::Yield => {
                ffi::lua_yieldk(l, 0, 0, None);
            }
            Tail::Raise => ffi::lua_error(l),
        }
    }
}

enum Tail {
    GoOn,
    Yield,
    Raise,
}

unsafe fn decide(l: *mut ffi::lua_State) -> Tail {
    // SAFETY: `VM` is set while anything of that VM runs on this thread.
    unsafe {
        let Some(vm) = VM.get().as_ref() else {
            disarm(l);
            return Tail::GoOn;
        };
        match vm.judge() {
            Judgement::Kill(text) => {
                arm_every_instruction(l);
                // A failed push leaves Lua's memory error there instead: raised all the same.
                let _ = Stack::new(l, vm).push_bytes(text.as_bytes());
                Tail::Raise
            }
            judgement => {
                if vm.preemption.get() == Preemption::OnDemand {
                    disarm(l);
                }
                let may = matches!(judgement, Judgement::Slice) && Stack::new(l, vm).may_suspend();
                if !may || vm.pass_turn(true) {
                    return Tail::GoOn;
                }
                vm.run.suspending.set(true);
                vm.run.preempted.set(true);
                Tail::Yield
            }
        }
    }
}

/// Installs the signal handler that [`Interrupter::interrupt`](crate::Interrupter::interrupt) relies on.
///
/// Process-wide and lasting; further calls do nothing. Uses `SIGURG`, which is ignored by default, and leaves
/// other threads' system calls restarted.
///
/// # Errors
/// What `sigaction` says.
pub fn install_preemption() -> io::Result<()> {
    static ONCE: Once = Once::new();
    let mut result = Ok(());
    ONCE.call_once(|| {
        // SAFETY: a plain `sigaction` with a handler that only touches thread-local cells and Lua's signal-safe call.
        let status = unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = on_signal as *const () as usize;
            action.sa_flags = libc::SA_RESTART;
            libc::sigemptyset(&mut action.sa_mask);
            libc::sigaction(libc::SIGURG, &action, ptr::null_mut())
        };
        if status != 0 {
            result = Err(io::Error::last_os_error());
        }
    });
    result
}

extern "C" fn on_signal(_signal: c_int) {
    let l = RUNNING.get();
    if !l.is_null() {
        // SAFETY: by the file's invariant `l` runs on this very thread; Lua allows this call in a handler.
        unsafe { ffi::lua_sethook(l, Some(hook), ffi::LUA_MASKCOUNT, 1) }
    }
}

/// The kernel's number for this thread.
pub(crate) fn thread_id() -> i32 {
    // SAFETY: takes nothing, returns a number.
    unsafe { libc::gettid() }
}

/// Sends the signal to one thread of this process; a thread that is gone is ignored.
pub(crate) fn signal(thread: i32) {
    // SAFETY: plain system call; a recycled thread number only reaches a thread of this process, whose handler
    // finds nothing running or yields once for nothing.
    unsafe {
        libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, libc::SIGURG);
    }
}
