//! A server: answers requests, each with the mark of its id, and at times is unwell.

use std::{cell::Cell, net::SocketAddr, rc::Rc};

use tokio::io::AsyncWriteExt as _;

use super::{
    message::{Incoming, Message},
    network::{End, Network},
    random::Random,
    reference::{Ledger, Offload, mark},
    time::Time,
    trace::Trace,
};

/// How a server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    /// Well.
    Well,
    /// Its check fails with a 500; it works otherwise.
    Sick,
    /// It takes no connection.
    Refusing,
    /// It takes requests and answers none.
    Stalling,
}

/// One server of the world.
pub(crate) struct Origin {
    pub(crate) name: &'static str,
    pub(crate) at: SocketAddr,
    pub(crate) time: Time,
    pub(crate) network: Network,
    pub(crate) trace: Trace,
    pub(crate) ledger: Ledger,
    pub(crate) condition: Cell<Condition>,
}

impl Origin {
    /// From now on it is like this.
    pub(crate) fn set(&self, condition: Condition) {
        self.trace.say(self.name, format_args!("is {condition:?}"));
        self.condition.set(condition);
        self.network.refuse(self.at, condition == Condition::Refusing);
    }

    /// Serves one connection to its end.
    pub(crate) async fn serve(self: Rc<Self>, mut end: End, mut random: Random) {
        let mut input = Incoming::default();
        while let Ok(Some(request)) = input.read(&mut end, None).await {
            let stalls = self.condition.get() == Condition::Stalling;
            let written = if request.start.starts_with("GET /health ") {
                let well = self.condition.get() == Condition::Well;
                if stalls {
                    self.time.sleep(STALL).await;
                    return;
                }
                let status = if well { "200 OK" } else { "500 Sick" };
                end.write_all(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").as_bytes())
                    .await
                    .is_ok()
            } else {
                if stalls {
                    self.ledger.with(|book| book.stalled += 1);
                }
                self.answer(&request, stalls, &mut end, &mut random).await
            };
            if !written {
                return;
            }
        }
    }

    /// Answers; false when the connection is at its end.
    async fn answer(&self, request: &Message, stalls: bool, end: &mut End, random: &mut Random) -> bool {
        let id = request.parameter("id").and_then(|id| id.parse().ok()).unwrap_or(0);
        self.trace.say(self.name, format_args!("gets {id} on link {}", end.link()));
        let header = |name| request.header(name).unwrap_or_default();
        let offload = Offload {
            echo: header("x-agent").to_owned(),
            failed: header("x-failed").to_owned(),
            millis: header("x-millis").to_owned(),
        };
        self.ledger.with(|book| {
            book.served.entry(id).or_default().push(end.link());
            book.offloads.insert(id, offload);
        });
        if stalls {
            self.time.sleep(STALL).await;
            return false;
        }
        if random.chance(500) {
            self.time.sleep(random.millis(1, 80)).await;
        }
        let mut body = mark(id, header("x-agent"), header("x-nap"), request.body.len()) + "\n";
        if random.chance(400) {
            body.push_str(&"z".repeat(random.size(0, 40_000)));
        }
        let close = random.chance(100);
        let mut text = String::from("HTTP/1.1 200 OK\r\n");
        if close {
            text.push_str("connection: close\r\n");
        }
        if random.chance(300) {
            text.push_str("transfer-encoding: chunked\r\n\r\n");
            for chunk in body.as_bytes().chunks(random.size(1000, 9000)) {
                text.push_str(&format!("{:x}\r\n{}\r\n", chunk.len(), String::from_utf8_lossy(chunk)));
            }
            text.push_str("0\r\n\r\n");
        } else {
            text.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
        }
        let parts = if random.chance(300) { 3 } else { 1 };
        for part in text.as_bytes().chunks(text.len().div_ceil(parts)) {
            if end.write_all(part).await.is_err() {
                return false;
            }
            self.time.sleep(random.millis(0, 10)).await;
        }
        !close
    }
}

/// How long a request lies with a server that stalls.
const STALL: std::time::Duration = std::time::Duration::from_secs(8);
