//! `tidegate spoa check`: holds an agent of any make against the protocol.
//!
//! A case opens connections of its own, so that cases do not disturb each other, and an agent that falls over a case
//! fails those behind it by name. The list is in the order in which a connection lives.

mod agent;
mod case;
mod ending;
mod exchange;
mod greeting;
mod odd;
mod report;
mod sizes;

use std::{process::ExitCode, time::Duration};

use anyhow::Context as _;
use clap::Args;

use self::{
    agent::Agent,
    case::{Case, Outcome},
    report::{Checked, Format},
};
use super::{address::Address, question::Question, wire::Wire};
use crate::clock;

/// Hold an agent against the protocol
///
/// Runs a list of conformance cases (SPOP 2.0) against an agent that listens at ADDR, each on connections of its own,
/// and prints which it passed. What an agent does not offer (pipelining, async, fragmentation) is skipped with that
/// reason. The exit status is 0 if nothing failed, 1 if a case failed, 2 if nobody listens or the command line is wrong.
///
/// The questions it asks carry one message, `tidegate-probe` without arguments unless --message and --arg say
/// otherwise; name a message that your agent knows to see it at work.
///
/// Example: tidegate spoa check 127.0.0.1:12345 --message get-ip-reputation --arg ip=ipv4:192.0.2.1
#[derive(Args, Clone, Debug)]
pub(super) struct CheckArgs {
    /// Where the agent listens: host:port, or the path of a unix socket
    #[arg(value_name = "ADDR", required_unless_present = "list")]
    address: Option<Address>,
    #[command(flatten)]
    question: Question,
    /// How to print the results
    #[arg(long, value_enum, default_value_t = Format::Words)]
    format: Format,
    /// Run only these cases
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,
    /// Print the cases and what each shows, and run none
    #[arg(long)]
    list: bool,
    /// How long any answer may take, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    timeout: u64,
    /// The largest frame offered to the agent, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 16_380, value_parser = clap::value_parser!(u32).range(1_000..=1_048_576))]
    max_frame_size: u32,
}

/// Checks, and prints.
pub(super) fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let cases = chosen(&args.only)?;
    if args.list {
        let width = cases.iter().map(|case| case.name.len()).max().unwrap_or(0);
        cases.iter().for_each(|case| println!("{:width$}  {}", case.name, case.shows));
        return Ok(ExitCode::SUCCESS);
    }
    let address = args.address.clone().context("no address")?;
    let agent = Agent {
        patience: Duration::from_millis(args.timeout),
        offered: args.max_frame_size,
        question: args.question.clone(),
        address,
    };
    if let Err(error) = Wire::connect(&agent.address, agent.patience) {
        eprintln!("tidegate: nobody listens at {}: {error}", agent.address);
        return Ok(ExitCode::from(NOBODY));
    }
    let mut checked = Vec::new();
    let began = clock::instant();
    for case in cases {
        let since = clock::instant();
        let outcome = (case.run)(&agent).unwrap_or_else(Outcome::Failed);
        let took = clock::instant().duration_since(since);
        let done = Checked { name: case.name, shows: case.shows, outcome, took };
        if args.format == Format::Words {
            report::print_words(&done);
        }
        checked.push(done);
    }
    let took = clock::instant().duration_since(began);
    report::print(args.format, &agent.address.to_string(), &checked, took);
    let failed = checked.iter().any(|done| matches!(done.outcome, Outcome::Failed(_)));
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn chosen(only: &[String]) -> anyhow::Result<Vec<&'static Case>> {
    let all =
        || [greeting::CASES, exchange::CASES, sizes::CASES, odd::CASES, ending::CASES].into_iter().flatten();
    if only.is_empty() {
        return Ok(all().collect());
    }
    let find = |name: &String| all().find(|case| case.name == name);
    only.iter()
        .map(|name| find(name).with_context(|| format!("no case is called '{name}' (see --list)")))
        .collect()
}

/// The exit status when nobody listens.
const NOBODY: u8 = 2;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::chosen;

    #[test]
    fn every_case_has_a_name_of_its_own() {
        let cases = chosen(&[]).unwrap();
        let names: BTreeSet<_> = cases.iter().map(|case| case.name).collect();
        assert_eq!(names.len(), cases.len());
        assert!(chosen(&["nonsense".to_owned()]).is_err());
        assert_eq!(chosen(&["greets".to_owned()]).unwrap().len(), 1);
    }
}
