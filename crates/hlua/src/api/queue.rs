//! The class `Queue`: a list without bound that tasks of one VM hand values through, first in, first out.
//!
//! The values stay in the VM. Whoever waits does so outside of it, on the queue's [`Bell`].
//!
//! Source: lua-api "Queue class".

use std::collections::VecDeque;
use std::ffi::c_int;
use std::sync::Arc;

use crate::api::{Class, ClassDef, Method, core, to_string};
use crate::context::ContextKind::{Action, Event, ServiceHttp, ServiceTcp, Task};
use crate::context::Contexts;
use crate::op::{Alarm, Bell, Op};
use crate::raw::machine;
use crate::raw::stack::{Failure, Flow, Ret, Stack};

pub(crate) const CLASS: ClassDef = ClassDef {
    name: "Queue",
    methods: &[
        Method::new("size", "(self)", size),
        Method::new("push", "(self, item)", push),
        Method::new("pop", "(self)", pop),
        Method::new("pop_wait", "(self)", pop_wait).waits().again(),
        Method::new("alarm", "(self)", alarm).only(Contexts::of(&[
            Task,
            Action,
            ServiceHttp,
            ServiceTcp,
            Event,
        ])),
    ],
    lazy: None,
    attributes: &[],
    meta: &[to_string!("Queue"), Method::new("__gc", "(self)", collect)],
};

/// The values of one queue, as registry references, and who waits for some.
#[derive(Default)]
pub(crate) struct Queue {
    items: VecDeque<c_int>,
    bell: Arc<Bell>,
}

pub(crate) fn new(stack: &mut Stack<'_>) -> Flow {
    let number = stack.vm().new_handle();
    stack.push_object(Class::Queue, number)?;
    stack.vm().queues.borrow_mut().insert(number, Queue::default());
    Ok(Ret::Count(1))
}

fn size(stack: &mut Stack<'_>) -> Flow {
    let number = stack.object(1, Class::Queue)?;
    let size = stack.vm().queues.borrow().get(&number).map_or(0, |queue| queue.items.len());
    stack.push_int(size as i64);
    Ok(Ret::Count(1))
}

fn push(stack: &mut Stack<'_>) -> Flow {
    let number = stack.object(1, Class::Queue)?;
    if stack.top() != 2 || stack.is_nil(2) {
        return Err(Failure::error("unexpected argument"));
    }
    let item = stack.make_ref()?;
    let mut queues = stack.vm().queues.borrow_mut();
    let Some(queue) = queues.get_mut(&number) else {
        drop(queues);
        machine::unref(stack.vm(), item);
        return Err(gone());
    };
    queue.items.push_back(item);
    let bell = queue.bell.clone();
    drop(queues);
    bell.ring(1);
    stack.push_bool(true);
    Ok(Ret::Count(1))
}

fn pop(stack: &mut Stack<'_>) -> Flow {
    if !take(stack)? {
        stack.push_nil();
    }
    Ok(Ret::Count(1))
}

/// Run again from its start when the bell has rung, as another may have been quicker.
fn pop_wait(stack: &mut Stack<'_>) -> Flow {
    core::may_wait(stack, "pop_wait")?;
    if take(stack)? {
        return Ok(Ret::Count(1));
    }
    let number = stack.object(1, Class::Queue)?;
    let bell = stack.vm().queues.borrow().get(&number).map(|queue| queue.bell.clone());
    Ok(Ret::Block(Op::Bell(bell.ok_or_else(gone)?)))
}

/// Wakes this run's `core.wait` when the queue has something.
fn alarm(stack: &mut Stack<'_>) -> Flow {
    let number = stack.object(1, Class::Queue)?;
    let run = &stack.vm().run;
    let alarm: Arc<Alarm> = run.alarm.take().unwrap_or_default();
    run.alarm.set(Some(alarm.clone()));
    let queues = stack.vm().queues.borrow();
    queues.get(&number).ok_or_else(gone)?.bell.set(alarm);
    Ok(Ret::Count(0))
}

/// Pushes the oldest item, if there is one.
fn take(stack: &mut Stack<'_>) -> Result<bool, Failure> {
    let number = stack.object(1, Class::Queue)?;
    let item = {
        let mut queues = stack.vm().queues.borrow_mut();
        let queue = queues.get_mut(&number).ok_or_else(gone)?;
        let item = queue.items.pop_front();
        item.inspect(|_| queue.bell.took())
    };
    let Some(item) = item else { return Ok(false) };
    stack.push_ref(item);
    machine::unref(stack.vm(), item);
    Ok(true)
}

fn collect(stack: &mut Stack<'_>) -> Flow {
    if let Some(number) = stack.handle(1)
        && let Some(queue) = stack.vm().queues.borrow_mut().remove(&number)
    {
        for item in queue.items {
            machine::unref(stack.vm(), item);
        }
    }
    Ok(Ret::Count(0))
}

fn gone() -> Failure {
    Failure::error("Queue: this object is gone")
}
