//! Bytes ↔ record, nothing else.
//!
//! ```text
//!   0  length        u32  of name and payload together
//!   4  body crc      u32  of name, payload and padding
//!   8  sequence      u64  0 where the kind has none
//!  16  kind          u8
//!  17  priority      u8
//!  18  name length   u16
//!  20  head crc      u32  of salt, place in the file and the 20 bytes before
//!  24  name, payload, zeros up to a multiple of 8
//! ```
//!
//! The head's checksum covers the segment's random salt and the record's
//! place: bytes inside a payload that look like a record, even a copied one,
//! are never taken for one when a reader searches its way past damage.

use crate::schema::Severity;

/// What a record states. Numbers are the file's; they never change meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum RecordKind {
    /// An event, kept until acknowledged.
    Event = 1,
    /// A verdict, kept until acknowledged.
    Verdict = 2,
    /// Where a named reader stands; the last one wins, an empty one forgets.
    Cursor = 3,
    /// A named description; the last one wins, an empty one forgets.
    Inventory = 4,
    /// The entry with this sequence arrived where it should.
    Acknowledgement = 5,
    /// The entry with this sequence gave way to others.
    Drop = 6,
}

impl RecordKind {
    const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Event,
            2 => Self::Verdict,
            3 => Self::Cursor,
            4 => Self::Inventory,
            5 => Self::Acknowledgement,
            6 => Self::Drop,
            _ => return None,
        })
    }
}

/// One statement in a segment; see the file's layout above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// What it states.
    pub kind: RecordKind,
    /// How much an entry matters; info where the kind has none.
    pub priority: Severity,
    /// The entry's number, or that of the entry it speaks of.
    pub sequence: u64,
    /// The name of a cursor or of an inventory; else empty.
    pub name: &'a str,
    /// The content.
    pub payload: &'a [u8],
}

/// What stands at one place of a segment.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    /// A whole record, and where the next one begins.
    Record(Record<'a>, usize),
    /// A true head whose body is damaged or unknown, and where the next begins.
    Spoilt(usize),
    /// Nothing that a writer put here whole.
    Nothing,
}

impl<'a> Record<'a> {
    /// An acknowledgement or a drop of the entry with this sequence.
    pub(super) const fn about(kind: RecordKind, sequence: u64) -> Self {
        Record { kind, priority: Severity::Info, sequence, name: "", payload: &[] }
    }

    /// A cursor or an inventory.
    pub(super) const fn named(kind: RecordKind, name: &'a str, payload: &'a [u8]) -> Self {
        Record { kind, priority: Severity::Info, sequence: 0, name, payload }
    }

    /// Bytes this record takes in a segment.
    pub(super) const fn bytes(&self) -> usize {
        record_bytes(self.name.len(), self.payload.len())
    }

    /// Appends this record to `out`, to stand at `place` of the segment with
    /// this salt. The room has checked the lengths.
    pub(super) fn encode(&self, salt: u64, place: u64, out: &mut Vec<u8>) {
        assert!(self.name.len() <= NAME_BYTES_MAX, "a name longer than the room lets in");
        assert!(self.payload.len() <= PAYLOAD_BYTES_MAX, "a payload longer than the room lets in");
        let start = out.len();
        let length = self.name.len() + self.payload.len();
        out.resize(start + HEAD_BYTES, 0);
        out.extend_from_slice(self.name.as_bytes());
        out.extend_from_slice(self.payload);
        out.resize(start + self.bytes(), 0);
        let body_crc = crc32fast::hash(&out[start + HEAD_BYTES..]);
        let head = &mut out[start..start + HEAD_BYTES];
        head[0..4].copy_from_slice(&(length as u32).to_le_bytes());
        head[4..8].copy_from_slice(&body_crc.to_le_bytes());
        head[8..16].copy_from_slice(&self.sequence.to_le_bytes());
        head[16] = self.kind as u8;
        head[17] = self.priority as u8;
        head[18..20].copy_from_slice(&(self.name.len() as u16).to_le_bytes());
        let head_crc = head_crc(salt, place, &head[..20]);
        head[20..24].copy_from_slice(&head_crc.to_le_bytes());
    }

    /// What stands at `place` of a segment with this salt.
    pub(super) fn decode(segment: &'a [u8], salt: u64, place: usize) -> Found<'a> {
        let Some(rest) = segment.get(place..) else { return Found::Nothing };
        let Some((head, body)) = rest.split_first_chunk::<HEAD_BYTES>() else {
            return Found::Nothing;
        };
        if u32_at(head, 20) != head_crc(salt, place as u64, &head[..20]) {
            return Found::Nothing;
        }
        let length = u32_at(head, 0) as usize;
        let name_length = usize::from(u16::from_le_bytes([head[18], head[19]]));
        let padded = length.next_multiple_of(ALIGN);
        let Some(body) = body.get(..padded) else { return Found::Nothing };
        let next = place + HEAD_BYTES + padded;
        if crc32fast::hash(body) != u32_at(head, 4) {
            return Found::Spoilt(next);
        }
        let sequence = u64::from_le_bytes(*head[8..].first_chunk().expect("the head has 24 bytes"));
        let Some(kind) = RecordKind::from_number(head[16]) else { return Found::Spoilt(next) };
        let Some((name, payload)) = body[..length].split_at_checked(name_length) else {
            return Found::Spoilt(next);
        };
        let Ok(name) = std::str::from_utf8(name) else { return Found::Spoilt(next) };
        if name_length > NAME_BYTES_MAX
            || payload.len() > PAYLOAD_BYTES_MAX
            || sequence >= SEQUENCE_END
        {
            return Found::Spoilt(next);
        }
        let priority = Severity::from_number(head[17]);
        Found::Record(Record { kind, priority, sequence, name, payload }, next)
    }
}

/// Bytes that a record with a name and a payload of these lengths takes.
pub(super) const fn record_bytes(name: usize, payload: usize) -> usize {
    HEAD_BYTES + (name + payload).next_multiple_of(ALIGN)
}

fn head_crc(salt: u64, place: u64, head: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&salt.to_le_bytes());
    crc.update(&place.to_le_bytes());
    crc.update(head);
    crc.finalize()
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(*bytes[at..].first_chunk().expect("callers name places inside a head"))
}

/// Bytes before a record's name.
pub(super) const HEAD_BYTES: usize = 24;
/// Records begin at multiples of this, so a search steps by it.
pub(super) const ALIGN: usize = 8;
/// Longest name, bytes; a longer one is refused.
pub(super) const NAME_BYTES_MAX: usize = 256;
/// Longest payload that any limits allow, bytes; a longer one is refused.
pub(super) const PAYLOAD_BYTES_MAX: usize = 1 << 20;
/// No writer comes here, at a million entries a second for a hundred thousand
/// years: a file that says otherwise is not believed, so that numbers never
/// run out.
pub(super) const SEQUENCE_END: u64 = 1 << 62;

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: Record<'static> = Record {
        kind: RecordKind::Event,
        priority: Severity::Error,
        sequence: 7,
        name: "",
        payload: b"a fan stopped",
    };

    fn encoded(record: Record<'_>, salt: u64, place: u64) -> Vec<u8> {
        let mut out = vec![0; place as usize];
        record.encode(salt, place, &mut out);
        out
    }

    #[test]
    fn what_was_written_is_read() {
        for record in [
            EVENT,
            Record { payload: b"", ..EVENT },
            Record { payload: b"12345678", ..EVENT },
            Record::named(RecordKind::Cursor, "kmsg", b"\x07"),
            Record::named(RecordKind::Inventory, "größe", b""),
            Record::about(RecordKind::Acknowledgement, SEQUENCE_END - 1),
        ] {
            let bytes = encoded(record, 5, 64);
            assert_eq!(bytes.len(), 64 + record.bytes());
            assert_eq!(Record::decode(&bytes, 5, 64), Found::Record(record, bytes.len()));
        }
    }

    #[test]
    fn a_record_is_only_itself_at_its_place_and_under_its_salt() {
        let bytes = encoded(EVENT, 5, 64);
        assert_eq!(Record::decode(&bytes, 6, 64), Found::Nothing);
        let moved = [&[0; 8], bytes.as_slice()].concat();
        assert_eq!(Record::decode(&moved, 5, 72), Found::Nothing);
        assert_eq!(Record::decode(&bytes, 5, 1000), Found::Nothing);
    }

    #[test]
    fn no_flipped_bit_is_believed() {
        let bytes = encoded(EVENT, 5, 0);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let expected =
                if bit / 8 < HEAD_BYTES { Found::Nothing } else { Found::Spoilt(bytes.len()) };
            assert_eq!(Record::decode(&flipped, 5, 0), expected, "bit {bit}");
        }
    }
}
