//! Answers that rules and `http-error` describe: status, page, payload, headers.
//!
//! Source: configuration.txt section 4.4 (`return`, `deny`, `tarpit`) and 4.2 (`http-error`).

use std::sync::Arc;

use super::{RuleLine, check_header_name};
use crate::{
    cfgparse::{ParseError, error_pages},
    registry::ParseContext,
    rules::{
        RuleSet,
        action::RuleAction,
        reply::{BodyTemplate, ReplyTemplate},
    },
};

pub(super) fn reply(line: &mut RuleLine<'_, '_, '_>) -> Result<RuleAction, ParseError> {
    let template = template(line)?;
    Ok(match line.name() {
        "tarpit" => RuleAction::Tarpit(Arc::new(template)),
        _ => RuleAction::Reply(Box::new(template)),
    })
}

/// The status without one being asked for.
fn usual_status(line: &RuleLine<'_, '_, '_>) -> u16 {
    match (line.name(), line.set) {
        ("return", _) => 200,
        ("tarpit", _) => 500,
        (_, RuleSet::HttpResponse) => 502,
        _ => 403,
    }
}

fn template(line: &mut RuleLine<'_, '_, '_>) -> Result<ReplyTemplate, ParseError> {
    let mut status = usual_status(line);
    let refuses = !matches!(line.name(), "return" | "http-error");
    let mut body = None;
    let (mut source, mut file, mut section) = (None, None, None);
    let mut content_type: Option<Box<str>> = None;
    let mut headers = Vec::new();
    let mut plain = refuses;
    while let Some(word) = line.next() {
        if PAYLOADS.contains(&word)
            && let Some(before) = source.replace(word)
        {
            let text = format!("unexpected '{word}' argument, '{before}' already defined");
            return Err(ParseError::at(line.at - 1, text));
        }
        match word {
            "status" | "deny_status" if word == "status" || refuses => {
                plain &= word == "deny_status";
                let code = line
                    .next()
                    .ok_or_else(|| ParseError::new(format!("'{word}' expects <status_code> as argument")))?;
                status = status_code(code)?;
                continue;
            }
            "default-errorfiles" => body = Some(BodyTemplate::ErrorPage),
            "content-type" => {
                let [kind] = line.expect("'content-type' expects <ctype> as argument")?;
                content_type = Some(kind.into());
            }
            "string" | "lf-string" => {
                let text = line
                    .next()
                    .ok_or_else(|| ParseError::new(format!("'{word}' expects <str> as argument")))?;
                body = Some(if word == "string" {
                    raw(text.as_bytes())
                } else {
                    BodyTemplate::Format(line.format(text)?)
                });
            }
            "file" | "lf-file" => {
                let path = line
                    .next()
                    .ok_or_else(|| ParseError::new(format!("'{word}' expects <file> as argument")))?;
                body = Some(from_file(line, path, word == "lf-file")?);
            }
            "hdr" => {
                let [name, value] = line.expect("'hdr' expects <name> and <value> as arguments")?;
                check_header_name(name)?;
                headers.push((name.as_bytes().into(), line.format(value)?));
            }
            "errorfile" => file = Some(line.expect::<1>("'errorfile' expects <file> as argument")?[0]),
            "errorfiles" => section = Some(line.expect::<1>("'errorfiles' expects <name> as argument")?[0]),
            _ => {
                line.at -= 1;
                break;
            }
        }
        plain = false;
    }
    if let Some(path) = file {
        let reply = error_pages::read(path, status, line.cx.bufsize).map_err(ParseError::new)?;
        body = Some(BodyTemplate::File(Arc::new(reply)));
    } else if let Some(name) = section {
        body = Some(BodyTemplate::Section(line.cx.registry.pages.want(name, line.cx.proxy, status)));
    }
    judge(line, body.as_ref(), content_type.as_deref(), !headers.is_empty())?;
    let body = body.unwrap_or(if plain { BodyTemplate::ErrorPage } else { BodyTemplate::Empty });
    Ok(ReplyTemplate { status, refuses, body, content_type, headers })
}

/// Holds the type and the headers against what the answer is made of.
fn judge(
    line: &mut RuleLine<'_, '_, '_>,
    body: Option<&BodyTemplate>,
    content_type: Option<&str>,
    has_headers: bool,
) -> Result<(), ParseError> {
    let from_file = matches!(body, Some(BodyTemplate::File(_) | BodyTemplate::Section(_)));
    let has_payload = matches!(body, Some(BodyTemplate::Raw(_) | BodyTemplate::Format(_)));
    match (content_type, has_payload) {
        (None, true) => {
            return Err(ParseError::new(
                "a content type must be defined when non-empty payload is configured",
            ));
        }
        (Some(kind), false) if from_file => line
            .cx
            .warnings
            .push(format!("content-type '{kind}' ignored by the http reply when used with an erorrfile.")),
        (Some(kind), false) => line.cx.warnings.push(format!(
            "content-type '{kind}' ignored by the http reply because neither errorfile nor payload defined."
        )),
        _ => {}
    }
    if from_file && has_headers {
        line.cx
            .warnings
            .push("hdr parameters ignored by the http reply when used with an erorrfile.".to_owned());
    }
    Ok(())
}

/// What an answer can be made of; one of them at most.
const PAYLOADS: [&str; 7] =
    ["default-errorfiles", "errorfile", "errorfiles", "file", "lf-file", "string", "lf-string"];

/// Reads the words of `http-error`, which describe an answer as rules do.
///
/// # Errors
/// As a rule's, without its place.
pub(crate) fn parse_http_error<'a>(
    words: &'a [&'a str],
    cx: &mut ParseContext<'_>,
) -> Result<ReplyTemplate, ParseError> {
    let mut line = RuleLine { words, at: 1, set: RuleSet::HttpRequest, cx };
    let template = template(&mut line)?;
    match line.peek() {
        Some(extra) => Err(ParseError::at(line.at, format!("unknown keyword '{extra}'."))),
        None => Ok(template),
    }
}

fn status_code(text: &str) -> Result<u16, ParseError> {
    let unexpected = || {
        let shown = text.bytes().take_while(u8::is_ascii_digit).count();
        let shown = if shown == 0 { "0" } else { &text[..shown] };
        ParseError::new(format!("Unexpected status code '{shown}'"))
    };
    text.parse().ok().filter(|code| (200..=599).contains(code)).ok_or_else(unexpected)
}

/// A payload; an empty one needs no type.
fn raw(bytes: &[u8]) -> BodyTemplate {
    if bytes.is_empty() { BodyTemplate::Empty } else { BodyTemplate::Raw(bytes.into()) }
}

fn from_file(line: &RuleLine<'_, '_, '_>, path: &str, is_format: bool) -> Result<BodyTemplate, ParseError> {
    let bytes = std::fs::read(path).map_err(|_| ParseError::new(format!("error opening file '{path}'")))?;
    if !is_format {
        return Ok(raw(&bytes));
    }
    let text =
        String::from_utf8(bytes).map_err(|_| ParseError::new(format!("file '{path}' is not valid UTF-8")))?;
    Ok(BodyTemplate::Format(line.format(&text)?))
}
