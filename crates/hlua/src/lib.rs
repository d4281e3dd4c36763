//! HAProxy's Lua API on mlua: contexts, yields, TXN, applets, sockets, events; the host supplies everything else.
