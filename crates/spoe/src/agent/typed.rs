//! Messages as structs: the arguments of a message read into fields, with errors that name the field.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::frame::{Message, TypedData};

/// A struct made of a message's arguments; [`message!`](crate::message!) writes it.
pub trait FromMessage<'a>: Sized {
    /// The name of the `spoe-message` section.
    const NAME: &'static str;

    /// Reads the arguments.
    ///
    /// # Errors
    /// The first argument that is missing or of another type.
    fn from_message(message: &Message<'a>) -> Result<Self, MessageError>;
}

/// A type that an argument can be read as.
pub trait FromArgument<'a>: Sized {
    /// Reads the value, `None` if the message has no such argument. Gives `None` if that is not one.
    fn from_argument(value: Option<TypedData<'a>>) -> Option<Self>;
}

/// Why a request does not make the struct asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// The request has no message of that name.
    #[error("no message '{0}'")]
    NoMessage(&'static str),
    /// The message lacks an argument, or the proxy had no value for it.
    #[error("message '{message}' has no argument '{argument}'")]
    NoArgument {
        /// The message.
        message: &'static str,
        /// The argument.
        argument: &'static str,
    },
    /// The argument is of another type than the field.
    #[error("argument '{argument}' of message '{message}' is of another type")]
    WrongType {
        /// The message.
        message: &'static str,
        /// The argument.
        argument: &'static str,
    },
}

/// Reads one field; for [`message!`](crate::message!).
#[doc(hidden)]
pub fn field<'a, T: FromArgument<'a>>(
    message: &Message<'a>,
    name: &'static str,
    argument: &'static str,
) -> Result<T, MessageError> {
    let value = message.arg(argument);
    T::from_argument(value).ok_or(match value {
        None | Some(TypedData::Null) => MessageError::NoArgument { message: name, argument },
        Some(_) => MessageError::WrongType { message: name, argument },
    })
}

impl<'a, T: FromArgument<'a>> FromArgument<'a> for Option<T> {
    /// Absent, or without a value, is `None`; a value of another type is an error still.
    fn from_argument(value: Option<TypedData<'a>>) -> Option<Self> {
        match value {
            None | Some(TypedData::Null) => Some(None),
            value => T::from_argument(value).map(Some),
        }
    }
}

impl<'a> FromArgument<'a> for TypedData<'a> {
    fn from_argument(value: Option<TypedData<'a>>) -> Option<Self> {
        value
    }
}

/// Numbers are read from any of the four integer types, if they fit.
macro_rules! arguments {
    ($($type:ty: $value:ident => $read:expr;)*) => {
        $(impl<'a> FromArgument<'a> for $type {
            fn from_argument(value: Option<TypedData<'a>>) -> Option<Self> {
                let $value = value?;
                $read
            }
        })*
    };
}

arguments! {
    bool: value => value.as_bool();
    i64: value => value.as_i64();
    i32: value => value.as_i64()?.try_into().ok();
    u32: value => value.as_i64()?.try_into().ok();
    u64: value => match value {
        TypedData::Uint64(value) => Some(value),
        value => value.as_i64()?.try_into().ok(),
    };
    IpAddr: value => value.as_ip();
    Ipv4Addr: value => match value { TypedData::Ipv4(value) => Some(value), _ => None };
    Ipv6Addr: value => match value { TypedData::Ipv6(value) => Some(value), _ => None };
    &'a str: value => value.as_str();
    &'a [u8]: value => value.as_bytes();
    String: value => value.as_str().map(str::to_owned);
    Vec<u8>: value => value.as_bytes().map(<[u8]>::to_vec);
}

/// Writes a struct that a message is read into: the name of the `spoe-message` section, then a field per argument.
///
/// The argument is called as the field unless `= "name"` follows. Fields are numbers, booleans, addresses, `&str`, `&[u8]`,
/// their owned kin, [`TypedData`], or an `Option` of those for what may be absent.
///
/// ```
/// use std::net::IpAddr;
///
/// spoe::message! {
///     /// What `args src ua=req.hdr(user-agent) x-token=req.hdr(x-token)` sends.
///     pub struct Check<'a>("check-client") {
///         src: IpAddr,
///         ua: Option<&'a str>,
///         token: Option<&'a [u8]> = "x-token",
///     }
/// }
/// ```
///
/// In a handler: `let check: Check<'_> = request.read()?;`
#[macro_export]
macro_rules! message {
    (
        $(#[$meta:meta])* $vis:vis struct $name:ident<$life:lifetime>($message:literal) {
            $($(#[$field_meta:meta])* $field:ident: $type:ty $(= $argument:literal)?),* $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug)]
        $vis struct $name<$life> { $($(#[$field_meta])* $vis $field: $type),* }

        $crate::message!(@read [$life] $name<$life>, $message, $($field $(= $argument)?),*);
    };
    (
        $(#[$meta:meta])* $vis:vis struct $name:ident($message:literal) {
            $($(#[$field_meta:meta])* $field:ident: $type:ty $(= $argument:literal)?),* $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug)]
        $vis struct $name { $($(#[$field_meta])* $vis $field: $type),* }

        $crate::message!(@read ['m] $name, $message, $($field $(= $argument)?),*);
    };
    (@read [$life:lifetime] $struct:ty, $message:literal, $($field:ident $(= $argument:literal)?),*) => {
        impl<$life> $crate::agent::FromMessage<$life> for $struct {
            const NAME: &'static str = $message;

            fn from_message(
                message: &$crate::frame::Message<$life>,
            ) -> ::core::result::Result<Self, $crate::agent::MessageError> {
                ::core::result::Result::Ok(Self {
                    $($field: $crate::agent::field(
                        message,
                        $message,
                        $crate::message!(@name $field $($argument)?),
                    )?),*
                })
            }
        }
    };
    (@name $field:ident) => { ::core::stringify!($field) };
    (@name $field:ident $argument:literal) => { $argument };
}
