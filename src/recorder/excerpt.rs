//! A part of a recording as one file that explains itself.

use std::io::{self, Write};

use rustix::rand::{GetRandomFlags, getrandom};
use thiserror::Error;

use super::frame::{FrameKind, encode, frame_bytes};
use super::header::SegmentHeader;
use super::play::What;
use super::recording::{Range, Recording, RecordingError};

/// What an excerpt became.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Excerpt {
    /// Bytes written.
    pub bytes: u64,
    /// Batches in it, with those that say what was known.
    pub batches: u64,
    /// Whether more was meant than it may hold; the rest is left out.
    pub cut: bool,
}

/// Why there is no excerpt.
#[derive(Debug, Error)]
pub enum ExcerptError {
    /// The recording cannot be read.
    #[error(transparent)]
    Recording(#[from] RecordingError),
    /// It cannot be written.
    #[error("the excerpt cannot be written: {0}")]
    Write(#[from] io::Error),
}

/// Writes what is meant of a recording, with what was known when it begins, as
/// one file of at most so many bytes.
///
/// # Errors
///
/// When the recording cannot be read or the excerpt not be written.
pub fn excerpt(
    recording: &Recording,
    range: Range,
    bytes_max: u64,
    out: &mut dyn Write,
) -> Result<Excerpt, ExcerptError> {
    let mut play = recording.play(range);
    let mut file = Chain { out, number: 0, chain: 0, salt: 0, begin: 0, scratch: Vec::new() };
    let mut made = Excerpt::default();
    while let Some(moment) = play.next_moment()? {
        let lost_bytes;
        let (kind, payload) = match moment.what {
            What::Run | What::Gap => {
                // A number is left out where something is missing.
                file.number += if moment.what == What::Gap { 2 } else { 1 };
                if made.bytes + SegmentHeader::BYTES as u64 > bytes_max {
                    return Ok(Excerpt { cut: true, ..made });
                }
                let header = SegmentHeader {
                    salt: random()?,
                    number: file.number,
                    run: moment.run,
                    at: moment.at,
                };
                file.begin_segment(header, made.bytes)?;
                made.bytes += SegmentHeader::BYTES as u64;
                continue;
            }
            What::Known => (FrameKind::Known, moment.bytes()),
            What::Batch => (FrameKind::Batch, moment.bytes()),
            What::Tick => (FrameKind::Tick, &[][..]),
            What::Lost(lost) => {
                lost_bytes = lost.to_le_bytes();
                (FrameKind::Lost, &lost_bytes[..])
            }
        };
        let bytes = frame_bytes(payload.len()) as u64;
        if made.bytes + bytes > bytes_max {
            return Ok(Excerpt { cut: true, ..made });
        }
        file.scratch.resize(frame_bytes(payload.len()), 0);
        let place = made.bytes - file.begin;
        encode(&mut file.scratch, (file.salt, place), moment.at, kind, payload);
        file.out.write_all(&file.scratch)?;
        made.batches += u64::from(matches!(kind, FrameKind::Known | FrameKind::Batch));
        made.bytes += bytes;
    }
    Ok(made)
}

/// Segments behind each other.
struct Chain<'a> {
    out: &'a mut dyn Write,
    number: u64,
    /// Salt of the first segment; 0 before it.
    chain: u64,
    salt: u64,
    /// Where the segment begins.
    begin: u64,
    scratch: Vec<u8>,
}

impl Chain<'_> {
    fn begin_segment(&mut self, header: SegmentHeader, place: u64) -> io::Result<()> {
        let mut bytes = [0; SegmentHeader::BYTES];
        header.encode(self.chain, &mut bytes);
        if self.chain == 0 {
            self.chain = header.salt;
        }
        (self.salt, self.begin) = (header.salt, place);
        self.out.write_all(&bytes)
    }
}

/// Never 0, which stands for no chain.
fn random() -> io::Result<u64> {
    let mut bytes = [0; 8];
    getrandom(&mut bytes, GetRandomFlags::NONBLOCK)?;
    Ok(u64::from_le_bytes(bytes).max(1))
}
