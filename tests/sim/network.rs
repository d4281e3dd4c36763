//! The network: connections in memory that delay, split, break and fall silent, as the weather has it.
//!
//! A piece that is written flies for a while and then lies with the reader; pieces keep their order.
//! A connection that breaks gives both ends a reset from that moment; one that falls silent delivers
//! nothing more and tells nobody.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, VecDeque},
    future::poll_fn,
    io,
    net::SocketAddr,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use proxy_core::host::{Addr, BoxIo, Io};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{random::Random, time::Time, trace::Trace};

/// How the network treats what passes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Weather {
    /// The longest flight of a piece, in microseconds.
    pub(crate) delay_us_max: u64,
    /// Pieces that are split, of a thousand.
    pub(crate) split: u64,
    /// Writes that break their connection, of a thousand.
    pub(crate) reset: u64,
    /// Writes after which their connection is silent, of a thousand.
    pub(crate) silence: u64,
}

/// What went wrong with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It broke.
    Reset,
    /// It fell silent.
    Silence,
}

/// The network of one world. A handle.
#[derive(Clone)]
pub(crate) struct Network(Rc<Inner>);

struct Inner {
    time: Time,
    trace: Trace,
    random: RefCell<Random>,
    weather: Cell<Weather>,
    listeners: RefCell<BTreeMap<SocketAddr, Rc<Listening>>>,
    links: Cell<u32>,
    faults: RefCell<BTreeMap<u32, (SocketAddr, Fault)>>,
}

#[derive(Default)]
struct Listening {
    arrived: RefCell<VecDeque<End>>,
    waiting: RefCell<Vec<Waker>>,
    refusing: Cell<bool>,
}

impl Network {
    /// An empty one.
    pub(crate) fn new(time: &Time, trace: &Trace, random: Random, weather: Weather) -> Self {
        Self(Rc::new(Inner {
            time: time.clone(),
            trace: trace.clone(),
            random: RefCell::new(random),
            weather: Cell::new(weather),
            listeners: RefCell::default(),
            links: Cell::new(0),
            faults: RefCell::default(),
        }))
    }

    /// From now on the weather is this.
    pub(crate) fn set_weather(&self, weather: Weather) {
        self.0.weather.set(weather);
    }

    /// Somebody listens there. Several may share one address.
    pub(crate) fn listen(&self, at: SocketAddr) -> Listener {
        let listening = self.0.listeners.borrow_mut().entry(at).or_default().clone();
        Listener { listening }
    }

    /// Who listens there begins or ceases to refuse connections.
    pub(crate) fn refuse(&self, at: SocketAddr, refusing: bool) {
        if let Some(listening) = self.0.listeners.borrow().get(&at) {
            listening.refusing.set(refusing);
        }
    }

    /// What went wrong with that connection.
    pub(crate) fn fault(&self, link: u32) -> Option<Fault> {
        self.0.faults.borrow().get(&link).map(|(_, fault)| *fault)
    }

    /// How many connections to that address went wrong.
    pub(crate) fn faults_to(&self, at: SocketAddr) -> usize {
        self.0.faults.borrow().values().filter(|(to, _)| *to == at).count()
    }

    /// Connects, after a flight.
    pub(crate) async fn connect(self, to: SocketAddr) -> io::Result<End> {
        let delay = self.delay();
        self.0.time.sleep(delay).await;
        let listening = self.0.listeners.borrow().get(&to).cloned();
        let listening = listening.filter(|listening| !listening.refusing.get());
        let Some(listening) = listening else {
            self.0.trace.say("net", format_args!("{to} refuses"));
            return Err(io::ErrorKind::ConnectionRefused.into());
        };
        let number = self.0.links.get() + 1;
        self.0.links.set(number);
        let port = u16::try_from(20_000 + number % 40_000).expect("invariant: below 60000");
        let from = SocketAddr::from(([10, 9, 9, 9], port));
        let link = Rc::new(Link {
            number,
            to,
            from,
            broken: Cell::new(None),
            silent: Cell::new(false),
            ways: Default::default(),
        });
        listening.arrived.borrow_mut().push_back(End::new(&self, &link, Side::Listener));
        let mut waiting = listening.waiting.take();
        self.0.random.borrow_mut().shuffle(&mut waiting);
        waiting.iter().for_each(Waker::wake_by_ref);
        Ok(End::new(&self, &link, Side::Connector))
    }

    fn delay(&self) -> Duration {
        let max = self.0.weather.get().delay_us_max;
        self.0.random.borrow_mut().micros(max.min(50), max)
    }

    fn spoil(&self, link: &Link, fault: Fault) {
        self.0.trace.say("net", format_args!("link {} to {}: {fault:?}", link.number, link.to));
        self.0.faults.borrow_mut().entry(link.number).or_insert((link.to, fault));
    }
}

/// A listening address.
pub(crate) struct Listener {
    listening: Rc<Listening>,
}

impl Listener {
    /// The next connection.
    pub(crate) async fn accept(&self) -> End {
        poll_fn(|cx| {
            if let Some(end) = self.listening.arrived.borrow_mut().pop_front() {
                return Poll::Ready(end);
            }
            self.listening.waiting.borrow_mut().push(cx.waker().clone());
            Poll::Pending
        })
        .await
    }
}

struct Link {
    number: u32,
    to: SocketAddr,
    from: SocketAddr,
    /// From when on both ends see a reset.
    broken: Cell<Option<Duration>>,
    silent: Cell<bool>,
    /// Away from the connector, and towards it.
    ways: [RefCell<Way>; 2],
}

/// One direction.
#[derive(Default)]
struct Way {
    flying: VecDeque<(Duration, Option<Vec<u8>>)>,
    /// Bytes that fly or lie unread.
    held: usize,
    last_arrival: Duration,
    finished: bool,
    reader_gone: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Connector,
    Listener,
}

/// One end of a connection.
pub(crate) struct End {
    network: Network,
    link: Rc<Link>,
    side: Side,
    reset_on_drop: bool,
}

impl End {
    fn new(network: &Network, link: &Rc<Link>, side: Side) -> Self {
        Self { network: network.clone(), link: link.clone(), side, reset_on_drop: false }
    }

    /// The connection's number.
    pub(crate) fn link(&self) -> u32 {
        self.link.number
    }

    fn inbound(&self) -> &RefCell<Way> {
        &self.link.ways[usize::from(self.side == Side::Connector)]
    }

    fn outbound(&self) -> &RefCell<Way> {
        &self.link.ways[usize::from(self.side == Side::Listener)]
    }

    fn time(&self) -> &Time {
        &self.network.0.time
    }

    fn is_broken(&self) -> bool {
        self.link.broken.get().is_some_and(|at| self.time().elapsed() >= at)
    }

    /// Both ends see a reset after a flight, and not before `least`.
    fn break_link(&self, least: Duration) {
        let at = least.max(self.time().elapsed() + self.network.delay());
        let at = self.link.broken.get().map_or(at, |before| before.min(at));
        self.link.broken.set(Some(at));
        for way in &self.link.ways {
            let mut way = way.borrow_mut();
            for waker in [way.reader.take(), way.writer.take()].into_iter().flatten() {
                self.time().wake_at(at, &waker);
            }
        }
    }

    /// Puts a piece on its way; `None` is the end.
    fn send(&self, piece: Option<Vec<u8>>) {
        if self.link.silent.get() {
            return;
        }
        let mut way = self.outbound().borrow_mut();
        let arrival = way.last_arrival.max(self.time().elapsed() + self.network.delay());
        way.last_arrival = arrival;
        way.held += piece.as_ref().map_or(0, Vec::len);
        way.flying.push_back((arrival, piece));
        if let Some(reader) = way.reader.take() {
            self.time().wake_at(arrival, &reader);
        }
    }

    fn weather_strikes(&self) {
        let weather = self.network.0.weather.get();
        let (reset, silence) = {
            let mut random = self.network.0.random.borrow_mut();
            (random.chance(weather.reset), random.chance(weather.silence))
        };
        if self.link.broken.get().is_some() || self.link.silent.get() {
            return;
        }
        if reset {
            self.network.spoil(&self.link, Fault::Reset);
            self.break_link(Duration::ZERO);
        } else if silence {
            self.network.spoil(&self.link, Fault::Silence);
            self.link.silent.set(true);
        }
    }
}

impl AsyncRead for End {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let now = self.time().elapsed();
        let mut way = self.inbound().borrow_mut();
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        // What came before a reset can still be read.
        let before_reset = |at: Duration| self.link.broken.get().is_none_or(|broken| at <= broken);
        let readable = way.flying.front().is_some_and(|(at, _)| *at <= now && before_reset(*at));
        if self.is_broken() && !readable {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let Some((arrival, piece)) = way.flying.front_mut() else {
            way.reader = Some(cx.waker().clone());
            if let Some(at) = self.link.broken.get() {
                self.time().wake_at(at, cx.waker());
            }
            return Poll::Pending;
        };
        if *arrival > now {
            self.time().wake_at(*arrival, cx.waker());
            return Poll::Pending;
        }
        let Some(bytes) = piece else { return Poll::Ready(Ok(())) };
        let count = bytes.len().min(buf.remaining());
        buf.put_slice(&bytes[..count]);
        bytes.drain(..count);
        if bytes.is_empty() {
            way.flying.pop_front();
        }
        way.held -= count;
        if let Some(writer) = way.writer.take() {
            writer.wake();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for End {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.is_broken() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let room = {
            let mut way = self.outbound().borrow_mut();
            if way.reader_gone || way.finished {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            let room = CAPACITY.saturating_sub(way.held);
            if room == 0 && !self.link.silent.get() {
                way.writer = Some(cx.waker().clone());
                return Poll::Pending;
            }
            room.max(1)
        };
        self.weather_strikes();
        let taken = &bytes[..bytes.len().min(room)];
        let mut rest = taken;
        while !rest.is_empty() {
            let size = {
                let mut random = self.network.0.random.borrow_mut();
                let split = rest.len() > 1 && random.chance(self.network.0.weather.get().split);
                if split { random.size(1, rest.len() - 1) } else { rest.len() }
            };
            let (piece, more) = rest.split_at(size);
            self.send(Some(piece.to_vec()));
            rest = more;
        }
        Poll::Ready(Ok(taken.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !std::mem::replace(&mut self.outbound().borrow_mut().finished, true) {
            self.send(None);
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let unread = {
            let mut way = self.inbound().borrow_mut();
            way.reader_gone = true;
            if let Some(writer) = way.writer.take() {
                writer.wake();
            }
            way.flying.iter().any(|(_, piece)| piece.is_some())
        };
        // As the kernel does: bytes nobody will read are answered with a reset.
        if self.reset_on_drop || unread {
            let sent = self.outbound().borrow().last_arrival;
            self.break_link(sent);
        } else if !std::mem::replace(&mut self.outbound().borrow_mut().finished, true) {
            self.send(None);
        }
    }
}

impl Io for End {
    fn peer_addr(&self) -> Option<Addr> {
        let (from, to) = (self.link.from, self.link.to);
        Some(Addr::Ip(if self.side == Side::Connector { to } else { from }))
    }

    fn local_addr(&self) -> Option<Addr> {
        let (from, to) = (self.link.from, self.link.to);
        Some(Addr::Ip(if self.side == Side::Connector { from } else { to }))
    }

    fn reset_on_drop(&mut self) {
        self.reset_on_drop = true;
    }
}

impl From<End> for BoxIo {
    fn from(end: End) -> Self {
        Box::new(end)
    }
}

/// Bytes that may be under way in one direction.
const CAPACITY: usize = 32 * 1024;
