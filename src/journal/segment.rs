//! A segment's bytes: a header written twice, then records.

use super::record::{ALIGN, Found, Record, SEQUENCE_END};

/// What a segment says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Random; part of every record's checksum.
    pub salt: u64,
    /// Every sequence below this was handed out before the segment began.
    pub sequence_next: u64,
}

/// What is in a segment's bytes.
#[derive(Debug, PartialEq, Eq)]
pub struct Parsed<'a> {
    /// What the segment says about itself.
    pub header: SegmentHeader,
    /// The whole records, each with its place, in order.
    pub records: Vec<(usize, Record<'a>)>,
    /// Where the last whole record ends.
    pub end: usize,
    /// Bytes after `end`, left by a write that did not finish.
    pub torn_bytes: usize,
    /// Damaged stretches with whole records after them.
    pub corrupt_gaps: usize,
    /// Bytes in those stretches.
    pub corrupt_bytes: usize,
}

/// Why bytes are not a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreadable {
    /// Neither copy of the header is whole, or what it says cannot be.
    Header,
    /// Written by a later version, with this layout.
    Layout(u32),
}

impl SegmentHeader {
    /// Bytes before the first record.
    pub const BYTES: usize = 2 * COPY_BYTES;

    /// Begins a segment in `out`.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        assert!(out.is_empty(), "a header stands first");
        for _ in 0..2 {
            let start = out.len();
            out.extend_from_slice(&MAGIC);
            out.extend_from_slice(&LAYOUT.to_le_bytes());
            out.extend_from_slice(&self.salt.to_le_bytes());
            out.extend_from_slice(&self.sequence_next.to_le_bytes());
            let crc = crc32fast::hash(&out[start..]);
            out.extend_from_slice(&crc.to_le_bytes());
        }
        assert_eq!(out.len(), Self::BYTES);
    }

    fn decode(copy: &[u8; COPY_BYTES]) -> Result<Self, Unreadable> {
        let (said, crc) = copy.split_last_chunk::<4>().expect("a copy has 32 bytes");
        if said[..8] != MAGIC || u32::from_le_bytes(*crc) != crc32fast::hash(said) {
            return Err(Unreadable::Header);
        }
        let layout = u32::from_le_bytes(*said[8..].first_chunk().expect("a copy has 32 bytes"));
        if layout != LAYOUT {
            return Err(Unreadable::Layout(layout));
        }
        let u64_at =
            |at: usize| u64::from_le_bytes(*said[at..].first_chunk().expect("a copy has 32 bytes"));
        if u64_at(20) > SEQUENCE_END {
            return Err(Unreadable::Header);
        }
        Ok(Self { salt: u64_at(12), sequence_next: u64_at(20) })
    }
}

/// Reads a segment. Takes time linear in its length whatever the bytes are:
/// a damaged head is searched past in steps of 8, a damaged body is skipped
/// by its true head's length.
///
/// # Errors
/// When the bytes do not begin as a segment of this version does.
pub fn parse(bytes: &[u8]) -> Result<Parsed<'_>, Unreadable> {
    let Some((copies, _)) = bytes.split_first_chunk::<{ SegmentHeader::BYTES }>() else {
        return Err(Unreadable::Header);
    };
    let (copies, _) = copies.as_chunks::<COPY_BYTES>();
    let header = SegmentHeader::decode(&copies[0]).or_else(|first| {
        // A later layout is believed from either copy, a broken copy from none.
        SegmentHeader::decode(&copies[1])
            .map_err(|second| if second == Unreadable::Header { first } else { second })
    })?;
    let mut parsed = Parsed {
        header,
        records: Vec::new(),
        end: SegmentHeader::BYTES,
        torn_bytes: 0,
        corrupt_gaps: 0,
        corrupt_bytes: 0,
    };
    let mut place = SegmentHeader::BYTES;
    while place < bytes.len() {
        match Record::decode(bytes, header.salt, place) {
            Found::Record(record, next) => {
                parsed.corrupt_gaps += usize::from(place != parsed.end);
                parsed.corrupt_bytes += place - parsed.end;
                parsed.records.push((place, record));
                parsed.end = next;
                place = next;
            }
            Found::Spoilt(next) => place = next,
            Found::Nothing => place += ALIGN,
        }
    }
    parsed.torn_bytes = bytes.len() - parsed.end;
    Ok(parsed)
}

const COPY_BYTES: usize = 32;
const MAGIC: [u8; 8] = *b"EEjournl";
/// The layout that this build writes and reads.
const LAYOUT: u32 = 1;

#[cfg(test)]
mod tests {
    use super::super::record::RecordKind;
    use super::*;
    use crate::schema::Severity;

    const HEADER: SegmentHeader = SegmentHeader { salt: 99, sequence_next: 4 };

    /// A segment of four records, the second of which carries a whole copy of
    /// the first in its payload.
    fn small() -> (Vec<u8>, Vec<usize>) {
        let mut bytes = Vec::new();
        HEADER.encode(&mut bytes);
        let mut places = Vec::new();
        for sequence in 4..8_u64 {
            let payload = match sequence {
                5 => bytes[SegmentHeader::BYTES..].to_vec(),
                _ => vec![sequence as u8; sequence as usize * 3],
            };
            places.push(bytes.len());
            let place = bytes.len() as u64;
            let record = Record {
                kind: RecordKind::Verdict,
                priority: Severity::Warning,
                sequence,
                name: "",
                payload: &payload,
            };
            record.encode(HEADER.salt, place, &mut bytes);
        }
        (bytes, places)
    }

    fn sequences(parsed: &Parsed<'_>) -> Vec<u64> {
        parsed.records.iter().map(|(_, record)| record.sequence).collect()
    }

    #[test]
    fn a_whole_segment_is_read_whole() {
        let (bytes, places) = small();
        let parsed = parse(&bytes).unwrap();
        assert_eq!(parsed.header, HEADER);
        assert_eq!(parsed.records.iter().map(|(place, _)| *place).collect::<Vec<_>>(), places);
        assert_eq!((parsed.end, parsed.torn_bytes, parsed.corrupt_gaps), (bytes.len(), 0, 0));
    }

    #[test]
    fn a_cut_at_any_byte_keeps_every_whole_record_before_it() {
        let (bytes, mut places) = small();
        places.push(bytes.len());
        for cut in 0..bytes.len() {
            let Ok(parsed) = parse(&bytes[..cut]) else {
                assert!(cut < SegmentHeader::BYTES, "cut at {cut}");
                continue;
            };
            let whole = places[1..].iter().filter(|end| **end <= cut).count() as u64;
            assert_eq!(sequences(&parsed), (4..4 + whole).collect::<Vec<_>>(), "cut at {cut}");
            assert_eq!(parsed.torn_bytes, cut - parsed.end, "cut at {cut}");
            assert_eq!(parsed.corrupt_gaps, 0, "cut at {cut}");
        }
    }

    #[test]
    fn a_flipped_bit_costs_its_own_record_and_no_other() {
        let (bytes, places) = small();
        let whole = parse(&bytes).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let parsed = parse(&flipped).expect("the other header copy is whole");
            let mut expected = whole.records.clone();
            let hurt = places.iter().rposition(|place| *place <= bit / 8);
            if let Some(hurt) = hurt {
                expected.remove(hurt);
            }
            assert_eq!(parsed.records, expected, "bit {bit}");
            let lost = parsed.corrupt_bytes + parsed.torn_bytes;
            assert_eq!(lost > 0, hurt.is_some(), "bit {bit}");
        }
    }

    #[test]
    fn a_later_layout_is_not_read() {
        let (mut bytes, _) = small();
        bytes[8..12].copy_from_slice(&9_u32.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..28]);
        bytes[28..32].copy_from_slice(&crc.to_le_bytes());
        bytes[40] ^= 1;
        assert_eq!(parse(&bytes), Err(Unreadable::Layout(9)));
    }
}
