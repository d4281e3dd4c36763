//! What a scenario does and sees once the proxy runs.
//!
//! | step | does |
//! |---|---|
//! | `connect [LISTENER\|cli\|PATH]` | opens the client's connection (default: the first listener) |
//! | `secure LISTENER NAME [CERTIFICATE]` | opens it over TLS, to a server with a certificate for that name, showing one of our own |
//! | `untrusted LISTENER NAME` | such a connection fails |
//! | `rejected LISTENER` | a connection there is closed at once |
//! | `request METHOD TARGET [VERSION]` | sends a request, connecting if need be; indented: headers, `body "…"`, `chunk "…"` |
//! | `send "…"` | sends raw bytes, connecting if need be |
//! | `asked METHOD` | says what raw bytes asked, where the answer's framing depends on it |
//! | `expect STATUS` | reads a response; indented: conditions (see [`hold`](super::client::hold)) |
//! | `expect bytes "…"`, `expect match "…"`, `expect eof`, `expect closed` | reads just that |
//! | `expect pending` | nothing has come yet |
//! | `marked tos\|mark N` | what the kernel puts on the proxy's packets to the client (`mark`: if we are privileged) |
//! | `finish`, `close` | ends our direction, or the connection |
//! | `get TARGET STATUS [LISTENER]` | request and response on a connection of its own; indented: conditions |
//! | `spread N TARGET [LISTENER]` | N such requests; indented: `BODY COUNT` lines for how the bodies are spread; `* N`: all alike |
//! | `crowd N M TARGET` | N clients at once, M requests each, to TARGET and a mark; indented: conditions with `MARK` |
//! | `gather N TARGET [LISTENER]` | N clients send a request each and stay; `MARK` in it tells them apart |
//! | `scatter` | all of those leave at once |
//! | `trickle "…"` | sends byte by byte |
//! | `table FILE [LISTENER]` | each line `STATUS… "request"` on a connection of its own |
//! | `answers ORIGIN FILE` | each line `STATUS… "response"`: what a client gets when the origin says that |
//! | `cli "command"` | one command on the stats socket; indented: `has`, `lacks`, `matches` |
//! | `repeat N STEP` | does it N times |
//! | `await STEP` | repeats a `cli` or `get` until it succeeds |
//! | `log "…"`, `log matches "…"`, `log N "…"`, `no log "…"` | waits for (N) lines printed or logged |
//! | `origin NAME up\|down\|well\|fails STATUS\|stalls\|hangs-up\|says "…"` | changes an origin's mood |
//! | `agent NAME up\|down\|well\|silent\|late\|mute\|dies\|greets-wrongly\|greets-garbage\|answers-garbage\|plain\|fragments` | changes an agent's mood |
//! | `heard AGENT [N] "…"`, `heard AGENT matches "…"`, `unheard AGENT "…"` | looks at what an agent was told |
//! | `seen ORIGIN "…"`, `unseen ORIGIN "…"`, `seen ORIGIN N` | looks at the requests an origin has had |
//! | `told TALKER "…"` | waits for a line said to a talker |
//! | `connections ORIGIN N` | how many connections an origin has had |
//! | `signal NAME`, `exit CODE` | to the proxy, and its end |

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::{Duration, Instant};

use super::world::World;
use crate::support::PATIENCE;

/// What came of a step; the error says what was seen instead.
pub(super) type Done = Result<(), String>;

impl World {
    /// Does one step of client `who`.
    pub(crate) fn act(&mut self, who: &str, words: &[&str], details: &[Vec<String>]) -> Done {
        match *words {
            ["connect"] => self.connect(who, ""),
            ["connect", door] => self.connect(who, door),
            ["secure", door, name] => self.connect_tls(who, door, name, None),
            ["secure", door, name, own] => self.connect_tls(who, door, name, Some(own)),
            ["untrusted", door, name] => self.untrusted(door, name),
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
            ["marked", kind, wanted] => self.client(who)?.marked(kind, wanted),
            ["finish"] => self.client(who)?.finish(),
            ["close"] => self.clients.remove(who).map(drop).ok_or_else(|| format!("{who} is not connected")),
            ["get", target, status] => self.get(target, status, "", details),
            ["get", target, status, door] => self.get(target, status, door, details),
            ["spread", count, target] => self.spread(count, target, "", details),
            ["spread", count, target, door] => self.spread(count, target, door, details),
            ["crowd", clients, requests, target] => self.crowd(clients, requests, target, details),
            ["gather", count, target] => self.gather(count, target, ""),
            ["gather", count, target, door] => self.gather(count, target, door),
            ["scatter"] => {
                self.gathered.clear();
                Ok(())
            }
            ["trickle", text] => self.trickle(who, text),
            ["table", file] => self.table(file, ""),
            ["table", file, door] => self.table(file, door),
            ["answers", origin, file] => self.answers(origin, file),
            ["cli", command] => self.cli(command, details),
            ["repeat", count, ref step @ ..] => {
                (0..number(count)?).try_for_each(|_: usize| self.act(who, step, details))
            }
            ["await", ref step @ ..] => self.until_it_succeeds(who, step, details),
            _ => self.look_around(words),
        }
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
}

/// The one of that name.
pub(super) fn named<'a, T>(map: &'a mut BTreeMap<String, T>, name: &str) -> Result<&'a mut T, String> {
    map.get_mut(name).ok_or_else(|| format!("nobody is called {name:?}"))
}

/// A word as a number.
pub(super) fn number<T: FromStr>(word: &str) -> Result<T, String> {
    word.parse().map_err(|_| format!("{word:?} is no number"))
}
