//! What the process says on its terminal, in HAProxy's form: `[WARNING]  (PID) : text`.

use std::{
    io::Write as _,
    sync::atomic::{AtomicBool, Ordering},
};

use proxy_core::log::Level;

/// Set by `-q`.
static QUIET: AtomicBool = AtomicBool::new(false);

/// Silences everything but alerts.
pub fn set_quiet(quiet: bool) {
    QUIET.store(quiet, Ordering::Relaxed);
}

/// Prints one line on standard error.
pub fn print(level: Level, message: &str) {
    if QUIET.load(Ordering::Relaxed) && level > Level::Alert {
        return;
    }
    let line = format!("{}({}) : {message}\n", label(level), std::process::id());
    // Nobody to tell when standard error is closed.
    let _ = std::io::stderr().lock().write_all(line.as_bytes());
}

/// Prints a warning.
pub fn warn(message: &str) {
    print(Level::Warning, message);
}

/// The level in brackets, padded as HAProxy pads it.
fn label(level: Level) -> &'static str {
    match level {
        Level::Emerg => "[EMERG]    ",
        Level::Alert => "[ALERT]    ",
        Level::Crit => "[CRIT]     ",
        Level::Err => "[ERROR]    ",
        Level::Warning => "[WARNING]  ",
        Level::Notice => "[NOTICE]   ",
        Level::Info => "[INFO]     ",
        Level::Debug => "[DEBUG]    ",
    }
}
