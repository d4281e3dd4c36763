//! Internal states: names and ids, clock, chance, process, environment, variables.

use std::sync::atomic::Ordering::Relaxed;

use super::{Row, int};
use crate::{
    sample::{
        Arg, Needs, Sample, SampleType,
        args::{
            ArgKind::{Int, Str, Var},
            Args,
        },
    },
    txn::Txn,
};

/// A number that the log keeps.
macro_rules! log_field {
    ($name:literal, |$log:ident| $value:expr) => {
        Row::value(&[$name], SampleType::Int, |t, _, _| {
            let $log = &t.log;
            int($value)
        })
    };
}

pub(super) const ROWS: &[Row] = &[
    Row::text(&["fe_name"], |t, _| Some(t.frontend.name.as_bytes())),
    Row::value(&["fe_id"], SampleType::Int, |t, _, _| int(t.frontend.uuid)),
    Row::text(&["be_name"], |t, _| Some(t.backend.name.as_bytes())),
    Row::value(&["be_id"], SampleType::Int, |t, _, _| int(t.backend.uuid)),
    Row::text(&["srv_name"], |t, _| t.server.as_deref().map(|s| s.config.name.as_bytes()))
        .needs(Needs::Server),
    Row::value(&["srv_id"], SampleType::Int, |t, _, _| int(t.server.as_deref()?.config.puid))
        .needs(Needs::Server),
    Row::value(&["date"], SampleType::Int, date).args(0, &[Int, Str]).check(|args| check_unit(args, 1)),
    Row::value(&["date_us"], SampleType::Int, |t, _, _| int(t.worker.host.wall().subsec_micros())),
    Row::value(&["rand"], SampleType::Int, rand).args(0, &[Int]),
    Row::value(&["uuid"], SampleType::Str, uuid).args(0, &[Int]).check(|args| {
        match args.as_slice().int_at(0) {
            None | Some(4 | 7) => Ok(()),
            Some(_) => Err("Unsupported UUID version. Supported versions are 4 and 7".to_owned()),
        }
    }),
    Row::value(&["hostname"], SampleType::Str, |_, _, _| {
        crate::log::hostname().map(|h| Sample::Str(h.to_vec()))
    }),
    Row::value(&["thread"], SampleType::Int, |t, _, _| int(t.worker.thread)),
    Row::value(&["tgroup"], SampleType::Int, |_, _, _| int(0)),
    Row::value(&["proc", "nbproc"], SampleType::Int, |_, _, _| int(1)),
    Row::value(&["pid"], SampleType::Int, |_, _, _| int(std::process::id())),
    Row::value(&["stopping"], SampleType::Bool, |t, _, _| {
        Some(Sample::Bool(t.worker.shared.stopping.load(Relaxed)))
    }),
    Row::value(&["env"], SampleType::Str, |t, args, _| {
        let value = t.worker.shared.config.env.value(args.str_at(0)?)?;
        Some(Sample::Str(value.as_bytes().to_vec()))
    })
    .args(1, &[Str]),
    Row::value(&["var"], SampleType::Any, |t, args, _| {
        t.var(args.var_at(0)?).or_else(|| args.str_at(1).map(|d| Sample::Str(d.as_bytes().to_vec())))
    })
    .args(1, &[Var, Str]),
    Row::value(&["http_first_req"], SampleType::Bool, |t, _, _| {
        t.req.is_request().then(|| Sample::Bool(t.log.accepted.is_none_or(|at| at == t.session.accepted)))
    }),
    Row::value(&["prio_class"], SampleType::Int, |t, _, _| int(t.priority.class())),
    Row::value(&["prio_offset"], SampleType::Int, |t, _, _| int(t.priority.offset_ms())),
    Row::value(&["txn.id32"], SampleType::Int, |t, _, _| int(t.id & u64::from(u32::MAX))),
    Row::value(&["txn.sess_term_state"], SampleType::Str, |t, _, _| {
        Some(Sample::Str(t.log.termination_or_dashes()[..2].to_vec()))
    }),
    Row::value(&["txn.conn_retries"], SampleType::Int, |t, _, _| int(t.log.retries)),
    Row::value(&["txn.redispatched"], SampleType::Bool, |t, _, _| Some(Sample::Bool(t.log.redispatched))),
    Row::value(&["accept_date", "fc.accept_date"], SampleType::Int, |t, args, _| {
        Some(Sample::Int(in_unit(t.log.wall, args.str_at(0))))
    })
    .args(0, &[Str])
    .check(|args| check_unit(args, 0)),
    Row::value(&["request_date"], SampleType::Int, |t, args, _| {
        Some(Sample::Int(in_unit(t.log.request_wall(), args.str_at(0))))
    })
    .args(0, &[Str])
    .check(|args| check_unit(args, 0)),
    log_field!("req.timer.idle", |log| log.timers().idle),
    log_field!("req.timer.hdr", |log| log.timers().header),
    log_field!("req.timer.tq", |log| log.timers().tq),
    log_field!("req.timer.queue", |log| log.timers().queue),
    log_field!("bc.timer.connect", |log| log.timers().connect),
    log_field!("res.timer.hdr", |log| log.timers().response),
    log_field!("res.timer.data", |log| log.timers().data),
    log_field!("txn.timer.total", |log| log.timers().active),
    log_field!("fc.timer.total", |log| log.timers().total),
    log_field!("fc.timer.handshake", |log| log.timers().handshake),
    log_field!("req.bytes_in", |log| log.bytes_in),
    log_field!("res.bytes_in", |log| log.bytes_out),
];

fn date(txn: &mut Txn, args: &[Arg], _: crate::txn::Direction) -> Option<Sample> {
    let now = in_unit(txn.worker.host.wall(), args.str_at(1));
    Some(Sample::Int(now.saturating_add(args.int_at(0).unwrap_or(0))))
}

fn check_unit(args: &[Arg], at: usize) -> Result<(), String> {
    match args.str_at(at) {
        None | Some("s" | "ms" | "us") => Ok(()),
        Some(_) => Err("Time unit must be 's', 'ms' or 'us'".to_owned()),
    }
}

/// A time in the unit of that name, seconds by default.
fn in_unit(time: std::time::Duration, unit: Option<&str>) -> i64 {
    let value = match unit {
        Some("ms") => time.as_millis(),
        Some("us") => time.as_micros(),
        _ => u128::from(time.as_secs()),
    };
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn rand(txn: &mut Txn, args: &[Arg], _: crate::txn::Direction) -> Option<Sample> {
    // The high half of a 32-bit draw times the range spreads better than a remainder.
    let draw = txn.worker.host.random() & u64::from(u32::MAX);
    let range = match args.int_at(0) {
        Some(range) => u64::try_from(range).unwrap_or(0).min(1 << 32),
        None => 1 << 32,
    };
    int((draw * range) >> 32)
}

fn uuid(txn: &mut Txn, args: &[Arg], _: crate::txn::Direction) -> Option<Sample> {
    let host = &txn.worker.host;
    let mut bits = u128::from(host.random()) << 64 | u128::from(host.random());
    let version: u128 = if args.int_at(0) == Some(7) { 7 } else { 4 };
    if version == 7 {
        bits = (host.wall().as_millis() << 80) | (bits & (u128::MAX >> 48));
    }
    bits = bits & !(0xf << 76) & !(0x3 << 62) | version << 76 | 0x2 << 62;
    let hex = format!("{bits:032x}");
    let text = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-");
    Some(Sample::Str(text.into_bytes()))
}
