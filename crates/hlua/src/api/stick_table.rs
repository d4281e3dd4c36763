//! The class `StickTable`: what a proxy's stick table has counted.
//!
//! An object holds the proxy's number; a table that is gone answers nil.
//!
//! Source: lua-api "StickTable class", "Proxy.stktable".

use std::rc::Rc;

use crate::api::{Class, ClassDef, Method, to_string};
use crate::host::{StickEntry, StickFilter, StickOperator, StickTable, StickTableInfo};
use crate::raw::stack::{Failure, Flow, Ret, Stack};
use crate::value::Out;

pub(crate) const CLASS: ClassDef = ClassDef {
    name: "StickTable",
    methods: &[
        Method::new("info", "(self)", info),
        Method::new("lookup", "(self, key)", lookup),
        Method::new("dump", "(self [, filter])", dump),
    ],
    lazy: None,
    attributes: &[],
    meta: &[to_string!("StickTable")],
};

fn find(stack: &mut Stack<'_>) -> Result<Option<Rc<dyn StickTable>>, Failure> {
    let uuid = stack.object(1, Class::StickTable)?;
    let core = stack.core();
    Ok(core.proxies().and_then(|proxies| proxies.by_uuid(uuid)).and_then(|proxy| proxy.stick_table()))
}

fn info(stack: &mut Stack<'_>) -> Flow {
    let Some(table) = find(stack)? else { return Ok(Ret::Count(0)) };
    let StickTableInfo { kind, length, size, used, expire, nopurge, data } = table.info();
    let data = data.into_iter().map(|(name, period)| (Out::text(name), Out::Int(period.unwrap_or(-1))));
    stack.push_out(&Out::record([
        ("type", Out::text(kind)),
        ("length", Out::Int(length)),
        ("size", Out::Int(size)),
        ("used", Out::Int(used)),
        ("expire", Out::Int(expire)),
        ("nopurge", Out::Bool(nopurge)),
        ("data", Out::Table(data.collect())),
    ]))?;
    Ok(Ret::Count(1))
}

fn lookup(stack: &mut Stack<'_>) -> Flow {
    let table = find(stack)?;
    let key = stack.try_bytes(2).unwrap_or_default();
    match table.and_then(|table| table.lookup(&key)) {
        Some(entry) => {
            let mut fields = values(&entry);
            fields.push((Out::text("use"), Out::Int(entry.users)));
            fields.push((Out::text("expire"), Out::Int(entry.expire)));
            stack.push_out(&Out::Table(fields))?;
        }
        None => stack.push_nil(),
    }
    Ok(Ret::Count(1))
}

fn values(entry: &StickEntry) -> Vec<(Out, Out)> {
    entry.data.iter().map(|(name, value)| (Out::text(name.as_str()), Out::Int(*value))).collect()
}

/// Every entry by its key, or nil and what is wrong with the filter.
fn dump(stack: &mut Stack<'_>) -> Flow {
    let Some(table) = find(stack)? else { return Ok(Ret::Count(0)) };
    let filters = match filters(stack, &*table) {
        Ok(filters) => filters,
        Err(text) => {
            stack.push_nil();
            stack.push_bytes(text.as_bytes())?;
            return Ok(Ret::Count(2));
        }
    };
    let entries = table.entries(&filters);
    let pairs = entries.iter().map(|entry| (Out::text(entry.key.as_slice()), Out::Table(values(entry))));
    stack.push_out(&Out::Table(pairs.collect()))?;
    Ok(Ret::Count(1))
}

fn filters(stack: &mut Stack<'_>, table: &dyn StickTable) -> Result<Vec<StickFilter>, String> {
    if stack.is_nil(2) {
        return Ok(Vec::new());
    }
    if !stack.is_table(2) {
        return Err("filter table expected".to_owned());
    }
    let count = stack.raw_len(2);
    if count > FILTERS_MAX {
        return Err(format!("Filter table too large (len > {FILTERS_MAX})"));
    }
    let known = table.info().data;
    (1..=count)
        .map(|at| {
            stack.push_element(2, at);
            let filter = filter(stack, &known);
            stack.pop(1);
            filter.map_err(|text| format!("{text} (entry #{at})"))
        })
        .collect()
}

/// The triplet on top of the stack.
fn filter(stack: &mut Stack<'_>, known: &[(String, Option<i64>)]) -> Result<StickFilter, &'static str> {
    let triplet = stack.top();
    if !stack.is_table(triplet) || stack.raw_len(triplet) != 3 {
        return Err("Filter table entry must be a triplet: {\"data_col\", \"op\", val}");
    }
    for at in 1..=3 {
        stack.push_element(triplet, at);
    }
    let text =
        |at: i32| stack.try_bytes(triplet + at).map(|text| String::from_utf8_lossy(&text).into_owned());
    let (name, operator) = (text(1).unwrap_or_default(), text(2).unwrap_or_default());
    // What is no number counts as 0, as in HAProxy.
    let value = stack.int(triplet + 3).unwrap_or(0);
    stack.pop(3);
    if !known.iter().any(|(known, _)| *known == name) {
        return Err("Filter table data column not present in stick table");
    }
    let operator = match operator.as_str() {
        "eq" => StickOperator::Eq,
        "ne" => StickOperator::Ne,
        "le" => StickOperator::Le,
        "lt" => StickOperator::Lt,
        "ge" => StickOperator::Ge,
        "gt" => StickOperator::Gt,
        _ => return Err("Unknown operator in filter table"),
    };
    Ok(StickFilter { name, operator, value })
}

/// Comparisons in one filter.
const FILTERS_MAX: i64 = 4;
