//! The keywords `filter spoe` and `send-spoe-group`: reads the agent's file and compiles it.

use std::{
    path::Path,
    sync::{Arc, OnceLock},
};

use proxy_core::{
    action::{ActionKeyword, ActionMaker},
    cfgparse::ParseError,
    filter::{FilterKeyword, FilterMaker, Point},
    registry::{ParseContext, Registry},
    rules::{RuleSet, acl::AclTable},
};
use spoe::config::{Line, SpoeConfig};

use super::{
    EnginePlan, EngineSpec, GroupReference, Message, SpoeFilterMaker, SpoeGroupMaker, event_of,
    health_check::SpopCheck,
};

/// What a frame's length prefix takes of a buffer, in bytes.
const LENGTH_BYTES: usize = 4;

/// Every point of an exchange.
const POINTS: [Point; 8] = [
    Point::ClientSession,
    Point::FrontendTcpRequest,
    Point::FrontendHttpRequest,
    Point::BackendTcpRequest,
    Point::BackendHttpRequest,
    Point::ServerSession,
    Point::TcpResponse,
    Point::HttpResponse,
];

/// Adds the keywords to the tables.
pub fn register(registry: &mut Registry, plan: &Arc<EnginePlan>) {
    // What all engines remember of a stream; the slot is taken here, while we may.
    let filter = SpoeKeyword { plan: plan.clone(), slot: registry.private_slot() };
    registry.filters.insert("spoe".to_owned(), Arc::new(filter));
    registry.checks.insert("spop-check".to_owned(), Arc::new(SpopCheck));
    registry.actions.insert("send-spoe-group".to_owned(), Arc::new(GroupKeyword { plan: plan.clone() }));
}

struct SpoeKeyword {
    plan: Arc<EnginePlan>,
    slot: usize,
}

impl FilterKeyword for SpoeKeyword {
    fn parse(&self, args: &[&str], cx: &mut ParseContext<'_>) -> Result<Arc<dyn FilterMaker>, ParseError> {
        let (engine, file) = engine_and_file(args)?;
        let config = read(file, engine, cx)?;
        let name = engine.unwrap_or(&config.agent.name.text).to_owned();
        if self.plan.find(cx.proxy, &name).is_some() {
            return Err(ParseError::new(format!("SPOE engine name '{name}' already used in this proxy")));
        }
        let spec = compile(&config, name, self.slot, cx)?;
        let spec = self.plan.add(|number| EngineSpec { number, ..spec });
        Ok(Arc::new(SpoeFilterMaker { spec }))
    }
}

fn engine_and_file<'a>(args: &[&'a str]) -> Result<(Option<&'a str>, &'a str), ParseError> {
    let (mut engine, mut file) = (None, None);
    let mut words = args.chunks(2);
    for pair in &mut words {
        match pair {
            ["engine", name] => engine = Some(*name),
            ["config", path] => file = Some(*path),
            ["engine" | "config"] => {
                return Err(ParseError::new(format!("'filter spoe' : '{}' expects a value", pair[0])));
            }
            [other, ..] => return Err(ParseError::new(format!("'filter spoe' : unknown keyword '{other}'"))),
            [] => {}
        }
    }
    let file = file.ok_or_else(|| ParseError::new("'filter spoe' : no config file: use 'config <file>'"))?;
    Ok((engine, file))
}

fn read(file: &str, engine: Option<&str>, cx: &mut ParseContext<'_>) -> Result<SpoeConfig, ParseError> {
    let lines = cx.read_lines(Path::new(file))?.into_iter().map(|line| Line {
        file: line.file,
        line_no: line.number as usize,
        words: line.words,
    });
    let frame_size_bytes_max = u32::try_from(cx.bufsize - LENGTH_BYTES).unwrap_or(u32::MAX);
    let config = SpoeConfig::parse(lines, engine, frame_size_bytes_max)
        .map_err(|errors| ParseError::new(format!("'filter spoe' :\n{errors}")))?;
    cx.warnings.extend(config.warnings.iter().map(ToString::to_string));
    Ok(config)
}

fn compile(
    config: &SpoeConfig,
    engine: String,
    slot: usize,
    cx: &mut ParseContext<'_>,
) -> Result<EngineSpec, ParseError> {
    let in_listen = cx.capabilities.frontend && cx.capabilities.backend;
    warn_of_events_without_frontend(config, cx);
    let mut events = Vec::new();
    for point in POINTS {
        let Some(event) = event_of(point) else { continue };
        if event.needs_frontend() && !cx.capabilities.frontend {
            continue;
        }
        let messages = config
            .messages_on(event, in_listen)
            .map(|message| compile_message(message, cx))
            .collect::<Result<Vec<_>, _>>()?;
        if !messages.is_empty() {
            events.push((point, messages));
        }
    }
    let mut groups = Vec::new();
    for name in &config.agent.groups {
        let messages = config.group(&name.text).into_iter().flatten();
        let messages = messages.map(|message| compile_message(message, cx)).collect::<Result<Vec<_>, _>>()?;
        groups.push((name.text.clone(), messages));
    }
    let (mut log, mut log_global) = (Vec::new(), false);
    for line in &config.agent.log {
        let words: Vec<&str> = std::iter::once("log").chain(line.words.iter().map(String::as_str)).collect();
        match words[1..] {
            ["global"] => log_global = true,
            _ => log.push(cx.log_target(&words).map_err(|error| placed(&line.place, error))?),
        }
    }
    Ok(EngineSpec {
        proxy: cx.proxy.to_owned(),
        engine,
        agent: config.agent.clone(),
        points: events.iter().fold(0, |points, (point, _)| points | point.bit()),
        events,
        groups,
        log,
        log_global,
        slot,
        number: 0,
    })
}

/// The events of a filter in a backend that only frontends see: HAProxy drops them with a warning, too.
fn warn_of_events_without_frontend(config: &SpoeConfig, cx: &mut ParseContext<'_>) {
    if cx.capabilities.frontend {
        return;
    }
    for message in config.agent.messages.iter().filter_map(|name| config.message(&name.text)) {
        let Some(rule) = message.event.as_ref().filter(|rule| rule.event.needs_frontend()) else { continue };
        cx.warnings.push(format!(
            "[{}:{}] : message '{}' is never sent: '{}' happens in frontends only",
            rule.place.file, rule.place.line_no, message.name.text, rule.event
        ));
    }
}

/// An error of another file, which says where it stands there.
fn placed(place: &spoe::config::Place, error: ParseError) -> ParseError {
    ParseError::new(format!("[{}:{}] : {}", place.file, place.line_no, error.message))
}

fn compile_message(message: &spoe::config::Message, cx: &ParseContext<'_>) -> Result<Message, ParseError> {
    let mut acls = AclTable::default();
    for line in &message.acls {
        let words: Vec<&str> = line.words.iter().map(String::as_str).collect();
        acls.add(&words, cx.registry).map_err(|error| placed(&line.place, error))?;
    }
    let mut args = Vec::new();
    for arg in &message.args {
        let mut at = 0;
        let expr = cx.expr(&[&arg.sample], &mut at).map_err(|error| placed(&arg.place, error))?;
        args.push((arg.name.clone(), expr));
    }
    let condition = message.event.as_ref().and_then(|rule| rule.condition.as_ref());
    let cond = condition
        .map(|condition| {
            let mut words = vec![if condition.unless { "unless" } else { "if" }];
            words.extend(condition.words.words.iter().map(String::as_str));
            cx.cond(&words, Some(&acls)).map_err(|error| placed(&condition.words.place, error))
        })
        .transpose()?;
    Ok(Message { name: message.name.text.clone(), args, cond })
}

struct GroupKeyword {
    plan: Arc<EnginePlan>,
}

impl ActionKeyword for GroupKeyword {
    fn allowed_in(&self, at: RuleSet) -> bool {
        matches!(
            at,
            RuleSet::TcpRequest | RuleSet::TcpResponse | RuleSet::HttpRequest | RuleSet::HttpResponse
        )
    }

    fn parse(
        &self,
        args: &[&str],
        cx: &mut ParseContext<'_>,
        _at: RuleSet,
    ) -> Result<Arc<dyn ActionMaker>, ParseError> {
        let [engine, group] = args else {
            return Err(ParseError::new("expects a SPOE engine name and a SPOE group name"));
        };
        // The filter's line may come after the rule's: the names are checked once all is read.
        self.plan.refer(GroupReference {
            file: cx.place.file.to_string(),
            line: cx.place.line,
            proxy: cx.proxy.to_owned(),
            engine: (*engine).to_owned(),
            group: (*group).to_owned(),
        });
        Ok(Arc::new(SpoeGroupMaker {
            plan: self.plan.clone(),
            proxy: cx.proxy.to_owned(),
            engine: (*engine).to_owned(),
            group: (*group).to_owned(),
            found: OnceLock::new(),
        }))
    }
}
