//! A view of one Lua stack, with which API functions read arguments and leave results.
//!
//! INVARIANT: bytes borrowed from the stack stay valid while their slot is neither popped nor replaced; the
//! methods that push never touch slots below.
#![expect(unsafe_code, reason = "reads and writes Lua's stack through its C API")]

use std::borrow::Cow;
use std::ffi::{c_int, c_void};
use std::rc::Rc;

use mlua::ffi;

use crate::api::Class;
use crate::context::ContextKind;
use crate::host::{AppletHttp, AppletIo, AppletTcp, Core, Lent, Stream, Txn, Value};
use crate::limits::BoolSamples;
use crate::members::{self, Members, Places};
use crate::op::Op;
use crate::value::Out;
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

    // ---- arguments -------------------------------------------------------------------------------------------

    pub(crate) fn top(&self) -> c_int {
        // SAFETY: reads a field of a live state.
        unsafe { ffi::lua_gettop(self.l) }
    }

    pub(crate) fn set_top(&mut self, top: c_int) {
        // SAFETY: `top` is at most a few slots above the present top; none is to be closed.
        unsafe { ffi::lua_settop(self.l, top) }
    }

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

    fn is_not_a_number(&self, index: c_int) -> bool {
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

    /// The integer of a closure made by [`push_method`](Self::push_method).
    pub(crate) fn upvalue_int(&self) -> i64 {
        // SAFETY: an upvalue index that does not exist reads as none.
        unsafe { ffi::lua_tointeger(self.l, ffi::lua_upvalueindex(2)) }
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

    /// Makes room for `slots` more values.
    pub(crate) fn reserve(&mut self, slots: c_int) -> bool {
        // SAFETY: fails by its result, not by raising.
        unsafe { ffi::lua_checkstack(self.l, slots) != 0 }
    }

    /// Gives the table at `index` a class's metatable.
    pub(crate) fn set_class(&mut self, index: c_int, class: Class) {
        // SAFETY: callers pass an absolute index of a table; the metatable is popped.
        unsafe {
            ffi::lua_rawgeti(self.l, ffi::LUA_REGISTRYINDEX, self.vm.class(class).into());
            ffi::lua_setmetatable(self.l, index);
        }
    }

    // ---- tables ----------------------------------------------------------------------------------------------

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

    /// Pushes a function that does nothing.
    pub(crate) fn push_nothing(&mut self) {
        // SAFETY: a free slot is there; a C function without upvalues allocates nothing.
        unsafe { ffi::lua_pushcfunction(self.l, nothing) }
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

    // ---- results ---------------------------------------------------------------------------------------------

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

    /// A whole tree of tables.
    pub(crate) fn push_out(&mut self, out: &Out) -> Result<(), Failure> {
        let data = (out, self.vm);
        let data = std::ptr::from_ref(&data).cast_mut().cast::<c_void>();
        // SAFETY: a free slot is there; `data` outlives the protected call.
        unsafe { ffi::lua_pushlightuserdata(self.l, data) };
        self.protected(push_out_on, 1, 1)
    }

    /// Pushes what a registry reference names.
    pub(crate) fn push_ref(&mut self, reference: c_int) {
        // SAFETY: reads the registry.
        unsafe {
            ffi::lua_rawgeti(self.l, ffi::LUA_REGISTRYINDEX, reference.into());
        }
    }

    /// Pushes a global, raw.
    pub(crate) fn push_global(&mut self, name: &'static std::ffi::CStr) {
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

    /// The present run's own object (the TXN or applet), for its lazily made members.
    pub(crate) fn push_own_object(&mut self) {
        self.push_ref(self.vm.run.slot.get());
    }

    /// Pushes a C function that runs `method` with `extra` as its own integer.
    pub(crate) fn push_method(
        &mut self,
        method: &'static crate::api::Method,
        extra: i64,
    ) -> Result<(), Failure> {
        // SAFETY: free slots are there; what is bound outlives the VM's functions.
        unsafe {
            ffi::lua_pushlightuserdata(self.l, self.vm.bind(method).cast_mut().cast());
            ffi::lua_pushinteger(self.l, extra);
        }
        self.protected(super::entry::make_closure_on, 2, 1)
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

    // ---- what is lent ----------------------------------------------------------------------------------------

    /// Borrows what this run was lent, if the object at argument 1 is this run's.
    pub(crate) fn lent(&mut self, class: Class) -> Result<Borrowed<'a>, Failure> {
        if self.vm.run.objects.has(class, self.address(1)) {
            return Ok(self.lent_unchecked());
        }
        let Some(handle) = self.handle(1) else { return Err(self.expected(1, class.name())) };
        if handle.abs() != self.vm.run.handle.get() {
            return Err(stale(class.name()));
        }
        Ok(self.lent_unchecked())
    }

    pub(crate) fn lent_unchecked(&mut self) -> Borrowed<'a> {
        Borrowed { vm: self.vm, lent: self.vm.run.lent.take() }
    }
}

pub(crate) fn stale(class: &str) -> Failure {
    Failure::Error(
        format!("{class}: this object belongs to a call that is over or is not running now").into(),
    )
}

/// The lent TXN or applet for the length of one API call; put back when dropped.
///
/// It is out of the VM meanwhile, so a host that runs another Lua function from inside the call meets no borrow.
pub(crate) struct Borrowed<'a> {
    vm: &'a VmState,
    lent: Lent,
}

impl Drop for Borrowed<'_> {
    fn drop(&mut self) {
        self.vm.run.lent.set(std::mem::take(&mut self.lent));
    }
}

impl Borrowed<'_> {
    pub(crate) fn stream(&mut self) -> Result<&mut dyn Stream, Failure> {
        match &mut self.lent {
            Lent::Txn(txn) => Ok(&mut **txn),
            Lent::AppletHttp(applet) => Ok(&mut **applet),
            Lent::AppletTcp(applet) => Ok(&mut **applet),
            Lent::Nothing => Err(stale("TXN")),
        }
    }

    pub(crate) fn txn(&mut self) -> Result<&mut dyn Txn, Failure> {
        match &mut self.lent {
            Lent::Txn(txn) => Ok(&mut **txn),
            _ => Err(stale("TXN")),
        }
    }

    pub(crate) fn applet_http(&mut self) -> Result<&mut dyn AppletHttp, Failure> {
        match &mut self.lent {
            Lent::AppletHttp(applet) => Ok(&mut **applet),
            _ => Err(stale("AppletHTTP")),
        }
    }

    pub(crate) fn applet_tcp(&mut self) -> Result<&mut dyn AppletTcp, Failure> {
        match &mut self.lent {
            Lent::AppletTcp(applet) => Ok(&mut **applet),
            _ => Err(stale("AppletTCP")),
        }
    }

    pub(crate) fn io(&mut self) -> Result<&mut dyn AppletIo, Failure> {
        match &mut self.lent {
            Lent::AppletHttp(applet) => Ok(&mut **applet),
            Lent::AppletTcp(applet) => Ok(&mut **applet),
            _ => Err(stale("applet")),
        }
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

unsafe extern "C-unwind" fn nothing(_: *mut ffi::lua_State) -> c_int {
    0
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

unsafe extern "C-unwind" fn push_bytes_on(l: *mut ffi::lua_State) -> c_int {
    // SAFETY: the argument points to a slice that outlives this call.
    unsafe {
        let bytes = *ffi::lua_touserdata(l, 1).cast::<&[u8]>();
        ffi::lua_pushlstring(l, bytes.as_ptr().cast(), bytes.len());
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

unsafe extern "C-unwind" fn make_ref_on(l: *mut ffi::lua_State) -> c_int {
    // SAFETY: one argument, taken.
    unsafe {
        let reference = ffi::luaL_ref(l, ffi::LUA_REGISTRYINDEX);
        ffi::lua_pushinteger(l, reference.into());
    }
    1
}

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

unsafe fn make_object(l: *mut ffi::lua_State, handle: i64, class: c_int, fields: c_int) {
    // SAFETY: the caller has the slots.
    unsafe {
        ffi::lua_createtable(l, 0, fields);
        ffi::lua_pushinteger(l, handle);
        ffi::lua_rawseti(l, -2, 0);
        ffi::lua_rawgeti(l, ffi::LUA_REGISTRYINDEX, class.into());
        ffi::lua_setmetatable(l, -2);
    }
}

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
            if let Out::Bytes(name) = key {
                crate::record::reached(class.name(), &String::from_utf8_lossy(name));
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
