//! Built-in modules: what `require` finds last, after everything in the script's path.
#![expect(unsafe_code, reason = "C functions for Lua; see the module's contract")]

use std::ffi::{CStr, CString, c_int};

use mlua::ffi;

use crate::api::Library;

/// Takes the module's table from the stack and appends a searcher for it to `package.searchers`; where the library
/// `package` is not open there is no `require` to find it.
///
/// # Safety
/// In a protected call with an almost empty stack and the table on top.
pub(super) unsafe fn offer(l: *mut ffi::lua_State, module: &'static Library) {
    // SAFETY: as said; every push is balanced.
    unsafe {
        let base = ffi::lua_gettop(l) - 1;
        if ffi::lua_getglobal(l, c"package".as_ptr()) == ffi::LUA_TTABLE
            && ffi::lua_getfield(l, -1, c"searchers".as_ptr()) == ffi::LUA_TTABLE
        {
            let name = CString::new(module.name).expect("invariant: modules' names are plain text");
            ffi::lua_pushstring(l, name.as_ptr());
            drop(name);
            ffi::lua_pushvalue(l, base + 1);
            ffi::lua_pushcclosure(l, search, 2);
            ffi::lua_rawseti(l, -2, ffi::lua_rawlen(l, -2) as i64 + 1);
        }
        ffi::lua_settop(l, base);
    }
}

/// A searcher: upvalues are the module's name and its table.
unsafe extern "C-unwind" fn search(l: *mut ffi::lua_State) -> c_int {
    // SAFETY: called by `require` with a name.
    unsafe {
        if ffi::lua_rawequal(l, 1, ffi::lua_upvalueindex(1)) == 0 {
            ffi::lua_pushstring(l, c"no built-in module of that name".as_ptr());
            return 1;
        }
        ffi::lua_pushvalue(l, ffi::lua_upvalueindex(2));
        ffi::lua_pushcclosure(l, load, 1);
        ffi::lua_pushstring(l, BUILT_IN.as_ptr());
        2
    }
}

/// What `require` gives as the place that a built-in module came from.
const BUILT_IN: &CStr = c"(built in)";

unsafe extern "C-unwind" fn load(l: *mut ffi::lua_State) -> c_int {
    // SAFETY: the upvalue is the module's table.
    unsafe { ffi::lua_pushvalue(l, ffi::lua_upvalueindex(1)) };
    1
}
