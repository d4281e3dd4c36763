//! `tarpit`: the answer comes late, to slow a robot down.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use super::reply::ReplyTemplate;
use crate::{
    action::{Action, Verdict},
    config::Place,
    host::Timer,
    log::Level,
    txn::{Direction, Txn},
};

/// One request that waits for `timeout tarpit`, or `timeout connect` without one.
pub(super) struct Tarpit {
    template: Arc<ReplyTemplate>,
    place: Place,
    timer: Box<dyn Timer>,
}

impl Tarpit {
    pub(super) fn start(template: Arc<ReplyTemplate>, place: Place, txn: &Txn) -> Box<dyn Action> {
        let timeouts = &txn.backend.timeouts;
        let mut timer = txn.worker.host.timer();
        let delay = timeouts.tarpit.or(timeouts.connect).unwrap_or_default();
        timer.set(Some(txn.worker.host.now() + delay));
        Box::new(Self { template, place, timer })
    }
}

impl Action for Tarpit {
    fn poll(&mut self, mut txn: Txn, cx: &mut Context<'_>) -> (Txn, Poll<Verdict>) {
        if self.timer.poll_expired(cx).is_pending() {
            return (txn, Poll::Pending);
        }
        let (reply, refused) = self.template.fill(Direction::Request, &mut txn);
        if refused {
            let line = format!(
                "Proxy {}: a header of the tarpit answer at {}:{} was left out",
                txn.frontend.name, self.place.file, self.place.line
            );
            crate::log::send(&txn.worker, &txn.frontend.logs, Level::Warning, line.as_bytes());
        }
        (txn, Poll::Ready(Verdict::Tarpit(Box::new(reply))))
    }
}
