//! What an agent's author may set: limits, times, who is told.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::observer::Observer;
use super::siblings::Siblings;
use crate::connection::AgentEndConfig;
use crate::frame::Capabilities;

/// How an agent serves its connections. The default suits most.
#[derive(Clone)]
pub struct Options {
    /// The largest frame taken and offered, in bytes, length prefix not counted; at least 256.
    pub frame_size_bytes_max: u32,
    /// What is announced. ASYNC is announced where [`siblings`](Self::siblings) are given, and only there.
    pub capabilities: Capabilities,
    /// How long the proxy's HELLO is awaited.
    pub hello_timeout: Option<Duration>,
    /// How long a connection without a waiting request is kept.
    pub idle_timeout: Option<Duration>,
    /// How many requests may be handled at once on a connection; beyond, nothing more is read from it. At least 1.
    pub waiting_frames_max: usize,
    /// The largest payload put together from fragments, in bytes; larger ones are refused with ABORT.
    pub payload_bytes_max: usize,
    /// How long a handler may take where [`Handler::deadline`](super::Handler::deadline) does not say; then it is dropped and
    /// [`Handler::late`](super::Handler::late) answers.
    pub deadline: Option<Duration>,
    /// How long running handlers are waited for once the agent stops; then they are dropped.
    pub stop_timeout: Option<Duration>,
    /// How many connections `listen` serves at once; beyond, none is accepted. At least 1.
    pub connections_max: usize,
    /// Lets an answer travel on another connection of the same engine when its own has broken.
    pub siblings: Option<Siblings>,
    /// Who is told what happens, for metrics.
    pub observer: Option<Arc<dyn Observer>>,
}

impl Options {
    /// The part that the connection itself keeps to.
    pub(super) fn end(&self) -> AgentEndConfig {
        AgentEndConfig {
            frame_size_bytes_max: self.frame_size_bytes_max,
            capabilities: match self.siblings {
                Some(_) => self.capabilities | Capabilities::ASYNC,
                None => self.capabilities.without(Capabilities::ASYNC),
            },
            hello_timeout: self.hello_timeout,
            idle_timeout: self.idle_timeout,
            waiting_frames_max: self.waiting_frames_max,
            payload_bytes_max: self.payload_bytes_max,
        }
    }
}

impl Default for Options {
    /// As [`AgentEndConfig::default`]; no deadlines, 1024 connections, answers on their own connection, nobody told.
    fn default() -> Self {
        let end = AgentEndConfig::default();
        Self {
            frame_size_bytes_max: end.frame_size_bytes_max,
            capabilities: end.capabilities,
            hello_timeout: end.hello_timeout,
            idle_timeout: end.idle_timeout,
            waiting_frames_max: end.waiting_frames_max,
            payload_bytes_max: end.payload_bytes_max,
            deadline: None,
            stop_timeout: None,
            connections_max: 1024,
            siblings: None,
            observer: None,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("end", &self.end())
            .field("deadline", &self.deadline)
            .field("stop_timeout", &self.stop_timeout)
            .field("connections_max", &self.connections_max)
            .field("observed", &self.observer.is_some())
            .finish()
    }
}
