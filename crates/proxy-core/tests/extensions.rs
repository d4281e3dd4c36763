//! What an embedder's tables add to the language.

use std::sync::Arc;

use proxy_core::{
    cfgparse::{Outcome, ParseError, Parser, Source},
    check::{Prober, Verdict},
    filter::{Filter, FilterKeyword, FilterMaker},
    registry::{GlobalContext, GlobalKeyword, ParseContext, Registry},
    worker::Worker,
};

/// `xyz-load NAME`: brings a filter of that name.
struct Load;

impl GlobalKeyword for Load {
    fn parse(&self, args: &[&str], cx: &mut GlobalContext<'_>) -> Result<(), ParseError> {
        let [name] = args else {
            return Err(ParseError::at(args.len().saturating_sub(1), "'xyz-load' expects one name."));
        };
        cx.warnings.push(format!("loaded '{name}'"));
        cx.registry.filters.insert((*name).to_owned(), Arc::new(Named));
        cx.global.extra.push(("xyz-load".to_owned(), vec![(*name).to_owned()]));
        Ok(())
    }
}

struct Named;

impl FilterKeyword for Named {
    fn parse(&self, args: &[&str], cx: &mut ParseContext<'_>) -> Result<Arc<dyn FilterMaker>, ParseError> {
        assert_eq!(cx.proxy, "f");
        match args {
            [] => Ok(Arc::new(Self)),
            [.., last] => Err(ParseError::at(args.len() - 1, format!("unexpected '{last}'"))),
        }
    }
}

impl FilterMaker for Named {
    fn attach(&self, _: &Worker) -> Box<dyn Filter> {
        unreachable!("nothing runs here")
    }
}

#[derive(Debug)]
struct Ping;

impl Prober for Ping {
    fn request(&self) -> Vec<u8> {
        b"ping".to_vec()
    }
    fn judge(&self, _: &[u8], _: bool) -> Option<Verdict> {
        None
    }
}

fn parse(text: &str) -> Outcome {
    let mut registry = Registry::builtin();
    registry.globals.insert("xyz-load".to_owned(), std::rc::Rc::new(Load));
    registry.known_globals.insert("xyz-load-more".to_owned());
    registry.checks.insert("xyz-check".to_owned(), Arc::new(Ping));
    Parser::new(registry).source(Source::new("x.cfg", text)).parse()
}

fn told(text: &str) -> Vec<String> {
    parse(text).diagnostics.iter().map(ToString::to_string).collect()
}

#[test]
fn a_global_keyword_brings_names_for_the_lines_behind_it() {
    let outcome = parse("global\n xyz-load abc\nfrontend f\n bind :80\n timeout client 1s\n filter abc\n");
    let config = outcome.config.expect("valid");
    assert_eq!(config.proxies[0].filters.len(), 1);
    assert_eq!(config.global.extra, [("xyz-load".to_owned(), vec!["abc".to_owned()])]);
    assert_eq!(outcome.diagnostics[0].to_string(), "parsing [x.cfg:2] : loaded 'abc'");
    assert!(outcome.registry.filters.contains_key("abc"));
}

#[test]
fn a_name_is_unknown_before_it_was_loaded() {
    assert_eq!(
        told("frontend f\n filter abc\n")[0],
        "parsing [x.cfg:2] : 'filter' : unknown keyword 'abc'. Registered keywords :"
    );
}

#[test]
fn errors_of_extensions_point_at_their_word() {
    let text = "global\n xyz-load a b\n xyz-load abc\nfrontend f\n filter abc d e\n";
    let outcome = parse(text);
    let words: Vec<_> = outcome.diagnostics.iter().filter_map(|d| Some(&text[d.span.clone()?])).collect();
    assert_eq!(words, ["b", "e"]);
}

#[test]
fn words_that_an_extension_would_bring_are_told_from_misspelt_ones() {
    let told = told("global\n xyz-load-more\n xyz-laod a\n");
    assert_eq!(
        told[..2],
        [
            "parsing [x.cfg:2] : 'xyz-load-more' is a keyword of HAProxy that is not supported yet in 'global' section",
            "parsing [x.cfg:3] : unknown keyword 'xyz-laod' in 'global' section; did you mean 'xyz-load' maybe ?",
        ]
    );
}

#[test]
fn an_option_can_choose_a_check_from_outside() {
    let outcome = parse("backend b\n option xyz-check\n");
    let config = outcome.config.expect("valid");
    assert!(format!("{:?}", config.proxies[0].check).contains("Ping"));
    assert_eq!(
        told("backend b\n option xyz-check foo\n")[0],
        "parsing [x.cfg:2] : 'option xyz-check' cannot handle unexpected argument 'foo'."
    );
    assert_eq!(
        told("backend b\n option xyz-chek\n")[0],
        "parsing [x.cfg:2] : unknown option 'xyz-chek'; did you mean 'xyz-check' maybe ?"
    );
}
