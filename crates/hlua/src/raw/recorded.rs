//! How Lua enters Rust while calls are recorded: [`entry`](super::entry) with a note of what was reached.
//!
//! Closures have two more upvalues than [`entry`](super::entry)'s: an integer of the method's own (0), as
//! `Stack::push_method` gives it, and the class. Constants move out of their table behind `__index`, which sees them
//! read.
#![expect(unsafe_code, reason = "C functions for Lua; see the module's contract")]

use std::ffi::{CString, c_int};

use mlua::ffi;

use super::entry::{BLOCK, Bound, call, tail};
use crate::api::Library;
use crate::record;

/// Makes the recording closure of the VM and method on top of the stack.
///
/// # Safety
/// In a protected call, with the light userdata of `entry` on top.
pub(super) unsafe fn push_entry(l: *mut ffi::lua_State, owner: &'static &'static str) {
    // SAFETY: as said; the owner's name outlives the VM.
    unsafe {
        ffi::lua_pushinteger(l, 0);
        ffi::lua_pushlightuserdata(l, std::ptr::from_ref(owner).cast_mut().cast());
        ffi::lua_pushcclosure(l, entry, 3);
    }
}

unsafe extern "C-unwind" fn entry(l: *mut ffi::lua_State) -> c_int {
    // SAFETY: the upvalues are those of `push_entry`.
    let code = unsafe { call_and_note(l) };
    if code >= 0 {
        return code;
    }
    // SAFETY: every Rust value with a destructor went with `call_and_note`.
    unsafe { tail(l, code) }
}

unsafe fn call_and_note(l: *mut ffi::lua_State) -> c_int {
    // SAFETY: as `entry::entry`; the key is read before the call may change the stack.
    unsafe {
        let Bound { vm, method } = *ffi::lua_touserdata(l, ffi::lua_upvalueindex(1)).cast::<Bound>();
        let vm = &*vm;
        let owner = *ffi::lua_touserdata(l, ffi::lua_upvalueindex(3)).cast::<&'static str>();
        let key = if method.name == "__index" { text(l, 2) } else { None };
        let code = call(l, vm, method);
        if code >= 0 || code == BLOCK || vm.run.exit.get() {
            record::reached(owner, method.name);
            let found = code > 0 && ffi::lua_type(l, -1) > ffi::LUA_TNIL;
            if let Some(key) = key.filter(|_| found) {
                record::reached(owner, &key);
            }
        }
        code
    }
}

/// The string at `index`.
unsafe fn text(l: *mut ffi::lua_State, index: c_int) -> Option<String> {
    // SAFETY: the slot holds a string, so nothing is converted.
    unsafe {
        if ffi::lua_type(l, index) != ffi::LUA_TSTRING {
            return None;
        }
        let mut len = 0;
        let data = ffi::lua_tolstring(l, index, &mut len);
        let bytes = std::slice::from_raw_parts(data.cast::<u8>(), len);
        Some(String::from_utf8_lossy(bytes).into_owned())
    }
}

/// Moves the constants of the library on top behind its `__index`.
///
/// # Safety
/// In a protected call with an almost empty stack.
pub(super) unsafe fn watch_constants(l: *mut ffi::lua_State, library: &'static Library) {
    // SAFETY: as said; every push is balanced.
    unsafe {
        if library.constants.is_empty() {
            return;
        }
        ffi::lua_pushlightuserdata(l, std::ptr::from_ref(&library.name).cast_mut().cast());
        ffi::lua_createtable(l, 0, library.constants.len() as c_int);
        for (name, value) in library.constants {
            let name = CString::new(*name).expect("invariant: constants' names are plain text");
            ffi::lua_pushinteger(l, *value);
            ffi::lua_setfield(l, -2, name.as_ptr());
            ffi::lua_pushnil(l);
            ffi::lua_setfield(l, -4, name.as_ptr());
        }
        if ffi::lua_getmetatable(l, -3) == 0 {
            ffi::lua_createtable(l, 0, 1);
            ffi::lua_pushvalue(l, -1);
            ffi::lua_setmetatable(l, -5);
        }
        // library, owner, constants, metatable
        ffi::lua_rotate(l, -3, 1);
        ffi::lua_getfield(l, -3, c"__index".as_ptr());
        ffi::lua_pushcclosure(l, constant, 3);
        ffi::lua_setfield(l, -2, c"__index".as_ptr());
        ffi::lua_settop(l, -2);
    }
}

/// `__index` of a library: upvalues are the owner, the constants, the library's own `__index` or nil.
unsafe extern "C-unwind" fn constant(l: *mut ffi::lua_State) -> c_int {
    // SAFETY: called by Lua with table and key; no Rust value with a destructor lives across a call that may raise.
    unsafe {
        ffi::lua_settop(l, 2);
        ffi::lua_pushvalue(l, 2);
        if ffi::lua_rawget(l, ffi::lua_upvalueindex(2)) != ffi::LUA_TNIL {
            let owner = *ffi::lua_touserdata(l, ffi::lua_upvalueindex(1)).cast::<&'static str>();
            if let Some(key) = text(l, 2) {
                record::reached(owner, &key);
            }
            return 1;
        }
        ffi::lua_pushvalue(l, ffi::lua_upvalueindex(3));
        if ffi::lua_type(l, -1) != ffi::LUA_TFUNCTION {
            return 0;
        }
        ffi::lua_pushvalue(l, 1);
        ffi::lua_pushvalue(l, 2);
        ffi::lua_callk(l, 2, 1, 0, None);
        1
    }
}
