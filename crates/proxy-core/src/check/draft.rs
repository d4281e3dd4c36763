//! The check of a proxy while its lines are being read.
//!
//! The parser hands over the words of `option httpchk …`, `option tcp-check`, `http-check …` and
//! `tcp-check …`; [`CheckDraft::finish`] makes the [`CheckSpec`].

use std::{ops::RangeInclusive, sync::Arc};

use regex::bytes::Regex;

use super::{
    CheckSpec, Prober,
    http::{HttpCheck, HttpExpect, HttpMatch},
    tcp::{TcpMatch, TcpStep},
};
use crate::cfgparse::ParseError;

/// What has been read so far.
#[derive(Clone, Debug, Default)]
pub struct CheckDraft {
    kind: Kind,
    http: HttpCheck,
    tcp: Vec<TcpStep>,
}

#[derive(Clone, Debug, Default)]
enum Kind {
    #[default]
    Connect,
    Http,
    Tcp,
    Probe(Arc<dyn Prober>),
}

impl CheckDraft {
    /// `option httpchk [<uri> | <method> <uri> [<version> [<host>]]]`; `args` follow the option's
    /// name. Replaces any other check.
    ///
    /// # Errors
    /// Too many words.
    pub fn httpchk(&mut self, args: &[&str]) -> Result<(), ParseError> {
        let (method, uri, version, host) = match args {
            [] => (None, None, None, None),
            [uri] => (None, Some(*uri), None, None),
            [method, uri] => (Some(*method), Some(*uri), None, None),
            [method, uri, version] => (Some(*method), Some(*uri), Some(*version), None),
            [method, uri, version, host] => (Some(*method), Some(*uri), Some(*version), Some(*host)),
            [_, _, _, _, extra, ..] => {
                return Err(ParseError::new(format!(
                    "'option httpchk' cannot handle unexpected argument '{extra}'."
                )));
            }
        };
        self.kind = Kind::Http;
        if let Some(method) = method {
            self.http.method = method.to_owned();
        }
        if let Some(uri) = uri {
            self.http.uri = uri.to_owned();
        }
        if let Some(version) = version {
            self.version(version);
        }
        if let Some(host) = host {
            self.http.headers.push(("host".to_owned(), host.to_owned()));
        }
        Ok(())
    }

    /// `option tcp-check`. Replaces any other check.
    pub fn tcp_check_option(&mut self) {
        self.kind = Kind::Tcp;
    }

    /// An option whose protocol comes from outside. Replaces any other check.
    pub fn probe(&mut self, prober: Arc<dyn Prober>) {
        self.kind = Kind::Probe(prober);
    }

    /// `no option …`: back to connecting only.
    pub fn no_option(&mut self) {
        self.kind = Kind::Connect;
    }

    /// `http-check …`; `args` follow the keyword.
    ///
    /// # Errors
    /// Something unknown, or not there yet, is named.
    pub fn http_check(&mut self, args: &[&str]) -> Result<(), ParseError> {
        match args {
            ["send", rest @ ..] => self.http_send(rest),
            ["expect", rest @ ..] => {
                self.http.expects.push(http_expect(rest)?);
                Ok(())
            }
            ["disable-on-404"] => {
                self.http.disable_on_404 = true;
                Ok(())
            }
            ["comment", _] => Ok(()),
            [known @ ("connect" | "send-state" | "set-var" | "set-var-fmt" | "unset-var"), ..] => {
                Err(ParseError::new(format!("'http-check {known}' is not supported yet.")))
            }
            [other, ..] => Err(ParseError::new(format!(
                "'http-check' : unknown rule '{other}', expects 'comment', 'disable-on-404', 'expect' or 'send'."
            ))),
            [] => Err(ParseError::new("'http-check' expects a rule.")),
        }
    }

    /// `tcp-check …`; `args` follow the keyword.
    ///
    /// # Errors
    /// Something unknown, or not there yet, is named.
    pub fn tcp_check(&mut self, args: &[&str]) -> Result<(), ParseError> {
        let step = match args {
            ["send", data, rest @ ..] => {
                comment_only("tcp-check send", rest)?;
                TcpStep::Send(data.as_bytes().to_vec())
            }
            ["send-binary", data, rest @ ..] => {
                comment_only("tcp-check send-binary", rest)?;
                TcpStep::Send(hex(data).ok_or_else(|| bad_hex("tcp-check send-binary", data))?)
            }
            ["expect", rest @ ..] => tcp_expect(rest)?,
            ["connect"] if self.tcp.is_empty() => return Ok(()),
            ["comment", _] => return Ok(()),
            [known @ ("connect" | "send-lf" | "send-binary-lf" | "set-var" | "unset-var"), ..] => {
                return Err(ParseError::new(format!("'tcp-check {known}' is not supported yet.")));
            }
            [other, ..] => {
                return Err(ParseError::new(format!(
                    "'tcp-check' : unknown rule '{other}', expects 'comment', 'connect', 'expect', 'send' or 'send-binary'."
                )));
            }
            [] => return Err(ParseError::new("'tcp-check' expects a rule.")),
        };
        self.tcp.push(step);
        Ok(())
    }

    /// The check that all these lines make.
    #[must_use]
    pub fn finish(&self) -> CheckSpec {
        match &self.kind {
            Kind::Connect => CheckSpec::Connect,
            Kind::Http => CheckSpec::Http(Arc::new(self.http.clone())),
            Kind::Tcp => CheckSpec::Tcp(self.tcp.clone().into()),
            Kind::Probe(prober) => CheckSpec::Probe(prober.clone()),
        }
    }

    /// The version, behind which old configurations put header lines too.
    fn version(&mut self, text: &str) {
        let mut lines = text.split("\r\n");
        self.http.version = lines.next().unwrap_or("HTTP/1.0").to_owned();
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            self.http.headers.push((name.to_owned(), value.trim_start().to_owned()));
        }
    }

    fn http_send(&mut self, mut args: &[&str]) -> Result<(), ParseError> {
        let missing =
            |name: &str| ParseError::new(format!("'http-check send' : '{name}' expects an argument."));
        loop {
            args = match args {
                [] => return Ok(()),
                ["meth", method, rest @ ..] => {
                    self.http.method = (*method).to_owned();
                    rest
                }
                ["uri", uri, rest @ ..] => {
                    self.http.uri = (*uri).to_owned();
                    rest
                }
                ["ver", version, rest @ ..] => {
                    self.http.version = (*version).to_owned();
                    rest
                }
                ["hdr", name, value, rest @ ..] => {
                    self.http.headers.push(((*name).to_owned(), (*value).to_owned()));
                    rest
                }
                ["body", body, rest @ ..] => {
                    self.http.body = Some(body.as_bytes().to_vec());
                    rest
                }
                ["comment", _, rest @ ..] => rest,
                [known @ ("uri-lf" | "body-lf"), ..] => {
                    return Err(ParseError::new(format!(
                        "'http-check send' : '{known}' is not supported yet."
                    )));
                }
                [name @ ("meth" | "uri" | "ver" | "hdr" | "body" | "comment"), ..] => {
                    return Err(missing(name));
                }
                [other, ..] => {
                    return Err(ParseError::new(format!(
                        "'http-check send' : unknown argument '{other}', expects 'meth', 'uri', 'ver', 'hdr', \
                         'body' or 'comment'."
                    )));
                }
            }
        }
    }
}

/// What stands before the match of an `expect`.
#[derive(Default)]
struct Prefix {
    negated: bool,
    comment: Option<String>,
}

/// Takes options and `!` off the front.
fn prefix<'b>(owner: &str, mut args: &[&'b str]) -> Result<(Prefix, Vec<&'b str>), ParseError> {
    let mut found = Prefix::default();
    loop {
        args = match args {
            ["comment", text, rest @ ..] => {
                found.comment = Some((*text).to_owned());
                rest
            }
            ["!", rest @ ..] => {
                found.negated = true;
                rest
            }
            [
                known @ ("min-recv" | "ok-status" | "error-status" | "tout-status" | "on-success"
                | "on-error" | "status-code"),
                ..,
            ] => return Err(ParseError::new(format!("'{owner}' : '{known}' is not supported yet."))),
            rest => {
                let mut rest = rest.to_vec();
                if let Some(bare) = rest.first().and_then(|word| word.strip_prefix('!')) {
                    found.negated = true;
                    rest[0] = bare;
                }
                return Ok((found, rest));
            }
        }
    }
}

fn http_expect(args: &[&str]) -> Result<HttpExpect, ParseError> {
    let (Prefix { negated, comment }, rest) = prefix("http-check expect", args)?;
    let what = match rest[..] {
        ["status", codes] => HttpMatch::Status(statuses(codes)?),
        ["rstatus", pattern] => HttpMatch::StatusRegex(regex("http-check expect", pattern)?),
        ["string", text] => HttpMatch::Body(text.as_bytes().to_vec()),
        ["rstring", pattern] => HttpMatch::BodyRegex(regex("http-check expect", pattern)?),
        [known @ ("hdr" | "fhdr" | "string-lf"), ..] => {
            return Err(ParseError::new(format!("'http-check expect' : '{known}' is not supported yet.")));
        }
        [name @ ("status" | "rstatus" | "string" | "rstring")] => {
            return Err(ParseError::new(format!("'http-check expect {name}' expects a pattern.")));
        }
        _ => {
            let found = rest.get(1).or(rest.first()).unwrap_or(&"");
            return Err(ParseError::new(format!(
                "'http-check expect' only supports [!] 'string', 'rstring', 'status', 'rstatus' (found '{found}')."
            )));
        }
    };
    Ok(HttpExpect { negated, what, comment })
}

fn tcp_expect(args: &[&str]) -> Result<TcpStep, ParseError> {
    let (Prefix { negated, comment }, rest) = prefix("tcp-check expect", args)?;
    let what = match rest[..] {
        ["string", text] => TcpMatch::Text(text.as_bytes().to_vec()),
        ["binary", text] => {
            TcpMatch::Binary(hex(text).ok_or_else(|| bad_hex("tcp-check expect binary", text))?)
        }
        ["rstring", pattern] => TcpMatch::Regex(regex("tcp-check expect", pattern)?),
        ["rbinary", pattern] => TcpMatch::BinaryRegex(regex("tcp-check expect", pattern)?),
        [known @ ("string-lf" | "binary-lf"), ..] => {
            return Err(ParseError::new(format!("'tcp-check expect' : '{known}' is not supported yet.")));
        }
        [name @ ("string" | "binary" | "rstring" | "rbinary")] => {
            return Err(ParseError::new(format!("'tcp-check expect {name}' expects a pattern.")));
        }
        _ => {
            let found = rest.get(1).or(rest.first()).unwrap_or(&"");
            return Err(ParseError::new(format!(
                "'tcp-check expect' only supports [!] 'string', 'rstring', 'binary', 'rbinary' (found '{found}')."
            )));
        }
    };
    Ok(TcpStep::Expect { negated, what, comment })
}

/// `200,301,400-403`.
fn statuses(text: &str) -> Result<Vec<RangeInclusive<u16>>, ParseError> {
    let range = |part: &str| {
        let (low, high) = part.split_once('-').unwrap_or((part, part));
        let (low, high) = (low.parse().ok()?, high.parse().ok()?);
        (low <= high).then_some(low..=high)
    };
    text.split(',')
        .map(|part| {
            range(part).ok_or_else(|| {
                ParseError::new(format!(
                    "'http-check expect status' : '{part}' is not a status code or range."
                ))
            })
        })
        .collect()
}

fn regex(owner: &str, pattern: &str) -> Result<Regex, ParseError> {
    Regex::new(pattern).map_err(|error| {
        let why = error.to_string();
        let line = why.lines().last().unwrap_or_default();
        ParseError::new(format!("'{owner}' : regex '{pattern}' is invalid: {line}"))
    })
}

fn comment_only(owner: &str, rest: &[&str]) -> Result<(), ParseError> {
    match rest {
        [] | ["comment", _] => Ok(()),
        [other, ..] => Err(ParseError::new(format!("'{owner}' : expects 'comment', found '{other}'."))),
    }
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
    if !text.len().is_multiple_of(2) {
        return None;
    }
    text.as_bytes().chunks_exact(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

fn bad_hex(owner: &str, text: &str) -> ParseError {
    ParseError::new(format!("'{owner}' : '{text}' is not an even number of hexadecimal digits."))
}
