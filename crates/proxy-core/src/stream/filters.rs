//! The filters of one stream: asked at their points, and the payload's way through them.
//!
//! All payload that is not passed by every filter stands in the direction's channel. Each filter has
//! passed a stretch of it, no longer than the one before it has.
//!
//! INVARIANT: of neighbours in the list the earlier has passed at least as much as the later, and none
//! more than the channel holds.

use std::{
    future::poll_fn,
    task::{Context, Poll, ready},
};

use super::{Conn, analyse::waiting, fault::Fault};
use crate::{
    config::Proxy,
    filter::{Filter, Outcome, Passage, Point},
    txn::Direction,
};

/// The filters of one stream, in order: the frontend's, then the backend's.
#[derive(Default)]
pub(crate) struct Filters {
    list: Vec<Attached>,
    /// By direction: which filter is asked next at the point that is being asked.
    asking: [usize; 2],
    /// By direction: its analysis has begun, its payload goes through filters.
    began: [bool; 2],
    filtering: [bool; 2],
    /// By direction: the stream was woken since payload was shown last.
    woken: [bool; 2],
}

struct Attached {
    filter: Box<dyn Filter>,
    flows: [Flow; 2],
}

/// One direction's payload as one filter knows it.
#[derive(Clone, Copy, Default)]
struct Flow {
    /// Bytes at the front of the channel that it has passed.
    passed: usize,
    /// Bytes behind them that it was shown and held back.
    held: usize,
    /// It was shown payload, be it none.
    shown: bool,
    /// It was told that the message has ended.
    told: bool,
}

impl Filters {
    /// Attaches what a proxy has.
    pub(crate) fn attach(&mut self, conn: &Conn, proxy: &Proxy) {
        self.list.extend(
            proxy
                .filters
                .iter()
                .map(|maker| Attached { filter: maker.attach(&conn.worker), flows: Default::default() }),
        );
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether any has something to do at that point.
    pub(crate) fn want(&self, point: Point) -> bool {
        self.list.iter().any(|one| one.filter.wants(point))
    }

    /// Asks each in turn. Costs next to nothing where none has anything to do at that point.
    ///
    /// # Errors
    /// One refused the exchange, or the client left meanwhile.
    pub(crate) async fn ask(&mut self, conn: &mut Conn, point: Point) -> Result<(), Fault> {
        if self.want(point) { self.ask_from(0, conn, point).await } else { Ok(()) }
    }

    /// Attaches a proxy's filters and begins the request's analysis for them.
    ///
    /// # Errors
    /// As [`Filters::ask`].
    pub(crate) async fn begin(&mut self, conn: &mut Conn, proxy: &Proxy) -> Result<(), Fault> {
        let first = self.list.len();
        self.attach(conn, proxy);
        self.began[Direction::Request as usize] = true;
        if std::ptr::eq(proxy, &*conn.session.frontend) {
            self.ask(conn, Point::ClientSession).await?;
        }
        let start = Point::Start(Direction::Request);
        if self.want(start) { self.ask_from(first, conn, start).await } else { Ok(()) }
    }

    /// Begins the response's analysis, once.
    ///
    /// # Errors
    /// As [`Filters::ask`].
    pub(crate) async fn begin_response(&mut self, conn: &mut Conn) -> Result<(), Fault> {
        if self.is_empty() || std::mem::replace(&mut self.began[Direction::Response as usize], true) {
            return Ok(());
        }
        self.ask(conn, Point::Start(Direction::Response)).await
    }

    async fn ask_from(&mut self, first: usize, conn: &mut Conn, point: Point) -> Result<(), Fault> {
        let phase = phase_of(point);
        for one in self.list[first..].iter_mut().filter(|one| one.filter.wants(point)) {
            poll_fn(|cx| match poll_one(one, conn, point, cx) {
                Poll::Ready(done) => Poll::Ready(done),
                Poll::Pending => waiting(conn, phase, cx),
            })
            .await?;
        }
        Ok(())
    }

    /// Asks each in turn at a point of one direction while the other goes on. Pending keeps its place.
    pub(crate) fn poll_ask(
        &mut self,
        conn: &mut Conn,
        (direction, point): (Direction, Point),
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Fault>> {
        let at = &mut self.asking[direction as usize];
        while let Some(one) = self.list.get_mut(*at) {
            if one.filter.wants(point) {
                ready!(poll_one(one, conn, point, cx))?;
            }
            *at += 1;
        }
        *at = 0;
        Poll::Ready(Ok(()))
    }

    /// Tells each that the exchange is over.
    pub(crate) fn over(&mut self, conn: &mut Conn) {
        if self.is_empty() || conn.txn.is_lent() {
            return;
        }
        let cx = &mut Context::from_waker(std::task::Waker::noop());
        for direction in [Direction::Request, Direction::Response] {
            if !self.began[direction as usize] {
                continue;
            }
            let point = Point::Over(direction);
            for one in self.list.iter_mut().filter(|one| one.filter.wants(point)) {
                // Whatever it answers, nothing can be done about it.
                let _ = poll_one(one, conn, point, cx);
            }
        }
    }

    /// Decides whether payload of that direction goes through filters, before its first byte.
    pub(crate) fn begin_payload(&mut self, direction: Direction) -> bool {
        let any = self.list.iter().any(|one| one.filter.filters_payload(direction));
        self.filtering[direction as usize] = any;
        any
    }

    /// Notes that the stream was woken: what is held back is shown again.
    pub(crate) fn wake(&mut self) {
        self.woken = [true; 2];
    }

    /// What [`Filters::begin_payload`] found.
    pub(crate) fn filter_payload(&self, direction: Direction) -> bool {
        self.filtering[direction as usize]
    }

    /// Whether a filter holds payload of that direction back.
    pub(crate) fn hold(&self, direction: Direction) -> bool {
        self.list.iter().any(|one| one.flows[direction as usize].held > 0)
    }

    /// Shows the channel's payload to each filter; how many bytes at its front all have passed. A filter
    /// that knows all there is is asked again only if the stream was woken since.
    ///
    /// # Errors
    /// One cannot go on.
    pub(crate) fn pass(
        &mut self,
        conn: &mut Conn,
        direction: Direction,
        cx: &mut Context<'_>,
    ) -> Result<usize, Fault> {
        let dir = direction as usize;
        let new_turn = std::mem::take(&mut self.woken[dir]);
        let mut limit = conn.txn.channel(direction).buf.len();
        for at in 0..self.list.len() {
            let one = &mut self.list[at];
            if !one.filter.filters_payload(direction) {
                one.flows[dir].passed = limit;
                one.flows[dir].held = 0;
                continue;
            }
            let ended = conn.txn.channel(direction).ended();
            if one.flows[dir].has_news(limit, ended, new_turn) {
                let delta = one.show(conn, direction, limit, cx)?;
                // What changed stands within what the filters before have passed.
                for before in &mut self.list[..at] {
                    before.flows[dir].passed = before.flows[dir].passed.wrapping_add_signed(delta);
                }
            }
            limit = self.list[at].flows[dir].passed;
        }
        Ok(limit)
    }

    /// Counts `n` bytes that left the front of the channel.
    pub(crate) fn sent(&mut self, direction: Direction, n: usize) {
        for one in &mut self.list {
            let passed = &mut one.flows[direction as usize].passed;
            *passed = passed.saturating_sub(n);
        }
    }
}

impl Flow {
    fn has_news(&self, limit: usize, ended: bool, new_turn: bool) -> bool {
        let there = limit - self.passed;
        !self.shown || there > self.held || (ended && !self.told) || (new_turn && there > 0)
    }
}

impl Attached {
    /// Shows the filter its part, which ends at `limit`; by how much the part grew or shrank.
    fn show(
        &mut self,
        conn: &mut Conn,
        direction: Direction,
        limit: usize,
        cx: &mut Context<'_>,
    ) -> Result<isize, Fault> {
        let flow = &mut self.flows[direction as usize];
        let channel = conn.txn.channel_mut(direction);
        let before = channel.buf.len();
        channel.forwarded = flow.passed;
        channel.after = before - limit;
        flow.told |= channel.ended();
        flow.shown = true;
        let (txn, passage) = self.filter.payload(direction, conn.txn.take(), cx);
        conn.txn = txn;
        conn.mark_client();
        let channel = conn.txn.channel_mut(direction);
        let left = channel.data().len();
        let first = std::mem::take(&mut channel.forwarded);
        channel.after = 0;
        let Passage::Pass(n) = passage else { return Err(failed(payload_phase(direction))) };
        flow.passed = first + n.min(left);
        flow.held = left - n.min(left);
        // An end that the filter took back is told again when it comes.
        flow.told &= channel.ended();
        Ok(channel.buf.len().wrapping_sub(before).cast_signed())
    }
}

fn poll_one(
    one: &mut Attached,
    conn: &mut Conn,
    point: Point,
    cx: &mut Context<'_>,
) -> Poll<Result<(), Fault>> {
    let (txn, done) = one.filter.poll(point, conn.txn.take(), cx);
    conn.txn = txn;
    conn.mark_client();
    done.map(|outcome| match outcome {
        Outcome::Passed => Ok(()),
        Outcome::Refused(status) => Err(Fault::Status(status, [b'P', phase_of(point)])),
        Outcome::Failed => Err(failed(phase_of(point))),
    })
}

fn failed(phase: u8) -> Fault {
    if phase == b'R' { Fault::Status(400, *b"PR") } else { Fault::Close([b'P', phase]) }
}

fn payload_phase(direction: Direction) -> u8 {
    if direction == Direction::Request { b'R' } else { b'D' }
}

fn phase_of(point: Point) -> u8 {
    match point {
        Point::ClientSession
        | Point::Start(Direction::Request)
        | Point::Head(Direction::Request)
        | Point::End(Direction::Request)
        | Point::Over(Direction::Request)
        | Point::FrontendTcpRequest
        | Point::FrontendHttpRequest
        | Point::BackendTcpRequest
        | Point::BackendHttpRequest => b'R',
        Point::ServerSession | Point::Start(Direction::Response) => b'C',
        Point::TcpResponse | Point::HttpResponse | Point::Head(Direction::Response) => b'H',
        Point::End(Direction::Response) | Point::Over(Direction::Response) => b'D',
    }
}
