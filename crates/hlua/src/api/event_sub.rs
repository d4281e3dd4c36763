//! The class `EventSub`, `core.event_sub`, `Server:event_sub` and `Patref:event_sub`.
//!
//! Subscribing before the process runs waits for the scheduler, like tasks; of the per-thread VMs only the first
//! subscribes then.
//!
//! Source: lua-api "core.event_sub", "Server.event_sub", "EventSub class".

use crate::api::{Class, ClassDef, Method, server, to_string};
use crate::context::ContextKind;
use crate::host::Scope;
use crate::raw::stack::{Failure, Flow, Ret, Stack};
use crate::vm::Startup;

pub(crate) const CLASS: ClassDef = ClassDef {
    name: "EventSub",
    methods: &[Method::new("unsub", "(self)", unsub)],
    lazy: None,
    attributes: &[],
    meta: &[to_string!("EventSub")],
};

pub(crate) fn core_event_sub(stack: &mut Stack<'_>) -> Flow {
    stack.need(2, "event_sub")?;
    subscribe(stack, Scope::Global, 1)
}

pub(crate) fn server_event_sub(stack: &mut Stack<'_>) -> Flow {
    stack.need(3, "event_sub")?;
    match server::scope(stack)? {
        Some(scope) => subscribe(stack, scope, 2),
        None => Ok(Ret::Count(0)),
    }
}

/// Types at `index`, the handler after them.
pub(crate) fn subscribe(stack: &mut Stack<'_>, scope: Scope, index: i32) -> Flow {
    let names = event_names(stack, scope, index)?;
    if !stack.is_function(index + 1) {
        return Err(stack.expected(index + 1, "function"));
    }
    if stack.context().is_start() && stack.vm().secondary {
        return Ok(Ret::Count(0));
    }
    stack.copy(index + 1);
    let handler = stack.make_ref()?;
    let id = stack.vm().new_handle();
    stack.push_object(Class::EventSub, id)?;
    stack.vm().subscriptions.borrow_mut().insert(id, None);
    stack.vm().startup.borrow_mut().push(Startup::Events { scope, names, handler, id });
    Ok(Ret::Count(1))
}

fn event_names(stack: &mut Stack<'_>, scope: Scope, index: i32) -> Result<Vec<String>, Failure> {
    if !stack.is_table(index) {
        return Err(Failure::error("register_event_sub: first argument must be a table of strings"));
    }
    let core = stack.core();
    let mut names = Vec::new();
    for at in 1..=stack.raw_len(index) {
        stack.push_element(index, at);
        let name = stack.text(-1);
        stack.pop(1);
        let name = name
            .map_err(|_| Failure::error("register_event_sub: first argument must be a table of strings"))?;
        let known = core.events().map_or(is_event(&name), |events| events.is_known(&name));
        if !known {
            return Err(Failure::Error(format!("'{name}' event type is unknown").into()));
        }
        names.push(name);
    }
    let of_patterns = |name: &String| name.starts_with("PAT_REF");
    let first_is = names.first().is_some_and(of_patterns);
    if let Some(other) = names.iter().find(|name| of_patterns(name) != first_is) {
        let text = format!("'{other}' is of another family than '{}': subscribe to it by itself", names[0]);
        return Err(Failure::Error(text.into()));
    }
    match (scope, first_is) {
        (Scope::Pattern { .. }, false) if !names.is_empty() => {
            let text = format!("'{}' is no event of pattern references", names[0]);
            return Err(Failure::Error(text.into()));
        }
        (Scope::Server { .. }, true) => {
            return Err(Failure::Error(format!("'{}' is no event of servers", names[0]).into()));
        }
        (Scope::Global, true) => core.log(
            crate::host::Level::Warning,
            "core.event_sub: events of pattern references reach subscriptions of one reference only (Patref:event_sub)",
        ),
        _ => {}
    }
    if names.is_empty() {
        return Err(Failure::error("no valid event types were provided"));
    }
    Ok(names)
}

/// While a configuration is read there may be no bus yet to ask.
fn is_event(name: &str) -> bool {
    const NAMES: [&str; 15] = [
        "SERVER",
        "SERVER_ADD",
        "SERVER_DEL",
        "SERVER_UP",
        "SERVER_DOWN",
        "SERVER_STATE",
        "SERVER_ADMIN",
        "SERVER_CHECK",
        "SERVER_INETADDR",
        "PAT_REF",
        "PAT_REF_ADD",
        "PAT_REF_DEL",
        "PAT_REF_SET",
        "PAT_REF_COMMIT",
        "PAT_REF_CLEAR",
    ];
    NAMES.contains(&name)
}

/// What is queued is still delivered; may be repeated.
fn unsub(stack: &mut Stack<'_>) -> Flow {
    let id = stack.object(1, Class::EventSub)?;
    let vm = stack.vm();
    if stack.context() != ContextKind::Body
        && let Some(Some(handle)) = vm.subscriptions.borrow().get(&id)
    {
        handle.unsubscribe();
        return Ok(Ret::Count(0));
    }
    let mut startup = vm.startup.borrow_mut();
    startup.retain(|waiting| !matches!(waiting, Startup::Events { id: other, .. } if *other == id));
    Ok(Ret::Count(0))
}
