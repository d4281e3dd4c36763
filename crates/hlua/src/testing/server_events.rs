//! Server events, from a table of what handlers read.

use mlua::{Lua, Table, Value as Lv};

use super::arguments::{table, text};
use super::streams;
use super::subject::{Results, Subject, wrong};
use crate::host::{
    Event, ServerEvent, ServerEventAdmin, ServerEventCheck, ServerEventDetails, ServerEventState,
};

/// `event(name, "be/s1", { … })`: publishes, and lets handlers run.
pub(super) fn event(_: &Lua, subject: &Subject, args: &[Lv]) -> Results {
    let (name, server) = (text(args, 0)?, text(args, 1)?);
    let known = EVENTS.iter().find(|known| **known == name);
    let name = *known.ok_or_else(|| format!("no event '{name}'; there are {}", EVENTS.join(", ")))?;
    let (proxy, server) = server.split_once('/').ok_or("a server is expected, as 'backend/server'")?;
    let proxies = crate::host::Proxies::list(&subject.core.proxies);
    let found = proxies.iter().find(|known| known.name() == proxy).and_then(|proxy| {
        let servers = proxy.servers();
        let server = servers.iter().find(|known| known.name() == server)?;
        Some((proxy.uuid(), server.puid(), server.rid()))
    });
    let (proxy_uuid, puid, rid) =
        found.ok_or_else(|| format!("no server '{proxy}/{server}'; add it with proxy()"))?;
    let details = details(name, table(args, 2)?)?;
    let data =
        ServerEvent { name: server.to_owned(), puid, rid, proxy_name: proxy.to_owned(), proxy_uuid, details };
    let when = crate::host::Core::wall_clock(&*subject.core);
    let when = when.duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
    subject.core.events.publish(&Event { name, when, data: Some(data) });
    subject.core.run_tasks();
    Ok(Vec::new())
}

const EVENTS: [&str; 8] = [
    "SERVER_ADD",
    "SERVER_DEL",
    "SERVER_UP",
    "SERVER_DOWN",
    "SERVER_STATE",
    "SERVER_ADMIN",
    "SERVER_CHECK",
    "SERVER_INETADDR",
];

/// What the event tells, from a table of the names that handlers read.
fn details(name: &str, table: Option<Table>) -> Result<ServerEventDetails, String> {
    let Some(table) = table else { return Ok(ServerEventDetails::None) };
    let text = |key: &str| table.get::<Option<String>>(key).map_err(wrong).map(Option::unwrap_or_default);
    let int = |key: &str| table.get::<Option<i64>>(key).map_err(wrong).map(Option::unwrap_or_default);
    let flag = |key: &str| table.get::<Option<bool>>(key).map_err(wrong).map(Option::unwrap_or_default);
    Ok(match name {
        "SERVER_STATE" => {
            streams::only(&table, &["admin", "cause", "old_state", "new_state", "requeued"])?;
            ServerEventDetails::State(ServerEventState {
                admin: flag("admin")?,
                check: None,
                cause: text("cause")?,
                old_state: state(&text("old_state")?)?,
                new_state: state(&text("new_state")?)?,
                requeued: int("requeued")?,
            })
        }
        "SERVER_ADMIN" => {
            streams::only(&table, &["cause", "requeued"])?;
            ServerEventDetails::Admin(ServerEventAdmin {
                cause: text("cause")?,
                requeued: int("requeued")?,
                ..ServerEventAdmin::default()
            })
        }
        "SERVER_CHECK" => {
            streams::only(&table, &["result", "agent", "duration", "short", "desc", "code"])?;
            ServerEventDetails::Check(ServerEventCheck {
                result: result(&text("result")?)?,
                agent: flag("agent")?,
                duration: int("duration")?,
                reason_short: text("short")?,
                reason_desc: text("desc")?,
                reason_code: table.get("code").map_err(wrong)?,
                ..ServerEventCheck::default()
            })
        }
        "SERVER_INETADDR" => {
            streams::only(&table, &["prev", "next"])?;
            ServerEventDetails::Inetaddr { prev: text("prev")?, next: text("next")? }
        }
        _ => return Err(format!("{name} tells nothing but its server")),
    })
}

fn state(word: &str) -> Result<&'static str, String> {
    const STATES: [&str; 4] = ["STOPPED", "STOPPING", "STARTING", "RUNNING"];
    let found = STATES.into_iter().find(|known| *known == word);
    found.ok_or_else(|| format!("'{word}' is no state; there are {}", STATES.join(", ")))
}

fn result(word: &str) -> Result<Option<&'static str>, String> {
    const RESULTS: [&str; 3] = ["FAILED", "PASSED", "CONDPASS"];
    if word.is_empty() {
        return Ok(None);
    }
    let found = RESULTS.into_iter().find(|known| *known == word);
    found.map(Some).ok_or_else(|| format!("'{word}' is no result; there are {}", RESULTS.join(", ")))
}
