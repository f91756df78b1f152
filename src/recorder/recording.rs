//! What was recorded, to be played.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, open};
use thiserror::Error;

use super::FOLDER;
use super::folder::{header_of, open_segment, segments};
use super::play::Play;
use super::scan::{Found, Scan};

/// A recording: a recorder's folder as it is now, or an excerpt.
#[derive(Debug, Clone)]
pub struct Recording {
    name: String,
    pieces: Pieces,
}

#[derive(Debug, Clone)]
enum Pieces {
    /// Segments by number, each with when it began where that is known.
    Folder(PathBuf, Vec<(u64, Option<u64>)>),
    File(Arc<File>),
    Memory(Arc<[u8]>),
}

/// What of a recording is meant, by the wall clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Range {
    /// From when on, ns since 1970.
    pub from_wall_ns: Option<u64>,
    /// Up to when, ns since 1970.
    pub to_wall_ns: Option<u64>,
}

/// What was passed over while playing, and what was lost while recording.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Segments that were played.
    pub segments: u64,
    /// Lives of recorders among them.
    pub runs: u64,
    /// Batches that the recorder said it lost.
    pub lost: u64,
    /// Damaged stretches with whole frames behind them.
    pub damaged: u64,
    /// Bytes in those.
    pub damaged_bytes: u64,
    /// Bytes after the last whole frame of a segment, left by a crash.
    pub torn_bytes: u64,
    /// Whole frames of kinds that a later version writes.
    pub unknown: u64,
    /// Whole frames whose batch is none.
    pub refused: u64,
    /// Files that are no segments or of a later version.
    pub unreadable: u64,
}

/// Why something cannot be played.
#[derive(Debug, Error)]
pub enum RecordingError {
    /// It cannot be opened or read.
    #[error("cannot read {name}: {source}")]
    Read {
        /// The recording.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// It is something else.
    #[error(
        "{name} is no recording: name a recorder's folder, such as the agent's state_dir, or an \
         excerpt"
    )]
    Other {
        /// What was named.
        name: String,
    },
    /// A later version wrote it.
    #[error("{name} has layout {layout}, which a later version wrote: play it with that version")]
    Later {
        /// The recording.
        name: String,
        /// The layout found.
        layout: u32,
    },
}

impl Recording {
    /// Opens a recorder's folder, an agent's state folder, or an excerpt. An
    /// agent that records there is not disturbed.
    ///
    /// # Errors
    ///
    /// When it cannot be read or is no recording.
    pub fn open(path: &Path) -> Result<Self, RecordingError> {
        let name = path.display().to_string();
        let failed = |source| RecordingError::Read { name: name.clone(), source };
        // `NONBLOCK` so that a pipe cannot hold the open.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let fd = open(path, flags, Mode::empty()).map_err(|errno| failed(errno.into()))?;
        let file = File::from(fd);
        let kind = file.metadata().map_err(failed)?.file_type();
        if kind.is_file() {
            let file = Arc::new(file);
            let mut scan = Scan::of_file(Arc::clone(&file)).map_err(failed)?;
            begins(&mut scan, &name)?;
            return Ok(Self { name, pieces: Pieces::File(file) });
        }
        if !kind.is_dir() {
            return Err(RecordingError::Other { name });
        }
        for folder in [path.to_owned(), path.join(FOLDER)] {
            let Ok(fd) = open(&folder, flags | OFlags::DIRECTORY, Mode::empty()) else { continue };
            let found = segments(&fd).map_err(failed)?;
            if !found.is_empty() {
                let begun = |number| {
                    let header = open_segment(&folder, number).ok().flatten().and_then(header_of);
                    header.map(|header| header.at.wall_ns)
                };
                let segments = found.iter().map(|kept| (kept.number, begun(kept.number))).collect();
                return Ok(Self { name, pieces: Pieces::Folder(folder, segments) });
            }
        }
        Err(RecordingError::Other { name })
    }

    /// An excerpt that came by another way than a file.
    ///
    /// # Errors
    ///
    /// When it is no recording.
    pub fn of_bytes(bytes: Vec<u8>) -> Result<Self, RecordingError> {
        let (name, bytes) = ("the excerpt".to_owned(), Arc::<[u8]>::from(bytes));
        begins(&mut Scan::of_memory(Arc::clone(&bytes)), &name)?;
        Ok(Self { name, pieces: Pieces::Memory(bytes) })
    }

    /// Plays what is meant, in the order in which it was recorded.
    ///
    /// It begins with what was known at that time.
    #[must_use]
    pub fn play(&self, range: Range) -> Play {
        Play::new(self.clone(), range)
    }

    pub(super) fn failed(&self, source: io::Error) -> RecordingError {
        RecordingError::Read { name: self.name.clone(), source }
    }

    /// How many files it has.
    pub(super) fn pieces(&self) -> usize {
        match &self.pieces {
            Pieces::Folder(_, segments) => segments.len(),
            Pieces::File(_) | Pieces::Memory(_) => 1,
        }
    }

    /// The file to begin with, to play from this instant on.
    pub(super) fn first(&self, from_wall_ns: Option<u64>) -> usize {
        let (Pieces::Folder(_, segments), Some(from)) = (&self.pieces, from_wall_ns) else {
            return 0;
        };
        let before = segments.iter().rposition(|(_, begun)| begun.is_some_and(|at| at <= from));
        before.unwrap_or(0)
    }

    /// A walk over one of its files; nothing where that gave way meanwhile.
    pub(super) fn scan(&self, at: usize) -> io::Result<Option<Scan>> {
        match &self.pieces {
            Pieces::Folder(folder, segments) => match open_segment(folder, segments[at].0)? {
                Some(file) => Scan::of_file(Arc::new(file)).map(Some),
                None => Ok(None),
            },
            Pieces::File(file) => Scan::of_file(Arc::clone(file)).map(Some),
            Pieces::Memory(bytes) => Ok(Some(Scan::of_memory(Arc::clone(bytes)))),
        }
    }
}

/// Whether a segment begins here, be it with one of the two headers broken.
fn begins(scan: &mut Scan, name: &str) -> Result<(), RecordingError> {
    let failed = |source| RecordingError::Read { name: name.to_owned(), source };
    for _ in 0..2 {
        if let Some(Found::Segment(_)) = scan.next().map_err(failed)? {
            return Ok(());
        }
    }
    match scan.passed().later_layout {
        Some(layout) => Err(RecordingError::Later { name: name.to_owned(), layout }),
        None => Err(RecordingError::Other { name: name.to_owned() }),
    }
}
