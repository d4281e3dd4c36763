//! Dates: `ltime`, `utime` and their finer forms, `http_date`.

use super::{Row, int};
use crate::{
    log::time::{Zone, http_date, strftime},
    sample::{
        Arg, Sample,
        SampleType::{Int, Str},
        args::{
            ArgKind::{self},
            Args,
        },
    },
};

const FORMAT_OFFSET: &[ArgKind] = &[ArgKind::Str, ArgKind::Int];

pub(super) const ROWS: &[Row] = &[
    Row::new("ltime", Int, Str, |_, v, a| format(&v, a, Zone::Local, 1)).args(1, FORMAT_OFFSET),
    Row::new("utime", Int, Str, |_, v, a| format(&v, a, Zone::Utc, 1)).args(1, FORMAT_OFFSET),
    Row::new("ms_ltime", Int, Str, |_, v, a| format(&v, a, Zone::Local, 1_000)).args(1, FORMAT_OFFSET),
    Row::new("ms_utime", Int, Str, |_, v, a| format(&v, a, Zone::Utc, 1_000)).args(1, FORMAT_OFFSET),
    Row::new("us_ltime", Int, Str, |_, v, a| format(&v, a, Zone::Local, 1_000_000)).args(1, FORMAT_OFFSET),
    Row::new("us_utime", Int, Str, |_, v, a| format(&v, a, Zone::Utc, 1_000_000)).args(1, FORMAT_OFFSET),
    Row::new("http_date", Int, Str, |_, v, a| {
        let per_second = match a.str_at(1) {
            Some("ms") => 1_000,
            Some("us") => 1_000_000,
            _ => 1,
        };
        let time = int(&v).saturating_add(a.int_at(0).unwrap_or(0));
        http_date(time.div_euclid(per_second)).map(Sample::Str)
    })
    .args(0, &[ArgKind::Int, ArgKind::Str])
    .check(|args| match args.as_slice().str_at(1) {
        None | Some("s" | "ms" | "us") => Ok(()),
        Some(_) => Err("Time unit must be 's', 'ms' or 'us'".to_owned()),
    }),
];

fn format(value: &Sample, args: &[Arg], zone: Zone, per_second: i64) -> Option<Sample> {
    let time = int(value).saturating_add(args.int_at(1).unwrap_or(0));
    let nanos = time.rem_euclid(per_second) * (1_000_000_000 / per_second);
    let fraction = (per_second > 1).then_some(nanos);
    strftime(args.str_at(0)?, time.div_euclid(per_second), fraction, zone).map(Sample::Str)
}
