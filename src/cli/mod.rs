//! One file per verb; results into text and exit codes.

pub mod watch;
