//! Fetches that give what is written in them.

use super::Row;
use crate::sample::{
    Arg, Sample, SampleType,
    args::{
        ArgKind::{Int, Ipv4, Ipv6, Str},
        Args, hex_bytes,
    },
};

pub(super) const ROWS: &[Row] = &[
    Row::value(&["always_true"], SampleType::Bool, |_, _, _| Some(Sample::Bool(true))),
    Row::value(&["always_false"], SampleType::Bool, |_, _, _| Some(Sample::Bool(false))),
    Row::value(&["bool"], SampleType::Bool, |_, args, _| args.int_at(0).map(|i| Sample::Bool(i != 0)))
        .args(1, &[Str])
        .check(check_bool),
    Row::value(&["int"], SampleType::Int, |_, args, _| args.int_at(0).map(Sample::Int)).args(1, &[Int]),
    Row::text(&["str"], |_, args| args.str_at(0).map(str::as_bytes)).args(1, &[Str]),
    Row::value(&["bin"], SampleType::Bin, |_, args, _| match args.first() {
        Some(Arg::Bytes(bytes)) => Some(Sample::Bin(bytes.clone())),
        _ => None,
    })
    .args(1, &[Str])
    .check(check_bin),
    Row::value(&["meth"], SampleType::Method, |_, args, _| {
        args.str_at(0).map(|name| Sample::Method(name.as_bytes().to_vec()))
    })
    .args(1, &[Str]),
    Row::value(&["ipv4"], SampleType::Addr, |_, args, _| args.addr_at(0).map(Sample::Addr)).args(1, &[Ipv4]),
    Row::value(&["ipv6"], SampleType::Addr, |_, args, _| args.addr_at(0).map(Sample::Addr)).args(1, &[Ipv6]),
];

fn check_bool(args: &mut Vec<Arg>) -> Result<(), String> {
    let value = match args.as_slice().str_at(0) {
        Some("true" | "1") => 1,
        Some("false" | "0") => 0,
        _ => return Err("Expects 'true', 'false', '0' or '1'".to_owned()),
    };
    args[0] = Arg::Int(value);
    Ok(())
}

fn check_bin(args: &mut Vec<Arg>) -> Result<(), String> {
    let bytes = hex_bytes(args.as_slice().str_at(0).unwrap_or_default())?;
    args[0] = Arg::Bytes(bytes);
    Ok(())
}
