//! `map` and its kin: a value looked up in a pattern reference.
//!
//! Source: configuration.txt 2.7, 7.3.1 (map).

use std::sync::Arc;

use crate::{
    cfgparse::ParseError,
    pattern_ref::{Output, PatternRefs, addr, int},
    registry::Registry,
    rules::pattern::Method,
    sample::{
        Arg, Converter, Sample, SampleType,
        args::{ArgKind, ArgSpec, Args},
    },
    txn::Txn,
};

/// Adds `map`, `map_METHOD` and `map_METHOD_OUTPUT`.
pub(super) fn register(registry: &mut Registry) {
    let refs = registry.patterns.clone();
    let mut add = |name: String, method: Method, output: Output| {
        let converter = Map { refs: refs.clone(), name: name.clone().into(), method, output };
        registry.converters.insert(name, Arc::new(converter));
    };
    for method in METHODS {
        let name = format!("map_{}", method.name());
        add(format!("{name}_int"), method, Output::Int);
        add(format!("{name}_ip"), method, Output::Ip);
        add(format!("{name}_key"), method, Output::Key);
        add(name, method, Output::Str);
    }
    add("map".to_owned(), Method::Str, Output::Str);
    add("map_regm".to_owned(), Method::Reg, Output::Expanded);
}

const METHODS: [Method; 9] = [
    Method::Str,
    Method::Beg,
    Method::Sub,
    Method::Dir,
    Method::Dom,
    Method::End,
    Method::Reg,
    Method::Int,
    Method::Ip,
];

/// One of them.
struct Map {
    refs: Arc<PatternRefs>,
    name: Box<str>,
    method: Method,
    output: Output,
}

impl Map {
    fn refused(&self, text: &str) -> ParseError {
        ParseError::new(format!("invalid args in converter '{}' : {text}", self.name))
    }

    /// The value for what is not found, as the argument says.
    fn fallback(&self, args: &[Arg]) -> Result<Arg, ParseError> {
        let Some(text) = args.str_at(1) else { return Ok(args.get(1).cloned().unwrap_or(Arg::None)) };
        if self.output != Output::Ip {
            return Ok(Arg::Str(text.to_owned()));
        }
        let address = addr(text.as_bytes());
        address.map(Arg::Addr).ok_or_else(|| self.refused(&format!("map: cannot parse default ip <{text}>.")))
    }
}

impl Converter for Map {
    fn input(&self) -> SampleType {
        match self.method {
            Method::Int => SampleType::Int,
            Method::Ip => SampleType::Addr,
            _ => SampleType::Str,
        }
    }

    fn output(&self) -> SampleType {
        match self.output {
            Output::Int => SampleType::Int,
            Output::Ip => SampleType::Addr,
            _ => SampleType::Str,
        }
    }

    fn args(&self, raw: &[&str]) -> Result<Vec<Arg>, ParseError> {
        let kinds: &'static [ArgKind] = match self.output {
            Output::Int => &[ArgKind::Str, ArgKind::Int],
            Output::Key => &[ArgKind::Str],
            _ => &[ArgKind::Str, ArgKind::Str],
        };
        let args = ArgSpec { min: 0, kinds }.parse(raw).map_err(|bad| {
            let place = format!("invalid arg {} in converter '{}'", bad.position, self.name);
            ParseError::new(format!("{place} : {}", bad.text))
        })?;
        let fallback = self.fallback(&args)?;
        let file = args.str_at(0).unwrap_or_default();
        let list = self.refs.map(file, self.method, self.output).map_err(|e| self.refused(&e.message))?;
        Ok(vec![Arg::Map(list), fallback])
    }

    fn convert(&self, _: &mut Txn, input: Sample, args: &[Arg]) -> Option<Sample> {
        let Some(Arg::Map(list)) = args.first() else { return None };
        let input = input.cast(self.input())?;
        match list.text(input.as_ref()) {
            Some(text) => match self.output {
                Output::Int => int(&text).map(Sample::Int),
                Output::Ip => addr(&text).map(Sample::Addr),
                _ => Some(Sample::Str(text)),
            },
            None => match args.get(1)? {
                Arg::Str(text) => Some(Sample::Str(text.clone().into_bytes())),
                Arg::Int(number) => Some(Sample::Int(*number)),
                Arg::Addr(addr) => Some(Sample::Addr(*addr)),
                _ => None,
            },
        }
    }
}
