//! `errorfile`, `errorloc`, `errorfiles`, `http-error`, and the section `http-errors`.
//!
//! Files are read where a line names them: a configuration that was checked keeps its pages, whatever happens to the
//! files later. Messages are HAProxy's.
//!
//! Source: configuration.txt section 4.2 and 12.4.

use std::sync::Arc;

use super::{Diagnostic, ParseError, draft::Draft, header::check_name, number, proxy::ProxyLine, words};
use crate::{
    applet::Reply,
    config::Place,
    error_pages::{ErrorPages, Page, PageSection, PageSections, STATUSES},
    http::error_file,
    registry::Registry,
    rules::parse_http_error,
};

/// What a proxy has said of its pages, in order.
#[derive(Clone)]
pub(super) enum PageLine {
    /// A page for a status; `None` for the one before any was set.
    Set(u16, Option<Page>),
    /// Those of a section, or some of them.
    Import { section: Arc<PageSection>, statuses: Vec<u16>, place: Place },
}

/// A section `http-errors` while it is read.
pub(super) struct Section {
    pub(super) name: String,
    place: Place,
    pages: ErrorPages,
}

pub(super) fn errorfile(line: &mut ProxyLine<'_>) -> Result<(), ParseError> {
    let (status, page) = file_of_line(line.words, line.bufsize)?;
    line.draft.settings.pages.push(PageLine::Set(status, Some(page)));
    Ok(())
}

pub(super) fn errorloc(line: &mut ProxyLine<'_>) -> Result<(), ParseError> {
    let name = line.words[0];
    let [_, status, url, ..] = line.words else {
        return Err(ParseError::new(format!("{name} : expects <status_code> and <url> as arguments.")));
    };
    let status = known_status(status).map_err(|why| ParseError::at(1, format!("{name} : {why}")))?;
    let (code, reason) = if name == "errorloc303" { (303, "See Other") } else { (302, "Found") };
    let header = |name: &str, value: &str| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
    let reply = Reply {
        status: code,
        reason: Some(reason.as_bytes().to_vec()),
        headers: vec![
            header("cache-control", "no-cache"),
            header("content-length", "0"),
            header("location", url),
        ],
        form: crate::applet::Form::File { version: crate::http::Version::Http11, logged: status },
        ..Reply::default()
    };
    line.draft.settings.pages.push(PageLine::Set(status, Some(Page::Ready(Arc::new(reply)))));
    Ok(())
}

pub(super) fn errorfiles(line: &mut ProxyLine<'_>) -> Result<(), ParseError> {
    let name = words::word(line.words, 1, "errorfiles : expects <name> as argument.")?;
    let mut statuses = Vec::new();
    for (at, word) in line.words.iter().enumerate().skip(2) {
        let status = known_status(word).map_err(|why| ParseError::at(at, format!("errorfiles : {why}")))?;
        statuses.push(status);
    }
    let section = line.registry.pages.section(name);
    line.draft.settings.pages.push(PageLine::Import { section, statuses, place: line.place.clone() });
    Ok(())
}

pub(super) fn http_error(line: &mut ProxyLine<'_>) -> Result<(), ParseError> {
    if line.words.get(1) != Some(&"status") {
        return Err(ParseError::new("http-error : expects at least a <status> as arguments."));
    }
    let words = line.words;
    let place = line.place.clone();
    let template = parse_http_error(words, &mut line.context())
        .map_err(|error| ParseError { message: format!("http-error : {}", error.message), ..error })?;
    if !STATUSES.contains(&template.status) {
        return Err(ParseError::at(2, format!("http-error: status code '{}' not handled.", template.status)));
    }
    let status = template.status;
    let said = if template.is_default() {
        PageLine::Set(status, None)
    } else if let Some(section) = template.section() {
        PageLine::Import { section: section.clone(), statuses: vec![status], place }
    } else if let Some(reply) = template.ready() {
        PageLine::Set(status, Some(Page::Ready(reply.clone())))
    } else {
        PageLine::Set(status, Some(Page::Made(Arc::new(template))))
    };
    line.draft.settings.pages.push(said);
    Ok(())
}

/// Puts a proxy's pages together, now that all sections were read.
pub(super) fn settle(draft: &Draft, told: &mut Vec<Diagnostic>) -> ErrorPages {
    let mut pages = ErrorPages::default();
    for line in &draft.settings.pages {
        match line {
            PageLine::Set(status, Some(page)) => pages.set(*status, page.clone()),
            PageLine::Set(status, None) => pages.reset(*status),
            PageLine::Import { section, statuses, place } => {
                let at = format!("(at {}:{})", place.file, place.line);
                let name = section.name();
                let Some(all) = section.pages() else {
                    let text = format!("proxy '{}': unknown http-errors section '{name}' {at}.", draft.name);
                    told.push(Diagnostic::alert(text));
                    continue;
                };
                let chosen = |status: &u16| statuses.is_empty() || statuses.contains(status);
                all.iter().filter(|(status, _)| chosen(status)).for_each(|(status, page)| {
                    pages.set(status, page.clone());
                });
                for status in statuses.iter().filter(|status| all.find(**status).is_none()) {
                    told.push(Diagnostic::warning(format!(
                        "config: proxy '{}' : status '{status}' not declared in http-errors section '{name}' {at}.",
                        draft.name
                    )));
                }
            }
        }
    }
    pages
}

/// Says which sections and pages rules refer to in vain.
pub(super) fn review(sections: &PageSections, told: &mut Vec<Diagnostic>) {
    for wanted in sections.take_wanted() {
        let (proxy, name, status) = (&wanted.proxy, wanted.section.name(), wanted.status);
        match wanted.section.pages() {
            None => told.push(Diagnostic::alert(format!(
                "Proxy '{proxy}': unknown http-errors section '{name}' referenced by an http reply ."
            ))),
            Some(pages) if pages.find(status).is_none() => told.push(Diagnostic::warning(format!(
                "Proxy '{proxy}': status '{status}' referenced by an http reply not declared in http-errors section \
                 '{name}'."
            ))),
            Some(_) => {}
        }
    }
}

/// Begins a section.
pub(super) fn begin(words: &[&str], place: &Place, registry: &Registry) -> Result<Section, ParseError> {
    let name = words::word(words, 1, "missing name for http-errors section.")?;
    check_name("http-errors", name)?;
    if let Some(other) = registry.pages.section(name).place() {
        let text = format!(
            "http-errors section '{name}' already exists (declared at {}:{}).",
            other.file, other.line
        );
        return Err(ParseError::at(1, text));
    }
    Ok(Section { name: name.to_owned(), place: place.clone(), pages: ErrorPages::default() })
}

impl Section {
    /// One line of it.
    pub(super) fn line(&mut self, words: &[&str], bufsize: usize) -> Result<(), ParseError> {
        if words[0] != "errorfile" {
            let text = words::unknown(words[0], ["errorfile"], [], " in 'http-errors' section");
            return Err(ParseError::at(0, text));
        }
        let (status, page) = file_of_line(words, bufsize)?;
        self.pages.set(status, page);
        Ok(())
    }

    /// Ends it.
    pub(super) fn finish(self, sections: &PageSections) {
        sections.fill(&self.name, self.place, self.pages);
    }
}

/// `errorfile STATUS FILE`.
fn file_of_line(words: &[&str], bufsize: usize) -> Result<(u16, Page), ParseError> {
    let [_, status, path, ..] = words else {
        return Err(ParseError::new("errorfile : expects <status_code> and <file> as arguments."));
    };
    let status = known_status(status).map_err(|why| ParseError::at(1, format!("errorfile : {why}")))?;
    let reply = read(path, status, bufsize).map_err(|why| ParseError::at(2, format!("errorfile : {why}")))?;
    Ok((status, Page::Ready(Arc::new(reply))))
}

/// Reads an error file that stands for that status.
///
/// # Errors
/// Why it is of no use, with its name.
pub(crate) fn read(path: &str, status: u16, bufsize: usize) -> Result<Reply, String> {
    let bytes = std::fs::read(path).map_err(|_| format!("error opening file '{path}'."))?;
    if bytes.len() > bufsize {
        return Err(format!("'{path}': unable to add payload into the HTX message"));
    }
    error_file::parse(&bytes, status).map_err(|why| format!("'{path}': {why}"))
}

fn known_status(word: &str) -> Result<u16, String> {
    let status = number::integer(word).and_then(|n| u16::try_from(n).ok());
    status.filter(|n| STATUSES.contains(n)).ok_or_else(|| format!("status code '{word}' not handled."))
}
