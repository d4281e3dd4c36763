//! The steps of a client: connections, requests, and what comes back.

use std::collections::BTreeMap;
use std::path::Path;

use super::client::{Client, equal, hold};
use super::steps::{Done, number};
use super::world::World;
use crate::support::http::{Message, bytes};
use crate::support::wire::Wire;

impl World {
    pub(super) fn client(&mut self, who: &str) -> Result<&mut Client, String> {
        self.clients.get_mut(who).ok_or_else(|| format!("{who} is not connected"))
    }

    pub(super) fn connected(&mut self, who: &str) -> Result<&mut Client, String> {
        if !self.clients.contains_key(who) {
            self.connect(who, "")?;
        }
        self.client(who)
    }

    pub(super) fn connect(&mut self, who: &str, door: &str) -> Done {
        let client = Client::new(self.open(door)?);
        self.clients.insert(who.to_owned(), client);
        Ok(())
    }

    /// Connects over TLS; the server's certificate must be for `name`.
    pub(super) fn connect_tls(&mut self, who: &str, door: &str, name: &str, own: Option<&str>) -> Done {
        let wire = self.open_tls(door, name, own)?;
        self.clients.insert(who.to_owned(), Client::new(wire));
        Ok(())
    }

    pub(super) fn untrusted(&self, door: &str, name: &str) -> Done {
        let found = self.open_tls(door, name, None);
        found.err().map(drop).ok_or_else(|| format!("the certificate is for {name}"))
    }

    fn open_tls(&self, door: &str, name: &str, own: Option<&str>) -> Result<Wire, String> {
        let own = own.map(|own| self.certificates.get(own).ok_or("no such certificate")).transpose()?;
        let authority = self.authority.as_ref().ok_or("there is no authority")?;
        let found = self.doors.iter().find(|(known, _)| known == door);
        let (_, addr) = found.ok_or_else(|| format!("no listener {door:?}"))?;
        Wire::tls(*addr, authority, name, own)
            .map_err(|error| format!("connecting to {door} for {name}: {error}"))
    }

    /// A reset may already be there when the connection is; so connecting may fail, too.
    pub(super) fn rejected(&self, door: &str) -> Done {
        self.open(door).map_or(Ok(()), |wire| Client::new(wire).expect_end(true))
    }

    /// Opens a connection to a listener, the first one if `door` is empty.
    pub(super) fn open(&self, door: &str) -> Result<Wire, String> {
        let failed = |error| format!("connecting to {door}: {error}");
        if door == "cli" {
            return Wire::unix(&self.tmp.path().join("cli")).map_err(failed);
        }
        if door.starts_with('/') {
            return Wire::unix(Path::new(door)).map_err(failed);
        }
        let found = self.doors.iter().find(|(name, _)| door.is_empty() || name == door);
        let (_, addr) = found.ok_or_else(|| format!("no listener {door:?}"))?;
        Wire::tcp(*addr).map_err(failed)
    }

    pub(super) fn request(&mut self, who: &str, method: &str, start: &str, details: &[Vec<String>]) -> Done {
        let text = compose(start, details)?;
        let client = self.connected(who)?;
        client.asked(method);
        client.send(&text)
    }

    pub(super) fn expect(&mut self, who: &str, status: &str, details: &[Vec<String>]) -> Done {
        let response = self.client(who)?.response()?;
        has_status(&response, status)?;
        if response.closes() {
            self.clients.remove(who);
        }
        hold(&response, details)
    }

    pub(super) fn get(&self, target: &str, status: &str, door: &str, details: &[Vec<String>]) -> Done {
        let response = self.ask_once(target, door)?;
        has_status(&response, status)?;
        hold(&response, details)
    }

    pub(super) fn spread(&self, count: &str, target: &str, door: &str, details: &[Vec<String>]) -> Done {
        let mut got: BTreeMap<String, usize> = BTreeMap::new();
        for _ in 0..number(count)? {
            *got.entry(self.ask_once(target, door)?.body).or_default() += 1;
        }
        let mut wanted = BTreeMap::new();
        for detail in details {
            let [body, count] = &detail[..] else { return Err(format!("{detail:?} is not BODY COUNT")) };
            wanted.insert(body.clone(), number(count)?);
        }
        let anybody = wanted.remove("*").is_some_and(|all| wanted.is_empty() && got.values().eq([&all]));
        if anybody || got == wanted { Ok(()) } else { Err(format!("spread as {got:?}")) }
    }

    /// Clients side by side, each with requests on one connection that carry a mark of their own.
    pub(super) fn crowd(&self, clients: &str, requests: &str, target: &str, details: &[Vec<String>]) -> Done {
        let requests: usize = number(requests)?;
        let one = |client: usize| -> Done {
            let mut connection = Client::new(self.open("")?);
            for request in 0..requests {
                let mark = format!("m{client}-{request}");
                connection.asked("GET");
                connection.send(&format!("GET {target}{mark} HTTP/1.1\r\nhost: test\r\n\r\n"))?;
                let response = connection.response()?;
                has_status(&response, "200")?;
                let line = |line: &Vec<String>| line.iter().map(|word| word.replace("MARK", &mark)).collect();
                hold(&response, &details.iter().map(line).collect::<Vec<_>>())?;
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..number(clients)?).map(|client| scope.spawn(move || one(client))).collect();
            threads.into_iter().try_for_each(|thread| thread.join().expect("a client does not panic"))
        })
    }

    /// Clients that ask and do not wait for the answer.
    pub(super) fn gather(&mut self, count: &str, target: &str, door: &str) -> Done {
        for client in 0..number(count)? {
            let target = target.replace("MARK", &format!("m{client}"));
            let mut connection = Client::new(self.open(door)?);
            connection.send(&format!("GET {target} HTTP/1.1\r\nhost: test\r\n\r\n"))?;
            self.gathered.push(connection);
        }
        Ok(())
    }

    /// Sends byte by byte, each in a segment of its own as far as one can ask for that.
    pub(super) fn trickle(&mut self, who: &str, text: &str) -> Done {
        let client = self.connected(who)?;
        for byte in text.chars() {
            client.send(byte.encode_utf8(&mut [0; 4]))?;
            std::thread::yield_now();
        }
        Ok(())
    }

    /// A plain request on a connection of its own.
    fn ask_once(&self, target: &str, door: &str) -> Result<Message, String> {
        let mut client = Client::new(self.open(door)?);
        client.asked("GET");
        client.send(&format!("GET {target} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n"))?;
        client.response()
    }
}

fn has_status(response: &Message, status: &str) -> Done {
    let got = response.status().to_string();
    equal("status", &got, status).map_err(|what| format!("{what} in {response:?}"))
}

/// A request's bytes. A `host` is added unless a header line brings one; `body` brings its length.
fn compose(start: &str, details: &[Vec<String>]) -> Result<String, String> {
    let mut head = format!("{start}\r\n");
    let mut body = String::new();
    let mut host = false;
    for detail in details {
        let words: Vec<&str> = detail.iter().map(String::as_str).collect();
        match words[..] {
            ["body", text] => {
                head += &format!("content-length: {}\r\n", bytes(text).len());
                body = text.to_owned();
            }
            ["chunk", text] => {
                if body.is_empty() {
                    head += "transfer-encoding: chunked\r\n";
                }
                body.truncate(body.len().saturating_sub("0\r\n\r\n".len()));
                body += &format!("{:x}\r\n{text}\r\n0\r\n\r\n", bytes(text).len());
            }
            [name, ref value @ ..] if name.ends_with(':') => {
                host |= name.eq_ignore_ascii_case("host:");
                head += &format!("{name} {}\r\n", value.join(" "));
            }
            _ => return Err(format!("{detail:?} is no part of a request")),
        }
    }
    if !host && !start.ends_with("HTTP/1.0") {
        head += "host: test\r\n";
    }
    Ok(head + "\r\n" + &body)
}
