//! The agent: tells the proxy each request's own id back, refuses some requests, and at times stalls, or is a
//! [`Rogue`] whose words reach nobody as they were said.

use std::{cell::RefCell, rc::Rc};

use spoe::{
    Scope, TypedData,
    agent::{Options, Reply, Request, serve_connection},
};

use super::{
    network::End,
    random::Random,
    reference::Ledger,
    rogue::{Fault, Rogue},
    time::{Sleep, Time},
    trace::Trace,
};

/// The agent of the world.
pub(crate) struct Agent {
    pub(crate) time: Time,
    pub(crate) trace: Trace,
    pub(crate) ledger: Ledger,
    pub(crate) random: RefCell<Random>,
    /// Requests it is late with, of a thousand.
    pub(crate) stalls: u64,
    /// Connections on which its words are falsified, of a thousand.
    pub(crate) rogue: u64,
}

impl Agent {
    /// Serves one connection to its end.
    pub(crate) async fn serve(self: Rc<Self>, end: End) {
        let link = end.link();
        let fault = self.fault();
        if let Some(fault) = fault {
            self.trace.say("agent", format_args!("link {link}: {fault}"));
        }
        let handler = |request: Request| {
            let reply = reply(&request);
            let pause = self.pause();
            async move {
                pause.await;
                reply
            }
        };
        let ended = serve_connection(
            Rogue::new(end, fault),
            &handler,
            &self.time,
            Options::default(),
            std::future::pending(),
        )
        .await;
        if let Err(error) = ended {
            self.trace.say("agent", format_args!("link {link}: {error}"));
        }
    }

    fn fault(&self) -> Option<Fault> {
        let mut random = self.random.borrow_mut();
        random.chance(self.rogue).then(|| Fault::any(&mut random))
    }

    fn pause(&self) -> Sleep {
        let mut random = self.random.borrow_mut();
        if random.chance(self.stalls) {
            self.ledger.with(|book| book.late += 1);
            self.trace.say("agent", "stalls");
            return self.time.sleep(random.millis(400, 2000));
        }
        self.time.sleep(random.millis(0, 20))
    }
}

fn reply(request: &Request) -> Reply {
    let Some(message) = request.message("ask") else { return Reply::new() };
    let mut reply = Reply::new();
    if let Some(id) = message.arg("id") {
        reply = reply.set(Scope::Transaction, "echo", id);
    }
    match message.arg("deny") {
        None | Some(TypedData::Null) => reply,
        Some(_) => reply.set(Scope::Transaction, "verdict", "deny"),
    }
}
