//! The arguments of what a test calls.

use mlua::{Table, Value as Lv};

use super::names::bytes;
use super::streams::TestTxn;

pub(super) fn text(args: &[Lv], at: usize) -> Result<String, String> {
    let value = args.get(at).ok_or_else(|| format!("argument {} is missing", at + 1))?;
    Ok(String::from_utf8_lossy(&bytes(value)?).into_owned())
}

pub(super) fn table(args: &[Lv], at: usize) -> Result<Option<Table>, String> {
    match args.get(at) {
        None | Some(Lv::Nil) => Ok(None),
        Some(Lv::Table(table)) => Ok(Some(table.clone())),
        Some(other) => Err(format!("argument {}: a table is expected, not a {}", at + 1, other.type_name())),
    }
}

pub(super) fn txn_of(args: &[Lv], at: usize) -> Result<TestTxn, String> {
    match args.get(at) {
        Some(Lv::UserData(data)) => {
            data.borrow::<TestTxn>().map(|txn| txn.clone()).map_err(|_| "a txn is expected".to_owned())
        }
        _ => Err("a txn is expected".to_owned()),
    }
}

pub(super) fn rest(args: &[Lv], from: usize) -> &[Lv] {
    args.get(from..).unwrap_or_default()
}
