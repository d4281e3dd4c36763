//! Numbers that stand for servers in Lua objects.

use rustc_hash::FxHashMap;

/// Server identities behind the numbers in Lua objects.
#[derive(Default)]
pub(crate) struct Interned {
    list: Vec<ServerKey>,
    index: FxHashMap<ServerKey, i64>,
}

/// `(proxy uuid, puid, rid)`
pub(crate) type ServerKey = (i64, i64, i64);

impl Interned {
    pub(crate) fn number(&mut self, key: ServerKey) -> i64 {
        let list = &mut self.list;
        *self.index.entry(key).or_insert_with(|| {
            list.push(key);
            list.len() as i64
        })
    }

    pub(crate) fn key(&self, number: i64) -> Option<ServerKey> {
        self.list.get(usize::try_from(number - 1).ok()?).copied()
    }
}
