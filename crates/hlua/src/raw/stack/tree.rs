//! Leaving a whole tree of tables at once.
#![expect(unsafe_code, reason = "writes Lua's stack through its C API")]

use std::ffi::{c_int, c_void};

use mlua::ffi;

use super::object::make_object;
use super::{Failure, Stack};
use crate::api::Class;
use crate::value::Out;
use crate::vm::VmState;

impl Stack<'_> {
    /// A whole tree of tables.
    pub(crate) fn push_out(&mut self, out: &Out) -> Result<(), Failure> {
        let data = (out, self.vm);
        let data = std::ptr::from_ref(&data).cast_mut().cast::<c_void>();
        // SAFETY: a free slot is there; `data` outlives the protected call.
        unsafe { ffi::lua_pushlightuserdata(self.l, data) };
        self.protected(push_out_on, 1, 1)
    }
}

// ---- bodies of protected calls: no Rust value with a destructor lives in them ------------------------------------

unsafe extern "C-unwind" fn push_out_on(l: *mut ffi::lua_State) -> c_int {
    // SAFETY: the argument points to a pair that outlives this call.
    unsafe {
        let (out, vm) = *ffi::lua_touserdata(l, 1).cast::<(&Out, &VmState)>();
        push_tree(l, vm, out);
    }
    1
}

unsafe fn push_tree(l: *mut ffi::lua_State, vm: &VmState, out: &Out) {
    // SAFETY: runs inside `push_out_on`; checks for slots before each level.
    unsafe {
        ffi::luaL_checkstack(l, 6, c"too many levels".as_ptr());
        match out {
            Out::Nil => ffi::lua_pushnil(l),
            Out::Bool(flag) => ffi::lua_pushboolean(l, (*flag).into()),
            Out::Int(int) => ffi::lua_pushinteger(l, *int),
            Out::Float(number) => ffi::lua_pushnumber(l, *number),
            Out::Null => ffi::lua_pushlightuserdata(l, std::ptr::null_mut()),
            Out::Empty(class) => {
                ffi::lua_createtable(l, 0, 0);
                ffi::lua_rawgeti(l, ffi::LUA_REGISTRYINDEX, vm.class(*class).into());
                ffi::lua_setmetatable(l, -2);
            }
            Out::Name(name) => {
                ffi::lua_pushlstring(l, name.as_ptr().cast(), name.len());
            }
            Out::Bytes(bytes) => {
                ffi::lua_pushlstring(l, bytes.as_ptr().cast(), bytes.len());
            }
            Out::Object(class, handle) => make_object(l, *handle, vm.class(*class), 1),
            Out::Dressed(class, handle, fields) => {
                make_object(l, *handle, vm.class(*class), 1 + fields.len().min(64) as c_int);
                note_fields(*class, fields);
                set_pairs(l, vm, fields);
            }
            Out::Table(pairs) => {
                ffi::lua_createtable(l, 0, pairs.len().min(1 << 16) as c_int);
                set_pairs(l, vm, pairs);
            }
            Out::List(items) => {
                ffi::lua_createtable(l, items.len().min(1 << 16) as c_int, 0);
                for (at, item) in (1..).zip(items) {
                    push_tree(l, vm, item);
                    ffi::lua_rawseti(l, -2, at);
                }
            }
        }
    }
}

/// Notes the fields that a new object comes with; holds nothing when it returns.
fn note_fields(class: Class, fields: &[(Out, Out)]) {
    if crate::record::is_on() {
        for (key, _) in fields {
            match key {
                Out::Bytes(name) => crate::record::reached(class.name(), &String::from_utf8_lossy(name)),
                Out::Name(name) => crate::record::reached(class.name(), name),
                _ => {}
            }
        }
    }
}

unsafe fn set_pairs(l: *mut ffi::lua_State, vm: &VmState, pairs: &[(Out, Out)]) {
    for (key, value) in pairs {
        // SAFETY: as `push_tree`; the table is on top.
        unsafe {
            push_tree(l, vm, key);
            push_tree(l, vm, value);
            ffi::lua_rawset(l, -3);
        }
    }
}
