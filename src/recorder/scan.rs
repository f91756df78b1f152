//! Walks over a file's frames, whatever its bytes are, in bounded memory.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::At;
use super::frame::{ALIGN, FrameKind, HEAD_BYTES, Head, PAYLOAD_BYTES_MAX, frame_bytes};
use super::header::{COPY_BYTES, Copy, MAGIC, SegmentHeader};

/// Bytes that can be read at any place.
#[derive(Debug, Clone)]
pub(super) enum Bytes {
    File(Arc<File>),
    Memory(Arc<[u8]>),
}

/// What stands next in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// A segment begins.
    Segment(SegmentHeader),
    /// A whole frame. Where its payload stands in [`Scan::bytes`], until the
    /// next look.
    Frame(FrameKind, At, Range<usize>),
    /// Bytes that hold nothing whole, with something whole behind them.
    Damage,
}

/// What was passed over in a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Passed {
    /// Damaged stretches with whole frames or segments behind them.
    pub(super) damaged: u64,
    /// Bytes in those.
    pub(super) damaged_bytes: u64,
    /// Whole frames of kinds that a later version writes.
    pub(super) unknown: u64,
    /// A later version's layout, where a header says one.
    pub(super) later_layout: Option<u32>,
}

/// A walk over a file.
#[derive(Debug)]
pub(super) struct Scan {
    bytes: Bytes,
    size: u64,
    window: Vec<u8>,
    /// Place in the file of the window's first byte.
    window_at: u64,
    place: u64,
    /// Where what is whole ends so far.
    whole: u64,
    segment: Option<Segment>,
    /// Salt of the first segment, once there was one.
    chain: Option<u64>,
    /// What was found behind damage, and waits until the damage was told.
    held: Option<Found>,
    passed: Passed,
}

#[derive(Debug, Clone, Copy)]
struct Segment {
    salt: u64,
    begin: u64,
}

impl Scan {
    /// A walk over a file as long as it is now.
    pub(super) fn of_file(file: Arc<File>) -> io::Result<Self> {
        let size = file.metadata()?.len();
        Ok(Self::new(Bytes::File(file), size))
    }

    /// A walk over bytes.
    pub(super) fn of_memory(bytes: Arc<[u8]>) -> Self {
        let size = bytes.len() as u64;
        Self::new(Bytes::Memory(bytes), size)
    }

    fn new(bytes: Bytes, size: u64) -> Self {
        Self {
            bytes,
            size,
            window: Vec::new(),
            window_at: 0,
            place: 0,
            whole: 0,
            segment: None,
            chain: None,
            held: None,
            passed: Passed::default(),
        }
    }

    /// What was passed over so far.
    pub(super) const fn passed(&self) -> Passed {
        self.passed
    }

    /// Where the last whole thing ends, and how many bytes are after it.
    pub(super) const fn whole(&self) -> (u64, u64) {
        (self.whole, self.size - self.whole)
    }

    /// What a [`Found::Frame`] speaks of.
    pub(super) fn bytes(&self, range: Range<usize>) -> &[u8] {
        self.window.get(range).unwrap_or_default()
    }

    /// What stands next; nothing at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Found>> {
        if let Some(held) = self.held.take() {
            return Ok(Some(held));
        }
        while self.place < self.size {
            let begin = self.place;
            let Some(found) = self.look()? else { continue };
            let damaged_bytes = begin - self.whole;
            self.whole = self.place;
            if damaged_bytes > 0 {
                self.passed.damaged += 1;
                self.passed.damaged_bytes += damaged_bytes;
                self.held = Some(found);
                return Ok(Some(Found::Damage));
            }
            return Ok(Some(found));
        }
        Ok(None)
    }

    /// Looks at one place and goes on.
    fn look(&mut self) -> io::Result<Option<Found>> {
        if let Some(header) = self.header()? {
            return Ok(Some(Found::Segment(header)));
        }
        let place = self.place;
        let head = match self.segment {
            Some(segment) => {
                let head = self.read(HEAD_BYTES)?.first_chunk();
                head.and_then(|head| Head::decode(head, segment.salt, place - segment.begin))
            }
            None => None,
        };
        let Some(head) = head else {
            self.place += ALIGN as u64;
            return Ok(None);
        };
        let length = HEAD_BYTES + head.body_bytes();
        let read = self.read(length)?;
        if read.len() < length {
            // It was cut off; what looks like its body may hold nothing else.
            self.place += ALIGN as u64;
            return Ok(None);
        }
        let fits = head.fits(&read[HEAD_BYTES..]);
        let from = (place - self.window_at) as usize + HEAD_BYTES;
        self.place += length as u64;
        if !fits {
            return Ok(None);
        }
        let Some(kind) = head.kind else {
            self.passed.unknown += 1;
            self.passed.damaged += u64::from(place != self.whole);
            self.passed.damaged_bytes += place - self.whole;
            self.whole = self.place;
            return Ok(None);
        };
        Ok(Some(Found::Frame(kind, head.at, from..from + head.payload_bytes)))
    }

    /// The header that begins here, and steps over it.
    fn header(&mut self) -> io::Result<Option<SegmentHeader>> {
        let chain = match self.chain {
            // The first header stands at the very begin or nowhere.
            None if self.place > COPY_BYTES as u64 => return Ok(None),
            None => 0,
            Some(chain) => chain,
        };
        let place = self.place;
        let Some(copy) = self.read(COPY_BYTES)?.first_chunk() else { return Ok(None) };
        if copy[..8] != MAGIC {
            return Ok(None);
        }
        match SegmentHeader::decode(copy, chain) {
            Copy::Nothing => Ok(None),
            Copy::Later(layout) => {
                self.passed.later_layout.get_or_insert(layout);
                Ok(None)
            }
            Copy::Header(header, which) => {
                let Some(begin) = place.checked_sub(which * COPY_BYTES as u64) else {
                    return Ok(None);
                };
                let end = begin + SegmentHeader::BYTES as u64;
                self.chain.get_or_insert(header.salt);
                self.segment = Some(Segment { salt: header.salt, begin });
                self.place = end.min(self.size);
                Ok(Some(header))
            }
        }
    }

    /// So many bytes from the place on, or as many as there are.
    fn read(&mut self, length: usize) -> io::Result<&[u8]> {
        let length = length.min(usize::try_from(self.size - self.place).unwrap_or(length));
        let window_end = self.window_at + self.window.len() as u64;
        if self.place < self.window_at || self.place + length as u64 > window_end {
            self.fill(length.max(WINDOW_BYTES))?;
        }
        let from = (self.place - self.window_at) as usize;
        let to = (from + length).min(self.window.len());
        Ok(&self.window[from..to])
    }

    fn fill(&mut self, length: usize) -> io::Result<()> {
        let length = length.min(usize::try_from(self.size - self.place).unwrap_or(length));
        self.window.resize(length, 0);
        self.window_at = self.place;
        let read = match &self.bytes {
            Bytes::Memory(bytes) => {
                let from = self.place as usize;
                self.window.copy_from_slice(&bytes[from..from + length]);
                length
            }
            Bytes::File(file) => read_at(file, &mut self.window, self.place)?,
        };
        if read < length {
            // Somebody made the file shorter.
            self.size = self.place + read as u64;
            self.window.truncate(read);
        }
        Ok(())
    }
}

fn read_at(file: &File, into: &mut [u8], place: u64) -> io::Result<usize> {
    let mut read = 0;
    while read < into.len() {
        match file.read_at(&mut into[read..], place + read as u64) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

/// Bytes read in one go: several of the longest frames.
const WINDOW_BYTES: usize = 4 * frame_bytes(PAYLOAD_BYTES_MAX);
