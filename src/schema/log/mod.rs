//! Logs of the kernel as bytes: their records, their lines in every form in
//! which people and daemons keep them, and the times that lines give.
//!
//! A view only: nothing here judges what a line means, and nothing reads a
//! file or a clock.

mod record;
mod stamp;
mod text;

pub use record::{RECORD_BYTES_MAX, Record, decoded, shown};
pub use stamp::Stamp;
pub use text::{Blocks, LINE_BYTES_MAX, Line, parse_line};
