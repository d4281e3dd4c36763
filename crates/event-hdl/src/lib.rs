//! A typed event bus in HAProxy's manner: families and subtypes, sync, async and task handlers, subscription lists.
