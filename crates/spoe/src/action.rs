//! The actions of an ACK as the proxy's side gets them, and the names of the variables they set.
//!
//! Source: SPOE.txt §2.2 (`option var-prefix`), §3.4.

use std::fmt;
use std::rc::Rc;

use crate::engine::Shared;
use crate::frame::{Action, ActionReader, Scope};

/// The answer to one exchange: the received bytes, read as [`Action`]s that borrow from them.
///
/// Dropping it gives the buffer back to the engine.
pub struct Actions {
    payload: Vec<u8>,
    home: Option<Rc<Shared>>,
}

impl Actions {
    /// The actions in order. The first that cannot be read ends them, silently as in HAProxy.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = Action<'_>> + '_ {
        ActionReader::new(&self.payload).map_while(Result::ok)
    }

    /// Whether a NOTIFY was sent and acknowledged. False if there was no message to send, and so nothing happened.
    #[inline]
    pub fn is_answer(&self) -> bool {
        self.home.is_some()
    }

    pub(crate) const fn none() -> Self {
        Self { payload: Vec::new(), home: None }
    }

    pub(crate) const fn answer(payload: Vec<u8>, home: Rc<Shared>) -> Self {
        Self { payload, home: Some(home) }
    }
}

impl Drop for Actions {
    fn drop(&mut self) {
        if let Some(home) = &self.home {
            home.recycle(std::mem::take(&mut self.payload));
        }
    }
}

impl fmt::Debug for Actions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Puts the full name `scope.prefix.name` into `full`, cleared first.
///
/// # Errors
/// See [`NameError`]: HAProxy drops such actions in silence; say so once in the log.
pub fn variable_name(scope: Scope, prefix: &str, name: &[u8], full: &mut String) -> Result<(), NameError> {
    full.clear();
    let name = std::str::from_utf8(name).ok().filter(|n| is_variable_name(n)).ok_or(NameError::Character)?;
    for part in [scope.as_str(), ".", prefix, ".", name] {
        full.push_str(part);
    }
    if full.len() > VARIABLE_NAME_BYTES_MAX {
        return Err(NameError::TooLong);
    }
    Ok(())
}

/// Why an agent's variable has no valid name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Empty, or a character other than letters, digits, `_` and `.`.
    #[error("invalid character in variable name")]
    Character,
    /// More than 63 bytes with scope and prefix.
    #[error("variable name longer than 63 bytes")]
    TooLong,
}

/// Whether a prefix or name has only the characters that variables may have.
pub fn is_variable_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.'))
}

/// The longest full name of a variable.
const VARIABLE_NAME_BYTES_MAX: usize = 63;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded_with_scope_and_prefix() {
        let mut full = String::new();
        for (name, outcome) in [
            (b"score".to_vec(), Ok(())),
            (vec![b'a'; 63 - "txn.iprep.".len()], Ok(())),
            (vec![b'a'; 64 - "txn.iprep.".len()], Err(NameError::TooLong)),
            (b"".to_vec(), Err(NameError::Character)),
            (b"a-b".to_vec(), Err(NameError::Character)),
            (b"a\r\nb".to_vec(), Err(NameError::Character)),
            (b"\xff".to_vec(), Err(NameError::Character)),
        ] {
            assert_eq!(variable_name(Scope::Transaction, "iprep", &name, &mut full), outcome, "{name:?}");
        }
        variable_name(Scope::Session, "iprep", b"score", &mut full).unwrap();
        assert_eq!(full, "sess.iprep.score");
    }
}
