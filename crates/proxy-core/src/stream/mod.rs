//! A stream: one exchange between a client and a server.
