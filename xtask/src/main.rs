//! The task runner of the repository.
fn main() {}
