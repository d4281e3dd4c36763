//! `.if`, `.elif`, `.else`, `.endif` and the lines that only say something.
//!
//! Source: configuration.txt section 2.4.

use super::{
    Line, Severity,
    condition::{Facts, evaluate_at},
};

/// The open `.if` blocks of one file.
#[derive(Default)]
pub(super) struct Blocks {
    open: Vec<Block>,
}

/// One level of `.if`.
struct Block {
    /// What the current branch does.
    branch: Branch,
    /// `.else` was seen.
    last: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Branch {
    /// Its lines count.
    Taken,
    /// Its lines are skipped; a later one may count.
    NotYet,
    /// One counted already, or the whole block is skipped.
    Over,
}

/// What a directive says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) severity: Severity,
    pub(super) text: String,
    /// Which word it is about.
    pub(super) word: Option<usize>,
}

impl Blocks {
    /// Whether lines count at this point.
    pub(super) fn active(&self) -> bool {
        self.open.iter().all(|block| block.branch == Branch::Taken)
    }

    /// Whether an `.if` waits for its `.endif`.
    pub(super) fn unfinished(&self) -> bool {
        !self.open.is_empty()
    }

    /// Takes a line that begins with a dot, and says what there is to say about it.
    pub(super) fn directive(&mut self, line: &Line, facts: &Facts<'_>) -> Option<Message> {
        match line.words[0].as_str() {
            ".if" => {
                if !self.active() {
                    self.open.push(Block { branch: Branch::Over, last: false });
                    return None;
                }
                let (branch, message) = choose(line, facts);
                self.open.push(Block { branch, last: false });
                message
            }
            ".elif" => self.elif(line, facts),
            ".else" => self.otherwise(line),
            ".endif" => {
                if self.open.pop().is_none() {
                    return Some(alert("lone '.endif' with no matching '.if'."));
                }
                unexpected(line, 1)
            }
            _ if !self.active() => None,
            ".diag" => Some(say(line, Severity::Diag)),
            ".notice" => Some(say(line, Severity::Notice)),
            ".warning" => Some(say(line, Severity::Warning)),
            ".alert" => Some(say(line, Severity::Alert)),
            other => Some(Message { word: Some(0), ..alert(format!("unknown directive '{other}'.")) }),
        }
    }

    fn elif(&mut self, line: &Line, facts: &Facts<'_>) -> Option<Message> {
        let Some(block) = self.open.last_mut() else {
            return Some(alert("lone '.elif' with no matching '.if'."));
        };
        if block.last {
            block.branch = Branch::Over;
            return Some(alert("'.elif' after '.else' is not permitted."));
        }
        if block.branch != Branch::NotYet {
            block.branch = Branch::Over;
            return None;
        }
        let (branch, message) = choose(line, facts);
        block.branch = branch;
        message
    }

    fn otherwise(&mut self, line: &Line) -> Option<Message> {
        let Some(block) = self.open.last_mut() else {
            return Some(alert("lone '.else' with no matching '.if'."));
        };
        if block.last {
            block.branch = Branch::Over;
            return Some(alert("'.else' after '.else' is not permitted."));
        }
        block.last = true;
        block.branch = if block.branch == Branch::NotYet { Branch::Taken } else { Branch::Over };
        unexpected(line, 1)
    }
}

/// Evaluates the condition of `.if` or `.elif`. One that cannot be read skips the whole block.
fn choose(line: &Line, facts: &Facts<'_>) -> (Branch, Option<Message>) {
    let expr = line.words[1..].join(" ");
    match evaluate_at(&expr, facts) {
        Ok(true) => (Branch::Taken, None),
        Ok(false) => (Branch::NotYet, None),
        Err(fault) => {
            let directive = &line.words[0];
            let mark = directive.len() + 1 + expr[..fault.at].chars().count();
            let text = format!(
                "{} in '{directive}' at position {}:\n  {directive} {expr}\n  {:mark$}^",
                fault.message,
                fault.at + 1,
                ""
            );
            (Branch::Over, Some(Message { word: Some(1), ..alert(text) }))
        }
    }
}

fn say(line: &Line, severity: Severity) -> Message {
    match line.words.get(2) {
        Some(extra) => Message {
            word: Some(2),
            ..alert(format!(
                "Unexpected argument '{extra}' for '{}'. Use quotes if the message should contain spaces.",
                line.words[0]
            ))
        },
        None => {
            let text = line.words.get(1).map_or("", String::as_str);
            Message { severity, text: format!("'{text}'."), word: None }
        }
    }
}

fn unexpected(line: &Line, at: usize) -> Option<Message> {
    let extra = line.words.get(at)?;
    Some(Message {
        word: Some(at),
        ..alert(format!("Unexpected argument '{extra}' for '{}'.", line.words[0]))
    })
}

fn alert(text: impl Into<String>) -> Message {
    Message { severity: Severity::Alert, text: text.into(), word: None }
}
