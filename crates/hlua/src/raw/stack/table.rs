//! Tables on the stack.
#![expect(unsafe_code, reason = "reads and writes tables through Lua's C API")]

use std::ffi::{c_int, c_void};

use mlua::ffi;

use super::{Failure, Stack};

impl Stack<'_> {
    pub(crate) fn raw_len(&self, index: c_int) -> i64 {
        // SAFETY: any value is acceptable.
        unsafe { ffi::lua_rawlen(self.l, index) as i64 }
    }

    /// Pushes `table[n]`.
    pub(crate) fn push_element(&mut self, table: c_int, n: i64) {
        if !self.is_table(table) {
            return self.push_nil();
        }
        // SAFETY: it is a table; a raw read.
        unsafe {
            ffi::lua_rawgeti(self.l, table, n);
        }
    }

    /// Pushes `table[name]`; raw.
    pub(crate) fn push_field(&mut self, table: c_int, name: &str) -> Result<(), Failure> {
        if !self.is_table(table) {
            return Err(self.expected(table, "table"));
        }
        // SAFETY: pushing keeps an absolute index valid.
        let table = unsafe { ffi::lua_absindex(self.l, table) };
        self.push_bytes(name.as_bytes())?;
        // SAFETY: callers pass a table; the key is on top and replaced by the value.
        unsafe {
            ffi::lua_rawget(self.l, table);
        }
        Ok(())
    }

    /// Replaces the key on top by `table[key]`; raw.
    pub(crate) fn push_field_at(&mut self, table: c_int) -> Result<(), Failure> {
        if !self.is_table(table) {
            return Err(self.expected(table, "table"));
        }
        // SAFETY: it is a table, by an index that counts from the bottom.
        unsafe {
            ffi::lua_rawget(self.l, table);
        }
        Ok(())
    }

    /// Pushes `table[name]` with metamethods; nil where looking it up fails.
    pub(crate) fn push_member_of(&mut self, table: c_int, name: &str) -> Result<(), Failure> {
        // SAFETY: pushing keeps an absolute index valid.
        let table = unsafe { ffi::lua_absindex(self.l, table) };
        self.copy(table);
        self.push_bytes(name.as_bytes())?;
        if self.protected(get_on, 2, 1).is_err() {
            self.pop(1);
            self.push_nil();
        }
        Ok(())
    }

    /// Pushes a copy of the table at `index`, without its metatable.
    pub(crate) fn push_shallow_copy(&mut self, index: c_int) -> Result<(), Failure> {
        self.copy(index);
        self.protected(copy_table_on, 1, 1)
    }

    /// Steps through a table: with the key on top, pops it and pushes the next pair. False at the end.
    pub(crate) fn next(&mut self, table: c_int) -> bool {
        // SAFETY: keys come from the same traversal, so `lua_next` finds them.
        unsafe { ffi::lua_next(self.l, table) != 0 }
    }

    /// `table[key] = value` with both on top of the stack; raw.
    pub(crate) fn raw_set(&mut self, table: c_int) -> Result<(), Failure> {
        if !self.is_table(table) {
            return Err(self.expected(table, "table"));
        }
        if self.is_nil(-2) || self.is_not_a_number(-2) {
            return Err(Failure::error("a table index is nil or NaN"));
        }
        if self.vm.limited() {
            self.copy(table);
            // SAFETY: a free slot is there; rotates the copied table below key and value.
            unsafe { ffi::lua_rotate(self.l, -3, 1) };
            return self.protected(raw_set_on, 3, 0);
        }
        // SAFETY: it is a table, with a possible key and a value on top.
        unsafe { ffi::lua_rawset(self.l, table) };
        Ok(())
    }

    /// Adds a string to the list under `name` in the table at `table`, which counts from 0; makes the list if it is the
    /// first.
    pub(crate) fn add_to_list(&mut self, table: c_int, name: &[u8], value: &[u8]) -> Result<(), Failure> {
        if !self.is_table(table) {
            return Err(self.expected(table, "table"));
        }
        if self.vm.limited() {
            let pair = (name, value);
            let data = std::ptr::from_ref(&pair).cast_mut().cast::<c_void>();
            self.copy(table);
            // SAFETY: a free slot is there; `pair` outlives the protected call.
            unsafe { ffi::lua_pushlightuserdata(self.l, data) };
            return self.protected(add_to_list_on, 2, 0);
        }
        // SAFETY: free slots are there; `table` counts from the bottom; without a cap nothing raises.
        unsafe { add_to_list(self.l, table, name, value) };
        Ok(())
    }

    /// A new table with room for so many fields.
    pub(crate) fn push_table(&mut self, fields: c_int) -> Result<(), Failure> {
        if self.vm.limited() {
            // SAFETY: a free slot is there.
            unsafe { ffi::lua_pushinteger(self.l, fields.into()) };
            return self.protected(push_table_on, 1, 1);
        }
        // SAFETY: a free slot is there; without a cap nothing raises.
        unsafe { ffi::lua_createtable(self.l, 0, fields) };
        Ok(())
    }
}

// ---- bodies of protected calls: no Rust value with a destructor lives in them ------------------------------------

unsafe extern "C-unwind" fn get_on(l: *mut ffi::lua_State) -> c_int {
    // SAFETY: arguments are any value and a key; what raises is caught by the protected call.
    unsafe {
        ffi::lua_gettable(l, 1);
    }
    1
}

unsafe extern "C-unwind" fn copy_table_on(l: *mut ffi::lua_State) -> c_int {
    // SAFETY: the argument is a table; the traversal's keys come from it.
    unsafe {
        ffi::lua_createtable(l, 0, 8);
        ffi::lua_pushnil(l);
        while ffi::lua_next(l, 1) != 0 {
            ffi::lua_pushvalue(l, -2);
            ffi::lua_rotate(l, -2, 1);
            ffi::lua_rawset(l, 2);
        }
    }
    1
}

unsafe extern "C-unwind" fn push_table_on(l: *mut ffi::lua_State) -> c_int {
    // SAFETY: one argument, a small count.
    unsafe { ffi::lua_createtable(l, 0, ffi::lua_tointeger(l, 1) as c_int) };
    1
}

unsafe extern "C-unwind" fn raw_set_on(l: *mut ffi::lua_State) -> c_int {
    // SAFETY: the three arguments are table, key, value.
    unsafe { ffi::lua_rawset(l, 1) };
    0
}

unsafe extern "C-unwind" fn add_to_list_on(l: *mut ffi::lua_State) -> c_int {
    // SAFETY: arguments are the table and a pointer to a pair that outlives this call.
    unsafe {
        let (name, value) = *ffi::lua_touserdata(l, 2).cast::<(&[u8], &[u8])>();
        add_to_list(l, 1, name, value);
    }
    0
}

unsafe fn add_to_list(l: *mut ffi::lua_State, table: c_int, name: &[u8], value: &[u8]) {
    // SAFETY: the caller has the slots and a table at `table`; what is pushed is popped.
    unsafe {
        ffi::lua_pushlstring(l, name.as_ptr().cast(), name.len());
        ffi::lua_pushvalue(l, -1);
        if ffi::lua_rawget(l, table) == ffi::LUA_TTABLE {
            let next = ffi::lua_rawlen(l, -1) as ffi::lua_Integer + 1;
            ffi::lua_pushlstring(l, value.as_ptr().cast(), value.len());
            ffi::lua_rawseti(l, -2, next);
            ffi::lua_settop(l, -3);
            return;
        }
        ffi::lua_settop(l, -2);
        ffi::lua_createtable(l, 0, 1);
        ffi::lua_pushlstring(l, value.as_ptr().cast(), value.len());
        ffi::lua_rawseti(l, -2, 0);
        ffi::lua_rawset(l, table);
    }
}
