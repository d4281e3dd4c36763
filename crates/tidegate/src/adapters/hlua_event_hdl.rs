//! Scripts' event subscriptions, made of the event bus.
//!
//! Source: lua-api `core.event_sub`, `Server.event_sub`, `Patref.event_sub`, class ServerEvent.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    sync::Arc,
    task::{Context, Poll, ready},
};

use event_hdl::{EventQueue, Family, Item, Names, Overflow, QueuedEvent, Subscription, Subtypes};
use hlua::host::{
    self, Event, EventHandle, EventStream, HostError, HostResult, Scope, ServerEventAdmin, ServerEventCheck,
    ServerEventDetails, ServerEventState, Subscribed,
};
use proxy_core::backend::event::{AdminFlags, CheckSnapshot, ServerEvent, StateCause, StateChange};

use super::proxy_core_event_hdl::{
    PatternEvents, Patterns, ServerEvents, ServerSnapshot, Servers, pattern_subtype_name, subtype_name,
};

/// The event bus as scripts see it.
#[derive(Clone)]
pub struct LuaEvents {
    /// Servers.
    pub servers: Arc<ServerEvents>,
    /// Pattern references.
    pub patterns: Arc<PatternEvents>,
}

impl host::Events for LuaEvents {
    fn is_known(&self, name: &str) -> bool {
        Names::of::<Servers>().find(name).is_some() || Names::of::<Patterns>().find(name).is_some()
    }

    fn subscribe(&self, scope: Scope, names: &[String]) -> HostResult<Subscribed> {
        let servers = || subtypes::<Servers>(names);
        let queue = match scope {
            Scope::Global => self.servers.global().queue(servers(), Overflow::LUA),
            Scope::Server { proxy_uuid, puid, rid } => {
                let key = (number(proxy_uuid)?, number(puid)?, number(rid)?);
                self.servers.with_own(key, |list| list.queue(servers(), Overflow::LUA))
            }
            Scope::Pattern { id } => {
                let wanted = subtypes::<Patterns>(names);
                let queue = self.patterns.with_own(number(id)?, |list| list.queue(wanted, Overflow::LUA));
                let queue = queue.ok_or(HostError::Refused(Cow::Borrowed("no such pattern reference")))?;
                return subscribed(queue, for_patterns);
            }
        };
        subscribed(queue, for_scripts)
    }
}

fn subtypes<F: Family>(names: &[String]) -> Subtypes {
    let known = Names::of::<F>();
    names.iter().filter_map(|name| known.find(name)).fold(Subtypes::NONE, |all, one| all | one)
}

fn subscribed<F: Family>(
    queue: Result<EventQueue<F>, event_hdl::Error>,
    show: fn(&QueuedEvent<F>) -> Event,
) -> HostResult<Subscribed> {
    let queue = queue.map_err(|error| HostError::Refused(Cow::Owned(error.to_string())))?;
    let handle = Box::new(Handle(queue.subscription().clone()));
    Ok(Subscribed { events: Box::new(Queue { queue, show, told: false }), handle })
}

fn number(id: i64) -> HostResult<u32> {
    u32::try_from(id).map_err(|_| HostError::Refused(Cow::Borrowed("no such server or pattern reference")))
}

struct Handle<F: Family>(Subscription<F>);

impl<F: Family> EventHandle for Handle<F> {
    fn unsubscribe(&self) {
        self.0.unsubscribe();
    }
}

struct Queue<F: Family> {
    queue: EventQueue<F>,
    show: fn(&QueuedEvent<F>) -> Event,
    /// Whether the present pause was reported.
    told: bool,
}

impl<F: Family> EventStream for Queue<F> {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        loop {
            match ready!(self.queue.poll_pop(cx)) {
                Some(Item::Event(event)) => return Poll::Ready(Some((self.show)(&event))),
                Some(Item::Lost(_)) => self.told = false,
                Some(Item::End) | None => return Poll::Ready(None),
            }
        }
    }

    fn take_overflow(&mut self) -> Option<usize> {
        if !self.queue.is_throttled() {
            self.told = false;
            return None;
        }
        let first = !std::mem::replace(&mut self.told, true);
        first.then(|| self.queue.len() + 1)
    }
}

/// Without a table.
fn for_patterns(event: &QueuedEvent<Patterns>) -> Event {
    let when = i64::try_from(event.when.as_secs()).unwrap_or(i64::MAX);
    Event { name: pattern_subtype_name(event.subtype), when, data: None }
}

/// The event's table.
fn for_scripts(event: &QueuedEvent<Servers>) -> Event {
    let data = &event.data;
    Event {
        name: subtype_name(event.subtype),
        when: i64::try_from(event.when.as_secs()).unwrap_or(i64::MAX),
        data: Some(host::ServerEvent {
            name: data.name.clone(),
            puid: data.puid.into(),
            rid: data.rid.into(),
            proxy_name: data.proxy_name.to_string(),
            proxy_uuid: data.proxy_uuid.into(),
            details: details(data),
        }),
    }
}

fn details(data: &ServerSnapshot) -> ServerEventDetails {
    match &data.event {
        ServerEvent::State(change) => ServerEventDetails::State(state(change)),
        ServerEvent::Admin(change) => ServerEventDetails::Admin(ServerEventAdmin {
            cause: change.cause.text().to_owned(),
            old_admin: flags(change.old),
            new_admin: flags(change.new),
            requeued: count(change.requeued),
        }),
        ServerEvent::Check(snapshot) => ServerEventDetails::Check(check(snapshot)),
        ServerEvent::InetAddr(change) => {
            ServerEventDetails::Inetaddr { prev: change.prev.to_string(), next: change.next.to_string() }
        }
        _ => ServerEventDetails::None,
    }
}

fn state(change: &StateChange) -> ServerEventState {
    let (admin, cause, by) = match &change.cause {
        StateCause::Operational { cause, check } => (false, cause.text(), check.as_ref()),
        StateCause::Administrative { cause } => (true, cause.text(), None),
        _ => (false, "", None),
    };
    ServerEventState {
        admin,
        check: by.map(check),
        cause: cause.to_owned(),
        old_state: change.old.name(),
        new_state: change.new.name(),
        requeued: count(change.requeued),
    }
}

fn check(snapshot: &CheckSnapshot) -> ServerEventCheck {
    ServerEventCheck {
        result: Some(snapshot.result.name()),
        agent: snapshot.agent,
        duration: i64::try_from(snapshot.duration.as_millis()).unwrap_or(i64::MAX),
        reason_short: snapshot.status.short().to_owned(),
        reason_desc: snapshot.status.description().to_owned(),
        reason_code: snapshot.status.has_code().then(|| snapshot.code.into()),
        health_cur: snapshot.health.cur.into(),
        health_rise: snapshot.health.rise.into(),
        health_fall: snapshot.health.fall.into(),
    }
}

fn flags(flags: AdminFlags) -> BTreeMap<&'static str, bool> {
    [
        ("MAINT", AdminFlags::MAINT),
        ("FMAINT", AdminFlags::FMAINT),
        ("IMAINT", AdminFlags::IMAINT),
        ("RMAINT", AdminFlags::RMAINT),
        ("CMAINT", AdminFlags::CMAINT),
        ("DRAIN", AdminFlags::DRAIN),
        ("FDRAIN", AdminFlags::FDRAIN),
        ("IDRAIN", AdminFlags::IDRAIN),
    ]
    .into_iter()
    .map(|(name, flag)| (name, flags.intersects(flag)))
    .collect()
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
