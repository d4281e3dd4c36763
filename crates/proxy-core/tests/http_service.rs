//! HTTP services and filters: what extensions can do, and what they cannot break.

#![expect(clippy::disallowed_methods, reason = "the test is the host: tokio's paused clock and local tasks")]

mod support;

use std::{
    cell::RefCell,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use proxy_core::{
    applet::{AppletIo, Ended, Reply, Service, ServiceMaker},
    filter::{Filter, FilterMaker, Outcome, Point},
    txn::{
        Direction::{Request, Response},
        Txn,
    },
    worker::Worker,
};
use support::{Answer, Setup, World, scenario};

type Turn = fn(AppletIo) -> (AppletIo, Poll<Ended>);

struct Scripted(Turn);

impl Service for Scripted {
    fn poll(&mut self, io: AppletIo, _: &mut Context<'_>) -> (AppletIo, Poll<Ended>) {
        (self.0)(io)
    }
}

struct ScriptedMaker(Turn);

impl ServiceMaker for ScriptedMaker {
    fn name(&self) -> &str {
        "scripted"
    }
    fn is_http(&self) -> bool {
        true
    }
    fn start(self: Arc<Self>, _: &Worker) -> Box<dyn Service> {
        Box::new(Scripted(self.0))
    }
}

/// Sends requests for `/s` to the service.
struct Use(Turn);

impl FilterMaker for Use {
    fn attach(&self, _: &Worker) -> Box<dyn Filter> {
        Box::new(Self(self.0))
    }
}

impl Filter for Use {
    fn wants(&self, point: Point) -> bool {
        point == Point::FrontendHttpRequest
    }
    fn poll(&mut self, _: Point, mut txn: Txn, _: &mut Context<'_>) -> (Txn, Poll<Outcome>) {
        if txn.req.path() == b"/s" {
            txn.service = Some(Arc::new(ScriptedMaker(self.0)));
        }
        (txn, Poll::Ready(Outcome::Passed))
    }
}

fn with_service(turn: Turn) -> World {
    let world = World::new(Setup { filters: vec![Arc::new(Use(turn))], ..Setup::default() });
    world.origin(1, |_| Answer::keep("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
    world
}

fn start(io: &mut AppletIo, status: u16, headers: &[(&str, &str)]) {
    let headers = headers.iter().map(|(n, v)| (n.as_bytes().to_vec(), v.as_bytes().to_vec())).collect();
    // A head that is refused leaves the answer unstarted, which the stream finds out.
    let _ = io.start(&Reply { status, headers, ..Reply::default() });
}

/// Answers with the body it gets.
fn echo(mut io: AppletIo) -> (AppletIo, Poll<Ended>) {
    if !io.input_ended {
        return (io, Poll::Pending);
    }
    start(&mut io, 200, &[("X-A", "b")]);
    io.output = std::mem::take(&mut io.input);
    (io, Poll::Ready(Ended::Done))
}

fn hello(mut io: AppletIo) -> (AppletIo, Poll<Ended>) {
    start(&mut io, 200, &[("content-length", "5")]);
    io.output.extend_from_slice(b"hello");
    (io, Poll::Ready(Ended::Done))
}

const AFTER: &str = "GET /next HTTP/1.1\r\nHost: h\r\n\r\n";
const AFTER_OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Reliability R15: any framing of the body, split anywhere.
#[test]
fn a_service_gets_exactly_the_body() {
    let bodies = [
        ("GET /s HTTP/1.1\r\nHost: h\r\n\r\n", "0\r\n\r\n"),
        ("POST /s HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", "0\r\n\r\n"),
        (
            "POST /s HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n0123456789",
            "a\r\n0123456789\r\n0\r\n\r\n",
        ),
        (
            "POST /s HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n4;e=\"x\"\r\n0123\r\n6\r\n456789\r\n0\r\nT: r\r\n\r\n",
            "a\r\n0123456789\r\n0\r\n\r\n",
        ),
    ];
    for (request, body) in bodies {
        for cut in 0..request.len() {
            scenario(async || {
                let world = with_service(echo);
                let mut client = world.connect();
                client.send(&request[..cut]).await;
                tokio::time::sleep(Duration::from_millis(1)).await;
                client.send(&request[cut..]).await;
                client.send(AFTER).await;
                let expected = format!(
                    "HTTP/1.1 200 OK\r\nX-A: b\r\ntransfer-encoding: chunked\r\n\r\n{body}{AFTER_OK}"
                );
                assert_eq!(client.finish().await, expected, "{request:?} cut at {cut}");
            });
        }
    }
}

#[test]
fn expect_continue_is_answered_for_a_service() {
    scenario(async || {
        let world = with_service(echo);
        let mut client = world.connect();
        client.send("POST /s HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n").await;
        assert_eq!(client.until("\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
        client.send("abc").await;
        assert!(client.until("0\r\n\r\n").await.ends_with("3\r\nabc\r\n0\r\n\r\n"));
    });
}

#[test]
fn a_declared_length_and_old_clients_need_no_chunks() {
    scenario(async || {
        let world = with_service(hello);
        let mut client = world.connect();
        client.send("GET /s HTTP/1.1\r\nHost: h\r\n\r\n").await;
        assert_eq!(client.until("hello").await, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello");
        let world = with_service(echo);
        let mut client = world.connect();
        client.send("POST /s HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi").await;
        assert_eq!(client.rest().await, "HTTP/1.1 200 OK\r\nX-A: b\r\nconnection: close\r\n\r\nhi");
    });
}

/// Reliability R16: the client gets a valid answer or a closed connection, and the next request
/// is untouched.
#[test]
fn a_service_that_answers_wrongly_harms_nobody_else() {
    fn nothing(io: AppletIo) -> (AppletIo, Poll<Ended>) {
        (io, Poll::Ready(Ended::Done))
    }
    fn fails(io: AppletIo) -> (AppletIo, Poll<Ended>) {
        (io, Poll::Ready(Ended::Failed))
    }
    fn early(mut io: AppletIo) -> (AppletIo, Poll<Ended>) {
        io.output.extend_from_slice(b"body first");
        (io, Poll::Ready(Ended::Done))
    }
    fn bad_header(mut io: AppletIo) -> (AppletIo, Poll<Ended>) {
        start(&mut io, 200, &[("a", "b\r\nc: d")]);
        (io, Poll::Ready(Ended::Done))
    }
    fn bad_length(mut io: AppletIo) -> (AppletIo, Poll<Ended>) {
        start(&mut io, 200, &[("content-length", "5x")]);
        (io, Poll::Ready(Ended::Done))
    }
    for turn in [nothing as Turn, fails, early, bad_header, bad_length] {
        scenario(async || {
            let world = with_service(turn);
            let mut client = world.connect();
            client.send("GET /s HTTP/1.1\r\nHost: h\r\n\r\n").await;
            assert!(client.until("</html>\n").await.starts_with("HTTP/1.1 500 "));
            client.send(AFTER).await;
            assert_eq!(client.until("\r\n\r\nok").await, AFTER_OK);
        });
    }
    fn too_long(mut io: AppletIo) -> (AppletIo, Poll<Ended>) {
        start(&mut io, 200, &[("content-length", "3")]);
        io.output.extend_from_slice(b"hello");
        (io, Poll::Ready(Ended::Done))
    }
    fn no_content(mut io: AppletIo) -> (AppletIo, Poll<Ended>) {
        start(&mut io, 204, &[]);
        io.output.extend_from_slice(b"hello");
        (io, Poll::Ready(Ended::Done))
    }
    for (turn, method, answer) in [
        (too_long as Turn, "GET", "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nhel"),
        (no_content, "GET", "HTTP/1.1 204 No Content\r\n\r\n"),
        (hello, "HEAD", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"),
    ] {
        scenario(async || {
            let world = with_service(turn);
            let mut client = world.connect();
            client.send(format!("{method} /s HTTP/1.1\r\nHost: h\r\n\r\n{AFTER}")).await;
            assert_eq!(client.finish().await, format!("{answer}{AFTER_OK}"));
        });
    }
    fn too_short(mut io: AppletIo) -> (AppletIo, Poll<Ended>) {
        start(&mut io, 200, &[("content-length", "9")]);
        io.output.extend_from_slice(b"hello");
        (io, Poll::Ready(Ended::Done))
    }
    fn half_way(mut io: AppletIo) -> (AppletIo, Poll<Ended>) {
        start(&mut io, 200, &[]);
        io.output.extend_from_slice(b"hello");
        (io, Poll::Ready(Ended::Failed))
    }
    for turn in [too_short as Turn, half_way] {
        scenario(async || {
            let world = with_service(turn);
            let mut client = world.connect();
            client.send(format!("GET /s HTTP/1.1\r\nHost: h\r\n\r\n{AFTER}")).await;
            let got = client.rest().await;
            assert!(got.ends_with("hello") || got.ends_with("hello\r\n"), "cut, not completed: {got:?}");
        });
    }
}

/// Notes each point it is asked at, and waits a little at each.
struct Noting(Arc<parking_lot::Mutex<Vec<Point>>>);

impl FilterMaker for Noting {
    fn attach(&self, _: &Worker) -> Box<dyn Filter> {
        Box::new(NotingRun { points: self.0.clone(), waited: false })
    }
}

struct NotingRun {
    points: Arc<parking_lot::Mutex<Vec<Point>>>,
    waited: bool,
}

impl Filter for NotingRun {
    fn wants(&self, _: Point) -> bool {
        true
    }
    fn poll(&mut self, point: Point, txn: Txn, cx: &mut Context<'_>) -> (Txn, Poll<Outcome>) {
        if !matches!(point, Point::Over(_)) && !std::mem::replace(&mut self.waited, true) {
            cx.waker().wake_by_ref();
            return (txn, Poll::Pending);
        }
        self.waited = false;
        self.points.lock().push(point);
        (txn, Poll::Ready(Outcome::Passed))
    }
}

#[test]
fn filters_are_asked_at_their_points_for_each_request() {
    scenario(async || {
        let points = Arc::new(parking_lot::Mutex::new(Vec::new()));
        let world = World::new(Setup { filters: vec![Arc::new(Noting(points.clone()))], ..Setup::default() });
        world.origin(1, |_| Answer::keep(AFTER_OK));
        let mut client = world.connect();
        for _ in 0..2 {
            client.send(AFTER).await;
            client.until("ok").await;
        }
        let once = [
            Point::ClientSession,
            Point::Start(Request),
            Point::FrontendTcpRequest,
            Point::FrontendHttpRequest,
            Point::Head(Request),
            Point::ServerSession,
            Point::Start(Response),
            Point::TcpResponse,
            Point::HttpResponse,
            Point::Head(Response),
            Point::Over(Request),
            Point::Over(Response),
        ];
        assert_eq!(*points.lock(), [once, once].concat());
    });
}

/// Refuses every request.
struct Refusing;

impl FilterMaker for Refusing {
    fn attach(&self, _: &Worker) -> Box<dyn Filter> {
        Box::new(Self)
    }
}

impl Filter for Refusing {
    fn wants(&self, point: Point) -> bool {
        point == Point::FrontendHttpRequest
    }
    fn poll(&mut self, _: Point, txn: Txn, _: &mut Context<'_>) -> (Txn, Poll<Outcome>) {
        (txn, Poll::Ready(Outcome::Refused(429)))
    }
}

#[test]
fn what_a_filter_refuses_no_server_sees() {
    scenario(async || {
        let world = World::new(Setup { filters: vec![Arc::new(Refusing)], ..Setup::default() });
        let mut client = world.connect();
        client.send(AFTER).await;
        let answer = client.until("</html>").await;
        assert!(answer.starts_with("HTTP/1.1 429 "), "{answer}");
    });
}

/// Waits for ever.
struct Stuck;

impl FilterMaker for Stuck {
    fn attach(&self, _: &Worker) -> Box<dyn Filter> {
        Box::new(Self)
    }
}

impl Filter for Stuck {
    fn wants(&self, point: Point) -> bool {
        point == Point::FrontendHttpRequest
    }
    fn poll(&mut self, _: Point, txn: Txn, _: &mut Context<'_>) -> (Txn, Poll<Outcome>) {
        (txn, Poll::Pending)
    }
}

/// Reliability R08: the client leaves while a filter waits.
#[test]
fn a_client_that_leaves_while_a_filter_waits_is_noticed() {
    scenario(async || {
        let world = World::new(Setup { filters: vec![Arc::new(Stuck)], ..Setup::default() });
        let clients: Rc<RefCell<Vec<_>>> = Rc::default();
        for _ in 0..100 {
            let mut client = world.connect();
            client.send(AFTER).await;
            clients.borrow_mut().push(client);
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(world.proxy.state.fe_sessions.cur(), 100);
        clients.borrow_mut().clear();
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert_eq!(world.proxy.state.fe_sessions.cur(), 0);
    });
}
