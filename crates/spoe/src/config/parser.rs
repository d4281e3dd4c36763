//! From lines to sections: one function a keyword, errors collected, cross-references checked at the end.
//!
//! Source: SPOE.txt §2.

mod agent;
mod args;
mod suggest;

use self::args::{Args, Outcome};
use self::suggest::did_you_mean;
use super::agent::Agent;
use super::diagnostic::{ConfigErrors, Diagnostic, Place};
use super::message::{Argument, Condition, EventRule, Group, Message, Name, Words};
use super::{Line, SpoeConfig};
use crate::action::is_variable_name;
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
                Section::None => {
                    let hint = did_you_mean(word, &SECTIONS);
                    Err((0, format!("unknown keyword '{word}' outside of a section{hint}")))
                }
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
        let agent = self.agent.as_mut().expect("invariant: in an agent section there is an agent");
        agent::keyword(agent, line, self.frame_size_bytes_max)
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
            word => Err((0, unknown(word, "spoe-message", &["args", "acl", "event"]))),
        }
    }

    fn group_line(&mut self, line: &Line) -> Outcome {
        let group = self.groups.last_mut().expect("invariant: in a group section there is a group");
        match line.words[0].as_str() {
            "messages" => add_names(&Args { line, from: 1 }, &mut group.messages, "message"),
            word => Err((0, unknown(word, "spoe-group", &["messages"]))),
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
        let names: Vec<&str> = messages.iter().map(|message| message.name.text.as_str()).collect();
        let undefined = |name: &Name| {
            format!("undefined SPOE message '{}'{}", name.text, did_you_mean(&name.text, &names))
        };
        for name in &agent.messages {
            match message(name) {
                None => error(name, undefined(name)),
                Some(found) if found.event.is_none() => warnings.push(Diagnostic {
                    place: name.place.clone(),
                    message: format!("message '{}' has no event and is never sent", name.text),
                }),
                Some(_) => {}
            }
        }
        for name in &agent.groups {
            if !groups.iter().any(|group| group.name.text == name.text) {
                let names: Vec<&str> = groups.iter().map(|group| group.name.text.as_str()).collect();
                let hint = did_you_mean(&name.text, &names);
                error(name, format!("undefined SPOE group '{}'{hint}", name.text));
            }
        }
        let mut owners: Vec<(&str, &str)> = Vec::new();
        for group in groups.iter() {
            for name in &group.messages {
                if message(name).is_none() {
                    error(name, undefined(name));
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

fn event(args: &Args<'_>) -> Result<EventRule, (usize, String)> {
    args.some()?;
    let name = &args.all()[0];
    let event = Event::from_name(name).ok_or_else(|| {
        let hint = did_you_mean(name, &Event::ALL.map(Event::as_str));
        (1, format!("unknown event '{name}'{hint}"))
    })?;
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

/// Complains of a keyword that a section does not know; a section's name may be meant as well.
fn unknown(word: &str, section: &str, known: &[&str]) -> String {
    let hint = did_you_mean(word, &[known, &SECTIONS].concat());
    format!("unknown keyword '{word}' in a '{section}' section{hint}")
}

const SECTIONS: [&str; 3] = ["spoe-agent", "spoe-message", "spoe-group"];
/// What one byte counts.
const ARGS_MAX: usize = 255;
