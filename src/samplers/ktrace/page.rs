//! A page of a trace buffer, as `trace_pipe_raw` hands it out: a time, the
//! length of its data, then records one behind the other, each with the time
//! since the one before it.
//!
//! The form is the kernel's (`include/linux/ring_buffer.h`); `header_event` of
//! tracefs says the same. Little-endian, as every machine that this is built
//! for.

use super::format::Layout;

/// The two highest bits of the length say that records were overwritten
/// before this page, and that their number stands behind the data.
const LENGTH_MASK: u32 = (1 << 30) - 1;

const PADDING: u32 = 29;
const TIME_EXTEND: u32 = 30;
const TIME_STAMP: u32 = 31;

/// An absolute time has that many bits; those above are those of the time
/// before.
const STAMP_BITS: u32 = 59;

/// The records of a page, in order. Ends behind the first malformed one, since
/// nothing says where the next begins.
#[derive(Debug, Clone)]
pub struct Page<'a> {
    rest: &'a [u8],
    time_ns: u64,
}

/// One record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// When it was written, by the buffer's clock.
    pub time_ns: u64,
    /// What was written, its kind in front.
    pub data: &'a [u8],
}

/// What stands there is no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

impl<'a> Page<'a> {
    /// The page at the start of `bytes`; nothing where it is none.
    #[must_use]
    pub fn parse(bytes: &'a [u8], layout: &Layout) -> Option<Self> {
        let time = bytes.get(layout.time..)?.first_chunk()?;
        let commit = bytes.get(layout.commit..)?.first_chunk()?;
        let length = (u32::from_le_bytes(*commit) & LENGTH_MASK) as usize;
        let data = bytes.get(layout.data..layout.bytes.min(bytes.len()))?;
        Some(Self { rest: data.get(..length)?, time_ns: u64::from_le_bytes(*time) })
    }

    /// The next record, or nothing where what comes is only a time or a gap.
    fn step(&mut self) -> Result<Option<Record<'a>>, Malformed> {
        let head = word(self.rest, 0)?;
        let (kind, delta) = (head & 31, u64::from(head >> 5));
        match kind {
            PADDING if delta == 0 => {
                self.rest = &[];
                Ok(None)
            }
            PADDING => {
                let length = word(self.rest, 4)? as usize;
                self.take(length)?;
                Ok(None)
            }
            TIME_EXTEND => {
                let high = u64::from(word(self.rest, 4)?) << 27;
                self.time_ns = self.time_ns.wrapping_add(high + delta);
                self.skip(8)
            }
            TIME_STAMP => {
                let low = (1 << STAMP_BITS) - 1;
                let stamp = (u64::from(word(self.rest, 4)?) << 27) + delta;
                self.time_ns = (self.time_ns & !low) | (stamp & low);
                self.skip(8)
            }
            _ => {
                self.time_ns = self.time_ns.wrapping_add(delta);
                // Of a long record the length counts itself.
                let (length, head) = match kind {
                    0 => (word(self.rest, 4)? as usize, 4),
                    _ => (4 * kind as usize, 0),
                };
                if length < head {
                    return Err(Malformed);
                }
                let data = &self.take(length)?[head..];
                Ok(Some(Record { time_ns: self.time_ns, data }))
            }
        }
    }

    /// What stands behind the first word, `length` bytes of it.
    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let end = length.checked_next_multiple_of(4).and_then(|length| length.checked_add(4));
        let end = end.ok_or(Malformed)?;
        let data = self.rest.get(4..end).ok_or(Malformed)?;
        self.rest = &self.rest[end..];
        Ok(data)
    }

    fn skip(&mut self, bytes: usize) -> Result<Option<Record<'a>>, Malformed> {
        self.rest = self.rest.get(bytes..).ok_or(Malformed)?;
        Ok(None)
    }
}

impl<'a> Iterator for Page<'a> {
    type Item = Result<Record<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.rest.is_empty() {
            match self.step() {
                Ok(None) => {}
                Ok(Some(record)) => return Some(Ok(record)),
                Err(malformed) => {
                    self.rest = &[];
                    return Some(Err(malformed));
                }
            }
        }
        None
    }
}

impl Record<'_> {
    /// The number of its event.
    #[must_use]
    pub fn id(&self) -> Option<u16> {
        self.data.first_chunk().map(|id| u16::from_le_bytes(*id))
    }
}

fn word(bytes: &[u8], at: usize) -> Result<u32, Malformed> {
    let chunk = bytes.get(at..).and_then(<[u8]>::first_chunk).ok_or(Malformed)?;
    Ok(u32::from_le_bytes(*chunk))
}

#[cfg(test)]
mod tests;
