//! One row of the table of facts against what is registered: is it there, is it tested, is it the same.

use std::collections::{BTreeMap, BTreeSet};

use super::ELSEWHERE;

/// A row of the table of facts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'a> {
    pub(super) class: &'a str,
    pub(super) name: &'a str,
    kind: &'a str,
    signature: &'a str,
    returns: &'a str,
    contexts: &'a str,
    blocking: &'a str,
}

/// What is to be said of it.
pub(super) struct Verdict<'a> {
    pub(super) row: Row<'a>,
    /// Named as not there, with a reason.
    pub(super) excused: bool,
    pub(super) implemented: bool,
    pub(super) tested: bool,
    pub(super) differs: Vec<String>,
}

impl<'a> Row<'a> {
    pub(super) fn parse(line: &'a str) -> Option<Self> {
        let columns: Vec<&str> = line.split('\t').collect();
        let [class, name, kind, signature, returns, contexts, blocking, ..] = columns[..] else {
            return None;
        };
        Some(Row { class, name, kind, signature, returns, contexts, blocking })
    }
}

/// A verdict on every row that is in scope.
pub(super) fn all<'a>(
    rows: &[Row<'a>],
    registered: &BTreeMap<(String, String), String>,
    reached: &BTreeSet<(String, String)>,
    excused: &BTreeSet<(String, String)>,
) -> Vec<Verdict<'a>> {
    let in_scope = rows.iter().filter(|row| !ELSEWHERE.contains(&row.class));
    in_scope
        .map(|row| {
            let key = (row.class.to_owned(), row.name.to_owned());
            let entry = registered.get(&key);
            let tested = match row.kind {
                "class" => reached.iter().any(|(class, _)| class == row.class),
                _ => reached.contains(&key),
            };
            Verdict {
                row: *row,
                excused: entry.is_none() && excused.contains(&key),
                implemented: entry.is_some(),
                tested: entry.is_some() && tested,
                differs: entry.map(|entry| differences(row, entry)).unwrap_or_default(),
            }
        })
        .collect()
}

/// What of a registered entry is not as the row has it.
fn differences(row: &Row<'_>, entry: &str) -> Vec<String> {
    let columns: Vec<&str> = entry.split('\t').collect();
    let [kind, signature, contexts, waits] = columns[..] else { return vec![format!("unreadable: {entry}")] };
    let mut found = Vec::new();
    if kind != row.kind {
        found.push(format!("is a {kind}, not a {}", row.kind));
        return found;
    }
    match kind {
        "constant" if row.returns != format!("integer {signature}") => {
            found.push(format!("is {signature}, not {}", row.returns));
        }
        "function" | "method" => {
            let (ours, theirs) = (arity(signature), arity(row.signature));
            if ours != theirs && !row.name.starts_with("__") {
                found.push(format!("takes {}, not {}", shown(ours), shown(theirs)));
            }
            if (row.blocking == "y") != (waits == "y") {
                found.push(format!("{} wait", if waits == "y" { "may" } else { "does not" }));
            }
        }
        _ => {}
    }
    let known: Vec<&str> = contexts.split(',').collect();
    let wanted = row.contexts.trim_start_matches('~').split(',').filter(|word| CONTEXTS.contains(word));
    let refused: Vec<&str> = wanted.filter(|word| !known.contains(word)).collect();
    if !refused.is_empty() {
        found.push(format!("is not available in: {}", refused.join(", ")));
    }
    found
}

/// The words that name a context; anything else in that column is no restriction.
const CONTEXTS: [&str; 8] =
    ["body", "init", "task", "action", "sample-fetch", "converter", "service", "event"];

fn shown((low, high): (usize, usize)) -> String {
    match (low, high) {
        (low, usize::MAX) => format!("{low} arguments or more"),
        (low, high) if low == high => format!("{low} arguments"),
        (low, high) => format!("{low} to {high} arguments"),
    }
}

/// How many arguments a signature takes, in either notation: `(self, a [, b])`, `(self:X, a:t, b?:t)`.
fn arity(signature: &str) -> (usize, usize) {
    let inside = signature.trim().trim_start_matches('(').trim_end_matches(')');
    let (mut low, mut high, mut depth, mut name) = (0, 0, 0, String::new());
    let mut optional = false;
    for c in inside.chars().chain([',']) {
        match c {
            '{' | '(' => depth += 1,
            '}' | ')' => depth -= 1,
            '[' if depth == 0 => {
                take(&mut name, optional, &mut low, &mut high);
                optional = true;
            }
            ']' => {}
            ',' if depth == 0 => take(&mut name, optional, &mut low, &mut high),
            c if depth == 0 => name.push(c),
            _ => {}
        }
    }
    (low, high)
}

fn take(name: &mut String, optional: bool, low: &mut usize, high: &mut usize) {
    let text = std::mem::take(name);
    let word = text.split(':').next().unwrap_or_default().trim();
    if word.is_empty() || *high == usize::MAX {
        return;
    }
    if word.contains("...") {
        *high = usize::MAX;
        return;
    }
    *high += 1;
    *low += usize::from(!optional && !word.ends_with('?'));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_notations_count_the_same() {
        for (ours, theirs, expected) in [
            ("()", "()", (0, 0)),
            ("(self, var, value [, ifexist])", "(self:TXN, var:string, value:any, ifexist?:boolean)", (3, 4)),
            ("(func [, arg1 [, arg2]])", "(func:function, arg1?:any, arg2?:any)", (1, 3)),
            ("(self, request)", "(self:HTTPClient, request:table{url:string, body?:string})", (2, 2)),
        ] {
            assert_eq!((arity(ours), arity(theirs)), (expected, expected), "{ours}");
        }
        assert_eq!(arity("(self [, args...])"), (1, usize::MAX));
    }

    #[test]
    fn a_row_differs_by_kind_arity_waiting_context_and_value() {
        let row = "core\tx\tfunction\t(a:string)\tnothing\t~task,action\ty\t1.6\tnote";
        let check = |entry: &str| differences(&Row::parse(row).unwrap(), entry);
        assert!(check("function\t(a)\ttask,action,init\ty").is_empty());
        assert_eq!(check("method\t(a)\ttask\ty"), ["is a method, not a function"]);
        assert_eq!(
            check("function\t(a [, b])\taction\tn"),
            ["takes 1 to 2 arguments, not 1 arguments", "does not wait", "is not available in: task"]
        );
        let constant = Row::parse("act\tX\tconstant\t-\tinteger 5\taction\t-\t1\t-").unwrap();
        assert!(differences(&constant, "constant\t5\taction\tn").is_empty());
        assert_eq!(differences(&constant, "constant\t6\taction\tn"), ["is 6, not integer 5"]);
    }
}
