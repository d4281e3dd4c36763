//! A message head: start line and header fields as an index over the bytes that came in.
//!
//! Changes go to a side buffer; nothing is copied per header. Case and order are kept.

/// A request or response head.
#[derive(Default, Debug)]
pub struct Message {
    // Owned by the HTTP part; see the accessors.
}
