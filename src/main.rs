//! The door: flags in, exit code out.
fn main() {}
