//! `coroutine.resume` and `coroutine.wrap` for scripts, replaced so that blocking calls and forced yields inside a
//! script's own coroutines reach the scheduler instead of the script.
//!
//! When a sub-coroutine stops because the run is suspending, its resumer stops too, all the way out; on resume the
//! results travel back in. A script sees only its own yields. The wrapper also tells the preemption code which
//! state is running, because a hook set on an outer state does not fire in an inner one.
#![expect(unsafe_code, reason = "C functions for Lua; see the module's contract")]

use std::ffi::c_int;

use mlua::ffi;

use super::preempt;
use crate::vm::VmState;

/// How a caller wants failures: as `false, message`, or raised.
const RESUME: ffi::lua_KContext = 0;
const WRAP: ffi::lua_KContext = 1;

/// Replaces the two functions in the `coroutine` table.
///
/// # Safety
/// `l` is the main state, in a protected call.
pub(super) unsafe fn install(l: *mut ffi::lua_State, vm: *const VmState) {
    // SAFETY: the coroutine library is always open.
    unsafe {
        ffi::lua_getglobal(l, c"coroutine".as_ptr());
        ffi::lua_pushlightuserdata(l, vm.cast_mut().cast());
        ffi::lua_pushcclosure(l, resume, 1);
        ffi::lua_setfield(l, -2, c"resume".as_ptr());
        ffi::lua_pushlightuserdata(l, vm.cast_mut().cast());
        ffi::lua_pushcclosure(l, wrap, 1);
        ffi::lua_setfield(l, -2, c"wrap".as_ptr());
        ffi::lua_settop(l, -2);
    }
}

/// `coroutine.resume(co, ...)`; the coroutine stays at index 1.
unsafe extern "C-unwind" fn resume(l: *mut ffi::lua_State) -> c_int {
    // SAFETY: a C function called by Lua; no Rust value with a destructor lives here.
    unsafe {
        if ffi::lua_tothread(l, 1).is_null() {
            return ffi::luaL_argerror(l, 1, c"coroutine expected".as_ptr());
        }
        step(l, ffi::lua_gettop(l) - 1, RESUME)
    }
}

/// `coroutine.wrap(f)`: a closure over the VM and the new coroutine.
unsafe extern "C-unwind" fn wrap(l: *mut ffi::lua_State) -> c_int {
    // SAFETY: as `resume`.
    unsafe {
        ffi::luaL_checktype(l, 1, ffi::LUA_TFUNCTION);
        ffi::lua_pushvalue(l, ffi::lua_upvalueindex(1));
        let co = ffi::lua_newthread(l);
        ffi::lua_pushvalue(l, 1);
        ffi::lua_xmove(l, co, 1);
        ffi::lua_pushcclosure(l, wrapped, 2);
        1
    }
}

unsafe extern "C-unwind" fn wrapped(l: *mut ffi::lua_State) -> c_int {
    // SAFETY: as `resume`; the coroutine is put where `step` expects it.
    unsafe {
        let args = ffi::lua_gettop(l);
        ffi::lua_pushvalue(l, ffi::lua_upvalueindex(2));
        ffi::lua_rotate(l, 1, 1);
        step(l, args, WRAP)
    }
}

unsafe extern "C-unwind" fn again(l: *mut ffi::lua_State, _status: c_int, mode: ffi::lua_KContext) -> c_int {
    // SAFETY: the coroutine is still at index 1, the results of the operation above it.
    unsafe { step(l, ffi::lua_gettop(l) - 1, mode) }
}

/// Runs the coroutine at index 1 with the `args` values on top.
unsafe fn step(l: *mut ffi::lua_State, args: c_int, mode: ffi::lua_KContext) -> c_int {
    // SAFETY: stack discipline as commented; nothing here has a destructor, so raising is fine.
    unsafe {
        let vm = &*ffi::lua_touserdata(l, ffi::lua_upvalueindex(1)).cast::<VmState>();
        let co = ffi::lua_tothread(l, 1);
        if ffi::lua_checkstack(co, args + 1) == 0 {
            ffi::lua_settop(l, 1);
            ffi::lua_pushstring(l, c"too many arguments to resume".as_ptr());
            return failed(l, mode);
        }
        ffi::lua_xmove(l, co, args);
        if crate::record::is_on() {
            crate::record::reached("coroutine", "create");
        }

        let free = vm.run.boundary_free.get();
        vm.run.boundary_free.set(free && ffi::lua_isyieldable(l) != 0);
        preempt::switch(co);
        let mut results = 0;
        let status = ffi::lua_resume(co, l, args, &mut results);
        preempt::switch(l);
        vm.run.boundary_free.set(free);
        if vm.run.killed() {
            preempt::arm_every_instruction(l);
        }

        match status {
            ffi::LUA_YIELD if vm.run.suspending.get() => {
                ffi::lua_settop(l, 1);
                ffi::lua_yieldk(l, 0, mode, Some(again))
            }
            ffi::LUA_OK | ffi::LUA_YIELD => succeeded(l, co, results, mode),
            _ => {
                ffi::lua_xmove(co, l, 1);
                if mode == WRAP {
                    close_failed(l, co);
                }
                failed(l, mode)
            }
        }
    }
}

unsafe fn succeeded(
    l: *mut ffi::lua_State,
    co: *mut ffi::lua_State,
    results: c_int,
    mode: ffi::lua_KContext,
) -> c_int {
    // SAFETY: `results` values are on top of `co`.
    unsafe {
        if ffi::lua_checkstack(l, results + 1) == 0 {
            ffi::lua_settop(co, -results - 1);
            ffi::lua_pushstring(l, c"too many results to resume".as_ptr());
            return failed(l, mode);
        }
        if mode == WRAP {
            ffi::lua_xmove(co, l, results);
            return results;
        }
        ffi::lua_pushboolean(l, 1);
        ffi::lua_xmove(co, l, results);
        results + 1
    }
}

/// The message is on top of `l`.
unsafe fn failed(l: *mut ffi::lua_State, mode: ffi::lua_KContext) -> c_int {
    // SAFETY: as said.
    unsafe {
        if mode == RESUME {
            ffi::lua_pushboolean(l, 0);
            ffi::lua_rotate(l, -2, 1);
            return 2;
        }
        if ffi::lua_type(l, -1) == ffi::LUA_TSTRING {
            ffi::luaL_where(l, 1);
            ffi::lua_rotate(l, -2, 1);
            ffi::lua_concat(l, 2);
        }
        ffi::lua_error(l)
    }
}

/// What `coroutine.wrap` does with a coroutine that failed: close its pending variables, keep the newest error.
unsafe fn close_failed(l: *mut ffi::lua_State, co: *mut ffi::lua_State) {
    // SAFETY: `co` is dead by an error; its message was moved off.
    unsafe {
        let status = ffi::lua_status(co);
        if status != ffi::LUA_OK && status != ffi::LUA_YIELD {
            ffi::lua_pushvalue(l, -1);
            ffi::lua_xmove(l, co, 1);
            if ffi::lua_closethread(co, l) != ffi::LUA_OK {
                ffi::lua_xmove(co, l, 1);
                ffi::lua_remove(l, -2);
            }
        }
    }
}
