//! Answers that the proxy gives itself: error pages, and what rules answer with.

use super::{
    Conn,
    exchange::{Exchange, Method},
    fault::Fault,
};
use crate::{
    applet::{Form, Reply},
    error_pages,
    http::{
        Message, Version, error_page,
        h1::{connection, encode},
    },
    txn::Direction,
};

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
            Fault::Status(status, letters) => {
                (Box::new(error_pages::reply(status, Direction::Response, &mut conn.txn)), letters)
            }
            Fault::Reply(reply, letters) => (reply, letters),
        };
        self.letters = letters;
        if reply.form == Form::Silent {
            conn.txn.log.status = reply.status;
            return Err(Fault::Close(letters));
        }
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
        let until_close = matches!(reply.form, Form::File { .. }) && !has_length(reply);
        let measured = !bodiless && !until_close;
        if measured {
            set_length(conn, body.len());
        }
        self.keep_alive &= measured || bodiless;
        self.after_response(conn).await?;
        if conn.txn.res.framing_edited() && measured {
            set_length(conn, body.len());
        }
        match reply.form {
            Form::File { version, logged } => self.start_from_file(conn, version, logged),
            Form::Made | Form::Silent => self.start_answer(conn, false),
        }
        if !bodiless && self.method != Method::Head {
            conn.client.out.buf(&conn.worker.buffers).extend_from_slice(body);
        }
        conn.flush_client().await
    }

    /// Encodes the head of an error file, whose version stays.
    fn start_from_file(&mut self, conn: &mut Conn, version: Version, logged: u16) {
        self.keep_alive &= !conn.stopping();
        let token = match version {
            Version::Http10 => self.keep_alive.then_some("keep-alive"),
            Version::Http11 => connection::token_to_client(self.version, self.keep_alive),
        };
        encode::head(&conn.txn.res, token, conn.client.out.buf(&conn.worker.buffers));
        conn.txn.log.status = logged;
        self.answered = true;
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

/// The page for bytes that are no request: the frontend's, if it needs no request, or the one that is built in.
pub(super) fn early_page(conn: &Conn, status: u16) -> Vec<u8> {
    let mut page = Vec::new();
    match conn.session.frontend.pages.ready(status) {
        Some(reply) if reply.form == Form::Silent => {}
        Some(reply) => match Message::from_reply(reply) {
            Ok(head) => {
                let token = (head.version() == Version::Http11).then_some("close");
                encode::head(&head, token, &mut page);
                page.extend_from_slice(&reply.body);
            }
            Err(_) => page = error_page::raw(status),
        },
        None => page = error_page::raw(status),
    }
    page
}

fn has_length(reply: &Reply) -> bool {
    reply.headers.iter().any(|(name, _)| name == b"content-length")
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
