//! The payload of ACK: actions that set and unset variables.
//!
//! Source: SPOE.txt §3.2.7, §3.4.

use std::fmt;

use super::reader::{Reader, encode_name};
use super::{DecodeError, DecodeErrorKind, TypedData};

/// How long a variable lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// As long as the process.
    Process,
    /// As long as the client's connection.
    Session,
    /// As long as the request and its response.
    Transaction,
    /// While the request is processed.
    Request,
    /// While the response is processed.
    Response,
}

impl Scope {
    /// The scope of this byte.
    pub const fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            0 => Self::Process,
            1 => Self::Session,
            2 => Self::Transaction,
            3 => Self::Request,
            4 => Self::Response,
            _ => return None,
        })
    }

    /// The byte of this scope.
    pub const fn to_byte(self) -> u8 {
        self as u8
    }

    /// As it stands before the first dot of a variable's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Process => "proc",
            Self::Session => "sess",
            Self::Transaction => "txn",
            Self::Request => "req",
            Self::Response => "res",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What an agent asks for, borrowed from its ACK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action<'a> {
    /// Gives a variable a value; [`TypedData::Null`] unsets it.
    SetVar {
        /// How long the variable lives.
        scope: Scope,
        /// Its name, without scope and prefix.
        name: &'a [u8],
        /// Its value.
        value: TypedData<'a>,
    },
    /// Takes a variable's value away.
    UnsetVar {
        /// How long the variable lives.
        scope: Scope,
        /// Its name, without scope and prefix.
        name: &'a [u8],
    },
}

/// The actions of a payload, in order. The first that cannot be read ends the list, as in HAProxy; those before it count.
#[derive(Clone, Debug)]
pub struct ActionReader<'a> {
    reader: Reader<'a>,
}

impl<'a> ActionReader<'a> {
    /// Reads the payload of one ACK.
    #[inline]
    pub const fn new(payload: &'a [u8]) -> Self {
        Self { reader: Reader::new(payload) }
    }

    #[inline]
    fn action(&mut self) -> Result<Action<'a>, DecodeError> {
        let bad = self.reader.error(DecodeErrorKind::BadAction);
        let kind = self.reader.u8()?;
        let nb_args = self.reader.u8()?;
        match (kind, nb_args) {
            (SET_VAR, 3) => Ok(Action::SetVar {
                scope: Scope::from_byte(self.reader.u8()?).ok_or(bad)?,
                name: self.reader.name()?,
                value: TypedData::read(&mut self.reader)?,
            }),
            (UNSET_VAR, 2) => Ok(Action::UnsetVar {
                scope: Scope::from_byte(self.reader.u8()?).ok_or(bad)?,
                name: self.reader.name()?,
            }),
            _ => Err(bad),
        }
    }
}

impl<'a> Iterator for ActionReader<'a> {
    type Item = Result<Action<'a>, DecodeError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.reader.is_empty() {
            return None;
        }
        let action = self.action();
        if action.is_err() {
            self.reader = Reader::new(&[]);
        }
        Some(action)
    }
}

/// Writes actions behind one another into a buffer.
#[derive(Debug)]
pub struct AckWriter<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> AckWriter<'a> {
    /// Appends to `out`.
    #[inline]
    pub fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out }
    }

    /// Gives a variable a value.
    #[inline]
    pub fn set_var(&mut self, scope: Scope, name: impl AsRef<[u8]>, value: TypedData<'_>) -> &mut Self {
        self.out.extend_from_slice(&[SET_VAR, 3, scope.to_byte()]);
        encode_name(name.as_ref(), self.out);
        value.encode(self.out);
        self
    }

    /// Takes a variable's value away.
    #[inline]
    pub fn unset_var(&mut self, scope: Scope, name: impl AsRef<[u8]>) -> &mut Self {
        self.out.extend_from_slice(&[UNSET_VAR, 2, scope.to_byte()]);
        encode_name(name.as_ref(), self.out);
        self
    }

    /// Writes an action that was read elsewhere.
    pub fn action(&mut self, action: Action<'_>) -> &mut Self {
        match action {
            Action::SetVar { scope, name, value } => self.set_var(scope, name, value),
            Action::UnsetVar { scope, name } => self.unset_var(scope, name),
        }
    }
}

const SET_VAR: u8 = 1;
const UNSET_VAR: u8 = 2;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn actions_have_haproxys_bytes() {
        let mut out = Vec::new();
        AckWriter::new(&mut out)
            .set_var(Scope::Transaction, "x", 5i32.into())
            .unset_var(Scope::Transaction, "x");
        assert_eq!(out, [1, 3, 2, 1, b'x', 2, 5, 2, 2, 2, 1, b'x']);
    }

    #[test]
    fn the_first_malformed_action_ends_the_list() {
        let good = [1, 3, 2, 1, b'x', 2, 5];
        for bad in [
            &[3, 3, 2, 1, b'x', 2, 5, 1, 3, 2, 1, b'y', 2, 5][..],
            &[1, 2, 2, 1, b'x', 2, 5, 1, 3, 2, 1, b'y', 2, 5],
            &[1, 3, 5, 1, b'x', 2, 5, 1, 3, 2, 1, b'y', 2, 5],
            &[2, 3, 2, 1, b'x', 1, 3, 2, 1, b'y', 2, 5],
            &[1, 3, 2, 9, b'x', 2, 5],
            &[1, 3, 2, 1, b'x'],
            &[1],
        ] {
            let payload = [&good[..], bad].concat();
            let read: Vec<_> = ActionReader::new(&payload).collect();
            assert!(read[0].is_ok(), "{bad:02x?}");
            assert!(read[1].is_err(), "{bad:02x?}");
            assert_eq!(read.len(), 2, "{bad:02x?}");
        }
    }

    proptest! {
        #[test]
        fn decode_undoes_encode(
            actions in proptest::collection::vec((0u8..5, ".{0,70}", proptest::option::of(any::<i64>())), 0..9),
        ) {
            let mut out = Vec::new();
            let mut writer = AckWriter::new(&mut out);
            let actions: Vec<_> = actions
                .iter()
                .map(|(scope, name, value)| {
                    let (scope, name) = (Scope::from_byte(*scope).unwrap(), name.as_bytes());
                    match value {
                        Some(value) => Action::SetVar { scope, name, value: (*value).into() },
                        None => Action::UnsetVar { scope, name },
                    }
                })
                .collect();
            for action in &actions {
                writer.action(*action);
            }
            let read: Vec<_> = ActionReader::new(&out).map(|a| a.unwrap()).collect();
            prop_assert_eq!(read, actions);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _ = ActionReader::new(&bytes).count();
        }
    }
}
