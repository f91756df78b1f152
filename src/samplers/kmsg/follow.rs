//! A log file or pipe, followed as it grows, is rotated or truncated.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, Stat, fstat, open, stat};

use super::attested::Round;
use super::cursor::Cursor;
use super::telling::{Clocks, Facts, Heard, Telling};
use crate::platform::{clock, poll};
use crate::schema::Trust;
use crate::schema::log::{Blocks, Line, Stamp, parse_line};

/// Bytes read in one round, so that a long file keeps nobody from stopping us.
pub const BYTES_ROUND_MAX: usize = 1 << 20;

const BUFFER_BYTES: usize = 32 << 10;

/// Follows a file or pipe.
#[derive(Debug)]
pub struct Followed {
    path: PathBuf,
    file: File,
    pipe: bool,
    /// Whether a pipe has no writer left, which its descriptor says for ever.
    hung: bool,
    id: (u64, u64),
    /// Where the buffer begins in the file.
    offset: u64,
    buffer: Vec<u8>,
    held: usize,
    /// Whether the rest of a line that was too long is still to come.
    dropping: bool,
    before_start: bool,
}

impl Followed {
    /// Follows what is at `path` on from `cursor`; one of another file, or
    /// none, means that all of it is new.
    ///
    /// # Errors
    ///
    /// When it cannot be opened, and `InvalidData` where it is neither a file
    /// nor a pipe.
    pub fn open(path: &Path, cursor: Option<Cursor>) -> io::Result<Self> {
        let (file, stat) = opened(path)?;
        let id = id(&stat);
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        let offset = match cursor {
            Some(Cursor::Place { device, inode, offset })
                if (device, inode) == id && offset <= size =>
            {
                Some(offset)
            }
            _ => None,
        };
        Ok(Self {
            path: path.to_owned(),
            pipe: FileType::from_raw_mode(stat.st_mode) == FileType::Fifo,
            hung: false,
            file,
            id,
            offset: offset.unwrap_or(0),
            buffer: vec![0; BUFFER_BYTES],
            held: 0,
            dropping: false,
            before_start: offset.is_none(),
        })
    }

    /// How far it has been read; a pipe cannot be read again.
    #[must_use]
    pub fn cursor(&self) -> Option<Cursor> {
        (!self.pipe).then(|| self.cursor_at(0))
    }

    fn cursor_at(&self, ahead: usize) -> Cursor {
        let (device, inode) = self.id;
        let offset = if self.pipe { 0 } else { self.offset + ahead as u64 };
        Cursor::Place { device, inode, offset }
    }

    /// Reads until the end, or as far as one round may go.
    pub fn round(&mut self, now: &Clocks, telling: &mut Telling, facts: &mut dyn Facts) -> Round {
        if !telling.flush(true, facts) {
            return Round::Held;
        }
        let mut bytes = 0;
        while bytes < BYTES_ROUND_MAX {
            let Ok(read) = self.fill() else {
                telling.counts.failed += 1;
                return if telling.flush(false, facts) { Round::Failed } else { Round::Held };
            };
            bytes += read;
            let ended = read == 0;
            if !self.take(ended, now, telling, facts) {
                return Round::Held;
            }
            if ended && !self.turn(now, telling) {
                self.before_start = false;
                return if telling.flush(false, facts) { Round::End } else { Round::Held };
            }
        }
        if telling.flush(false, facts) { Round::More } else { Round::Held }
    }

    /// Reads into what room the buffer has; 0 at the end.
    fn fill(&mut self) -> io::Result<usize> {
        let room = &mut self.buffer[self.held..];
        let read = match self.pipe {
            true => rustix::io::read(&self.file, room),
            false => rustix::io::pread(&self.file, room, self.offset + self.held as u64),
        };
        let read = match read {
            Ok(read) => {
                self.hung = read == 0;
                read
            }
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => 0,
            Err(error) => return Err(error.into()),
        };
        self.held += read;
        Ok(read)
    }

    /// Takes the lines of the buffer; says whether there was room for all.
    fn take(
        &mut self,
        ended: bool,
        now: &Clocks,
        telling: &mut Telling,
        facts: &mut dyn Facts,
    ) -> bool {
        let buffer = std::mem::take(&mut self.buffer);
        let bytes = &buffer[..self.held];
        // A line with its line feed is whole once nothing follows.
        let whole = ended && bytes.ends_with(b"\n");
        let mut consumed = 0;
        let mut room = true;
        for block in Blocks::new(bytes, whole) {
            consumed += block.len();
            self.hear(block, self.cursor_at(consumed), now, telling);
            room = telling.flush(true, facts);
            if !room {
                break;
            }
        }
        if consumed == 0 && self.held == buffer.len() {
            consumed = self.held;
            self.hear(bytes, self.cursor_at(consumed), now, telling);
            self.dropping = true;
        }
        self.buffer = buffer;
        self.buffer.copy_within(consumed..self.held, 0);
        self.held -= consumed;
        self.offset += consumed as u64;
        room
    }

    fn hear(&mut self, block: &[u8], cursor: Cursor, now: &Clocks, telling: &mut Telling) {
        if std::mem::take(&mut self.dropping) {
            // The end of a line whose beginning was taken.
            self.dropping = !block.ends_with(b"\n");
            return;
        }
        let Some(line) = parse_line(block) else {
            return telling.malformed();
        };
        let at = at(&line, self.before_start, now);
        telling.hear(
            &line,
            &Heard { trust: Trust::File, before_start: self.before_start, at },
            cursor,
        );
    }

    /// At the end: goes over to the file that took this one's place, or back
    /// to the start of one that was truncated; says whether it did.
    fn turn(&mut self, now: &Clocks, telling: &mut Telling) -> bool {
        if self.pipe {
            return false;
        }
        let size = fstat(&self.file).map_or(0, |stat| u64::try_from(stat.st_size).unwrap_or(0));
        if size < self.offset + self.held as u64 {
            (self.offset, self.held, self.dropping) = (0, 0, false);
            return true;
        }
        let Some((file, stat)) = self.successor() else { return false };
        let last = self.buffer[..self.held].to_vec();
        (self.file, self.id) = (file, id(&stat));
        (self.offset, self.held) = (0, 0);
        if !last.is_empty() {
            self.hear(&last, self.cursor_at(0), now, telling);
        }
        self.dropping = false;
        true
    }

    /// Another file in this one's place.
    fn successor(&self) -> Option<(File, Stat)> {
        if !self.moved() {
            return None;
        }
        let (file, stat) = opened(&self.path).ok()?;
        let regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        (regular && id(&stat) != self.id).then_some((file, stat))
    }

    fn moved(&self) -> bool {
        stat(&self.path).is_ok_and(|stat| id(&stat) != self.id)
    }

    /// Waits for more to read, at most `limit_ns`. A file tells nobody that it
    /// grew: it is looked at.
    pub(super) fn ready(&self, limit_ns: u64) -> bool {
        if self.pipe && !self.hung {
            return ready(self.file.as_fd(), limit_ns);
        }
        clock::sleep_until(clock::monotonic_ns() + limit_ns);
        if self.pipe {
            return false;
        }
        let read = self.offset + self.held as u64;
        let size = fstat(&self.file).map_or(read, |stat| u64::try_from(stat.st_size).unwrap_or(0));
        size != read || self.moved()
    }
}

/// Waits until `descriptor` can be read, at most `limit_ns`.
pub(super) fn ready(descriptor: BorrowedFd<'_>, limit_ns: u64) -> bool {
    let mut ready = false;
    let waited = poll::wait_readable(&mut [poll::readable(descriptor)], limit_ns, |_| ready = true);
    if waited.is_err() {
        // Only a broken kernel says no; then we look now and then.
        clock::sleep_until(clock::monotonic_ns() + limit_ns);
    }
    ready
}

/// A pipe is opened for writing as well, so that it does not end whenever its
/// last writer leaves; one that may only be read is read as it is.
fn opened(path: &Path) -> io::Result<(File, Stat)> {
    let flags = OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let kind = FileType::from_raw_mode(stat(path)?.st_mode);
    let descriptor = match kind {
        FileType::Fifo => open(path, flags | OFlags::RDWR, Mode::empty())
            .or_else(|_| open(path, flags | OFlags::RDONLY, Mode::empty()))?,
        FileType::RegularFile => open(path, flags | OFlags::RDONLY, Mode::empty())?,
        _ => {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "it is neither a file nor a pipe",
            ));
        }
    };
    let stat = fstat(&descriptor)?;
    Ok((descriptor.into(), stat))
}

fn id(stat: &Stat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}

/// A time without its zone is only believed for what lies back; what comes in
/// now was logged now.
fn at(line: &Line<'_>, before_start: bool, now: &Clocks) -> Clocks {
    let stamp = match line.stamp {
        Some(stamp @ Stamp::Wall { zoned: true, .. }) => Some(stamp),
        stamp => stamp.filter(|_| before_start),
    };
    match stamp.and_then(|stamp| stamp.wall_ns(now.wall_ns)) {
        Some(wall_ns) => now.at_wall_time(wall_ns),
        None => *now,
    }
}

#[cfg(test)]
mod tests;
