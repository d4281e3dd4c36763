//! What stands before a message on its way to a log target. Source: configuration.txt, `log`.

use std::time::Duration;

use super::{Level, time};
use crate::{
    config::{LogHeader, LogTarget},
    worker::Worker,
};

/// Sends a message to every target whose level lets it through, each with its header.
pub fn send(worker: &Worker, targets: &[LogTarget], level: Level, message: &[u8]) {
    if !targets.iter().any(|target| level <= target.max_level) {
        return;
    }
    let (wall, pid) = (worker.host.wall(), std::process::id());
    let tag = worker.shared.config.global.log_tag.as_deref().unwrap_or(DEFAULT_TAG);
    let mut line = Vec::with_capacity(message.len() + 64);
    for target in targets.iter().filter(|target| level <= target.max_level) {
        let level = target.min_level.map_or(level, |least| level.max(least));
        line.clear();
        write_header(target, level, wall, tag, pid, &mut line);
        line.extend_from_slice(message);
        line.truncate(target.max_len);
        worker.host.log(target, level, &line);
    }
}

/// Appends the header that lines of this level get at this moment.
pub fn write_header(
    target: &LogTarget,
    level: Level,
    wall: Duration,
    tag: &str,
    pid: u32,
    out: &mut Vec<u8>,
) {
    let priority = u32::from(target.facility.0) * 8 + level as u32;
    let numbered = |out: &mut Vec<u8>, number: u32| {
        out.push(b'<');
        out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
        out.push(b'>');
    };
    match target.format {
        LogHeader::Rfc3164 => {
            numbered(out, priority);
            time::syslog_date(wall, out);
            out.extend_from_slice(format!(" localhost {tag}[{pid}]: ").as_bytes());
        }
        LogHeader::Rfc5424 => {
            numbered(out, priority);
            out.extend_from_slice(b"1 ");
            time::iso_date(wall, out);
            out.extend_from_slice(format!(" - {tag} {pid} - - ").as_bytes());
        }
        LogHeader::Iso => {
            time::iso_date(wall, out);
            out.push(b' ');
        }
        LogHeader::Timed => {
            numbered(out, level as u32);
            time::iso_date(wall, out);
            out.push(b' ');
        }
        LogHeader::Short => numbered(out, level as u32),
        LogHeader::Priority => numbered(out, priority),
        LogHeader::Raw => {}
    }
}

/// The program's name where `log-tag` gives none.
const DEFAULT_TAG: &str = "haproxy";
