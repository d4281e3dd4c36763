//! Reading arguments, with HAProxy's complaints about wrong ones.
#![expect(unsafe_code, reason = "reads Lua's stack through its C API")]

use std::borrow::Cow;
use std::ffi::c_int;

use mlua::ffi;

use super::{Failure, Kind, Stack};
use crate::host::Value;

impl<'a> Stack<'a> {
    /// `'name' needs n arguments`, HAProxy's check; `n` counts self.
    pub(crate) fn need(&self, n: c_int, name: &str) -> Result<(), Failure> {
        if self.top() == n {
            return Ok(());
        }
        Err(Failure::Error(format!("'{name}' needs {n} arguments").into()))
    }

    /// `'name' needs between a and b arguments`.
    pub(crate) fn need_between(&self, low: c_int, high: c_int, name: &str) -> Result<(), Failure> {
        if (low..=high).contains(&self.top()) {
            return Ok(());
        }
        Err(Failure::Error(format!("'{name}' needs between {low} and {high} arguments").into()))
    }

    /// `'name' expects …`, as HAProxy complains where arguments are optional; counts without self.
    pub(crate) fn expect_between(&self, low: c_int, high: c_int, name: &str) -> Result<(), Failure> {
        if (low + 1..=high + 1).contains(&self.top()) {
            return Ok(());
        }
        let least = if low > 0 { format!("at least {low} argument and ") } else { String::new() };
        Err(Failure::Error(format!("'{name}' expects {least}at most {high} arguments").into()))
    }

    pub(crate) fn kind(&self, index: c_int) -> c_int {
        // SAFETY: any index up to the free slots is acceptable.
        unsafe { ffi::lua_type(self.l, index) }
    }

    pub(crate) fn is_nil(&self, index: c_int) -> bool {
        self.kind(index) <= ffi::LUA_TNIL
    }

    pub(super) fn is_not_a_number(&self, index: c_int) -> bool {
        // SAFETY: reads one slot.
        self.kind(index) == ffi::LUA_TNUMBER && unsafe { ffi::lua_tonumber(self.l, index) }.is_nan()
    }

    pub(crate) fn is_table(&self, index: c_int) -> bool {
        self.kind(index) == ffi::LUA_TTABLE
    }

    pub(crate) fn is_function(&self, index: c_int) -> bool {
        self.kind(index) == ffi::LUA_TFUNCTION
    }

    pub(crate) fn type_name(&self, index: c_int) -> &'static str {
        match self.kind(index) {
            ffi::LUA_TNONE => "no value",
            ffi::LUA_TNIL => "nil",
            ffi::LUA_TBOOLEAN => "boolean",
            ffi::LUA_TLIGHTUSERDATA | ffi::LUA_TUSERDATA => "userdata",
            ffi::LUA_TNUMBER => "number",
            ffi::LUA_TSTRING => "string",
            ffi::LUA_TTABLE => "table",
            ffi::LUA_TFUNCTION => "function",
            _ => "thread",
        }
    }

    pub(crate) fn expected(&self, index: c_int, what: &str) -> Failure {
        Failure::Arg(index, format!("{what} expected, got {}", self.type_name(index)).into())
    }

    /// A string, or a number as text.
    #[inline]
    pub(crate) fn bytes(&self, index: c_int) -> Result<Cow<'a, [u8]>, Failure> {
        self.try_bytes(index).ok_or_else(|| self.expected(index, "string"))
    }

    #[inline]
    pub(crate) fn try_bytes(&self, index: c_int) -> Option<Cow<'a, [u8]>> {
        match self.kind(index) {
            ffi::LUA_TSTRING => {
                let mut len = 0;
                // SAFETY: the slot holds a string, so nothing is converted; the bytes live while the slot does,
                // which API functions guarantee until they return ('a is the call).
                let bytes = unsafe {
                    let data = ffi::lua_tolstring(self.l, index, &mut len);
                    std::slice::from_raw_parts(data.cast::<u8>(), len)
                };
                Some(Cow::Borrowed(bytes))
            }
            ffi::LUA_TNUMBER => Some(Cow::Owned(self.number_text(index).into_bytes())),
            _ => None,
        }
    }

    pub(crate) fn text(&self, index: c_int) -> Result<String, Failure> {
        Ok(String::from_utf8_lossy(&self.bytes(index)?).into_owned())
    }

    fn number_text(&self, index: c_int) -> String {
        // SAFETY: the slot holds a number.
        unsafe {
            if ffi::lua_isinteger(self.l, index) != 0 {
                ffi::lua_tointeger(self.l, index).to_string()
            } else {
                crate::value::float_text(ffi::lua_tonumber(self.l, index))
            }
        }
    }

    pub(crate) fn int(&self, index: c_int) -> Result<i64, Failure> {
        let mut ok = 0;
        // SAFETY: reads one slot; conversion allocates nothing.
        let int = unsafe { ffi::lua_tointegerx(self.l, index, &mut ok) };
        if ok != 0 {
            return Ok(int);
        }
        if self.kind(index) == ffi::LUA_TNUMBER {
            return Err(Failure::Arg(index, "number has no integer representation".into()));
        }
        Err(self.expected(index, "number"))
    }

    pub(crate) fn number(&self, index: c_int) -> Result<f64, Failure> {
        let mut ok = 0;
        // SAFETY: as in `int`.
        let number = unsafe { ffi::lua_tonumberx(self.l, index, &mut ok) };
        if ok != 0 { Ok(number) } else { Err(self.expected(index, "number")) }
    }

    pub(crate) fn truthy(&self, index: c_int) -> bool {
        // SAFETY: reads one slot.
        unsafe { ffi::lua_toboolean(self.l, index) != 0 }
    }

    /// A sample made of an argument, by HAProxy's table: what has no sample type becomes false.
    pub(crate) fn value(&self, index: c_int) -> Value<'a> {
        match self.kind(index) {
            ffi::LUA_TSTRING => Value::Str(self.try_bytes(index).unwrap_or_default()),
            ffi::LUA_TNUMBER => {
                let mut ok = 0;
                // SAFETY: reads one slot.
                let int = unsafe { ffi::lua_tointegerx(self.l, index, &mut ok) };
                Value::Int(if ok != 0 { int } else { 0 })
            }
            ffi::LUA_TBOOLEAN => Value::Bool(self.truthy(index)),
            _ => Value::Bool(false),
        }
    }

    /// What is at `index`, with the values that need no memory.
    pub(crate) fn kind_of(&self, index: c_int) -> Kind {
        match self.kind(index) {
            ffi::LUA_TNONE | ffi::LUA_TNIL => Kind::Nil,
            ffi::LUA_TBOOLEAN => Kind::Bool(self.truthy(index)),
            // SAFETY: the slot holds a number.
            ffi::LUA_TNUMBER => unsafe {
                if ffi::lua_isinteger(self.l, index) != 0 {
                    Kind::Int(ffi::lua_tointeger(self.l, index))
                } else {
                    Kind::Float(ffi::lua_tonumber(self.l, index))
                }
            },
            ffi::LUA_TSTRING => Kind::Text,
            ffi::LUA_TTABLE => Kind::Table,
            // SAFETY: reads the slot's pointer.
            ffi::LUA_TLIGHTUSERDATA if unsafe { ffi::lua_touserdata(self.l, index) }.is_null() => Kind::Null,
            _ => Kind::Other(self.type_name(index)),
        }
    }
}
