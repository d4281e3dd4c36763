//! How Lua enters Rust: one C function for every API function, which raises or yields at its tail.
#![expect(unsafe_code, reason = "C functions for Lua; see the module's contract")]

use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};

use mlua::ffi;

use super::stack::{Failure, Ret, Stack};
use crate::api::Method;
use crate::vm::VmState;

/// Tail actions of [`entry`] and [`recorded`](super::recorded), beside a count of results (0 and up).
const RAISE_WITH_PLACE: c_int = -1;
const RAISE: c_int = -2;
pub(super) const BLOCK: c_int = -3;
/// `ARGUMENT - n` complains about argument n.
const ARGUMENT: c_int = -10;

/// What a C function belongs to: behind one light userdata, since reading an upvalue costs as much as the rest of the
/// way in.
pub(crate) struct Bound {
    /// Outlives its functions, as does this.
    pub(crate) vm: *const VmState,
    pub(crate) method: &'static Method,
}

/// Upvalues: the [`Bound`], an integer of the method's own.
pub(super) unsafe extern "C-unwind" fn entry(l: *mut ffi::lua_State) -> c_int {
    // SAFETY: the upvalues were set by `make_closure_on`; the VM outlives its functions.
    let code = unsafe {
        let Bound { vm, method } = *ffi::lua_touserdata(l, ffi::lua_upvalueindex(1)).cast::<Bound>();
        let vm = &*vm;
        call(l, vm, method)
    };
    if code >= 0 {
        return code;
    }
    // SAFETY: every Rust value with a destructor went with `call`.
    unsafe { tail(l, code) }
}

pub(super) unsafe fn call(l: *mut ffi::lua_State, vm: &VmState, method: &Method) -> c_int {
    // SAFETY: Lua gives a C function 20 free slots.
    let mut stack = unsafe { Stack::new(l, vm) };
    if !method.contexts.allows(vm.run.context.get()) {
        let text = method.forbidden(vm.run.context.get());
        return fail(&mut stack, Failure::Error(text.into()));
    }
    match catch_unwind(AssertUnwindSafe(|| (method.call)(&mut stack))) {
        Ok(Ok(Ret::Count(count))) => count,
        Ok(Ok(Ret::Block(op))) => block(&mut stack, method, op),
        Ok(Err(failure)) => fail(&mut stack, failure),
        Err(panic) => {
            let text = crate::vm::panic_text(&*panic);
            vm.run.panicked.set(Some(text.clone()));
            fail(&mut stack, Failure::Error(format!("internal error: {text}").into()))
        }
    }
}

fn block(stack: &mut Stack<'_>, method: &Method, op: crate::op::Op) -> c_int {
    if !stack.may_suspend() {
        return fail(
            stack,
            Failure::Error(
                format!(
                    "'{}' cannot wait here: a C function is in between (as in table.sort or string.gsub)",
                    method.name
                )
                .into(),
            ),
        );
    }
    stack.vm.run.op.set(Some(op));
    stack.vm.run.op_name.set(method.name);
    stack.vm.run.suspending.set(true);
    BLOCK
}

fn fail(stack: &mut Stack<'_>, failure: Failure) -> c_int {
    let (text, code) = match &failure {
        Failure::Error(text) => (text.as_ref(), RAISE_WITH_PLACE),
        Failure::Plain(text) => (text.as_ref(), RAISE),
        Failure::Arg(index, text) => (text.as_ref(), ARGUMENT - *index),
        Failure::OnTop => return RAISE,
        Failure::Exit => {
            stack.vm.run.exit.set(true);
            ("core.done", RAISE)
        }
    };
    match stack.push_bytes(text.as_bytes()) {
        Ok(()) => code,
        Err(_) => RAISE,
    }
}

/// Raises or yields: does not come back.
pub(super) unsafe fn tail(l: *mut ffi::lua_State, code: c_int) -> c_int {
    // SAFETY: called at the tail of a C function with the message on top.
    unsafe {
        match code {
            BLOCK => {
                let top = ffi::lua_gettop(l);
                ffi::lua_yieldk(l, 0, top as ffi::lua_KContext, Some(after))
            }
            RAISE => ffi::lua_error(l),
            RAISE_WITH_PLACE => raise_with_place(l),
            _ => ffi::luaL_argerror(l, ARGUMENT - code, ffi::lua_tostring(l, -1)),
        }
    }
}

unsafe fn raise_with_place(l: *mut ffi::lua_State) -> ! {
    // SAFETY: the message is on top.
    unsafe {
        ffi::luaL_where(l, 1);
        ffi::lua_rotate(l, -2, 1);
        ffi::lua_concat(l, 2);
        ffi::lua_error(l)
    }
}

/// Where a blocking call goes on: its results were pushed by the resume.
unsafe extern "C-unwind" fn after(l: *mut ffi::lua_State, _status: c_int, base: ffi::lua_KContext) -> c_int {
    // SAFETY: the same upvalues as in `entry`.
    unsafe {
        let Bound { vm, method } = *ffi::lua_touserdata(l, ffi::lua_upvalueindex(1)).cast::<Bound>();
        let vm = &*vm;
        if push_op_error(l, vm) {
            raise_with_place(l)
        }
        if !method.again {
            return ffi::lua_gettop(l) - base as c_int;
        }
        ffi::lua_settop(l, base as c_int);
        let code = call(l, vm, method);
        if code >= 0 { code } else { tail(l, code) }
    }
}

unsafe fn push_op_error(l: *mut ffi::lua_State, vm: &VmState) -> bool {
    let Some(text) = vm.run.op_error.take() else { return false };
    // SAFETY: the continuation has free slots.
    let mut stack = unsafe { Stack::new(l, vm) };
    // A failed push leaves Lua's own memory error there instead.
    let _ = stack.push_bytes(text.as_bytes());
    true
}

/// Makes the closure over two upvalues given as arguments.
pub(super) unsafe extern "C-unwind" fn make_closure_on(l: *mut ffi::lua_State) -> c_int {
    // SAFETY: two arguments are there.
    unsafe { ffi::lua_pushcclosure(l, entry, 2) };
    1
}
