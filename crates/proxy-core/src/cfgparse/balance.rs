//! `balance`.

use super::{ParseError, number, proxy::ProxyLine};
use crate::{backend::lb::Balance, sample::expr::Expr};

pub(super) fn balance(line: &mut ProxyLine<'_>) -> Result<(), ParseError> {
    let name = line.words.get(1).copied().unwrap_or("roundrobin");
    let (algorithm, argument) = split(name);
    let args = line.words.get(2..).unwrap_or_default();
    let balance = match (algorithm, argument) {
        ("roundrobin", None) => Balance::RoundRobin,
        ("static-rr", None) => Balance::StaticRr,
        ("leastconn", None) => Balance::LeastConn,
        ("first", None) => Balance::First,
        ("source", None) => Balance::Source,
        ("random", argument) => random(argument)?,
        ("uri", None) => return uri(line),
        ("url_param", None) => url_param(args)?,
        ("hdr", Some(header)) => hdr(name, header, args)?,
        ("hash", None) => return hash(line),
        ("rdp-cookie" | "sticky" | "log-hash" | "log-sticky", _) => {
            return Err(ParseError::at(1, format!("balance {algorithm} is not supported yet.")));
        }
        _ => return Err(ParseError::at(line.words.len().min(2) - 1, unknown())),
    };
    let takes = match &balance {
        Balance::UrlParam(_) => 1,
        _ => 0,
    };
    if let Some(extra) = args.get(takes) {
        return Err(ParseError::at(
            2 + takes,
            format!("'balance {algorithm}' cannot handle unexpected argument '{extra}'."),
        ));
    }
    line.draft.settings.balance = balance;
    Ok(())
}

/// `name` or `name(argument)`.
fn split(word: &str) -> (&str, Option<&str>) {
    match word.split_once('(') {
        Some((name, rest)) => (name, Some(rest.strip_suffix(')').unwrap_or(rest))),
        None => (word, None),
    }
}

fn unknown() -> String {
    "balance only supports 'roundrobin', 'static-rr', 'leastconn', 'first', 'random', 'source', 'uri', \
     'url_param', 'hash' and 'hdr(name)' options."
        .to_owned()
}

fn random(argument: Option<&str>) -> Result<Balance, ParseError> {
    let Some(text) = argument else {
        return Ok(Balance::Random { draws: DRAWS });
    };
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if let Some(bad) = text[digits..].chars().next() {
        return Err(ParseError::at(
            1,
            format!("balance random : unexpected character '{bad}' after argument."),
        ));
    }
    match number::count(text).and_then(|n| u32::try_from(n).ok()) {
        Some(draws) if draws > 0 => Ok(Balance::Random { draws }),
        _ => Err(ParseError::at(1, "balance random : number of draws must be at least 1.")),
    }
}

fn url_param(args: &[&str]) -> Result<Balance, ParseError> {
    let Some(name) = args.first().filter(|name| !name.is_empty()) else {
        return Err(ParseError::at(1, "balance url_param requires an URL parameter name."));
    };
    match args.get(1) {
        None => Ok(Balance::UrlParam((*name).to_owned())),
        Some(&"check_post") => {
            Err(ParseError::at(3, "balance url_param : 'check_post' is not supported yet."))
        }
        Some(extra) => Err(ParseError::at(
            3,
            format!("balance url_param only accepts 'check_post' modifier (got '{extra}')."),
        )),
    }
}

fn hdr(name: &str, header: &str, args: &[&str]) -> Result<Balance, ParseError> {
    if header.is_empty() {
        return Err(ParseError::at(1, "balance hdr requires an http header field name."));
    }
    match args.first() {
        None => Ok(Balance::Hdr(header.to_owned())),
        Some(&"use_domain_only") => {
            Err(ParseError::at(2, format!("balance {name} : 'use_domain_only' is not supported yet.")))
        }
        Some(extra) => Err(ParseError::at(
            2,
            format!("balance {name} only accepts 'use_domain_only' modifier (got '{extra}')."),
        )),
    }
}

fn uri(line: &mut ProxyLine<'_>) -> Result<(), ParseError> {
    let (mut whole, mut len, mut depth) = (false, 0, 0);
    let mut at = 2;
    while let Some(word) = line.words.get(at).copied() {
        match word {
            "whole" => whole = true,
            "len" | "depth" => {
                at += 1;
                let text = line.words.get(at).copied().unwrap_or_default();
                let value = number::count(text).filter(|n| *n > 0).ok_or_else(|| {
                    let text = format!("balance uri : '{word}' expects a positive integer (got '{text}').");
                    ParseError::at(at.min(line.words.len() - 1), text)
                })?;
                if word == "len" { len = value } else { depth = value }
            }
            "path-only" => {
                return Err(ParseError::at(at, "balance uri : 'path-only' is not supported yet."));
            }
            _ => {
                return Err(ParseError::at(
                    at,
                    format!(
                        "balance uri only accepts parameters 'len', 'depth', 'path-only', and 'whole' (got '{word}')."
                    ),
                ));
            }
        }
        at += 1;
    }
    line.draft.settings.balance = Balance::Uri { whole, len, depth };
    Ok(())
}

fn hash(line: &mut ProxyLine<'_>) -> Result<(), ParseError> {
    if line.words.len() < 3 {
        return Err(ParseError::at(1, "balance hash requires a sample expression."));
    }
    let mut at = 2;
    let expr = Expr::parse(line.words, &mut at, line.registry)?;
    if let Some(extra) = line.words.get(at) {
        return Err(ParseError::at(
            at,
            format!("'balance hash' cannot handle unexpected argument '{extra}'."),
        ));
    }
    line.draft.settings.balance = Balance::Hash(expr);
    Ok(())
}

const DRAWS: u32 = 2;
