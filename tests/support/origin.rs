//! An HTTP server behind the proxy, which answers by path and misbehaves when told.
//!
//! | path | answer |
//! |---|---|
//! | `/status/N` | status N |
//! | `/echo` | the request as it came, head and body, as the body |
//! | `/bytes/N` | N times `x` |
//! | `/chunked` | `one two three` in three chunks |
//! | `/unframed` | a body that the end of the connection ends |
//! | `/upgrade` | 101, then every byte comes back |
//! | anything else | 200, the server's name |
//!
//! Every answer carries `server-name`. `CONNECT` is answered as `/upgrade` is, with 200.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

use super::http::{Message, Reader, bytes};
use super::lines::Lines;
use super::service::Service;

/// What the origin does with a request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Mood {
    /// Answers as the table says.
    Well,
    /// Answers every request with this status.
    Fails(u16),
    /// Reads the request and answers when the mood changes.
    Stalls,
    /// Reads the request and closes.
    HangsUp,
    /// Writes these bytes to every request, and closes.
    Says(String),
}

/// The server.
pub(crate) struct Origin {
    service: Service,
    shared: Arc<Shared>,
}

struct Shared {
    name: String,
    mood: Mutex<Mood>,
    changed: Condvar,
    requests: Lines,
    connections: Lines,
}

impl Origin {
    /// Starts one that behaves.
    pub(crate) fn start(name: &str) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            name: name.to_owned(),
            mood: Mutex::new(Mood::Well),
            changed: Condvar::new(),
            requests: Lines::default(),
            connections: Lines::default(),
        });
        let serve = shared.clone();
        let service = Service::start(move |stream| {
            serve.connections.push(String::new());
            // A client that leaves is no failure of the origin.
            serve.serve(stream).ok();
        })?;
        Ok(Self { service, shared })
    }

    /// Where it listens.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.service.addr()
    }

    /// Changes its mood, and lets stalled requests go on.
    pub(crate) fn set_mood(&self, mood: Mood) {
        *self.shared.mood.lock().unwrap() = mood;
        self.shared.changed.notify_all();
    }

    /// Listens again after [`down`](Self::down).
    pub(crate) fn up(&mut self) -> io::Result<()> {
        self.service.up()
    }

    /// Refuses connections and cuts those that are open.
    pub(crate) fn down(&mut self) {
        self.service.down();
    }

    /// Each request so far, head and body as received.
    pub(crate) fn requests(&self) -> &Lines {
        &self.shared.requests
    }

    /// How many connections there have been.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.all().len()
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.set_mood(Mood::HangsUp);
    }
}

impl Shared {
    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        let mut reader = Reader::new(stream);
        while let Some(mut request) = reader.head()? {
            if request.header("expect").is_some() {
                reader.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            }
            reader.request_body(&mut request)?;
            self.requests.push(request.head.clone() + &request.body);
            let answer = match self.settled_mood() {
                Mood::HangsUp => return Ok(()),
                Mood::Says(raw) => return reader.stream.write_all(&bytes(&raw)),
                Mood::Fails(status) => self.plain(status, "failing"),
                Mood::Well | Mood::Stalls => self.answer(&request),
            };
            reader.stream.write_all(&bytes(&answer))?;
            if request.method() == "CONNECT" || request.target() == "/upgrade" {
                return echo(reader);
            }
            if request.closes() || request.target() == "/unframed" {
                return Ok(());
            }
        }
        Ok(())
    }

    /// The mood, once it is not to stall.
    fn settled_mood(&self) -> Mood {
        let mood = self.mood.lock().unwrap();
        self.changed.wait_while(mood, |mood| *mood == Mood::Stalls).unwrap().clone()
    }

    fn answer(&self, request: &Message) -> String {
        let name = &self.name;
        let (path, _) = request.target().split_once('?').unwrap_or((request.target(), ""));
        match *path.split('/').collect::<Vec<_>>() {
            _ if request.method() == "CONNECT" => format!("HTTP/1.1 200 OK\r\nserver-name: {name}\r\n\r\n"),
            ["", "echo"] => self.plain(200, &(request.head.clone() + &request.body)),
            ["", "status", status] => self.plain(status.parse().unwrap_or(500), status),
            ["", "bytes", count] => self.plain(200, &"x".repeat(count.parse().unwrap_or(0))),
            ["", "chunked"] => {
                let chunks = "4\r\none \r\n4\r\ntwo \r\n5\r\nthree\r\n0\r\n\r\n";
                format!(
                    "HTTP/1.1 200 OK\r\nserver-name: {name}\r\ntransfer-encoding: chunked\r\n\r\n{chunks}"
                )
            }
            ["", "unframed"] => format!("HTTP/1.1 200 OK\r\nserver-name: {name}\r\n\r\nuntil the end"),
            ["", "upgrade"] => {
                "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n".to_owned()
            }
            _ if request.method() == "HEAD" => {
                format!("HTTP/1.1 200 OK\r\nserver-name: {name}\r\ncontent-length: {}\r\n\r\n", name.len())
            }
            _ => self.plain(200, name),
        }
    }

    fn plain(&self, status: u16, body: &str) -> String {
        let name = &self.name;
        if status == 204 || status == 304 {
            return format!("HTTP/1.1 {status} Empty\r\nserver-name: {name}\r\n\r\n");
        }
        let length = body.len();
        format!("HTTP/1.1 {status} Said\r\nserver-name: {name}\r\ncontent-length: {length}\r\n\r\n{body}")
    }
}

/// A TCP service that sends back every byte until the client ends its direction.
pub(crate) fn start_echo() -> io::Result<Service> {
    Service::start(|stream| {
        echo(Reader::new(stream)).ok();
    })
}

fn echo(reader: Reader<TcpStream>) -> io::Result<()> {
    let (mut stream, ahead) = reader.into_parts();
    stream.write_all(&ahead)?;
    let mut buffer = [0; 16384];
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            n => stream.write_all(&buffer[..n])?,
        }
    }
}
