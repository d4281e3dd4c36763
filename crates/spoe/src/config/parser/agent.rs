//! The keywords of `spoe-agent`.
//!
//! Source: SPOE.txt §2.2.

use super::args::{Args, Outcome};
use super::suggest::did_you_mean;
use super::{add_names, unknown};
use crate::action::is_variable_name;
use crate::config::Line;
use crate::config::agent::{Agent, FailMode};
use crate::config::message::{Name, Words};
use crate::frame::header::FRAME_SIZE_BYTES_MIN;

/// Takes one line into `agent`.
pub(super) fn keyword(agent: &mut Agent, line: &Line, frame_size_bytes_max: u32) -> Outcome {
    let args = Args { line, from: 1 };
    match line.words[0].as_str() {
        "messages" => add_names(&args, &mut agent.messages, "message"),
        "groups" => add_names(&args, &mut agent.groups, "group"),
        "use-backend" => {
            let text = args.one("a backend's name")?.to_owned();
            agent.backend = Name { text, place: args.place(1) };
            Ok(())
        }
        "register-var-names" => {
            args.some()?;
            for name in args.names() {
                if !is_variable_name(&name.text) {
                    return Err((name.place.word, format!("'{}' cannot name a variable", name.text)));
                }
                agent.register_var_names.push(name);
            }
            Ok(())
        }
        "log" => {
            args.some()?;
            agent.log.push(Words { words: args.all().to_vec(), place: args.place(1) });
            Ok(())
        }
        "timeout" => timeout(agent, line),
        "max-frame-size" => {
            agent.frame_size_bytes_max = args.number(FRAME_SIZE_BYTES_MIN, frame_size_bytes_max)?;
            Ok(())
        }
        "max-waiting-frames" => {
            agent.waiting_frames_max = args.number(1, u32::MAX)? as usize;
            Ok(())
        }
        "maxconnrate" => {
            agent.connect_rate_max = args.number(0, u32::MAX)?;
            Ok(())
        }
        "maxerrrate" => {
            agent.error_rate_max = args.number(0, u32::MAX)?;
            Ok(())
        }
        "option" => option(agent, &Args { line, from: 2 }, true),
        "no" => match line.words.get(1).map(String::as_str) {
            Some("option") => option(agent, &Args { line, from: 3 }, false),
            Some("log") => {
                Args { line, from: 2 }.none()?;
                agent.log.clear();
                Ok(())
            }
            _ => Err((0, "'no' goes with 'option' and 'log' only".into())),
        },
        word => Err((0, unknown(word, "spoe-agent", &KEYWORDS))),
    }
}

fn timeout(agent: &mut Agent, line: &Line) -> Outcome {
    let args = Args { line, from: 2 };
    let timeout = match line.words.get(1).map(String::as_str) {
        Some("hello") => &mut agent.hello_timeout,
        Some("idle") => &mut agent.idle_timeout,
        Some("processing") => &mut agent.processing_timeout,
        Some(other) => {
            let hint = did_you_mean(other, &["hello", "idle", "processing"]);
            return Err((
                1,
                format!("'timeout' knows 'hello', 'idle' and 'processing', not '{other}'{hint}"),
            ));
        }
        None => return Err((0, "'timeout' expects 'hello', 'idle' or 'processing', and a time".into())),
    };
    *timeout = Some(args.time()?);
    Ok(())
}

fn option(agent: &mut Agent, args: &Args<'_>, on: bool) -> Outcome {
    let Some(name) = args.line.words.get(args.from - 1) else {
        return Err((args.from - 2, "'option' expects an option's name".into()));
    };
    let switch = match name.as_str() {
        "pipelining" => Some(&mut agent.pipelining),
        "async" => Some(&mut agent.async_acks),
        "send-frag-payload" => Some(&mut agent.send_fragments),
        "dontlog-normal" => Some(&mut agent.dontlog_normal),
        _ => None,
    };
    if let Some(switch) = switch {
        args.none()?;
        *switch = on;
        return Ok(());
    }
    let known = ["continue-on-error", "force-set-var", "set-on-error", "set-process-time", "set-total-time"];
    if !on && (known.contains(&name.as_str()) || matches!(name.as_str(), "var-prefix" | "fail")) {
        return Err((0, format!("'option {name}' cannot be negated")));
    }
    match name.as_str() {
        "continue-on-error" => {
            args.none()?;
            agent.continue_on_error = true;
        }
        "force-set-var" => {
            args.none()?;
            agent.force_set_var = true;
        }
        "set-on-error" => agent.set_on_error = Some(args.variable()?),
        "set-process-time" => agent.set_process_time = Some(args.variable()?),
        "set-total-time" => agent.set_total_time = Some(args.variable()?),
        "var-prefix" => agent.var_prefix = args.variable()?,
        "fail" => agent.fail = fail_mode(args)?,
        other => {
            let hint = did_you_mean(other, &OPTIONS);
            return Err((args.from - 1, format!("unknown option '{other}' in a 'spoe-agent' section{hint}")));
        }
    }
    Ok(())
}

fn fail_mode(args: &Args<'_>) -> Result<FailMode, (usize, String)> {
    let words: Vec<&str> = args.all().iter().map(String::as_str).collect();
    match words[..] {
        ["open"] => Ok(FailMode::Open),
        ["closed"] => Ok(FailMode::Closed(503)),
        ["closed", status] => match status.parse() {
            Ok(code @ 400..=599) => Ok(FailMode::Closed(code)),
            _ => Err((
                args.from + 1,
                format!("'option fail closed' expects a status from 400 to 599, not '{status}'"),
            )),
        },
        _ => Err((args.from - 1, "'option fail' expects 'open' or 'closed [status]'".into())),
    }
}

const KEYWORDS: [&str; 12] = [
    "messages",
    "groups",
    "use-backend",
    "register-var-names",
    "log",
    "timeout",
    "max-frame-size",
    "max-waiting-frames",
    "maxconnrate",
    "maxerrrate",
    "option",
    "no",
];
const OPTIONS: [&str; 11] = [
    "pipelining",
    "async",
    "send-frag-payload",
    "dontlog-normal",
    "continue-on-error",
    "force-set-var",
    "set-on-error",
    "set-process-time",
    "set-total-time",
    "var-prefix",
    "fail",
];
