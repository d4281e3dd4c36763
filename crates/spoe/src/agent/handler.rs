//! What an agent's author writes and touches: handler, request, reply.
//!
//! Source: SPOE.txt §3.2.6, §3.2.7, §3.4.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use super::typed::{FromMessage, MessageError};
use crate::frame::{AckWriter, DecodeError, FrameId, Message, MessageReader, Scope, StreamId, TypedData};

/// Decides about the messages of a NOTIFY. Implemented for closures: `|request| async move { Reply::new() }`.
///
/// One handler serves all connections. Answers may come in any order.
pub trait Handler {
    /// Answers one NOTIFY. The future is dropped, wherever it is, when the answer is no longer wanted: when the proxy says
    /// DISCONNECT or the connection breaks. If it panics, the answer is empty and nothing else suffers.
    fn handle(&self, request: Request) -> impl Future<Output = Reply> + Send;

    /// How long [`handle`](Self::handle) may take for this request; `None` leaves it to
    /// [`Options::deadline`](super::Options::deadline). A proxy stops waiting after its `timeout processing`.
    fn deadline(&self, _request: &Request) -> Option<Duration> {
        None
    }

    /// The answer in place of one that did not come in time. The default sets nothing.
    fn late(&self) -> Reply {
        Reply::new()
    }
}

impl<F, Fut> Handler for F
where
    F: Fn(Request) -> Fut,
    Fut: Future<Output = Reply> + Send,
{
    fn handle(&self, request: Request) -> impl Future<Output = Reply> + Send {
        self(request)
    }
}

/// The messages of one NOTIFY. They were checked: reading them does not fail.
pub struct Request {
    stream: StreamId,
    frame: FrameId,
    // INVARIANT: a list of messages that was read once without error.
    payload: Vec<u8>,
}

impl Request {
    /// Checks and takes a payload.
    pub(crate) fn new(stream: StreamId, frame: FrameId, payload: Vec<u8>) -> Result<Self, DecodeError> {
        for message in MessageReader::new(&payload) {
            message?;
        }
        Ok(Self { stream, frame, payload })
    }

    /// The messages, in the order of the configuration.
    pub fn messages(&self) -> impl Iterator<Item = Message<'_>> + '_ {
        MessageReader::new(&self.payload).map_while(Result::ok)
    }

    /// The first message of the struct's name, read into that struct; see [`message!`](crate::message!).
    ///
    /// # Errors
    /// No such message, or the first argument that is missing or of another type.
    pub fn read<'a, T: FromMessage<'a>>(&'a self) -> Result<T, MessageError> {
        let message = self.message(T::NAME).ok_or(MessageError::NoMessage(T::NAME))?;
        T::from_message(&message)
    }

    /// The size of all messages, in bytes.
    pub fn payload_bytes(&self) -> usize {
        self.payload.len()
    }

    /// The first message of that name.
    pub fn message(&self, name: impl AsRef<[u8]>) -> Option<Message<'_>> {
        self.messages().find(|message| message.is(&name))
    }

    /// The proxy's stream; unique on a connection only together with [`frame`](Self::frame).
    pub const fn stream(&self) -> StreamId {
        self.stream
    }

    /// The exchange within the stream.
    pub const fn frame(&self) -> FrameId {
        self.frame
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({}/{}) ", self.stream.0, self.frame.0)?;
        f.debug_list().entries(self.messages()).finish()
    }
}

/// The variables to set and unset, in order.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    actions: Vec<u8>,
}

impl Reply {
    /// Nothing to set, which is a fine answer.
    pub const fn new() -> Self {
        Self { actions: Vec::new() }
    }

    /// Sets a variable; in the proxy's rules it is `SCOPE.PREFIX.name`, at most 63 bytes, of letters, digits, `_` and `.`.
    #[must_use]
    pub fn set<'a>(mut self, scope: Scope, name: &str, value: impl Into<TypedData<'a>>) -> Self {
        self.actions.reserve(ACTION_BYTES_USUAL);
        AckWriter::new(&mut self.actions).set_var(scope, name, value.into());
        self
    }

    /// Takes a variable's value away.
    #[must_use]
    pub fn unset(mut self, scope: Scope, name: &str) -> Self {
        AckWriter::new(&mut self.actions).unset_var(scope, name);
        self
    }

    pub(crate) fn actions(&self) -> &[u8] {
        &self.actions
    }
}

/// What most actions fit, so that one allocation does.
const ACTION_BYTES_USUAL: usize = 48;
