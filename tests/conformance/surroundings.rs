//! The steps around the exchanges: origins, agents, logs, the stats socket, the process.

use std::str::FromStr;

use nix::sys::signal::Signal;

use super::client::{Client, equal, text};
use super::steps::{Done, named, number};
use super::world::World;
use crate::support::PATIENCE;
use crate::support::agent::{self, Agent};
use crate::support::origin::{self, Origin};

impl World {
    /// Does one step that is nobody's exchange.
    pub(super) fn look_around(&mut self, words: &[&str]) -> Done {
        match *words {
            ["log", "matches", pattern] => {
                let regex = regex::Regex::new(pattern).map_err(|error| error.to_string())?;
                self.logged(1, |line| regex.is_match(line))
            }
            ["log", text] => self.logged(1, |line| line.contains(text)),
            ["log", count, text] => self.logged(number(count)?, |line| line.contains(text)),
            ["no", "log", text] => match self.said.all().iter().find(|line| line.contains(text)) {
                Some(line) => Err(format!("the proxy said {line:?}")),
                None => Ok(()),
            },
            ["origin", name, ref mood @ ..] => change_origin(named(&mut self.origins, name)?, mood),
            ["agent", name, mood] => change_agent(named(&mut self.agents, name)?, mood),
            ["heard", name, "matches", pattern] => {
                let regex = regex::Regex::new(pattern).map_err(|error| error.to_string())?;
                heard(named(&mut self.agents, name)?, 1, |line| regex.is_match(line))
            }
            ["heard", name, text] => heard(named(&mut self.agents, name)?, 1, |line| line.contains(text)),
            ["heard", name, count, text] => {
                heard(named(&mut self.agents, name)?, number(count)?, |line| line.contains(text))
            }
            ["unheard", name, text] => {
                let all = named(&mut self.agents, name)?.heard().all();
                let heard = all.iter().find(|line| line.contains(text));
                heard.map_or(Ok(()), |line| Err(format!("the agent heard {line:?}")))
            }
            ["seen", name, wanted] => {
                let requests = named(&mut self.origins, name)?.requests();
                let seen = match wanted.parse() {
                    Ok(count) => requests.wait_for(count, PATIENCE, |_| true),
                    Err(_) => requests.wait_for(1, PATIENCE, |request| request.contains(wanted)),
                };
                if seen { Ok(()) } else { Err(format!("not seen; the requests were {:?}", requests.all())) }
            }
            ["told", name, wanted] => {
                let heard = named(&mut self.talkers, name)?.heard();
                if heard.wait_for(1, PATIENCE, |line| line.contains(wanted)) {
                    Ok(())
                } else {
                    Err(format!("not heard; what was: {:?}", heard.all()))
                }
            }
            ["unseen", name, unwanted] => {
                let requests = named(&mut self.origins, name)?.requests().all();
                let seen = requests.iter().find(|request| request.contains(unwanted));
                seen.map_or(Ok(()), |request| Err(format!("seen in {request:?}")))
            }
            ["connections", name, count] => {
                let connections = named(&mut self.origins, name)?.connections();
                equal("connections", &connections.to_string(), count)
            }
            ["signal", name] => {
                let signal = Signal::from_str(&format!("SIG{name}")).map_err(|error| error.to_string())?;
                let process = self.process.as_ref().ok_or("no proxy")?;
                process.signal(signal).map_err(|error| error.to_string())
            }
            ["exit", code] => {
                let process = self.process.as_mut().ok_or("no proxy")?;
                let status =
                    process.wait(PATIENCE).map_err(|error| error.to_string())?.ok_or("it does not end")?;
                equal(
                    "exit status",
                    &status.code().map_or("a signal".to_owned(), |code| code.to_string()),
                    code,
                )
            }
            _ => Err("no such step".to_owned()),
        }
    }

    pub(super) fn cli(&mut self, command: &str, conditions: &[Vec<String>]) -> Done {
        let mut client = Client::new(self.open("cli")?);
        client.send(&format!("{command}\n"))?;
        let answer = client.rest()?;
        for condition in conditions {
            let words: Vec<&str> = condition.iter().map(String::as_str).collect();
            text("the answer", &answer, &words)?;
        }
        Ok(())
    }

    fn logged(&self, enough: usize, wanted: impl Fn(&str) -> bool) -> Done {
        let found = self.said.wait_for(enough, PATIENCE, wanted);
        if found { Ok(()) } else { Err("not logged".to_owned()) }
    }
}

fn change_origin(origin: &mut Origin, mood: &[&str]) -> Done {
    match *mood {
        ["up"] => origin.up().map_err(|error| error.to_string())?,
        ["down"] => origin.down(),
        ["well"] => origin.set_mood(origin::Mood::Well),
        ["fails", status] => origin.set_mood(origin::Mood::Fails(number(status)?)),
        ["stalls"] => origin.set_mood(origin::Mood::Stalls),
        ["hangs-up"] => origin.set_mood(origin::Mood::HangsUp),
        ["says", raw] => origin.set_mood(origin::Mood::Says(raw.to_owned())),
        _ => return Err(format!("{mood:?} is no mood of an origin")),
    }
    Ok(())
}

fn heard(agent: &Agent, enough: usize, wanted: impl Fn(&str) -> bool) -> Done {
    match agent.heard().wait_for(enough, PATIENCE, wanted) {
        true => Ok(()),
        false => Err(format!("not heard; the agent heard {:#?}", agent.heard().all())),
    }
}

fn change_agent(agent: &mut Agent, mood: &str) -> Done {
    match mood {
        "up" => agent.up().map_err(|error| error.to_string())?,
        "down" => agent.down(),
        "well" => agent.set_mood(agent::Mood::Well),
        "silent" => agent.set_mood(agent::Mood::Silent),
        "late" => agent.set_mood(agent::Mood::Late),
        "mute" => agent.set_mood(agent::Mood::Mute),
        "dies" => agent.set_mood(agent::Mood::Dies),
        "greets-wrongly" => agent.set_mood(agent::Mood::GreetsWrongly),
        "greets-garbage" => agent.set_mood(agent::Mood::GreetsGarbage),
        "answers-garbage" => agent.set_mood(agent::Mood::AnswersGarbage),
        "plain" => agent.set_mood(agent::Mood::Plain),
        "fragments" => agent.set_mood(agent::Mood::Fragments),
        _ => return Err(format!("{mood:?} is no mood of an agent")),
    }
    Ok(())
}
