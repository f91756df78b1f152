//! What a segment says about itself, written twice at its begin.
//!
//! ```text
//!   0  "EErecord"       24  number       u64
//!   8  layout    u32    32  run          u64
//!  12  which     u32    40  monotonic    u64
//!  16  salt      u64    48  wall         u64
//!                       56  zeros        4
//!                       60  crc          u32  of the 60 bytes before, after the chain
//! ```
//!
//! A file of several segments, as an excerpt is, chains them: the checksums of
//! the later headers begin with the salt of the first. Bytes inside a payload
//! cannot know that, so they are never taken for a header.

use super::At;

/// What a segment says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    /// Random; part of every frame's checksum.
    pub(super) salt: u64,
    /// One up each segment of a run.
    pub(super) number: u64,
    /// The recorder's life that wrote it; the monotonic clock of two runs may
    /// differ.
    pub(super) run: u64,
    /// When it began.
    pub(super) at: At,
}

/// What stands in the bytes of a header's copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Copy {
    /// A header, and which of its two copies this is.
    Header(SegmentHeader, u64),
    /// Written by a later version, with this layout.
    Later(u32),
    /// Neither.
    Nothing,
}

impl SegmentHeader {
    /// Bytes before the first frame.
    pub(super) const BYTES: usize = 2 * COPY_BYTES;

    /// Writes both copies.
    pub(super) fn encode(&self, chain: u64, out: &mut [u8]) {
        for (which, copy) in (0_u32..2).zip(out[..Self::BYTES].chunks_exact_mut(COPY_BYTES)) {
            copy.fill(0);
            copy[0..8].copy_from_slice(&MAGIC);
            copy[8..12].copy_from_slice(&LAYOUT.to_le_bytes());
            copy[12..16].copy_from_slice(&which.to_le_bytes());
            let words = [self.salt, self.number, self.run, self.at.monotonic_ns, self.at.wall_ns];
            for (at, word) in words.iter().enumerate() {
                copy[16 + 8 * at..24 + 8 * at].copy_from_slice(&word.to_le_bytes());
            }
            let crc = crc(chain, &copy[..60]);
            copy[60..64].copy_from_slice(&crc.to_le_bytes());
        }
    }

    /// What one copy says, in a file whose later segments chain to `chain`.
    pub(super) fn decode(copy: &[u8; COPY_BYTES], chain: u64) -> Copy {
        let (said, said_crc) = copy.split_last_chunk::<4>().expect("a copy has 64 bytes");
        if said[..8] != MAGIC || u32::from_le_bytes(*said_crc) != crc(chain, said) {
            return Copy::Nothing;
        }
        let u32_at =
            |at: usize| u32::from_le_bytes(*said[at..].first_chunk().expect("a copy has 64 bytes"));
        let u64_at =
            |at: usize| u64::from_le_bytes(*said[at..].first_chunk().expect("a copy has 64 bytes"));
        let (layout, which) = (u32_at(8), u32_at(12));
        if layout != LAYOUT {
            return Copy::Later(layout);
        }
        if which > 1 || u64_at(24) > NUMBER_MAX {
            return Copy::Nothing;
        }
        let at = At { monotonic_ns: u64_at(40), wall_ns: u64_at(48) };
        let header = Self { salt: u64_at(16), number: u64_at(24), run: u64_at(32), at };
        Copy::Header(header, u64::from(which))
    }
}

fn crc(chain: u64, said: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    if chain != 0 {
        crc.update(&chain.to_le_bytes());
    }
    crc.update(said);
    crc.finalize()
}

/// Bytes of one of a header's two copies.
pub(super) const COPY_BYTES: usize = 64;
/// No recorder comes here, at a segment a second for a billion years.
pub(super) const NUMBER_MAX: u64 = 1 << 56;
/// How every segment begins.
pub(super) const MAGIC: [u8; 8] = *b"EErecord";
/// The layout that this build writes and reads.
const LAYOUT: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: SegmentHeader =
        SegmentHeader { salt: 9, number: 3, run: 4, at: At { monotonic_ns: 5, wall_ns: 6 } };

    #[test]
    fn both_copies_say_the_same_and_neither_is_believed_once_a_bit_is_wrong() {
        for chain in [0, 77] {
            let mut bytes = [0; SegmentHeader::BYTES];
            HEADER.encode(chain, &mut bytes);
            let (copies, _) = bytes.as_chunks::<COPY_BYTES>();
            for (which, copy) in (0..).zip(copies) {
                assert_eq!(SegmentHeader::decode(copy, chain), Copy::Header(HEADER, which));
                assert_eq!(SegmentHeader::decode(copy, chain + 1), Copy::Nothing);
                for bit in 0..COPY_BYTES * 8 {
                    let mut flipped = *copy;
                    flipped[bit / 8] ^= 1 << (bit % 8);
                    assert_eq!(SegmentHeader::decode(&flipped, chain), Copy::Nothing);
                }
            }
        }
    }

    #[test]
    fn a_later_layout_says_so() {
        let mut bytes = [0; SegmentHeader::BYTES];
        HEADER.encode(0, &mut bytes);
        bytes[8] = 9;
        let sum = crc(0, &bytes[..60]);
        bytes[60..64].copy_from_slice(&sum.to_le_bytes());
        assert_eq!(SegmentHeader::decode(bytes.first_chunk().unwrap(), 0), Copy::Later(9));
    }
}
