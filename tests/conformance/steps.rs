//! What a scenario does and sees once the proxy runs.
//!
//! | step | does |
//! |---|---|
//! | `connect [LISTENER\|cli\|PATH]` | opens the client's connection (default: the first listener) |
//! | `rejected LISTENER` | a connection there is closed at once |
//! | `request METHOD TARGET [VERSION]` | sends a request, connecting if need be; indented: headers, `body "…"`, `chunk "…"` |
//! | `send "…"` | sends raw bytes, connecting if need be |
//! | `asked METHOD` | says what raw bytes asked, where the answer's framing depends on it |
//! | `expect STATUS` | reads a response; indented: conditions (see [`hold`]) |
//! | `expect bytes "…"`, `expect match "…"`, `expect eof`, `expect closed` | reads just that |
//! | `expect pending` | nothing has come yet |
//! | `finish`, `close` | ends our direction, or the connection |
//! | `get TARGET STATUS [LISTENER]` | request and response on a connection of its own; indented: conditions |
//! | `spread N TARGET [LISTENER]` | N such requests; indented: `BODY COUNT` lines for how the bodies are spread; `* N`: all alike |
//! | `crowd N M TARGET` | N clients at once, M requests each, to TARGET and a mark; indented: conditions with `MARK` |
//! | `trickle "…"` | sends byte by byte |
//! | `table FILE [LISTENER]` | each line `STATUS… "request"` on a connection of its own |
//! | `answers ORIGIN FILE` | each line `STATUS… "response"`: what a client gets when the origin says that |
//! | `cli "command"` | one command on the stats socket; indented: `has`, `lacks`, `matches` |
//! | `repeat N STEP` | does it N times |
//! | `await STEP` | repeats a `cli` or `get` until it succeeds |
//! | `log "…"`, `log matches "…"`, `log N "…"`, `no log "…"` | waits for (N) lines printed or logged |
//! | `origin NAME up\|down\|well\|fails STATUS\|stalls\|hangs-up\|says "…"` | changes an origin's mood |
//! | `agent NAME up\|down\|well\|silent\|dies\|greets-wrongly\|greets-garbage\|answers-garbage` | changes an agent's mood |
//! | `seen ORIGIN "…"`, `unseen ORIGIN "…"`, `seen ORIGIN N` | looks at the requests an origin has had |
//! | `connections ORIGIN N` | how many connections an origin has had |
//! | `signal NAME`, `exit CODE` | to the proxy, and its end |

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::str::FromStr;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::client::{Client, equal, hold, text};
use super::script;
use super::world::World;
use crate::support::PATIENCE;
use crate::support::agent::{self, Agent};
use crate::support::http::bytes;
use crate::support::origin::{self, Origin};
use crate::support::wire::Wire;

type Done = Result<(), String>;

impl World {
    /// Does one step of client `who`.
    pub(crate) fn act(&mut self, who: &str, words: &[&str], details: &[Vec<String>]) -> Done {
        match *words {
            ["connect"] => self.connect(who, ""),
            ["connect", door] => self.connect(who, door),
            ["rejected", door] => self.rejected(door),
            ["request", method, target] => {
                self.request(who, method, &format!("{method} {target} HTTP/1.1"), details)
            }
            ["request", method, target, version] => {
                self.request(who, method, &format!("{method} {target} {version}"), details)
            }
            ["send", text] => self.connected(who)?.send(text),
            ["asked", method] => self.connected(who).map(|client| client.asked(method)),
            ["expect", "bytes", text] => self.client(who)?.expect_bytes(text),
            ["expect", "match", pattern] => self.client(who)?.expect_match(pattern),
            ["expect", "eof"] => self.client(who)?.expect_end(false),
            ["expect", "closed"] => self.client(who)?.expect_end(true),
            ["expect", "pending"] => self.client(who)?.expect_nothing_yet(),
            ["expect", status] => self.expect(who, status, details),
            ["finish"] => self.client(who)?.finish(),
            ["close"] => self.clients.remove(who).map(drop).ok_or_else(|| format!("{who} is not connected")),
            ["get", target, status] => self.get(target, status, "", details),
            ["get", target, status, door] => self.get(target, status, door, details),
            ["spread", count, target] => self.spread(count, target, "", details),
            ["spread", count, target, door] => self.spread(count, target, door, details),
            ["crowd", clients, requests, target] => self.crowd(clients, requests, target, details),
            ["trickle", text] => self.trickle(who, text),
            ["table", file] => self.table(file, ""),
            ["table", file, door] => self.table(file, door),
            ["answers", origin, file] => self.answers(origin, file),
            ["cli", command] => self.cli(command, details),
            ["repeat", count, ref step @ ..] => {
                (0..number(count)?).try_for_each(|_: usize| self.act(who, step, details))
            }
            ["await", ref step @ ..] => self.until_it_succeeds(who, step, details),
            _ => self.look(words),
        }
    }

    fn look(&mut self, words: &[&str]) -> Done {
        match *words {
            ["log", "matches", pattern] => {
                let regex = regex::Regex::new(pattern).map_err(|error| error.to_string())?;
                self.logged(1, |line| regex.is_match(line))
            }
            ["log", text] => self.logged(1, |line| line.contains(text)),
            ["log", count, text] => self.logged(number(count)?, |line| line.contains(text)),
            ["no", "log", text] => match self.said.all().iter().find(|line| line.contains(text)) {
                Some(line) => Err(format!("the proxy said {line:?}")),
                None => Ok(()),
            },
            ["origin", name, ref mood @ ..] => change_origin(named(&mut self.origins, name)?, mood),
            ["agent", name, mood] => change_agent(named(&mut self.agents, name)?, mood),
            ["seen", name, wanted] => {
                let requests = named(&mut self.origins, name)?.requests();
                let seen = match wanted.parse() {
                    Ok(count) => requests.wait_for(count, PATIENCE, |_| true),
                    Err(_) => requests.wait_for(1, PATIENCE, |request| request.contains(wanted)),
                };
                if seen { Ok(()) } else { Err(format!("not seen; the requests were {:?}", requests.all())) }
            }
            ["unseen", name, unwanted] => {
                let requests = named(&mut self.origins, name)?.requests().all();
                let seen = requests.iter().find(|request| request.contains(unwanted));
                seen.map_or(Ok(()), |request| Err(format!("seen in {request:?}")))
            }
            ["connections", name, count] => {
                let connections = named(&mut self.origins, name)?.connections();
                equal("connections", &connections.to_string(), count)
            }
            ["signal", name] => {
                let signal = Signal::from_str(&format!("SIG{name}")).map_err(|error| error.to_string())?;
                let process = self.process.as_ref().ok_or("no proxy")?;
                process.signal(signal).map_err(|error| error.to_string())
            }
            ["exit", code] => {
                let process = self.process.as_mut().ok_or("no proxy")?;
                let status =
                    process.wait(PATIENCE).map_err(|error| error.to_string())?.ok_or("it does not end")?;
                equal(
                    "exit status",
                    &status.code().map_or("a signal".to_owned(), |code| code.to_string()),
                    code,
                )
            }
            _ => Err("no such step".to_owned()),
        }
    }

    fn client(&mut self, who: &str) -> Result<&mut Client, String> {
        self.clients.get_mut(who).ok_or_else(|| format!("{who} is not connected"))
    }

    fn connected(&mut self, who: &str) -> Result<&mut Client, String> {
        if !self.clients.contains_key(who) {
            self.connect(who, "")?;
        }
        self.client(who)
    }

    fn connect(&mut self, who: &str, door: &str) -> Done {
        let client = Client::new(self.open(door)?);
        self.clients.insert(who.to_owned(), client);
        Ok(())
    }

    /// A reset may already be there when the connection is; so connecting may fail, too.
    fn rejected(&self, door: &str) -> Done {
        self.open(door).map_or(Ok(()), |wire| Client::new(wire).expect_end(true))
    }

    /// Opens a connection to a listener, the first one if `door` is empty.
    fn open(&self, door: &str) -> Result<Wire, String> {
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

    fn request(&mut self, who: &str, method: &str, start: &str, details: &[Vec<String>]) -> Done {
        let text = compose(start, details)?;
        let client = self.connected(who)?;
        client.asked(method);
        client.send(&text)
    }

    fn expect(&mut self, who: &str, status: &str, details: &[Vec<String>]) -> Done {
        let response = self.client(who)?.response()?;
        equal("status", &response.status().to_string(), status)
            .map_err(|what| format!("{what} in {response:?}"))?;
        if response.closes() {
            self.clients.remove(who);
        }
        hold(&response, details)
    }

    fn get(&mut self, target: &str, status: &str, door: &str, details: &[Vec<String>]) -> Done {
        let mut client = Client::new(self.open(door)?);
        client.asked("GET");
        client.send(&format!("GET {target} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n"))?;
        let response = client.response()?;
        equal("status", &response.status().to_string(), status)
            .map_err(|what| format!("{what} in {response:?}"))?;
        hold(&response, details)
    }

    fn spread(&mut self, count: &str, target: &str, door: &str, details: &[Vec<String>]) -> Done {
        let mut got: BTreeMap<String, usize> = BTreeMap::new();
        for _ in 0..number(count)? {
            let mut client = Client::new(self.open(door)?);
            client.asked("GET");
            client.send(&format!("GET {target} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n"))?;
            *got.entry(client.response()?.body).or_default() += 1;
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
    fn crowd(&self, clients: &str, requests: &str, target: &str, details: &[Vec<String>]) -> Done {
        let requests: usize = number(requests)?;
        let one = |client: usize| -> Done {
            let mut connection = Client::new(self.open("")?);
            for request in 0..requests {
                let mark = format!("m{client}-{request}");
                connection.asked("GET");
                connection.send(&format!("GET {target}{mark} HTTP/1.1\r\nhost: test\r\n\r\n"))?;
                let response = connection.response()?;
                equal("status", &response.status().to_string(), "200")?;
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

    /// Sends byte by byte, each in a segment of its own as far as one can ask for that.
    fn trickle(&mut self, who: &str, text: &str) -> Done {
        let client = self.connected(who)?;
        for byte in text.chars() {
            client.send(byte.encode_utf8(&mut [0; 4]))?;
            std::thread::yield_now();
        }
        Ok(())
    }

    /// Every request of the file, one after the other; all that got something else are told.
    fn table(&self, file: &str, door: &str) -> Done {
        self.rows(file, |request| self.status_of(request, door))
    }

    /// Every response of the file, as the answer to a plain request.
    fn answers(&mut self, origin: &str, file: &str) -> Done {
        named(&mut self.origins, origin)?;
        let origin = &self.origins[origin];
        self.rows(file, |response| {
            origin.set_mood(origin::Mood::Says(response.to_owned()));
            self.status_of("GET / HTTP/1.1\r\nhost: test\r\n\r\n", "")
        })
    }

    /// Holds what `got` makes of the last word of each line against the words before it.
    fn rows(&self, file: &str, got: impl Fn(&str) -> Result<String, String>) -> Done {
        let text =
            fs::read_to_string(self.folder().join(file)).map_err(|error| format!("{file}: {error}"))?;
        let mut wrong = Vec::new();
        for row in script::parse(&text)? {
            let Some((bytes, statuses)) = row.words.split_last() else { continue };
            let got = got(bytes)?;
            if !statuses.contains(&got) {
                wrong.push(format!(
                    "{file}:{}: {bytes:?} got {got}, not {}",
                    row.line,
                    statuses.join(" or ")
                ));
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
    }

    /// The status that raw bytes get; `closed` if the connection ends instead. Our direction is ended
    /// after them, so that a request that is never whole gets its answer too.
    fn status_of(&self, request: &str, door: &str) -> Result<String, String> {
        let mut client = Client::new(self.open(door)?);
        client.send(request)?;
        client.finish().ok();
        Ok(client.response().map_or("closed".to_owned(), |response| response.status().to_string()))
    }

    fn cli(&mut self, command: &str, conditions: &[Vec<String>]) -> Done {
        let mut client = Client::new(self.open("cli")?);
        client.send(&format!("{command}\n"))?;
        let answer = client.rest()?;
        for condition in conditions {
            let words: Vec<&str> = condition.iter().map(String::as_str).collect();
            text("the answer", &answer, &words)?;
        }
        Ok(())
    }

    fn until_it_succeeds(&mut self, who: &str, step: &[&str], details: &[Vec<String>]) -> Done {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let done = self.act(who, step, details);
            if done.is_ok() || Instant::now() > deadline {
                return done;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn logged(&self, enough: usize, wanted: impl Fn(&str) -> bool) -> Done {
        let found = self.said.wait_for(enough, PATIENCE, wanted);
        if found { Ok(()) } else { Err("not logged".to_owned()) }
    }
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

fn change_origin(origin: &mut Origin, mood: &[&str]) -> Done {
    match *mood {
        ["up"] => origin.up().map_err(|error| error.to_string())?,
        ["down"] => origin.down(),
        ["well"] => origin.set_mood(origin::Mood::Well),
        ["fails", status] => origin.set_mood(origin::Mood::Fails(number(status)?)),
        ["stalls"] => origin.set_mood(origin::Mood::Stalls),
        ["hangs-up"] => origin.set_mood(origin::Mood::HangsUp),
        ["says", raw] => origin.set_mood(origin::Mood::Says(raw.to_owned())),
        _ => return Err(format!("{mood:?} is no mood of an origin")),
    }
    Ok(())
}

fn change_agent(agent: &mut Agent, mood: &str) -> Done {
    match mood {
        "up" => agent.up().map_err(|error| error.to_string())?,
        "down" => agent.down(),
        "well" => agent.set_mood(agent::Mood::Well),
        "silent" => agent.set_mood(agent::Mood::Silent),
        "dies" => agent.set_mood(agent::Mood::Dies),
        "greets-wrongly" => agent.set_mood(agent::Mood::GreetsWrongly),
        "greets-garbage" => agent.set_mood(agent::Mood::GreetsGarbage),
        "answers-garbage" => agent.set_mood(agent::Mood::AnswersGarbage),
        _ => return Err(format!("{mood:?} is no mood of an agent")),
    }
    Ok(())
}

fn named<'a, T>(map: &'a mut BTreeMap<String, T>, name: &str) -> Result<&'a mut T, String> {
    map.get_mut(name).ok_or_else(|| format!("nobody is called {name:?}"))
}

fn number<T: FromStr>(word: &str) -> Result<T, String> {
    word.parse().map_err(|_| format!("{word:?} is no number"))
}
