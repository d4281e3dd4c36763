//! Answers that the proxy gives itself: error pages, and what rules answer with.

use super::{
    Conn,
    exchange::{Exchange, Method},
    fault::Fault,
};
use crate::{applet::Reply, http::error_page};

impl Exchange {
    /// Answers what went wrong, if anything can be answered any more.
    ///
    /// # Errors
    /// The connection has to be closed.
    pub(crate) async fn answer_fault(&mut self, conn: &mut Conn, fault: Fault) -> Result<(), Fault> {
        self.upstream = None;
        let (reply, letters) = match fault {
            Fault::Close(letters) => return Err(Fault::Close(letters)),
            Fault::Status(_, letters) | Fault::Reply(_, letters) if self.answered => {
                return Err(Fault::Close([letters[0], b'D']));
            }
            Fault::Status(status, letters) => (Box::new(error_page::reply(status)), letters),
            Fault::Reply(reply, letters) => (reply, letters),
        };
        self.letters = letters;
        Box::pin(self.reply(conn, &reply)).await.map_err(|_| Fault::Close([b'C', letters[1]]))
    }

    /// Sends a whole answer.
    ///
    /// # Errors
    /// The client is gone, or a rule wants the connection closed.
    async fn reply(&mut self, conn: &mut Conn, reply: &Reply) -> Result<(), Fault> {
        self.skip_body(conn);
        conn.txn.begin_response_scope();
        self.keep_alive &= !reply.close && self.request_read();
        let mut body: &[u8] = &reply.body;
        if conn.txn.res.set_reply(reply).is_err() {
            let page = error_page::reply(500);
            conn.txn.res.set_reply(&page).map_err(|_| Fault::Close(*b"PR"))?;
            body = b"";
            set_length(conn, 0);
        }
        let status = conn.txn.res.status();
        let bodiless = matches!(status, 100..=199 | 204 | 304);
        if !bodiless {
            set_length(conn, body.len());
        }
        self.after_response(conn).await?;
        if conn.txn.res.framing_edited() && !bodiless {
            set_length(conn, body.len());
        }
        self.start_answer(conn, false);
        if !bodiless && self.method != Method::Head {
            conn.client.out.buf(&conn.worker.buffers).extend_from_slice(body);
        }
        conn.flush_client().await
    }

    /// Passes over the part of the request's body that has come.
    pub(crate) fn skip_body(&mut self, conn: &mut Conn) {
        let input = &mut conn.client.input;
        while !self.body.is_done() {
            let Ok(step) = self.body.step(input.unread(), &mut self.trailers) else { return };
            input.consume(step.skip + step.data);
            if step.skip + step.data == 0 {
                return;
            }
        }
    }
}

/// Makes `content-length` say the truth.
fn set_length(conn: &mut Conn, length: usize) {
    let mut digits = itoa::Buffer::new();
    let digits = digits.format(length).as_bytes();
    let res = &mut conn.txn.res;
    res.del_header(b"transfer-encoding");
    if res.header(b"content-length") == Some(digits) && res.header_lines(b"content-length").count() == 1 {
        return;
    }
    // A valid name and value.
    let _ = res.set_header(b"content-length", digits);
}
