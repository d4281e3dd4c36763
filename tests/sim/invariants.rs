//! What must hold at the end of a world.

use super::{
    network::Fault,
    reference::{Asked, Book, Fate, Offload, mark},
    transition::Watch,
    world::{Plan, World},
};

/// Everything that does not hold, in words.
pub(crate) fn broken(world: &World) -> Vec<String> {
    let mut faults: Vec<String> = Vec::new();
    world.ledger.with(|book| {
        for (id, asked) in &book.asked {
            faults.extend(
                answered_once(world, book, *id, *asked).err().map(|why| format!("request {id}: {why}")),
            );
        }
        faults.extend(failures_have_causes(world, book).err());
        for (id, offload) in &book.offloads {
            let wrong = offloaded(world.plan, *id, offload).err();
            faults.extend(wrong.map(|why| format!("request {id}: {why}")));
        }
    });
    faults.extend(transitions(&world.watch));
    faults.extend(heard_by_the_script(world).err());
    faults.extend(world.in_use.iter().map(|(what, number)| format!("in use at the end: {what} = {number}")));
    let bad =
        |line: &&String| line.contains("PANIC") || line.contains("VIOLATION") || line.contains("[ALERT]");
    faults.extend(world.trace.lines().iter().filter(bad).cloned());
    faults
}

/// One fate, and one that this request may have.
fn answered_once(world: &World, book: &Book, id: u32, asked: Asked) -> Result<(), String> {
    let fates = book.fates.get(&id).map(Vec::as_slice).unwrap_or_default();
    let [fate] = fates else { return Err(format!("{} fates: {fates:?}", fates.len())) };
    let served = book.served.get(&id).map(Vec::as_slice).unwrap_or_default();
    sent_once(world, asked, served)?;
    let served = served.len();
    match fate {
        Fate::Answer { status, mark } => answer(world.plan, id, asked, served, *status, mark),
        Fate::Unserved if served > 0 => Err("reached a server behind an answer that closes".to_owned()),
        Fate::Silence if world.network.fault(asked.link) != Some(Fault::Silence) => {
            Err("no answer, and the connection was not silent".to_owned())
        }
        _ => Ok(()),
    }
}

/// A request reaches one server, unless it may be repeated and the connection it went out on broke.
fn sent_once(world: &World, asked: Asked, served: &[u32]) -> Result<(), String> {
    let Some((_, earlier)) = served.split_last() else { return Ok(()) };
    if !earlier.is_empty() && asked.body > 0 {
        return Err(format!("a POST reached servers on links {served:?}"));
    }
    match earlier.iter().find(|link| world.network.fault(**link) != Some(Fault::Reset)) {
        Some(link) => Err(format!("was repeated on links {served:?}, and link {link} was well")),
        None if served.len() > 2 => Err(format!("was repeated on links {served:?}")),
        None => Ok(()),
    }
}

fn answer(plan: Plan, id: u32, asked: Asked, served: usize, status: u16, got: &str) -> Result<(), String> {
    let nap = if asked.nap { id.to_string() } else { String::new() };
    let with_agent = mark(id, &id.to_string(), &nap, asked.body);
    let without = mark(id, "", &nap, asked.body);
    match status {
        200 if served == 0 => Err("200 without a server".to_owned()),
        200 if got == with_agent && !asked.deny => Ok(()),
        200 if got == without && !plan.calm => Ok(()),
        200 => Err(format!("answered {got:?} instead of {with_agent:?}")),
        403 if asked.deny && served == 0 => Ok(()),
        502..=504 if !plan.calm => Ok(()),
        other => Err(format!("answered {other}, which is not documented for it")),
    }
}

/// The agent's own word or a documented error, never both nor neither, and within the deadline.
fn offloaded(plan: Plan, id: u32, offload: &Offload) -> Result<(), String> {
    let Offload { echo, failed, millis } = offload;
    let late = millis.parse().map_or(true, |millis: u64| millis > PROCESSING_MS + LATE_MS);
    if late {
        return Err(format!("its exchange with the agent took {millis:?} ms"));
    }
    match failed.parse() {
        _ if failed.is_empty() && *echo == id.to_string() => Ok(()),
        Ok(1 | 2 | 3 | 5 | 256..=269 | 355) if echo.is_empty() && !plan.calm => Ok(()),
        _ => Err(format!("its exchange with the agent ended with {echo:?} and error {failed:?}")),
    }
}

/// No more exchanges fail on the way to servers than servers and connections to them did.
fn failures_have_causes(world: &World, book: &Book) -> Result<(), String> {
    let fates = || book.fates.iter().flat_map(|(id, fates)| fates.iter().map(move |fate| (*id, fate)));
    let bad = fates().filter(|(_, fate)| matches!(fate, Fate::Answer { status: 502 | 504, .. })).count();
    // A cut whose own connection was well comes from a server that left in the middle; those behind it on
    // the same connection share its fate.
    let mut cut: Vec<u32> = fates()
        .filter(|(_, fate)| **fate == Fate::Cut)
        .filter_map(|(id, _)| book.asked.get(&id))
        .map(|asked| asked.link)
        .filter(|link| world.network.fault(*link).is_none())
        .collect();
    cut.dedup();
    let causes =
        book.stalled + world.origins.iter().map(|origin| world.network.faults_to(origin.at)).sum::<usize>();
    if bad + cut.len() > causes {
        return Err(format!("{bad} answers 502 or 504 and {} cuts, but only {causes} causes", cut.len()));
    }
    Ok(())
}

/// Looked at, told and demanded changes are the same, and the bus ended in good order.
fn transitions(watch: &Watch) -> Vec<String> {
    let mut faults = watch.faults.clone();
    for (name, server) in watch.servers() {
        if server.seen != server.told {
            faults.push(format!("{name} changed {:?}, but {:?} was published", server.seen, server.told));
        }
        if server.seen != server.demanded {
            faults
                .push(format!("{name} changed {:?}, but its checks say {:?}", server.seen, server.demanded));
        }
    }
    if !watch.ended {
        faults.push("the bus did not end its subscriptions".to_owned());
    }
    faults
}

/// The script heard what the bus published, in the same order.
fn heard_by_the_script(world: &World) -> Result<(), String> {
    let heard: Vec<String> = world
        .trace
        .lines()
        .iter()
        .filter_map(|line| Some(line.split_once("log: Info heard ")?.1.to_owned()))
        .collect();
    let published = &world.watch.published;
    if heard == *published {
        return Ok(());
    }
    let at = heard.iter().zip(published).take_while(|(a, b)| a == b).count();
    Err(format!(
        "the script heard {} events of {}; from number {at} on {:?} instead of {:?}",
        heard.len(),
        published.len(),
        heard.get(at),
        published.get(at),
    ))
}

/// `timeout processing` of the configuration.
const PROCESSING_MS: u64 = 300;
/// How late a machine may be that is busy elsewhere.
const LATE_MS: u64 = 20;
