//! From lines to sections: one function a keyword, errors collected, cross-references checked at the end.
//!
//! Source: SPOE.txt §2.

use std::time::Duration;

use super::agent::{Agent, FailMode};
use super::diagnostic::{ConfigErrors, Diagnostic, Place};
use super::message::{Argument, Condition, EventRule, Group, Message, Name, Words};
use super::{Line, SpoeConfig};
use crate::action::is_variable_name;
use crate::frame::header::FRAME_SIZE_BYTES_MIN;
use crate::message::Event;

pub(super) fn parse(
    lines: impl IntoIterator<Item = Line>,
    engine: Option<&str>,
    frame_size_bytes_max: u32,
) -> Result<SpoeConfig, ConfigErrors> {
    let mut parser = Parser {
        frame_size_bytes_max,
        section: Section::None,
        agent: None,
        messages: Vec::new(),
        groups: Vec::new(),
        errors: Vec::new(),
        warnings: Vec::new(),
    };
    let mut in_scope = engine.is_none();
    let mut last = Place { file: "".into(), line_no: 0, word: 0 };
    for line in lines {
        last = Place { file: line.file.clone(), line_no: line.line_no, word: 0 };
        match line.words.first() {
            None => {}
            Some(word) if word.starts_with('[') => match scope_name(&line.words) {
                Some(name) => in_scope = engine == Some(name),
                None if in_scope => parser.error(&last, "a scope line must hold one [name] and nothing else"),
                None => {}
            },
            Some(_) if in_scope => parser.line(&line),
            Some(_) => {}
        }
    }
    parser.finish(&last, engine)
}

fn scope_name(words: &[String]) -> Option<&str> {
    match words {
        [word] => word.strip_prefix('[')?.strip_suffix(']').filter(|name| !name.is_empty()),
        _ => None,
    }
}

/// Which section the lines belong to.
enum Section {
    /// None yet.
    None,
    /// One whose header was wrong: its lines are skipped, one error is enough.
    Skipped,
    Agent,
    /// The last of `messages`.
    Message,
    /// The last of `groups`.
    Group,
}

struct Parser {
    frame_size_bytes_max: u32,
    section: Section,
    agent: Option<Agent>,
    messages: Vec<Message>,
    groups: Vec<Group>,
    errors: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
}

/// What a keyword makes of its line: an error blames one of the words.
type Outcome = Result<(), (usize, String)>;

/// One line's words, and help to read them.
struct Args<'a> {
    line: &'a Line,
    /// Where the keyword's arguments begin.
    from: usize,
}

impl<'a> Args<'a> {
    fn place(&self, word: usize) -> Place {
        Place { file: self.line.file.clone(), line_no: self.line.line_no, word }
    }

    fn keyword(&self) -> String {
        self.line.words[..self.from].join(" ")
    }

    fn all(&self) -> &'a [String] {
        &self.line.words[self.from..]
    }

    fn names(&self) -> impl Iterator<Item = Name> + '_ {
        let name =
            |(at, text): (usize, &String)| Name { text: text.clone(), place: self.place(self.from + at) };
        self.all().iter().enumerate().map(name)
    }

    fn some(&self) -> Outcome {
        match self.all() {
            [] => Err((self.from - 1, format!("'{}' expects at least one argument", self.keyword()))),
            _ => Ok(()),
        }
    }

    fn none(&self) -> Outcome {
        match self.all() {
            [] => Ok(()),
            _ => Err((self.from, format!("'{}' takes no argument", self.keyword()))),
        }
    }

    /// Exactly one, called `what`.
    fn one(&self, what: &str) -> Result<&'a str, (usize, String)> {
        match self.all() {
            [] => Err((self.from - 1, format!("'{}' expects {what}", self.keyword()))),
            [word] => Ok(word),
            _ => Err((self.from + 1, format!("'{}' takes one argument only", self.keyword()))),
        }
    }

    fn number(&self, min: u32, max: u32) -> Result<u32, (usize, String)> {
        let word = self.one("a number")?;
        match word.parse::<u32>() {
            Ok(number) if (min..=max).contains(&number) => Ok(number),
            _ if max == u32::MAX => {
                Err((self.from, format!("'{}' expects a number from {min}, not '{word}'", self.keyword())))
            }
            _ => Err((
                self.from,
                format!("'{}' expects a number from {min} to {max}, not '{word}'", self.keyword()),
            )),
        }
    }

    fn variable(&self) -> Result<String, (usize, String)> {
        let word = self.one("a name")?;
        match is_variable_name(word) {
            true => Ok(word.to_owned()),
            false => Err((
                self.from,
                format!("'{}' takes letters, digits, '_' and '.' only, not '{word}'", self.keyword()),
            )),
        }
    }

    fn time(&self) -> Result<Duration, (usize, String)> {
        let word = self.one("a time")?;
        parse_time(word).map_err(|why| (self.from, format!("'{}': {why}", self.keyword())))
    }
}

impl Parser {
    fn error(&mut self, place: &Place, message: impl Into<String>) {
        self.errors.push(Diagnostic { place: place.clone(), message: message.into() });
    }

    fn warning(&mut self, place: &Place, message: impl Into<String>) {
        self.warnings.push(Diagnostic { place: place.clone(), message: message.into() });
    }

    fn line(&mut self, line: &Line) {
        let outcome = match line.words[0].as_str() {
            "spoe-agent" => self.section(line, Self::begin_agent),
            "spoe-message" => self.section(line, Self::begin_message),
            "spoe-group" => self.section(line, Self::begin_group),
            word => match self.section {
                Section::None => Err((0, format!("unknown keyword '{word}' outside of a section"))),
                Section::Skipped => Ok(()),
                Section::Agent => self.agent_line(line),
                Section::Message => self.message_line(line),
                Section::Group => self.group_line(line),
            },
        };
        if let Err((word, message)) = outcome {
            let place = Place { file: line.file.clone(), line_no: line.line_no, word };
            self.error(&place, message);
        }
    }

    fn section(&mut self, line: &Line, begin: fn(&mut Self, Name) -> Outcome) -> Outcome {
        self.section = Section::Skipped;
        let args = Args { line, from: 1 };
        let text = args.one("a name")?;
        let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b':');
        if let Some(bad) = text.chars().find(|c| !u8::try_from(*c).is_ok_and(legal)) {
            return Err((1, format!("character '{bad}' is not permitted in the name '{text}'")));
        }
        begin(self, Name { text: text.to_owned(), place: args.place(1) })
    }

    fn begin_agent(&mut self, name: Name) -> Outcome {
        if let Some(agent) = &self.agent {
            return Err((0, format!("a scope has one agent, and '{}' is it already", agent.name.text)));
        }
        self.agent = Some(Agent::new(name, self.frame_size_bytes_max));
        self.section = Section::Agent;
        Ok(())
    }

    fn begin_message(&mut self, name: Name) -> Outcome {
        if self.messages.iter().any(|message| message.name.text == name.text) {
            return Err((1, format!("message '{}' is defined already", name.text)));
        }
        self.messages.push(Message { name, args: Vec::new(), acls: Vec::new(), event: None });
        self.section = Section::Message;
        Ok(())
    }

    fn begin_group(&mut self, name: Name) -> Outcome {
        if self.groups.iter().any(|group| group.name.text == name.text) {
            return Err((1, format!("group '{}' is defined already", name.text)));
        }
        self.groups.push(Group { name, messages: Vec::new() });
        self.section = Section::Group;
        Ok(())
    }

    fn agent_line(&mut self, line: &Line) -> Outcome {
        let frame_size_bytes_max = self.frame_size_bytes_max;
        let agent = self.agent.as_mut().expect("invariant: in an agent section there is an agent");
        let args = Args { line, from: 1 };
        match line.words[0].as_str() {
            "messages" => add_names(&args, &mut agent.messages, "message"),
            "groups" => add_names(&args, &mut agent.groups, "group"),
            "use-backend" => {
                let text = args.one("a backend's name")?.to_owned();
                agent.backend = Name { text, place: args.place(1) };
                Ok(())
            }
            "register-var-names" => {
                args.some()?;
                for name in args.names() {
                    if !is_variable_name(&name.text) {
                        return Err((name.place.word, format!("'{}' cannot name a variable", name.text)));
                    }
                    agent.register_var_names.push(name);
                }
                Ok(())
            }
            "log" => {
                args.some()?;
                agent.log.push(Words { words: args.all().to_vec(), place: args.place(1) });
                Ok(())
            }
            "timeout" => timeout(agent, line),
            "max-frame-size" => {
                agent.frame_size_bytes_max = args.number(FRAME_SIZE_BYTES_MIN, frame_size_bytes_max)?;
                Ok(())
            }
            "max-waiting-frames" => {
                agent.waiting_frames_max = args.number(1, u32::MAX)? as usize;
                Ok(())
            }
            "maxconnrate" => {
                agent.connect_rate_max = args.number(0, u32::MAX)?;
                Ok(())
            }
            "maxerrrate" => {
                agent.error_rate_max = args.number(0, u32::MAX)?;
                Ok(())
            }
            "option" => option(agent, &Args { line, from: 2 }, true),
            "no" => match line.words.get(1).map(String::as_str) {
                Some("option") => option(agent, &Args { line, from: 3 }, false),
                Some("log") => {
                    Args { line, from: 2 }.none()?;
                    agent.log.clear();
                    Ok(())
                }
                _ => Err((0, "'no' goes with 'option' and 'log' only".into())),
            },
            word => Err((0, format!("unknown keyword '{word}' in a 'spoe-agent' section"))),
        }
    }

    fn message_line(&mut self, line: &Line) -> Outcome {
        let message = self.messages.last_mut().expect("invariant: in a message section there is a message");
        let args = Args { line, from: 1 };
        match line.words[0].as_str() {
            "args" => {
                args.some()?;
                for word in args.names() {
                    let (name, sample) = word.text.split_once('=').unwrap_or(("", &word.text));
                    if sample.is_empty() {
                        return Err((word.place.word, format!("argument '{name}' has no sample")));
                    }
                    if message.args.len() == ARGS_MAX {
                        return Err((word.place.word, format!("a message has at most {ARGS_MAX} arguments")));
                    }
                    let (name, sample) = (name.to_owned(), sample.to_owned());
                    message.args.push(Argument { name, sample, place: word.place });
                }
                Ok(())
            }
            "acl" => {
                args.some()?;
                if line.words[1] == "or" {
                    return Err((1, "an acl cannot be called 'or'".into()));
                }
                message.acls.push(Words { words: args.all().to_vec(), place: args.place(1) });
                Ok(())
            }
            "event" => {
                message.event = Some(event(&args)?);
                Ok(())
            }
            word => Err((0, format!("unknown keyword '{word}' in a 'spoe-message' section"))),
        }
    }

    fn group_line(&mut self, line: &Line) -> Outcome {
        let group = self.groups.last_mut().expect("invariant: in a group section there is a group");
        match line.words[0].as_str() {
            "messages" => add_names(&Args { line, from: 1 }, &mut group.messages, "message"),
            word => Err((0, format!("unknown keyword '{word}' in a 'spoe-group' section"))),
        }
    }

    fn finish(mut self, last: &Place, engine: Option<&str>) -> Result<SpoeConfig, ConfigErrors> {
        match self.agent.take() {
            Some(mut agent) => {
                self.check_agent(&mut agent);
                self.check_names(&agent);
                if self.errors.is_empty() {
                    let Self { messages, groups, warnings, .. } = self;
                    return Ok(SpoeConfig { agent, messages, groups, warnings });
                }
            }
            None if self.errors.is_empty() => {
                let scope =
                    engine.map_or("outside of scopes".to_owned(), |name| format!("in scope '[{name}]'"));
                self.error(last, format!("no SPOE agent found in file {scope}"));
            }
            None => {}
        }
        Err(ConfigErrors(self.errors))
    }

    fn check_agent(&mut self, agent: &mut Agent) {
        let place = agent.name.place.clone();
        if agent.var_prefix.is_empty() {
            agent.var_prefix.clone_from(&agent.name.text);
            if !is_variable_name(&agent.var_prefix) {
                let name = &agent.name.text;
                self.error(&place, format!("'{name}' cannot prefix variables: use 'option var-prefix'"));
            }
        }
        if agent.backend.text.is_empty() {
            self.error(&place, format!("agent '{}' has no 'use-backend'", agent.name.text));
        }
        if agent.processing_timeout.is_none() {
            let name = &agent.name.text;
            self.warning(
                &place,
                format!("agent '{name}' has no 'timeout processing': a silent agent holds streams"),
            );
        }
        if agent.messages.is_empty() && agent.groups.is_empty() {
            self.warning(&place, format!("agent '{}' has neither messages nor groups", agent.name.text));
        }
    }

    fn check_names(&mut self, agent: &Agent) {
        let Self { messages, groups, errors, warnings, .. } = self;
        let mut error = |name: &Name, message| errors.push(Diagnostic { place: name.place.clone(), message });
        let message = |name: &Name| messages.iter().find(|message| message.name.text == name.text);
        for name in &agent.messages {
            match message(name) {
                None => error(name, format!("undefined SPOE message '{}'", name.text)),
                Some(found) if found.event.is_none() => warnings.push(Diagnostic {
                    place: name.place.clone(),
                    message: format!("message '{}' has no event and is never sent", name.text),
                }),
                Some(_) => {}
            }
        }
        for name in &agent.groups {
            if !groups.iter().any(|group| group.name.text == name.text) {
                error(name, format!("undefined SPOE group '{}'", name.text));
            }
        }
        let mut owners: Vec<(&str, &str)> = Vec::new();
        for group in groups.iter() {
            for name in &group.messages {
                if message(name).is_none() {
                    error(name, format!("undefined SPOE message '{}'", name.text));
                }
                match owners.iter().find(|(text, _)| *text == name.text) {
                    Some((_, owner)) => {
                        error(
                            name,
                            format!("message '{}' already belongs to the SPOE group '{owner}'", name.text),
                        );
                    }
                    None => owners.push((&name.text, &group.name.text)),
                }
            }
        }
    }
}

fn add_names(args: &Args<'_>, names: &mut Vec<Name>, what: &str) -> Outcome {
    args.some()?;
    for name in args.names() {
        if names.iter().any(|known| known.text == name.text) {
            return Err((name.place.word, format!("{what} '{}' is already used", name.text)));
        }
        names.push(name);
    }
    Ok(())
}

fn timeout(agent: &mut Agent, line: &Line) -> Outcome {
    let args = Args { line, from: 2 };
    let timeout = match line.words.get(1).map(String::as_str) {
        Some("hello") => &mut agent.hello_timeout,
        Some("idle") => &mut agent.idle_timeout,
        Some("processing") => &mut agent.processing_timeout,
        Some(other) => {
            return Err((1, format!("'timeout' knows 'hello', 'idle' and 'processing', not '{other}'")));
        }
        None => return Err((0, "'timeout' expects 'hello', 'idle' or 'processing', and a time".into())),
    };
    *timeout = Some(args.time()?);
    Ok(())
}

fn option(agent: &mut Agent, args: &Args<'_>, on: bool) -> Outcome {
    let Some(name) = args.line.words.get(args.from - 1) else {
        return Err((args.from - 2, "'option' expects an option's name".into()));
    };
    let switch = match name.as_str() {
        "pipelining" => Some(&mut agent.pipelining),
        "async" => Some(&mut agent.async_acks),
        "send-frag-payload" => Some(&mut agent.send_fragments),
        "dontlog-normal" => Some(&mut agent.dontlog_normal),
        _ => None,
    };
    if let Some(switch) = switch {
        args.none()?;
        *switch = on;
        return Ok(());
    }
    let known = ["continue-on-error", "force-set-var", "set-on-error", "set-process-time", "set-total-time"];
    if !on && (known.contains(&name.as_str()) || matches!(name.as_str(), "var-prefix" | "fail")) {
        return Err((0, format!("'option {name}' cannot be negated")));
    }
    match name.as_str() {
        "continue-on-error" => {
            args.none()?;
            agent.continue_on_error = true;
        }
        "force-set-var" => {
            args.none()?;
            agent.force_set_var = true;
        }
        "set-on-error" => agent.set_on_error = Some(args.variable()?),
        "set-process-time" => agent.set_process_time = Some(args.variable()?),
        "set-total-time" => agent.set_total_time = Some(args.variable()?),
        "var-prefix" => agent.var_prefix = args.variable()?,
        "fail" => agent.fail = fail_mode(args)?,
        other => return Err((args.from - 1, format!("unknown option '{other}' in a 'spoe-agent' section"))),
    }
    Ok(())
}

fn fail_mode(args: &Args<'_>) -> Result<FailMode, (usize, String)> {
    let words: Vec<&str> = args.all().iter().map(String::as_str).collect();
    match words[..] {
        ["open"] => Ok(FailMode::Open),
        ["closed"] => Ok(FailMode::Closed(503)),
        ["closed", status] => match status.parse() {
            Ok(code @ 400..=599) => Ok(FailMode::Closed(code)),
            _ => Err((
                args.from + 1,
                format!("'option fail closed' expects a status from 400 to 599, not '{status}'"),
            )),
        },
        _ => Err((args.from - 1, "'option fail' expects 'open' or 'closed [status]'".into())),
    }
}

fn event(args: &Args<'_>) -> Result<EventRule, (usize, String)> {
    args.some()?;
    let name = &args.all()[0];
    let event = Event::from_name(name).ok_or((1, format!("unknown event '{name}'")))?;
    let condition = match args.all().get(1).map(String::as_str) {
        None => None,
        Some(word @ ("if" | "unless")) => {
            let words = args.all()[2..].to_vec();
            if words.is_empty() {
                return Err((2, format!("'{word}' expects a condition")));
            }
            Some(Condition { unless: word == "unless", words: Words { words, place: args.place(3) } })
        }
        Some(other) => return Err((2, format!("'event' expects 'if' or 'unless', not '{other}'"))),
    };
    Ok(EventRule { event, condition, place: args.place(1) })
}

/// HAProxy's times: a number and one of us, ms, s, m, h, d; milliseconds if none is given. Rounded up to milliseconds.
fn parse_time(text: &str) -> Result<Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| format!("'{text}' is not a time"))?;
    let micros_each: u64 = match unit {
        "us" => 1,
        "" | "ms" => 1_000,
        "s" => 1_000_000,
        "m" => 60_000_000,
        "h" => 3_600_000_000,
        "d" => 86_400_000_000,
        _ => return Err(format!("'{unit}' is not a unit of time (us, ms, s, m, h, d)")),
    };
    let millis = number.checked_mul(micros_each).map(|micros| micros.div_ceil(1_000));
    match millis {
        Some(millis @ 0..=TIME_MILLIS_MAX) => Ok(Duration::from_millis(millis)),
        _ => Err(format!("'{text}' is longer than {TIME_MILLIS_MAX} ms")),
    }
}

/// What one byte counts.
const ARGS_MAX: usize = 255;
const TIME_MILLIS_MAX: u64 = 2_147_483_647;
