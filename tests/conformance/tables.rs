//! The steps that hold many bytes on the wire against what a proxy makes of each.

use std::fs;

use super::client::Client;
use super::script;
use super::steps::{Done, named};
use super::world::World;
use crate::support::origin;

impl World {
    /// Every request of the file, one after the other; all that got something else are told.
    pub(super) fn table(&self, file: &str, door: &str) -> Done {
        self.rows(file, |request| self.status_of(request, door))
    }

    /// Every response of the file, as the answer to a plain request.
    pub(super) fn answers(&mut self, origin: &str, file: &str) -> Done {
        named(&mut self.origins, origin)?;
        let origin = &self.origins[origin];
        self.rows(file, |response| {
            origin.set_mood(origin::Mood::Says(response.to_owned()));
            self.status_of("GET / HTTP/1.1\r\nhost: test\r\n\r\n", "")
        })
    }

    /// Holds what `got` makes of the last word of each line against the words before it.
    fn rows(&self, file: &str, got: impl Fn(&str) -> Result<String, String>) -> Done {
        let text =
            fs::read_to_string(self.folder().join(file)).map_err(|error| format!("{file}: {error}"))?;
        let mut wrong = Vec::new();
        for row in script::parse(&text)? {
            let Some((bytes, statuses)) = row.words.split_last() else { continue };
            let got = got(bytes)?;
            if !statuses.contains(&got) {
                wrong.push(format!(
                    "{file}:{}: {bytes:?} got {got}, not {}",
                    row.line,
                    statuses.join(" or ")
                ));
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
    }

    /// The status that raw bytes get; `closed` if the connection ends instead. Our direction is ended
    /// after them, so that a request that is never whole gets its answer too.
    fn status_of(&self, request: &str, door: &str) -> Result<String, String> {
        let mut client = Client::new(self.open(door)?);
        client.send(request)?;
        client.finish().ok();
        Ok(client.response().map_or("closed".to_owned(), |response| response.status().to_string()))
    }
}
