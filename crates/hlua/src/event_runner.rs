//! Runs the handler of one event subscription: one event after the other, each in its own execution.
//!
//! A task on the worker that subscribed. A handler may yield; the next event waits for it. The queue is the host's
//! and bounded; what it drops while paused is told here as a count.
//!
//! Source: lua-api "core.event_sub", "ServerEvent class".

use std::ffi::c_int;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use crate::api::{Class, records, server};
use crate::context::ContextKind;
use crate::execution::Execution;
use crate::garbage::Dropped;
use crate::host::{
    Event, EventStream, Lent, Level, ServerEvent, ServerEventAdmin, ServerEventCheck, ServerEventDetails,
    ServerEventState,
};
use crate::runtime::Runtime;
use crate::value::Out;
use crate::vm::VmState;

pub(crate) struct EventRunner {
    runtime: Runtime,
    events: Box<dyn EventStream>,
    handler: c_int,
    id: i64,
    current: Option<Execution>,
}

impl EventRunner {
    pub(crate) fn new(runtime: Runtime, events: Box<dyn EventStream>, handler: c_int, id: i64) -> Self {
        EventRunner { runtime, events, handler, id, current: None }
    }

    fn log(&self, level: Level, text: &str) {
        self.runtime.worker.core.log(level, text);
    }

    fn begin(&self, event: Event) -> Execution {
        let id = self.id;
        let args = self.runtime.with(|vm| arguments(&vm.state, event, id));
        Execution::of_values(self.runtime.clone(), ContextKind::Event, self.handler, args)
    }
}

impl Future for EventRunner {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        loop {
            if let Some(waiting) = this.events.take_overflow() {
                let text = format!(
                    "Lua event_hdl: {waiting} unconsumed events: the subscription is paused until they are handled; events published meanwhile are not delivered."
                );
                this.log(Level::Warning, &text);
            }
            if let Some(execution) = &mut this.current {
                let now = this.runtime.worker.core.now();
                let result = ready!(execution.poll(Lent::Nothing, now, cx).1);
                this.current = None;
                if let Err(error) = result {
                    this.log(Level::Alert, &error.to_string());
                }
            }
            match ready!(this.events.poll_next(cx)) {
                Some(event) => this.current = Some(this.begin(event)),
                None => return Poll::Ready(()),
            }
        }
    }
}

impl Drop for EventRunner {
    fn drop(&mut self) {
        self.current = None;
        self.runtime.garbage().add(Dropped::Reference(self.handler));
        let id = self.id;
        self.runtime.with(|vm| vm.state.subscriptions.borrow_mut().remove(&id));
    }
}

/// `(event, data, sub, when)`
fn arguments(vm: &VmState, event: Event, id: i64) -> Vec<Out> {
    let data = event.data.map_or(Out::Nil, |data| server_event(vm, event.name, data));
    vec![Out::Name(event.name), data, Out::Object(Class::EventSub, id), Out::Int(event.when)]
}

fn server_event(vm: &VmState, name: &str, event: ServerEvent) -> Out {
    let worker = vm.worker();
    let proxies = worker.core.proxies();
    let live = proxies.and_then(|proxies| proxies.server(event.proxy_uuid, event.puid, event.rid));
    let mut fields = vec![
        ("name", Out::text(event.name)),
        ("puid", Out::Int(event.puid)),
        ("rid", Out::Int(event.rid)),
        ("proxy_name", Out::text(event.proxy_name)),
        ("proxy_uuid", Out::Int(event.proxy_uuid)),
    ];
    if let Some(live) = live.filter(|_| name != "SERVER_DEL") {
        fields.push(("reference", server::out(vm, &*live)));
    }
    match event.details {
        ServerEventDetails::None => {}
        ServerEventDetails::State(change) => fields.push(("state", state(change))),
        ServerEventDetails::Admin(change) => fields.push(("admin", admin(change))),
        ServerEventDetails::Check(result) => fields.push(("check", check(result))),
        ServerEventDetails::Inetaddr { prev, next } => {
            let addresses = [("prev", Out::text(prev)), ("next", Out::text(next))];
            fields.push(("inetaddr", Out::record(addresses)));
        }
    }
    records::SERVER_EVENT.table(fields)
}

fn state(event: ServerEventState) -> Out {
    records::SERVER_EVENT_STATE.table(vec![
        ("admin", Out::Bool(event.admin)),
        ("check", event.check.map_or(Out::Nil, check)),
        ("cause", Out::text(event.cause)),
        ("old_state", Out::Name(event.old_state)),
        ("new_state", Out::Name(event.new_state)),
        ("requeued", Out::Int(event.requeued)),
    ])
}

fn admin(event: ServerEventAdmin) -> Out {
    let flags = |flags: std::collections::BTreeMap<&'static str, bool>| {
        Out::Table(flags.into_iter().map(|(flag, set)| (Out::Name(flag), Out::Bool(set))).collect())
    };
    records::SERVER_EVENT_ADMIN.table(vec![
        ("cause", Out::text(event.cause)),
        ("old_admin", flags(event.old_admin)),
        ("new_admin", flags(event.new_admin)),
        ("requeued", Out::Int(event.requeued)),
    ])
}

fn check(event: ServerEventCheck) -> Out {
    let health = Out::record([
        ("cur", Out::Int(event.health_cur)),
        ("rise", Out::Int(event.health_rise)),
        ("fall", Out::Int(event.health_fall)),
    ]);
    let reason = Out::record([
        ("short", Out::text(event.reason_short)),
        ("desc", Out::text(event.reason_desc)),
        ("code", event.reason_code.map_or(Out::Nil, Out::Int)),
    ]);
    records::SERVER_EVENT_CHECK.table(vec![
        ("result", event.result.map_or(Out::Nil, Out::text)),
        ("agent", Out::Bool(event.agent)),
        ("duration", Out::Int(event.duration)),
        ("reason", reason),
        ("health", health),
    ])
}
