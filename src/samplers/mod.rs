//! Each folder turns one source into facts; none of them judges what it reads.

/// This process: what the agent itself costs.
pub mod own;
/// The node's load, from `/proc`.
pub mod procfs;
