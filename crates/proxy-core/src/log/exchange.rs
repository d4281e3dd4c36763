//! The line that an exchange leaves in the log. Source: configuration.txt 8.2, 8.3.

use std::{
    io::Write,
    sync::{OnceLock, atomic::Ordering::Relaxed},
};

use super::{Level, LevelOverride};
use crate::{
    config::Mode,
    host::Addr,
    registry::Registry,
    sample::logformat::LogFormat,
    txn::{Direction, Txn},
};

/// Writes the line of an exchange that has ended, at most once; nothing is rendered for a frontend
/// without a log target.
pub fn log_exchange(txn: &mut Txn) {
    if !std::mem::replace(&mut txn.log.written, true) && !is_null(txn) && !is_normal(txn) {
        log_now(txn);
    }
}

/// Writes the line of an exchange as far as it has come (`do-log`).
pub(crate) fn log_now(txn: &mut Txn) {
    let frontend = std::sync::Arc::clone(&txn.frontend);
    let level = match txn.log.level {
        Some(LevelOverride::Silent) => return,
        Some(LevelOverride::Level(level)) => level,
        None => Level::Info,
    };
    if !frontend.logs.iter().any(|target| level <= target.max_level) {
        return;
    }
    let mut line = Vec::with_capacity(256);
    match &frontend.log_format {
        Some(format) => format.render_log(txn, &mut line),
        None if frontend.options.httplog => http_format().render_log(txn, &mut line),
        None if frontend.options.tcplog => tcp_format().render_log(txn, &mut line),
        None => connect_line(txn, &mut line),
    }
    super::send(&txn.worker, &frontend.logs, level, &line);
    frontend.state.log_lines.fetch_add(1, Relaxed);
}

/// `option dontlognull`: nothing was exchanged.
fn is_null(txn: &Txn) -> bool {
    txn.frontend.options.dontlognull && txn.log.bytes_in == 0 && txn.log.bytes_out == 0
}

/// `option dontlog-normal`: it went well, without a retry or redispatch.
fn is_normal(txn: &Txn) -> bool {
    let log = &txn.log;
    let went_well = log.termination_or_dashes()[0] == b'-' && log.retries == 0 && !log.redispatched;
    let http_error = txn.frontend.mode == Mode::Http && log.status >= 500;
    txn.frontend.options.dontlog_normal && went_well && !http_error
}

/// The format of `option httplog`.
pub fn http_format() -> &'static LogFormat {
    static FORMAT: OnceLock<LogFormat> = OnceLock::new();
    FORMAT.get_or_init(|| compile(HTTP))
}

/// The format of `option tcplog`.
pub fn tcp_format() -> &'static LogFormat {
    static FORMAT: OnceLock<LogFormat> = OnceLock::new();
    FORMAT.get_or_init(|| compile(TCP))
}

fn compile(text: &str) -> LogFormat {
    LogFormat::parse(text, &Registry::default()).expect("the built-in log formats are well formed")
}

/// The line of a frontend that asks for no format.
fn connect_line(txn: &mut Txn, out: &mut Vec<u8>) {
    let session = &txn.session;
    let mode = if txn.frontend.mode == Mode::Http { "HTTP" } else { "TCP" };
    let end = |addr: Option<&Addr>| match addr {
        Some(Addr::Ip(addr)) => format!("{}:{}", addr.ip(), addr.port()),
        _ => format!("unix:{}", session.bind.id),
    };
    // Writing to a Vec cannot fail.
    let _ = write!(
        out,
        "Connect from {} to {} ({}/{mode})",
        end(session.src.as_ref()),
        end(session.dst.as_ref()),
        txn.frontend.name
    );
}

/// Which side's rules a log line is rendered as.
pub(crate) const LOG_SIDE: Direction = Direction::Response;

/// `option httplog`, also known as `HAPROXY_HTTP_LOG_FMT`.
pub const HTTP: &str = "%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc \
                        %ac/%fc/%bc/%sc/%rc %sq/%bq %hr %hs %{+Q}r";
/// `option tcplog`, also known as `HAPROXY_TCP_LOG_FMT`.
pub const TCP: &str = "%ci:%cp [%t] %ft %b/%s %Tw/%Tc/%Tt %B %ts %ac/%fc/%bc/%sc/%rc %sq/%bq";
