//! The integration tests, in one binary.

mod counting;
mod procfs_alloc;
