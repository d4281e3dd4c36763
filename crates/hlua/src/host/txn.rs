//! A stream as a script sees it, and how it is lent to a run.

use std::any::Any;

use super::{AppletHttp, AppletTcp, Channel, HostError, HostResult, Http, Level, SampleId, Value};

/// What every stream offers to a script, whether it runs an action, a fetch or an applet: samples, variables, log.
///
/// `Any` is a supertrait so that the host gets its own type back: `let any: Box<dyn Any> = txn;`.
pub trait Stream: Any {
    /// Evaluates a fetch. `Ok(None)`: no sample. Arguments are as in the configuration, strings mostly.
    fn fetch(&mut self, fetch: SampleId, args: &[Value<'_>]) -> HostResult<Option<Value<'_>>> {
        let _ = (fetch, args);
        Err(HostError::Unsupported("sample fetches"))
    }

    /// Runs `input` through a converter. `Ok(None)`: the converter gave nothing.
    fn convert(
        &mut self,
        converter: SampleId,
        input: Value<'_>,
        args: &[Value<'_>],
    ) -> HostResult<Option<Value<'_>>> {
        let _ = (converter, input, args);
        Err(HostError::Unsupported("converters"))
    }

    /// Sets a variable; the name has its scope (`txn.path`). False: no such scope, a bad name, or
    /// `if_exists` and it never was.
    fn set_var(&mut self, name: &[u8], value: Value<'_>, if_exists: bool) -> bool;

    /// Unsets a variable. False: no such scope or a bad name.
    fn unset_var(&mut self, name: &[u8]) -> bool;

    /// Reads a variable.
    fn var(&mut self, name: &[u8]) -> Option<Value<'_>>;

    /// Writes one log line in the name of this stream. Control bytes are already dots.
    fn log(&mut self, level: Level, message: &str);

    /// `txn:deflog`: a log line at the stream's own level.
    fn log_default(&mut self, message: &str) {
        self.log(Level::Info, message);
    }

    /// What the host calls this stream in its logs, for reports of failures. None: it has no name.
    fn id(&mut self) -> Option<String> {
        None
    }

    /// A place, one a stream, in which this crate keeps what `set_priv` stored. Keep it until the stream ends
    /// and drop it then. None: `set_priv` is an error.
    fn extension(&mut self) -> Option<&mut Option<Box<dyn Any>>> {
        None
    }
}
const _: Option<&dyn Stream> = None;

/// The class `TXN`: a stream as actions and fetches see it.
pub trait Txn: Stream {
    /// The HTTP messages; None on TCP streams (`txn.http` is then nil).
    fn http(&mut self) -> Option<&mut dyn Http> {
        None
    }

    /// One of the two channels.
    fn channel(&mut self, side: Side) -> Option<&mut dyn Channel> {
        let _ = side;
        None
    }

    /// `txn:done(reply)`: remembers that the transaction ends here, with this reply or, without one, by closing.
    /// The script ends right after; the host acts when it has the TXN back ([`Outcome::done`](crate::Outcome)).
    fn done(&mut self, reply: Option<Reply>) -> HostResult<()> {
        drop(reply);
        Err(HostError::Unsupported("txn:done"))
    }

    /// `txn:set_loglevel`; None for silent.
    fn set_loglevel(&mut self, level: Option<Level>) -> HostResult<()> {
        let _ = level;
        Err(HostError::Unsupported("txn:set_loglevel"))
    }

    /// `txn:set_fc_tos`: the TOS or DSCP byte of packets to the client from now on. What the system refuses is not
    /// told.
    fn set_tos(&mut self, tos: u8) -> HostResult<()> {
        let _ = tos;
        Err(HostError::Unsupported("txn:set_fc_tos"))
    }

    /// `txn:set_fc_mark`: the netfilter mark of packets to the client from now on. What the system refuses is not told.
    fn set_mark(&mut self, mark: u32) -> HostResult<()> {
        let _ = mark;
        Err(HostError::Unsupported("txn:set_fc_mark"))
    }

    /// `txn:set_priority_class`, already within -2047 to 2047.
    fn set_priority_class(&mut self, class: i32) -> HostResult<()> {
        let _ = class;
        Err(HostError::Unsupported("txn:set_priority_class"))
    }

    /// `txn:set_priority_offset` in milliseconds, already within -524287 to 524287.
    fn set_priority_offset(&mut self, offset: i32) -> HostResult<()> {
        let _ = offset;
        Err(HostError::Unsupported("txn:set_priority_offset"))
    }
}
const _: Option<&dyn Txn> = None;

/// A response made by a script and given to `txn:done`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reply {
    /// 100 to 599.
    pub status: u16,
    /// None: the host's default text for the status.
    pub reason: Option<Vec<u8>>,
    /// In no particular order between names; in order within a name. Free of CR, LF and NUL.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// The body, whole.
    pub body: Vec<u8>,
}

/// Which way a message or channel goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// Client to server.
    Request,
    /// Server to client.
    Response,
}

/// What a poll of an [`Execution`](crate::Execution) borrows from its host: taken at the call, back with the answer.
#[derive(Default)]
pub enum Lent {
    /// Tasks, events, converters.
    #[default]
    Nothing,
    /// Actions and fetches.
    Txn(Box<dyn Txn>),
    /// HTTP services.
    AppletHttp(Box<dyn AppletHttp>),
    /// TCP services.
    AppletTcp(Box<dyn AppletTcp>),
}

impl Lent {
    /// The TXN, if that is what was lent.
    pub fn into_txn(self) -> Option<Box<dyn Txn>> {
        match self {
            Lent::Txn(txn) => Some(txn),
            _ => None,
        }
    }

    /// [`Stream::id`] of what was lent.
    pub(crate) fn stream_id(&mut self) -> Option<String> {
        match self {
            Lent::Nothing => None,
            Lent::Txn(txn) => txn.id(),
            Lent::AppletHttp(applet) => applet.id(),
            Lent::AppletTcp(applet) => applet.id(),
        }
    }

    /// Back to the host's own type, whatever was lent.
    pub fn into_any(self) -> Option<Box<dyn Any>> {
        match self {
            Lent::Nothing => None,
            Lent::Txn(txn) => Some(txn),
            Lent::AppletHttp(applet) => Some(applet),
            Lent::AppletTcp(applet) => Some(applet),
        }
    }
}
