//! The `tinykv` command line.

fn main() {}
