//! Variables: `set-var(scope.name)` and `var(scope.name)`.
//!
//! A scope that does not exist at the place of use answers "not found" to reads and refuses
//! writes: `check` outside health checks, `txn`/`req`/`res` in connection and session rules, `req`
//! once the response is processed and `res` before. Source: configuration.txt 2.8.

use std::sync::Arc;

use crate::{
    cfgparse::ParseError,
    sample::Sample,
    txn::{Direction, TxnData},
};

/// Where a variable lives, and so for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// The process.
    Proc,
    /// The client connection.
    Sess,
    /// The exchange.
    Txn,
    /// Request processing.
    Req,
    /// Response processing.
    Res,
    /// A health check.
    Check,
}

impl Scope {
    /// The scope of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "proc" => Self::Proc,
            "sess" => Self::Sess,
            "txn" => Self::Txn,
            "req" => Self::Req,
            "res" => Self::Res,
            "check" => Self::Check,
            _ => return None,
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Proc => "proc",
            Self::Sess => "sess",
            Self::Txn => "txn",
            Self::Req => "req",
            Self::Res => "res",
            Self::Check => "check",
        }
    }
}

/// What finds a variable: its scope and the hash of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VarKey {
    /// Where it lives.
    pub scope: Scope,
    /// Hash of the name.
    pub id: u64,
}

impl VarKey {
    /// Reads `scope.name`; `None` where [`VarName::parse`] refuses it.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (scope, name) = text.split_at(memchr::memchr(b'.', text)?);
        let (scope, name) = (Scope::from_name(std::str::from_utf8(scope).ok()?)?, &name[1..]);
        let valid = !name.is_empty() && name.iter().all(|byte| is_name_byte(*byte));
        valid.then(|| Self { scope, id: xxhash_rust::xxh64::xxh64(name, 0) })
    }
}

impl From<&VarName> for VarKey {
    fn from(name: &VarName) -> Self {
        Self { scope: name.scope, id: name.id }
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.'
}

/// A variable's name, hashed once when the configuration is read.
///
/// The name is what follows the scope and its dot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VarName {
    /// Where it lives.
    pub scope: Scope,
    /// Hash of the name.
    pub id: u64,
    /// The name, for people.
    pub name: Arc<str>,
}

impl VarName {
    /// Reads `scope.name`.
    ///
    /// # Errors
    /// No known scope, or a character other than letters, digits, `_` and `.` in the name.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let parts = text.split_once('.').and_then(|(scope, name)| Some((Scope::from_name(scope)?, name)));
        let Some((scope, name)) = parts else {
            return Err(ParseError::new(format!(
                "invalid variable name '{text}'. A variable name must be start by its scope. \
                 The scope can be 'proc', 'sess', 'txn', 'req', 'res' or 'check'"
            )));
        };
        if name.is_empty() {
            return Err(ParseError::new(format!("invalid variable name '{text}'. The name is empty")));
        }
        match name.find(|c: char| !u8::try_from(c).is_ok_and(is_name_byte)) {
            Some(bad) => Err(ParseError::new(format!("invalid syntax at char '{}'", &name[bad..]))),
            None => Ok(Self { scope, id: Self::hash(name), name: name.into() }),
        }
    }

    /// The id of a name without its scope.
    #[must_use]
    pub fn hash(name: &str) -> u64 {
        xxhash_rust::xxh64::xxh64(name.as_bytes(), 0)
    }
}

impl std::fmt::Display for VarName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.scope.name(), self.name)
    }
}

/// The variables of one scope. Few, so a list; most often none, so one pointer.
#[derive(Default, Debug)]
pub struct Vars {
    #[expect(clippy::box_collection, reason = "sessions that set none are idle by the thousand")]
    entries: Option<Box<Vec<(u64, Sample)>>>,
}

impl Vars {
    /// The value of a variable.
    #[must_use]
    pub fn find(&self, id: u64) -> Option<&Sample> {
        self.entries.as_ref()?.iter().find(|(i, _)| *i == id).map(|(_, v)| v)
    }

    /// Sets a variable.
    pub fn set(&mut self, id: u64, value: Sample) {
        let entries = self.entries.get_or_insert_default();
        match entries.iter_mut().find(|(i, _)| *i == id) {
            Some(entry) => entry.1 = value,
            None => entries.push((id, value)),
        }
    }

    /// Removes a variable; whether it was there.
    pub fn unset(&mut self, id: u64) -> bool {
        let Some(entries) = &mut self.entries else { return false };
        let before = entries.len();
        entries.retain(|(i, _)| *i != id);
        before != entries.len()
    }

    /// Removes all, and keeps their memory.
    pub fn clear(&mut self) {
        if let Some(entries) = &mut self.entries {
            entries.clear();
        }
    }
}

/// The conditions of `set-var(name,cond…)`, a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetConds(u8);

impl SetConds {
    /// Adds the condition of that name.
    ///
    /// # Errors
    /// An unknown one.
    pub fn add(&mut self, name: &str) -> Result<(), ParseError> {
        let bit = COND_NAMES
            .iter()
            .position(|known| *known == name)
            .ok_or_else(|| ParseError::new(format!("unknown condition \"{name}\"")))?;
        self.0 |= 1 << bit;
        Ok(())
    }

    /// Whether a variable whose value is `old` may be set to `new`.
    #[must_use]
    pub fn allow(self, old: Option<&Sample>, new: &Sample) -> bool {
        let empty = matches!(new, Sample::Str(b) | Sample::Bin(b) if b.is_empty());
        let ints = match (old, new) {
            (Some(Sample::Int(old)), Sample::Int(new)) => Some((*old, *new)),
            _ => None,
        };
        let fails = [
            old.is_none(),
            old.is_some(),
            !empty,
            empty,
            old.is_none(),
            old.is_some(),
            ints.is_some_and(|(old, new)| old <= new),
            ints.is_some_and(|(old, new)| old >= new),
        ];
        !fails.iter().enumerate().any(|(bit, fails)| *fails && self.0 & (1 << bit) != 0)
    }
}

/// Reads the `name[,cond…]` between the parentheses of a `set-var`.
///
/// # Errors
/// A wrong name or condition.
pub(crate) fn parse_set(args: &str) -> Result<(VarName, SetConds), ParseError> {
    let mut parts = args.split(',');
    let name = VarName::parse(parts.next().unwrap_or_default())?;
    let mut conds = SetConds::default();
    parts.try_for_each(|cond| conds.add(cond))?;
    Ok((name, conds))
}

impl TxnData {
    /// The value of a variable of any scope. `None`: not set, or no such scope here.
    #[must_use]
    pub fn var(&self, name: impl Into<VarKey>) -> Option<Sample> {
        self.with_var(name, |value| value.cloned())
    }

    /// Looks at a variable in place.
    pub fn with_var<R>(&self, name: impl Into<VarKey>, look: impl FnOnce(Option<&Sample>) -> R) -> R {
        let name = name.into();
        match name.scope {
            Scope::Proc => look(self.worker.shared.proc_vars.read().find(name.id)),
            Scope::Sess => look(self.session.vars.borrow().find(name.id)),
            scope => look(self.vars_of(scope).and_then(|vars| vars.find(name.id))),
        }
    }

    /// Sets a variable; `false` if its scope does not exist here.
    pub fn set_var(&mut self, name: impl Into<VarKey>, value: Sample) -> bool {
        self.set_var_if(name, SetConds::default(), value)
    }

    /// Sets a variable if the conditions hold; `false` if it was not set.
    pub fn set_var_if(&mut self, name: impl Into<VarKey>, conds: SetConds, value: Sample) -> bool {
        let name = name.into();
        let put = |vars: &mut Vars| {
            let allowed = conds.allow(vars.find(name.id), &value);
            if allowed {
                vars.set(name.id, value);
            }
            allowed
        };
        match name.scope {
            Scope::Proc => put(&mut self.worker.shared.proc_vars.write()),
            Scope::Sess => put(&mut self.session.vars.borrow_mut()),
            scope => self.vars_of_mut(scope).is_some_and(put),
        }
    }

    /// Removes a variable; whether it was there.
    pub fn unset_var(&mut self, name: impl Into<VarKey>) -> bool {
        let name = name.into();
        match name.scope {
            Scope::Proc => self.worker.shared.proc_vars.write().unset(name.id),
            Scope::Sess => self.session.vars.borrow_mut().unset(name.id),
            scope => self.vars_of_mut(scope).is_some_and(|vars| vars.unset(name.id)),
        }
    }

    /// Ends scope `req` and begins scope `res`. Harmless when repeated.
    ///
    /// The stream calls it at the first server connection attempt; response rules call it too.
    pub fn begin_response_scope(&mut self) {
        if !self.sampling.response_scope {
            self.sampling.response_scope = true;
            self.vars.req.clear();
        }
    }

    fn vars_of(&self, scope: Scope) -> Option<&Vars> {
        match scope {
            _ if self.sampling.session_only => None,
            Scope::Txn => Some(&self.vars.txn),
            Scope::Req if !self.sampling.response_scope => Some(&self.vars.req),
            Scope::Res if self.sampling.response_scope => Some(&self.vars.res),
            _ => None,
        }
    }

    fn vars_of_mut(&mut self, scope: Scope) -> Option<&mut Vars> {
        match scope {
            _ if self.sampling.session_only => None,
            Scope::Txn => Some(&mut self.vars.txn),
            Scope::Req if !self.sampling.response_scope => Some(&mut self.vars.req),
            Scope::Res if self.sampling.response_scope => Some(&mut self.vars.res),
            _ => None,
        }
    }

    /// The direction whose rules are being evaluated, by the scope that is open.
    #[must_use]
    pub fn scope_direction(&self) -> Direction {
        if self.sampling.response_scope { Direction::Response } else { Direction::Request }
    }
}

/// In the order of the checks in [`SetConds::allow`].
const COND_NAMES: [&str; 8] =
    ["ifexists", "ifnotexists", "ifempty", "ifnotempty", "ifset", "ifnotset", "ifgt", "iflt"];

#[cfg(test)]
mod tests {
    use super::{VarKey, VarName};

    #[test]
    fn a_key_is_read_from_the_names_that_a_configuration_may_use() {
        for text in ["txn.a", "proc.A_b.c9", "res.x", "sess._", "req.a.b", "check.1"] {
            let name = VarName::parse(text).unwrap();
            assert_eq!(VarKey::parse(text.as_bytes()), Some(VarKey::from(&name)), "{text}");
        }
        for text in ["", "txn", "txn.", ".a", "foo.a", "txn.a-b", "txn.a b", "txn.é", "Txn.a"] {
            assert!(VarName::parse(text).is_err(), "{text}");
            assert_eq!(VarKey::parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(VarKey::parse(b"txn.\xff"), None);
    }
}
