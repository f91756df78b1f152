//! How far a long log has been read, on a terminal.

use std::io::{IsTerminal as _, Write as _};

use crate::platform::clock::{self, MILLISECOND_NS, SECOND_NS};

/// Says it on the standard error, where that is a terminal and it takes long.
#[derive(Debug)]
pub(super) struct Progress {
    shows: bool,
    bytes: Option<u64>,
    next_ns: u64,
    lines: u32,
    shown: bool,
}

impl Progress {
    pub(super) fn new(bytes: Option<u64>) -> Self {
        let shows = std::io::stderr().is_terminal();
        let next_ns = clock::monotonic_ns() + SECOND_NS;
        Self { shows, bytes, next_ns, lines: 0, shown: false }
    }

    /// So many bytes were read.
    pub(super) fn at(&mut self, read: u64) {
        // The clock is asked now and then only.
        self.lines = self.lines.wrapping_add(1);
        if !self.shows || self.lines & 0xFFF != 0 || clock::monotonic_ns() < self.next_ns {
            return;
        }
        self.next_ns = clock::monotonic_ns() + 200 * MILLISECOND_NS;
        self.shown = true;
        let told = match self.bytes.filter(|bytes| *bytes > 0) {
            Some(bytes) => format!("{} %", read.min(bytes) * 100 / bytes),
            None => format!("{} MiB", read >> 20),
        };
        let _ = write!(std::io::stderr(), "\r{told} read\x1b[K");
    }

    /// The log is read.
    pub(super) fn end(&self) {
        if self.shown {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
