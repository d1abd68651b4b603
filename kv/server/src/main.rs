//! Runs one tinykv store.

fn main() {}
