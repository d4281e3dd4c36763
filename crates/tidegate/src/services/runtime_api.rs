//! The runtime API on `stats socket`: HAProxy's commands, `show events` and `show spoe`.
//!
//! A client that does not read holds up nothing but its own task; `show events` has a bounded queue
//! and says how many events it missed.
//!
//! Source: management.txt §9.3.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use event_hdl::{EventQueue, Item, Overflow, QueuedEvent, Subtypes};
use proxy_core::{
    admin::{self, Command},
    applet::ServiceMaker,
    config::AccessLevel,
    host::{BoxIo, Timer},
    worker::Worker,
};
use tokio::io::{AsyncRead as _, AsyncWriteExt as _, ReadBuf};

use super::{
    cli_applet,
    cli_session::{CliSession, CommandLine, Input},
    inspection, scripts,
};
use crate::adapters::{
    Extension,
    proxy_core_event_hdl::{ServerEvents, Servers, subtype_name},
    proxy_core_spoe::report,
    with_admin,
};

/// Events that wait for a client of `show events`.
const EVENTS_MAX: usize = 1024;

/// The commands of this file, for `help`.
const COMMANDS: &[Command<'static>] = &[
    Command {
        words: "show events",
        usage: "show events [<sink>] [-w] [-n]",
        help: "print what the event bus publishes, until the client leaves",
        level: AccessLevel::User,
    },
    Command {
        words: "show spoe",
        usage: "show spoe [<proxy>[/<engine>]]",
        help: "print what SPOE engines do and have done, of all threads together",
        level: AccessLevel::User,
    },
    Command {
        words: "operator",
        usage: "operator",
        help: "lower the level of the current CLI session to operator",
        level: AccessLevel::User,
    },
    Command {
        words: "user",
        usage: "user",
        help: "lower the level of the current CLI session to user",
        level: AccessLevel::User,
    },
    Command {
        words: "prompt",
        usage: "prompt",
        help: "toggle interactive mode with prompt",
        level: AccessLevel::User,
    },
    Command { words: "quit", usage: "quit", help: "disconnect", level: AccessLevel::User },
];

/// Serves one client to the end of its session.
pub async fn serve(worker: Rc<Worker>, events: Arc<ServerEvents>, mut io: BoxIo, level: AccessLevel) {
    let timeout = worker.shared.config.global.stats_timeout;
    let timer = worker.host.timer();
    let mut client = Client { worker, events, level, session: CliSession::default(), timer, timeout };
    // A client that leaves in the middle of an answer is no news.
    let _ = client.run(&mut io).await;
}

struct Client {
    worker: Rc<Worker>,
    events: Arc<ServerEvents>,
    level: AccessLevel,
    session: CliSession,
    timer: Box<dyn Timer>,
    timeout: Duration,
}

/// What follows a command.
enum Next {
    Answer(String),
    Quit,
    Events,
    Spoe(Option<String>),
    Inspect(inspection::Request),
    Service(Arc<dyn ServiceMaker>),
}

impl Client {
    async fn run(&mut self, io: &mut BoxIo) -> io::Result<()> {
        loop {
            while let Some(input) = self.session.poll_event() {
                let next = match input {
                    Input::Command(command) => self.command(&command),
                    Input::TooLong => {
                        io.write_all(b"Command too long.\n\n").await?;
                        return io.shutdown().await;
                    }
                };
                match next {
                    Next::Answer(text) => io.write_all(&self.session.frame(&text)).await?,
                    Next::Quit => return io.shutdown().await,
                    Next::Events => return self.show_events(io).await,
                    Next::Spoe(only) => {
                        let plan = &Extension::of(&self.worker).engines.plan;
                        let text = report::show(plan, &self.worker, only.as_deref()).await;
                        io.write_all(&self.session.frame(&text)).await?;
                    }
                    Next::Inspect(request) => {
                        let facts = Extension::of(&self.worker).facts.clone();
                        let text = inspection::answer(&self.worker, &facts.schedulers, request).await;
                        io.write_all(&self.session.frame(&text)).await?;
                    }
                    Next::Service(maker) => {
                        let (unread, ended) = self.session.take_rest();
                        let left = cli_applet::run(&self.worker, io, maker, unread, ended).await?;
                        self.session.resume(left);
                        io.write_all(&self.session.frame("")).await?;
                    }
                }
            }
            if self.session.is_over() || !self.read(io).await? {
                return io.shutdown().await;
            }
        }
    }

    /// Reads some; `false` once the client has been silent for `stats timeout`.
    async fn read(&mut self, io: &mut BoxIo) -> io::Result<bool> {
        self.timer.set(Some(self.worker.host.now() + self.timeout));
        let mut chunk = [0; 4096];
        let mut buf = ReadBuf::new(&mut chunk);
        let timer = &mut self.timer;
        let read = poll_fn(|cx| match Pin::new(&mut *io).poll_read(cx, &mut buf) {
            Poll::Ready(read) => Poll::Ready(read.map(|()| true)),
            Poll::Pending => timer.poll_expired(cx).map(|()| Ok(false)),
        });
        if !read.await? {
            return Ok(false);
        }
        match buf.filled() {
            [] => self.session.handle_end(),
            bytes => self.session.handle_input(bytes),
        }
        Ok(true)
    }

    fn command(&mut self, command: &CommandLine) -> Next {
        let words: Vec<&str> = command.text.split_whitespace().collect();
        match words[..] {
            ["quit", ..] => Next::Quit,
            ["prompt", ..] => {
                self.session.prompt = !self.session.prompt;
                Next::Answer(String::new())
            }
            ["user"] => self.lower(AccessLevel::User),
            ["operator"] => self.lower(AccessLevel::Operator),
            ["show", "events", ..] => Next::Events,
            ["show", "spoe"] => Next::Spoe(None),
            ["show", "spoe", name] => Next::Spoe(Some(name.to_owned())),
            ["set", "timeout", "cli", delay] => self.set_timeout(delay),
            _ => self.other(&words, command),
        }
    }

    /// A command that is not of the session itself.
    fn other(&self, words: &[&str], command: &CommandLine) -> Next {
        let facts = &Extension::of(&self.worker).facts;
        match inspection::parse(words, self.level, &facts.schedulers) {
            Some(Ok(request)) => Next::Inspect(request),
            Some(Err(answer)) => Next::Answer(answer),
            None => match Extension::of(&self.worker).sites().cli_command(words) {
                Some(maker) => Next::Service(maker),
                None => Next::Answer(self.answer(words, command)),
            },
        }
    }

    /// What no script answers: a command about scripts, or one of proxy-core's, which also lists ours and the scripts'
    /// own where it lists any.
    fn answer(&self, words: &[&str], command: &CommandLine) -> String {
        let extension = Extension::of(&self.worker);
        if let Some(answer) = extension.facts.scripts.answer(words, self.level) {
            return answer;
        }
        let registered = extension.sites().cli_commands();
        let registered = registered.iter().map(|(words, usage)| Command {
            words,
            usage,
            help: "",
            level: AccessLevel::User,
        });
        let ours = COMMANDS.iter().chain(inspection::COMMANDS).chain(scripts::COMMANDS).copied();
        let commands: Vec<Command<'_>> = ours.chain(registered).collect();
        with_admin(&self.worker, &commands, |cx| {
            admin::run_with_payload(&command.text, command.payload.as_deref(), self.level, cx).text
        })
    }

    fn lower(&mut self, level: AccessLevel) -> Next {
        self.level = self.level.min(level);
        Next::Answer(String::new())
    }

    fn set_timeout(&mut self, delay: &str) -> Next {
        match proxy_core::cfgparse::parse_duration(delay, Duration::from_secs(1)) {
            Ok(time) if !time.is_zero() => {
                self.timeout = time;
                Next::Answer(String::new())
            }
            _ => Next::Answer("Invalid timeout value.\n".to_owned()),
        }
    }

    /// Prints events as they come, until the client sends anything or leaves, or the process stops.
    async fn show_events(&mut self, io: &mut BoxIo) -> io::Result<()> {
        let overflow = Overflow::DropOldest { max: EVENTS_MAX };
        let Ok(mut queue) = self.events.global().queue(Subtypes::ALL, overflow) else {
            return io.shutdown().await;
        };
        loop {
            let Some(line) = poll_fn(|cx| poll_line(&mut queue, io, cx)).await else {
                return io.shutdown().await;
            };
            io.write_all(line.as_bytes()).await?;
        }
    }
}

/// The next line to print; `None` at the end of either side.
fn poll_line(queue: &mut EventQueue<Servers>, io: &mut BoxIo, cx: &mut Context<'_>) -> Poll<Option<String>> {
    let mut byte = [0];
    if Pin::new(io).poll_read(cx, &mut ReadBuf::new(&mut byte)).is_ready() {
        return Poll::Ready(None);
    }
    Poll::Ready(match ready!(queue.poll_pop(cx)) {
        Some(Item::Event(event)) => Some(event_line(&event)),
        Some(Item::Lost(count)) => Some(format!("LOST {count}\n")),
        Some(Item::End) | None => None,
    })
}

/// `1700000000.123 SERVER_DOWN be/s1 …`
fn event_line(event: &QueuedEvent<Servers>) -> String {
    use proxy_core::backend::event::ServerEvent;
    let data = &event.data;
    let details = match &data.event {
        ServerEvent::State(change) => format!(" {} -> {}", change.old.name(), change.new.name()),
        ServerEvent::Admin(change) => format!(" {:?} -> {:?}", change.old, change.new),
        ServerEvent::Check(check) => format!(
            " {} {} in {}ms, health {}/{}",
            check.result.name(),
            check.status.short(),
            check.duration.as_millis(),
            check.health.cur,
            check.health.max(),
        ),
        ServerEvent::InetAddr(change) => format!(" {} -> {}", change.prev, change.next),
        _ => String::new(),
    };
    format!(
        "{}.{:03} {} {}/{}{details}\n",
        event.when.as_secs(),
        event.when.subsec_millis(),
        subtype_name(event.subtype),
        data.proxy_name,
        data.name,
    )
}
