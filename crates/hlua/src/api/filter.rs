//! The global `filter`, and what `core.register_filter` keeps.
//!
//! Source: lua-api "Filter class".

use std::ffi::c_int;
use std::sync::Arc;
use std::time::Duration;

use crate::api::{Class, Library, Method};
use crate::context::ContextKind::Filter;
use crate::context::Contexts;
use crate::filter::Callback;
use crate::host::Level;
use crate::raw::machine;
use crate::raw::stack::{Failure, Flow, Ret, Stack};
use crate::vm::VmState;

const FILTER: Contexts = Contexts::of(&[Filter]);

pub(crate) const LIBRARY: Library = Library {
    name: "filter",
    functions: &[
        Method::new("register_data_filter", "(filter, chn)", |stack| {
            data_filter(stack, "register_data_filter", true)
        })
        .only(FILTER),
        Method::new("unregister_data_filter", "(filter, chn)", |stack| {
            data_filter(stack, "unregister_data_filter", false)
        })
        .only(FILTER),
        Method::new("wake_time", "(milliseconds)", wake_time).only(FILTER),
    ],
    constants: &[("CONTINUE", 1), ("WAIT", 0), ("ERROR", -1), ("FLT_CFG_FL_HTX", FLAG_HTTP)],
    lazy: None,
    attributes: &[],
};

const FLAG_HTTP: i64 = 1;

/// The field that marks what belongs to an instance: the instance itself, its channel, its message.
const MARK: &str = "__filter";

/// The filters of one VM.
#[derive(Default)]
pub(crate) struct Filters {
    registered: Vec<(String, c_int, c_int)>,
    /// By line; a line whose function answered nil has none.
    declared: Vec<Option<Option<Arc<Declared>>>>,
}

/// A filter of one line of the configuration.
pub(crate) struct Declared {
    pub(crate) name: String,
    pub(crate) class: c_int,
    pub(crate) new: Option<c_int>,
    pub(crate) http: bool,
    pub(crate) callbacks: [bool; Callback::ALL.len()],
}

impl Filters {
    pub(crate) fn names(&self) -> Vec<String> {
        self.registered.iter().map(|(name, ..)| name.clone()).collect()
    }

    /// The class and the function registered under a name.
    pub(crate) fn find(&self, name: &str) -> Option<(c_int, c_int)> {
        let (_, class, function) = self.registered.iter().find(|(known, ..)| known == name)?;
        Some((*class, *function))
    }

    pub(crate) fn is_declared(&self, line: usize) -> bool {
        matches!(self.declared.get(line), Some(Some(_)))
    }

    pub(crate) fn declare(&mut self, line: usize, declared: Option<Declared>) {
        if self.declared.len() <= line {
            self.declared.resize_with(line + 1, || None);
        }
        self.declared[line] = Some(declared.map(Arc::new));
    }

    pub(crate) fn declared(&self, line: usize) -> Option<Arc<Declared>> {
        self.declared.get(line)?.as_ref()?.clone()
    }
}

impl Declared {
    /// Looks at a class as its function left it.
    pub(crate) fn new(vm: &VmState, name: &str, class: c_int) -> Declared {
        let mut stack = machine::main_stack(vm);
        let top = stack.top();
        stack.push_ref(class);
        let new = function(&mut stack, "new");
        let http = stack.push_member_of(-1, "flags").is_ok() && stack.int(-1).unwrap_or(0) & FLAG_HTTP != 0;
        stack.pop(1);
        let mut callbacks = [false; Callback::ALL.len()];
        for callback in Callback::ALL {
            callbacks[callback as usize] =
                stack.push_member_of(-1, callback.name()).is_ok() && stack.is_function(-1);
            stack.pop(1);
        }
        stack.set_top(top);
        if new.is_none() {
            stack.core().log(Level::Alert, &format!("Lua filter '{name}': 'new' field is not a function."));
        }
        Declared { name: name.to_string(), class, new, http, callbacks }
    }
}

/// A reference to a function of the table on top.
fn function(stack: &mut Stack<'_>, name: &str) -> Option<c_int> {
    stack.push_member_of(-1, name).ok()?;
    if stack.is_function(-1) {
        return stack.make_ref().ok();
    }
    stack.pop(1);
    None
}

/// `core.register_filter`
pub(crate) fn register(stack: &mut Stack<'_>) -> Flow {
    stack.need(3, "register_filter")?;
    let name = stack.text(1)?;
    if !stack.is_table(2) {
        return Err(stack.expected(2, "table"));
    }
    if !stack.is_function(3) {
        return Err(stack.expected(3, "function"));
    }
    let function = stack.make_ref()?;
    let class = stack.make_ref()?;
    let mut filters = stack.vm().filters.borrow_mut();
    if let Some(known) = filters.registered.iter_mut().find(|(known, ..)| *known == name) {
        *known = (name.clone(), class, function);
        drop(filters);
        let text = format!(
            "Trying to register filter 'lua.{name}' more than once. This will become a hard error in version 2.5."
        );
        stack.core().log(Level::Warning, &text);
    } else {
        filters.registered.push((name, class, function));
    }
    Ok(Ret::Count(0))
}

/// Marks the object behind a reference as that instance's.
pub(crate) fn mark(stack: &mut Stack<'_>, object: c_int, id: i64) {
    let top = stack.top();
    stack.push_ref(object);
    // Without memory for the mark the instance cannot filter payload, and says so.
    let _ = mark_top(stack, id);
    stack.set_top(top);
}

/// Marks the table on top.
pub(crate) fn mark_top(stack: &mut Stack<'_>, id: i64) -> Result<(), Failure> {
    let table = stack.top();
    stack.push_bytes(MARK.as_bytes())?;
    stack.push_int(id);
    stack.raw_set(table)
}

fn data_filter(stack: &mut Stack<'_>, name: &str, on: bool) -> Flow {
    stack.need(2, name)?;
    let mut running = stack.vm().run.filter.get();
    if !stack.is_table(1) || !has_mark(stack, running.id)? {
        return Err(Failure::Arg(1, "the filter that this callback belongs to is expected".into()));
    }
    let handle = stack.object(2, Class::Channel)?;
    running.data[usize::from(handle < 0)] = Some(on);
    stack.vm().run.filter.set(running);
    Ok(Ret::Count(0))
}

fn has_mark(stack: &mut Stack<'_>, id: i64) -> Result<bool, Failure> {
    stack.push_field(1, MARK)?;
    let same = stack.int(-1).is_ok_and(|mark| mark == id);
    stack.pop(1);
    Ok(same)
}

/// When the stream is woken for this filter at the latest.
fn wake_time(stack: &mut Stack<'_>) -> Flow {
    stack.need(1, "wake_time")?;
    let ms = u64::try_from(stack.int(1)?).unwrap_or(0);
    stack.vm().run.wake_after.set(Some(Duration::from_millis(ms)));
    Ok(Ret::Count(0))
}
