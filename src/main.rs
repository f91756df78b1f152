//! The `eagle-eye` binary.

fn main() {}
