//! A view of one Lua stack, with which API functions read arguments and leave results.
//!
//! Here is what moves values about; reading, tables, objects, results and what is lent have a file each.
//!
//! INVARIANT: bytes borrowed from the stack stay valid while their slot is neither popped nor replaced; the
//! methods that push never touch slots below.
#![expect(unsafe_code, reason = "reads and writes Lua's stack through its C API")]

mod argument;
mod lent;
mod object;
mod result;
mod table;
mod tree;

use std::borrow::Cow;
use std::ffi::c_int;
use std::rc::Rc;

use mlua::ffi;

pub(crate) use self::lent::{Borrowed, stale};
use crate::context::ContextKind;
use crate::host::Core;
use crate::op::Op;
use crate::vm::{VmState, Worker};

/// What an API function answers.
pub(crate) type Flow = Result<Ret, Failure>;

/// A call that went well.
pub(crate) enum Ret {
    /// So many results are on top of the stack.
    Count(c_int),
    /// The script waits; the results come when the operation is done.
    Block(Op),
}

/// A call that raises.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Text that gets the caller's file and line.
    Error(Cow<'static, str>),
    /// Text as it is.
    Plain(Cow<'static, str>),
    /// `bad argument #n to 'name' (text)`
    Arg(c_int, Cow<'static, str>),
    /// The error value is on top of the stack.
    OnTop,
    /// `core.done`: ends the script.
    Exit,
}

/// What a slot holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    Nil,
    /// The null of `json` and other modules.
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text,
    Table,
    /// Its type's name.
    Other(&'static str),
}

impl Failure {
    pub(crate) fn error(text: impl Into<Cow<'static, str>>) -> Failure {
        Failure::Error(text.into())
    }
}

impl From<crate::host::HostError> for Failure {
    fn from(error: crate::host::HostError) -> Self {
        Failure::Error(error.to_string().into())
    }
}

/// A Lua stack and the VM it belongs to.
pub(crate) struct Stack<'a> {
    pub(super) l: *mut ffi::lua_State,
    pub(super) vm: &'a VmState,
}

impl<'a> Stack<'a> {
    /// # Safety
    /// `l` is a live state of `vm`, on this thread, with at least 16 free slots.
    pub(super) unsafe fn new(l: *mut ffi::lua_State, vm: &'a VmState) -> Self {
        Stack { l, vm }
    }

    pub(crate) fn vm(&self) -> &'a VmState {
        self.vm
    }

    pub(crate) fn context(&self) -> ContextKind {
        self.vm.run.context.get()
    }

    pub(crate) fn worker(&self) -> Rc<Worker> {
        self.vm.worker()
    }

    pub(crate) fn core(&self) -> Rc<dyn Core> {
        self.vm.worker().core.clone()
    }

    /// Whether the script can be suspended here: no C function is in between.
    pub(crate) fn may_suspend(&self) -> bool {
        // SAFETY: reads the state.
        self.vm.run.boundary_free.get() && unsafe { ffi::lua_isyieldable(self.l) != 0 }
    }

    pub(crate) fn top(&self) -> c_int {
        // SAFETY: reads a field of a live state.
        unsafe { ffi::lua_gettop(self.l) }
    }

    pub(crate) fn set_top(&mut self, top: c_int) {
        // SAFETY: `top` is at most a few slots above the present top; none is to be closed.
        unsafe { ffi::lua_settop(self.l, top) }
    }

    /// Makes room for `slots` more values.
    pub(crate) fn reserve(&mut self, slots: c_int) -> bool {
        // SAFETY: fails by its result, not by raising.
        unsafe { ffi::lua_checkstack(self.l, slots) != 0 }
    }

    pub(crate) fn pop(&mut self, n: c_int) {
        // SAFETY: callers pop what they pushed.
        unsafe { ffi::lua_settop(self.l, -n - 1) }
    }

    /// Takes the value at `index` out; those above move down.
    pub(crate) fn remove(&mut self, index: c_int) {
        // SAFETY: callers name a slot they filled.
        unsafe { ffi::lua_remove(self.l, index) }
    }

    pub(crate) fn copy(&mut self, index: c_int) {
        // SAFETY: a free slot is there.
        unsafe { ffi::lua_pushvalue(self.l, index) }
    }

    /// Calls the function below `args` values on top, without results mattering; for callbacks that may not yield.
    fn protected(
        &mut self,
        function: ffi::lua_CFunction,
        args: c_int,
        results: c_int,
    ) -> Result<(), Failure> {
        // SAFETY: the values are on the stack and slots are free; `lua_pcall` raises nothing itself.
        let status = unsafe {
            ffi::lua_pushcfunction(self.l, function);
            ffi::lua_rotate(self.l, -args - 1, 1);
            ffi::lua_pcall(self.l, args, results, 0)
        };
        if status == ffi::LUA_OK { Ok(()) } else { Err(Failure::OnTop) }
    }
}
