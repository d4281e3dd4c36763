//! What an exchange adds to the stick table entries that it or its session tracks.
//!
//! Source: configuration.txt 11.1 (data types).

use super::{Conn, fault::Letters};
use crate::stick_table::DataType;

/// A request has come in on a connection that tracks.
pub(super) fn request(conn: &Conn) {
    let tracked = conn.session.tracked.borrow();
    if !tracked.is_empty() {
        tracked.count(&[DataType::HttpReqCnt, DataType::HttpReqRate], 1, conn.now());
    }
}

/// An exchange has ended; its log line has the bytes and the status.
pub(super) fn end(conn: &Conn, letters: Letters) {
    let session = conn.session.tracked.borrow();
    if session.is_empty() && conn.txn.tracked.is_empty() {
        return;
    }
    let now = conn.now();
    let log = &conn.txn.log;
    let answered = conn.txn.server.is_some() && letters[0] == b'-';
    let client_erred = matches!(&letters, b"PR" | b"PT") || (answered && (400..500).contains(&log.status));
    let server_failed = (answered && log.status >= 500 && !matches!(log.status, 501 | 505))
        || (matches!(letters[0], b'S' | b's') && matches!(letters[1], b'H' | b'D'));
    for tracking in [&*session, &conn.txn.tracked] {
        tracking.count(&[DataType::BytesInCnt, DataType::BytesInRate], log.bytes_in, now);
        tracking.count(&[DataType::BytesOutCnt, DataType::BytesOutRate], log.bytes_out, now);
        if client_erred {
            tracking.count(&[DataType::HttpErrCnt, DataType::HttpErrRate], 1, now);
        }
        if server_failed {
            tracking.count(&[DataType::HttpFailCnt, DataType::HttpFailRate], 1, now);
        }
        tracking.touch(now);
    }
}
