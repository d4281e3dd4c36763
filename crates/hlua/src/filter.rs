//! Filters: what `core.register_filter` declared, put on a stream, called back.
//!
//! ```text
//!   core.register_filter ──► declare_filter, once a `filter lua.NAME` line and VM: func(copy of the class, args)
//!                              └► open_filter, once a stream: class:new() ──► FilterInstance
//!                                   └► call_filter, at each point: instance:callback(txn, channel or message)
//! ```
//! Callbacks cannot wait. One that has to says `filter.WAIT`, and is called again.
//!
//! Source: lua-api "Filter class"; what it leaves open was watched on HAProxy 2.6.

use std::ffi::c_int;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::api::Class;
use crate::api::filter::Declared;
use crate::execution::{Args, Execution};
use crate::garbage::{Dropped, Garbage};
use crate::host::{Lent, Side, Txn, Value};
use crate::raw::machine::{self, Coroutine};
use crate::raw::stack::Stack;
use crate::{Error, Runtime};

/// The functions that a filter's class may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Callback {
    /// `start_analyze(txn, chn)`
    #[default]
    StartAnalyze,
    /// `end_analyze(txn, chn)`
    EndAnalyze,
    /// `tcp_payload(txn, chn)`
    TcpPayload,
    /// `http_headers(txn, http_msg)`
    HttpHeaders,
    /// `http_payload(txn, http_msg)`
    HttpPayload,
    /// `http_end(txn, http_msg)`
    HttpEnd,
}

impl Callback {
    /// All of them.
    pub const ALL: [Callback; 6] = {
        use Callback::*;
        [StartAnalyze, EndAnalyze, TcpPayload, HttpHeaders, HttpPayload, HttpEnd]
    };

    /// As it is called in a class.
    pub fn name(self) -> &'static str {
        match self {
            Callback::StartAnalyze => "start_analyze",
            Callback::EndAnalyze => "end_analyze",
            Callback::TcpPayload => "tcp_payload",
            Callback::HttpHeaders => "http_headers",
            Callback::HttpPayload => "http_payload",
            Callback::HttpEnd => "http_end",
        }
    }

    /// Whether it gets an HTTP message instead of a channel.
    fn takes_message(self) -> bool {
        matches!(self, Callback::HttpHeaders | Callback::HttpPayload | Callback::HttpEnd)
    }
}

/// Which callback runs, for the API's functions.
#[derive(Clone, Copy, Default)]
pub(crate) struct Running {
    /// The instance's number.
    pub(crate) id: i64,
    pub(crate) callback: Callback,
    /// The direction it is called for; false for requests.
    pub(crate) response: bool,
    /// What it said by `register_data_filter` and its opposite, by direction.
    pub(crate) data: [Option<bool>; 2],
}

impl Running {
    pub(crate) fn side(self) -> Side {
        if self.response { Side::Response } else { Side::Request }
    }
}

/// What a callback answered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FilterAnswer {
    /// The number it returned; None if it returned nothing. What is no number counts as 0, as in HAProxy.
    pub code: Option<i64>,
    /// `txn:done()` was called.
    pub done: bool,
    /// `filter.wake_time(ms)` was called.
    pub wake_after: Option<Duration>,
    /// What `filter.register_data_filter` and its opposite said about the payload of requests and responses.
    pub data: [Option<bool>; 2],
}

/// A filter on one stream. Dropping it lets the script's object go.
pub struct FilterInstance {
    runtime: Runtime,
    declared: Arc<Declared>,
    garbage: Arc<Garbage>,
    object: c_int,
    id: i64,
}

impl FilterInstance {
    /// Whether its class has that function.
    pub fn has(&self, callback: Callback) -> bool {
        self.declared.callbacks[callback as usize]
    }

    /// Calls it for that direction of the stream and gives what it answered; blocks for the shared VM's lock.
    ///
    /// # Errors
    /// The script's, ready to log. [`Error::Yield`] means that it tried to wait; HAProxy goes on as if it had
    /// returned nothing.
    pub fn call(
        &self,
        callback: Callback,
        side: Side,
        txn: Box<dyn Txn>,
        now: Instant,
    ) -> (Box<dyn Txn>, Result<FilterAnswer, Error>) {
        let _ = now;
        let response = side == Side::Response;
        let running = Running { id: self.id, callback, response, data: [None; 2] };
        let name = Rc::from(&*self.declared.name);
        let mut run = Execution::of_filter(self.runtime.clone(), name, running, self.object);
        let (lent, result) = run.run_through(Lent::Txn(txn));
        let txn = lent.into_txn().expect("invariant: what was lent comes back");
        let answer = result.map(|outcome| FilterAnswer {
            code: outcome.values.first.as_ref().map(|first| number(Some(first))),
            done: outcome.done,
            wake_after: outcome.wake_after,
            data: outcome.filter_data,
        });
        (txn, answer)
    }
}

impl Drop for FilterInstance {
    fn drop(&mut self) {
        self.garbage.add(Dropped::Reference(self.object));
    }
}

impl Runtime {
    /// Prepares the filter of one line of the configuration: calls its function with a copy of its class and the
    /// line's arguments, once a VM. `line` is the line's number among all such lines.
    ///
    /// # Errors
    /// [`Error::Unknown`], or the script's; the process should not start then.
    pub fn declare_filter(&self, line: usize, name: &str, args: &[&[u8]]) -> Result<(), Error> {
        if self.with(|vm| vm.state.filters.borrow().is_declared(line)) {
            return Ok(());
        }
        let prepared: Result<_, Error> = self.with(|vm| {
            let prepared = vm.state.filters.borrow().find(name);
            let (class, function) =
                prepared.ok_or_else(|| Error::Unknown { kind: "filter".into(), name: name.to_string() })?;
            let memory = || Error::Memory { function: "Lua".into() };
            let mut stack = machine::main_stack(&vm.state);
            let top = stack.top();
            stack.push_ref(class);
            let copied = stack.push_shallow_copy(-1).and_then(|()| stack.make_ref());
            let list = args.iter().map(|arg| crate::value::Out::text(*arg)).collect();
            let list = stack.push_out(&crate::value::Out::List(list)).and_then(|()| stack.make_ref());
            stack.set_top(top);
            Ok((function, copied.map_err(|_| memory())?, list.map_err(|_| memory())?))
        });
        let (function, class, list) = prepared?;
        let made =
            Execution::make_table(self, name.into(), function, Args::References(Box::new([class, list])));
        self.garbage().add(Dropped::Reference(list));
        let (outcome, table) = made.inspect_err(|_| self.garbage().add(Dropped::Reference(class)))?;
        // What returns nothing leaves the copy as the filter, as in HAProxy; nil takes it away, as documented.
        let class = match table {
            Some(table) => {
                self.garbage().add(Dropped::Reference(class));
                Some(table)
            }
            None => Some(class).filter(|_| outcome.values.first.is_none()),
        };
        self.with(|vm| {
            let declared = class.map(|class| Declared::new(&vm.state, name, class));
            vm.state.filters.borrow_mut().declare(line, declared);
        });
        Ok(())
    }

    /// Whether a declared filter may be put on HTTP streams (`filter.FLT_CFG_FL_HTX` among its class's flags).
    pub fn filter_knows_http(&self, line: usize) -> bool {
        self.with(|vm| vm.state.filters.borrow().declared(line)).is_some_and(|declared| declared.http)
    }

    /// Puts a declared filter on a stream: calls its class's `new`. `None`: it is not to be there.
    ///
    /// # Errors
    /// The script's; the stream should end.
    pub fn open_filter(&self, line: usize) -> Result<Option<FilterInstance>, Error> {
        let Some(declared) = self.with(|vm| vm.state.filters.borrow().declared(line)) else {
            return Ok(None);
        };
        let Some(new) = declared.new else { return Ok(None) };
        let name = Rc::from(&*declared.name);
        let args = Args::References(Box::new([declared.class]));
        let (_, object) = Execution::make_table(self, name, new, args)?;
        let Some(object) = object else { return Ok(None) };
        let id = self.with(|vm| {
            let id = vm.state.new_handle();
            crate::api::filter::mark(&mut machine::main_stack(&vm.state), object, id);
            id
        });
        let (runtime, garbage) = (self.clone(), self.garbage().clone());
        Ok(Some(FilterInstance { runtime, declared, garbage, object, id }))
    }
}

/// Pushes a callback and what it is called with.
pub(crate) fn push_call(
    stack: &mut Stack<'_>,
    coroutine: &mut Coroutine,
    (running, object): (Running, c_int),
    handle: i64,
) -> Option<c_int> {
    stack.push_ref(object);
    stack.push_member_of(-1, running.callback.name()).ok()?;
    if !stack.is_function(-1) {
        stack.set_top(0);
        stack.push_nothing();
        return Some(0);
    }
    // The function goes below its first argument.
    stack.copy(-2);
    stack.push_object(Class::Txn, handle).ok()?;
    coroutine.keep_object(stack.vm())?;
    let handle = if running.response { -handle } else { handle };
    if running.callback.takes_message() {
        crate::api::http_message::push(stack, handle, running.id).ok()?;
    } else {
        crate::api::channel::push(stack, handle, running.id).ok()?;
    }
    stack.remove(1);
    Some(3)
}

/// A result as a number, as Lua's C API reads it.
fn number(value: Option<&Value<'_>>) -> i64 {
    match value {
        Some(Value::Int(number)) => *number,
        Some(Value::Str(text)) => {
            std::str::from_utf8(text).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
        }
        _ => 0,
    }
}
