//! The `spoe-agent` section.
//!
//! Source: SPOE.txt §2.2; keywords that 3.1 ignores: SPOE.txt 1.1 (HAProxy 2.8) §2.2.

use std::time::Duration;

use super::message::{Name, Words};
use crate::engine::EngineConfig;

/// A `spoe-agent` section. Times are as written; what is absent is `None`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Agent {
    /// Its name.
    pub name: Name,
    /// `messages`: those sent on events.
    pub messages: Vec<Name>,
    /// `groups`: those that `send-spoe-group` may name.
    pub groups: Vec<Name>,
    /// `use-backend`.
    pub backend: Name,
    /// `option var-prefix`, or the agent's name.
    pub var_prefix: String,
    /// `register-var-names`.
    pub register_var_names: Vec<Name>,
    /// `log` lines since the last `no log`, without the keyword.
    pub log: Vec<Words>,
    /// `timeout hello`.
    pub hello_timeout: Option<Duration>,
    /// `timeout idle`.
    pub idle_timeout: Option<Duration>,
    /// `timeout processing`.
    pub processing_timeout: Option<Duration>,
    /// `max-frame-size`, in bytes.
    pub frame_size_bytes_max: u32,
    /// `max-waiting-frames`.
    pub waiting_frames_max: usize,
    /// `maxconnrate`, per second; 0 is no limit.
    pub connect_rate_max: u32,
    /// `maxerrrate`, per second; 0 is no limit.
    pub error_rate_max: u32,
    /// `option pipelining`.
    pub pipelining: bool,
    /// `option async`.
    pub async_acks: bool,
    /// `option send-frag-payload`.
    pub send_fragments: bool,
    /// `option dontlog-normal`.
    pub dontlog_normal: bool,
    /// `option continue-on-error`.
    pub continue_on_error: bool,
    /// `option force-set-var`.
    pub force_set_var: bool,
    /// `option set-on-error`: a variable's name, without scope and prefix.
    pub set_on_error: Option<String>,
    /// `option set-process-time`: likewise.
    pub set_process_time: Option<String>,
    /// `option set-total-time`: likewise.
    pub set_total_time: Option<String>,
    /// `option fail`: what becomes of a request whose exchange fails. Not in HAProxy, where it is always open.
    pub fail: FailMode,
}

/// What becomes of a request whose exchange fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum FailMode {
    /// It goes on.
    #[default]
    Open,
    /// It is refused with this HTTP status; a TCP connection is closed.
    Closed(u16),
}

impl Agent {
    /// What the engine needs to know of it. `spread` is the number of servers of the backend.
    pub fn engine_config(&self, spread: usize) -> EngineConfig {
        let default = EngineConfig::default();
        EngineConfig {
            frame_size_bytes_max: self.frame_size_bytes_max,
            pipelining: self.pipelining,
            async_acks: self.async_acks,
            send_fragments: self.send_fragments,
            waiting_frames_max: self.waiting_frames_max,
            connect_rate_max: self.connect_rate_max,
            error_rate_max: self.error_rate_max,
            hello_timeout: self.hello_timeout.unwrap_or(default.hello_timeout),
            idle_timeout: self.idle_timeout,
            processing_timeout: self.processing_timeout,
            spread: spread.max(1),
        }
    }

    pub(super) fn new(name: Name, frame_size_bytes_max: u32) -> Self {
        let engine = EngineConfig::default();
        Self {
            messages: Vec::new(),
            groups: Vec::new(),
            backend: Name { text: String::new(), place: name.place.clone() },
            var_prefix: String::new(),
            register_var_names: Vec::new(),
            log: Vec::new(),
            hello_timeout: None,
            idle_timeout: None,
            processing_timeout: None,
            frame_size_bytes_max,
            waiting_frames_max: engine.waiting_frames_max,
            connect_rate_max: 0,
            error_rate_max: 0,
            pipelining: true,
            async_acks: true,
            send_fragments: true,
            dontlog_normal: false,
            continue_on_error: false,
            force_set_var: false,
            set_on_error: None,
            set_process_time: None,
            set_total_time: None,
            fail: FailMode::Open,
            name,
        }
    }
}
