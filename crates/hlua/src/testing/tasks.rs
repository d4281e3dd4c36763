//! The script's tasks, its clock, its log and what it registered.

use std::time::Duration;

use mlua::{Lua, Value as Lv};

use super::subject::{Results, Subject, wrong};
use crate::host::memory::level_name;

/// What happens between reading the configuration and the first request: init functions, then tasks.
pub(super) fn start(_: &Lua, subject: &Subject, _: &[Lv]) -> Results {
    subject.runtime.run_init().map_err(|error| subject.explain(&error))?;
    subject.runtime.start_tasks().map_err(|error| error.to_string())?;
    subject.core.run_tasks();
    Ok(Vec::new())
}

pub(super) fn run_tasks(_: &Lua, subject: &Subject, _: &[Lv]) -> Results {
    Ok(vec![Lv::Integer(subject.core.run_tasks() as i64)])
}

pub(super) fn advance(_: &Lua, subject: &Subject, args: &[Lv]) -> Results {
    let seconds = match args.first() {
        Some(Lv::Integer(int)) => *int as f64,
        Some(Lv::Number(number)) => *number,
        _ => f64::NAN,
    };
    if !(0.0..1e9).contains(&seconds) {
        return Err("a number of seconds is expected".to_owned());
    }
    let by = Duration::from_secs_f64(seconds);
    subject.core.advance_through(by);
    Ok(Vec::new())
}

pub(super) fn elapsed(_: &Lua, subject: &Subject, _: &[Lv]) -> Results {
    Ok(vec![Lv::Number(subject.core.elapsed().as_secs_f64())])
}

pub(super) fn log(lua: &Lua, subject: &Subject, _: &[Lv]) -> Results {
    let lines = lua.create_table().map_err(wrong)?;
    for (level, line) in subject.core.log_lines() {
        lines.push(format!("{}: {line}", level_name(level))).map_err(wrong)?;
    }
    Ok(vec![Lv::Table(lines)])
}

pub(super) fn registered(lua: &Lua, subject: &Subject, _: &[Lv]) -> Results {
    let list = lua.create_table().map_err(wrong)?;
    for function in subject.runtime.registry().functions {
        list.push(format!("{} {}", function.kind, function.name)).map_err(wrong)?;
    }
    Ok(vec![Lv::Table(list)])
}
