//! `set-var`, `unset-var`, `debug`: the value passes through unchanged.

use super::Row;
use crate::{
    sample::{
        Arg, Sample,
        SampleType::Any,
        args::{
            ArgKind::{Str, Var},
            Args,
        },
    },
    txn::Txn,
    vars::SetConds,
};

pub(super) const ROWS: &[Row] = &[
    Row::new("set-var", Any, Any, set).args(1, &[Var, Str, Str, Str, Str]).check(check_set),
    Row::new("unset-var", Any, Any, |t, v, a| {
        t.unset_var(a.var_at(0)?);
        Some(v)
    })
    .args(1, &[Var]),
];

fn check_set(args: &mut Vec<Arg>) -> Result<(), String> {
    let mut conds = SetConds::default();
    for at in 1..args.len() {
        conds.add(args.as_slice().str_at(at).unwrap_or_default()).map_err(|e| e.message)?;
    }
    args.truncate(1);
    args.push(Arg::Conds(conds));
    Ok(())
}

fn set(txn: &mut Txn, value: Sample, args: &[Arg]) -> Option<Sample> {
    let conds = match args.get(1) {
        Some(Arg::Conds(conds)) => *conds,
        _ => SetConds::default(),
    };
    txn.set_var_if(args.var_at(0)?, conds, value.clone());
    Some(value)
}
