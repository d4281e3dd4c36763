//! Objects: tables with a class's metatable and a handle in `[0]`.
#![expect(unsafe_code, reason = "makes and recognizes objects through Lua's C API")]

use std::ffi::{c_int, c_void};

use mlua::ffi;

use super::{Failure, Stack};
use crate::api::{Class, Method};
use crate::members::{self, Members, Places};
use crate::raw::entry::make_closure_on;

impl Stack<'_> {
    /// The integer an object keeps in `[0]`.
    pub(crate) fn handle(&mut self, index: c_int) -> Option<i64> {
        if !self.is_table(index) {
            return None;
        }
        // SAFETY: the slot holds a table; a raw read neither calls nor allocates, the pushed value is popped.
        unsafe {
            let kind = ffi::lua_rawgeti(self.l, index, 0);
            let mut ok = 0;
            let handle = ffi::lua_tointegerx(self.l, -1, &mut ok);
            ffi::lua_settop(self.l, -2);
            (kind == ffi::LUA_TNUMBER && ok != 0).then_some(handle)
        }
    }

    /// Whether the table at `index` is an object of that class.
    pub(crate) fn is_object(&mut self, index: c_int, class: Class) -> bool {
        // SAFETY: pushes at most one value and pops it.
        unsafe {
            if ffi::lua_getmetatable(self.l, index) == 0 {
                return false;
            }
            let same = ffi::lua_topointer(self.l, -1) == self.vm.class_address(class);
            ffi::lua_settop(self.l, -2);
            same
        }
    }

    /// The handle of an object of that class, or HAProxy's complaint about argument `index`.
    pub(crate) fn object(&mut self, index: c_int, class: Class) -> Result<i64, Failure> {
        // SAFETY: pushes at most two values and pops them. What has a class's metatable is a table, so that the
        // second read is allowed; it is raw, and neither calls nor allocates.
        unsafe {
            if ffi::lua_getmetatable(self.l, index) != 0 {
                let same =
                    ffi::lua_topointer(self.l, -1) == self.vm.class_address(class) && self.is_table(index);
                let mut ok = 0;
                let mut handle = 0;
                if same {
                    ffi::lua_rawgeti(self.l, index, 0);
                    handle = ffi::lua_tointegerx(self.l, -1, &mut ok);
                }
                ffi::lua_settop(self.l, if same { -3 } else { -2 });
                if ok != 0 {
                    return Ok(handle);
                }
            }
        }
        Err(self.expected(index, class.name()))
    }

    /// A new object: a table with the class's metatable and a handle in `[0]`.
    pub(crate) fn push_object(&mut self, class: Class, handle: i64) -> Result<(), Failure> {
        if self.vm.limited() {
            // SAFETY: free slots are there.
            unsafe {
                ffi::lua_pushinteger(self.l, handle);
                ffi::lua_rawgeti(self.l, ffi::LUA_REGISTRYINDEX, self.vm.class(class).into());
            }
            return self.protected(push_object_on, 2, 1);
        }
        // SAFETY: free slots are there; without a cap nothing raises.
        unsafe { make_object(self.l, handle, self.vm.class(class), class.members()) };
        Ok(())
    }

    /// A run's own object, with those of the wanted members that are kept; says which.
    pub(crate) fn push_own(
        &mut self,
        class: Class,
        handle: i64,
        members: Option<&Members>,
        wanted: Places,
    ) -> Result<Places, Failure> {
        let Some(members) = members.filter(|_| wanted != 0 && !self.vm.limited()) else {
            self.push_object(class, handle)?;
            return Ok(0);
        };
        let mut put = 0;
        // SAFETY: free slots are there; without a cap nothing raises. The table has no metatable yet.
        unsafe {
            ffi::lua_createtable(self.l, 0, class.members().max(1 + wanted.count_ones() as c_int));
            ffi::lua_pushinteger(self.l, handle);
            ffi::lua_rawseti(self.l, -2, 0);
            for (place, name) in
                members::NAMES.iter().enumerate().filter(|(place, _)| wanted >> place & 1 != 0)
            {
                let Some(kept) = members.at(place) else { continue };
                self.push_ref(kept.reference);
                if place >= members::HANDLED {
                    self.set_handle(if place > members::HANDLED { -handle } else { handle });
                }
                ffi::lua_setfield(self.l, -2, name.as_ptr());
                put |= 1 << place;
            }
            ffi::lua_rawgeti(self.l, ffi::LUA_REGISTRYINDEX, self.vm.class(class).into());
            ffi::lua_setmetatable(self.l, -2);
        }
        Ok(put)
    }

    /// The present run's own object (the TXN or applet), for its lazily made members.
    pub(crate) fn push_own_object(&mut self) {
        self.push_ref(self.vm.run.slot.get());
    }

    /// Where the object at `index` is; null for values that are nowhere.
    pub(crate) fn address(&self, index: c_int) -> *const c_void {
        // SAFETY: reads one slot.
        unsafe { ffi::lua_topointer(self.l, index) }
    }

    /// Gives the object on top another handle.
    pub(crate) fn set_handle(&mut self, handle: i64) {
        // SAFETY: the object is a table that has the key, unless the script took it away: adding it back may raise
        // for lack of memory, with nothing here to leak.
        unsafe {
            ffi::lua_pushinteger(self.l, handle);
            ffi::lua_rawseti(self.l, -2, 0);
        }
    }

    /// Gives the table at `index` a class's metatable.
    pub(crate) fn set_class(&mut self, index: c_int, class: Class) {
        // SAFETY: callers pass an absolute index of a table; the metatable is popped.
        unsafe {
            ffi::lua_rawgeti(self.l, ffi::LUA_REGISTRYINDEX, self.vm.class(class).into());
            ffi::lua_setmetatable(self.l, index);
        }
    }

    /// Pushes a C function that runs `method` with `extra` as its own integer.
    pub(crate) fn push_method(&mut self, method: &'static Method, extra: i64) -> Result<(), Failure> {
        // SAFETY: free slots are there; what is bound outlives the VM's functions.
        unsafe {
            ffi::lua_pushlightuserdata(self.l, self.vm.bind(method).cast_mut().cast());
            ffi::lua_pushinteger(self.l, extra);
        }
        self.protected(make_closure_on, 2, 1)
    }

    /// The integer of a closure made by [`push_method`](Self::push_method).
    pub(crate) fn upvalue_int(&self) -> i64 {
        // SAFETY: an upvalue index that does not exist reads as none.
        unsafe { ffi::lua_tointeger(self.l, ffi::lua_upvalueindex(2)) }
    }
}

// ---- bodies of protected calls: no Rust value with a destructor lives in them ------------------------------------

unsafe extern "C-unwind" fn push_object_on(l: *mut ffi::lua_State) -> c_int {
    // SAFETY: arguments are handle and metatable.
    unsafe {
        ffi::lua_createtable(l, 0, 2);
        ffi::lua_pushvalue(l, 1);
        ffi::lua_rawseti(l, -2, 0);
        ffi::lua_pushvalue(l, 2);
        ffi::lua_setmetatable(l, -2);
    }
    1
}

pub(super) unsafe fn make_object(l: *mut ffi::lua_State, handle: i64, class: c_int, fields: c_int) {
    // SAFETY: the caller has the slots.
    unsafe {
        ffi::lua_createtable(l, 0, fields);
        ffi::lua_pushinteger(l, handle);
        ffi::lua_rawseti(l, -2, 0);
        ffi::lua_rawgeti(l, ffi::LUA_REGISTRYINDEX, class.into());
        ffi::lua_setmetatable(l, -2);
    }
}
