//! Leaving results.
#![expect(unsafe_code, reason = "writes Lua's stack through its C API")]

use std::ffi::{CStr, c_int, c_void};

use mlua::ffi;

use super::{Failure, Stack};
use crate::host::Value;
use crate::limits::BoolSamples;

impl Stack<'_> {
    pub(crate) fn push_nil(&mut self) {
        // SAFETY: a free slot is there (callers leave few values).
        unsafe { ffi::lua_pushnil(self.l) }
    }

    /// `json.null`
    pub(crate) fn push_null(&mut self) {
        // SAFETY: as `push_nil`.
        unsafe { ffi::lua_pushlightuserdata(self.l, std::ptr::null_mut()) }
    }

    pub(crate) fn push_bool(&mut self, flag: bool) {
        // SAFETY: as `push_nil`.
        unsafe { ffi::lua_pushboolean(self.l, flag.into()) }
    }

    pub(crate) fn push_int(&mut self, int: i64) {
        // SAFETY: as `push_nil`.
        unsafe { ffi::lua_pushinteger(self.l, int) }
    }

    pub(crate) fn push_bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        if self.vm.limited() {
            let data = std::ptr::from_ref(&bytes).cast_mut().cast::<c_void>();
            // SAFETY: a free slot is there.
            unsafe { ffi::lua_pushlightuserdata(self.l, data) };
            return self.protected(push_bytes_on, 1, 1);
        }
        // SAFETY: Lua copies the bytes; without a cap it does not raise.
        unsafe {
            ffi::lua_pushlstring(self.l, bytes.as_ptr().cast(), bytes.len());
        }
        Ok(())
    }

    /// A sample as scripts see it.
    pub(crate) fn push_value(&mut self, value: &Value<'_>) -> Result<(), Failure> {
        match value {
            Value::Bool(flag) if self.vm.bools.get() == BoolSamples::Normal => self.push_bool(*flag),
            Value::Bool(flag) => self.push_int((*flag).into()),
            Value::Int(int) => self.push_int(*int),
            Value::Str(bytes) => self.push_bytes(bytes)?,
            Value::Ip(ip) => self.push_bytes(ip.to_string().as_bytes())?,
        }
        Ok(())
    }

    /// A sample as a string, never nil (`sf`, `sc`).
    pub(crate) fn push_text(&mut self, value: Option<&Value<'_>>) -> Result<(), Failure> {
        match value {
            None => self.push_bytes(b""),
            Some(Value::Str(bytes)) => self.push_bytes(bytes),
            Some(Value::Int(int)) => self.push_bytes(int.to_string().as_bytes()),
            Some(Value::Bool(flag)) => self.push_bytes(if *flag { b"1" } else { b"0" }),
            Some(Value::Ip(ip)) => self.push_bytes(ip.to_string().as_bytes()),
        }
    }

    /// Pushes a function that does nothing.
    pub(crate) fn push_nothing(&mut self) {
        // SAFETY: a free slot is there; a C function without upvalues allocates nothing.
        unsafe { ffi::lua_pushcfunction(self.l, nothing) }
    }

    /// Pushes what a registry reference names.
    pub(crate) fn push_ref(&mut self, reference: c_int) {
        // SAFETY: reads the registry.
        unsafe {
            ffi::lua_rawgeti(self.l, ffi::LUA_REGISTRYINDEX, reference.into());
        }
    }

    /// Pushes a global, raw.
    pub(crate) fn push_global(&mut self, name: &'static CStr) {
        // SAFETY: free slots are there; the string is interned and short.
        unsafe {
            ffi::lua_rawgeti(self.l, ffi::LUA_REGISTRYINDEX, ffi::LUA_RIDX_GLOBALS);
            ffi::lua_pushstring(self.l, name.as_ptr());
            ffi::lua_rawget(self.l, -2);
            ffi::lua_rotate(self.l, -2, 1);
            ffi::lua_settop(self.l, -2);
        }
    }

    /// Takes the value on top into the registry.
    pub(crate) fn make_ref(&mut self) -> Result<c_int, Failure> {
        self.protected(make_ref_on, 1, 1)?;
        // SAFETY: the reference is on top.
        unsafe {
            let reference = ffi::lua_tointeger(self.l, -1) as c_int;
            ffi::lua_settop(self.l, -2);
            Ok(reference)
        }
    }
}

// ---- bodies of protected calls: no Rust value with a destructor lives in them ------------------------------------

unsafe extern "C-unwind" fn push_bytes_on(l: *mut ffi::lua_State) -> c_int {
    // SAFETY: the argument points to a slice that outlives this call.
    unsafe {
        let bytes = *ffi::lua_touserdata(l, 1).cast::<&[u8]>();
        ffi::lua_pushlstring(l, bytes.as_ptr().cast(), bytes.len());
    }
    1
}

unsafe extern "C-unwind" fn make_ref_on(l: *mut ffi::lua_State) -> c_int {
    // SAFETY: one argument, taken.
    unsafe {
        let reference = ffi::luaL_ref(l, ffi::LUA_REGISTRYINDEX);
        ffi::lua_pushinteger(l, reference.into());
    }
    1
}

unsafe extern "C-unwind" fn nothing(_: *mut ffi::lua_State) -> c_int {
    0
}
