//! Bytes ↔ frame, nothing else.
//!
//! ```text
//!   0  length       u32  of the payload
//!   4  body crc     u32  of payload and padding
//!   8  monotonic    u64  when it was offered, ns
//!  16  wall         u64  the same instant, ns since 1970
//!  24  kind         u8
//!  25  zeros        3
//!  28  head crc     u32  of salt, place in the segment and the 28 bytes before
//!  32  payload, zeros up to a multiple of 8
//! ```
//!
//! The head's checksum covers the segment's random salt and the frame's place:
//! bytes inside a payload that look like a frame, even a copied one, are never
//! taken for one when a reader searches its way past damage.

use super::At;
use crate::schema::BATCH_BYTES_MAX;

/// What a frame holds. Numbers are the file's; they never change meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FrameKind {
    /// A batch, as it was handed to takers.
    Batch = 1,
    /// A batch that says what was known when the segment began.
    Known = 2,
    /// Nothing happened up to here; time passed.
    Tick = 3,
    /// How many batches could not be recorded since it was last said, u64.
    Lost = 4,
}

impl FrameKind {
    const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Batch,
            2 => Self::Known,
            3 => Self::Tick,
            4 => Self::Lost,
            _ => return None,
        })
    }
}

/// A frame's head, as far as a reader needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) at: At,
    /// None where a later version wrote it.
    pub(super) kind: Option<FrameKind>,
    pub(super) payload_bytes: usize,
    body_crc: u32,
}

impl Head {
    /// The head in these bytes, if a writer put it at this place of a segment
    /// with this salt.
    pub(super) fn decode(head: &[u8; HEAD_BYTES], salt: u64, place: u64) -> Option<Self> {
        let u32_at = |at: usize| Some(u32::from_le_bytes(*head[at..].first_chunk()?));
        let u64_at = |at: usize| Some(u64::from_le_bytes(*head[at..].first_chunk()?));
        if u32_at(28)? != head_crc(salt, place, &head[..28]) {
            return None;
        }
        let payload_bytes = u32_at(0)? as usize;
        if payload_bytes > PAYLOAD_BYTES_MAX {
            return None;
        }
        let at = At { monotonic_ns: u64_at(8)?, wall_ns: u64_at(16)? };
        let kind = FrameKind::from_number(head[24]);
        Some(Self { at, kind, payload_bytes, body_crc: u32_at(4)? })
    }

    /// Whether this body, payload and padding, is the one that was written.
    pub(super) fn fits(&self, body: &[u8]) -> bool {
        crc32fast::hash(body) == self.body_crc
    }

    /// Bytes of payload and padding.
    pub(super) const fn body_bytes(&self) -> usize {
        self.payload_bytes.next_multiple_of(ALIGN)
    }
}

/// Writes a frame into `out`, which is as long as [`frame_bytes`] says, to
/// stand at `place` of the segment with this salt.
pub(super) fn encode(
    out: &mut [u8],
    (salt, place): (u64, u64),
    at: At,
    kind: FrameKind,
    payload: &[u8],
) {
    assert!(payload.len() <= PAYLOAD_BYTES_MAX, "a payload longer than the room lets in");
    let (head, body) = out.split_at_mut(HEAD_BYTES);
    body[..payload.len()].copy_from_slice(payload);
    body[payload.len()..].fill(0);
    head.fill(0);
    head[0..4].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    head[4..8].copy_from_slice(&crc32fast::hash(body).to_le_bytes());
    head[8..16].copy_from_slice(&at.monotonic_ns.to_le_bytes());
    head[16..24].copy_from_slice(&at.wall_ns.to_le_bytes());
    head[24] = kind as u8;
    let crc = head_crc(salt, place, &head[..28]);
    head[28..32].copy_from_slice(&crc.to_le_bytes());
}

/// Bytes that a frame with a payload of this length takes.
pub(super) const fn frame_bytes(payload: usize) -> usize {
    HEAD_BYTES + payload.next_multiple_of(ALIGN)
}

fn head_crc(salt: u64, place: u64, head: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&salt.to_le_bytes());
    crc.update(&place.to_le_bytes());
    crc.update(head);
    crc.finalize()
}

/// Bytes before a frame's payload.
pub(super) const HEAD_BYTES: usize = 32;
/// Frames begin at multiples of this, so a search steps by it.
pub(super) const ALIGN: usize = 8;
/// Longest payload; a longer one is refused.
pub(super) const PAYLOAD_BYTES_MAX: usize = BATCH_BYTES_MAX;

#[cfg(test)]
mod tests {
    use super::*;

    const AT: At = At { monotonic_ns: 7, wall_ns: 8 };

    fn encoded(payload: &[u8], salt: u64, place: u64) -> Vec<u8> {
        let mut out = vec![0xff; frame_bytes(payload.len())];
        encode(&mut out, (salt, place), AT, FrameKind::Batch, payload);
        out
    }

    fn decoded(bytes: &[u8], salt: u64, place: u64) -> Option<(Head, bool)> {
        let (head, body) = bytes.split_first_chunk()?;
        let head = Head::decode(head, salt, place)?;
        Some((head, head.fits(body)))
    }

    #[test]
    fn what_was_written_is_read_at_its_place_and_under_its_salt_only() {
        for payload in [&b""[..], b"1", b"12345678", &[7; PAYLOAD_BYTES_MAX]] {
            let bytes = encoded(payload, 5, 64);
            let (head, fits) = decoded(&bytes, 5, 64).unwrap();
            assert!(fits && head.at == AT && head.kind == Some(FrameKind::Batch));
            assert_eq!(bytes[HEAD_BYTES..][..head.payload_bytes], *payload);
            assert_eq!(decoded(&bytes, 6, 64), None);
            assert_eq!(decoded(&bytes, 5, 72), None);
        }
    }

    #[test]
    fn no_flipped_bit_is_believed() {
        let bytes = encoded(b"a fan stopped", 5, 0);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let believed = decoded(&flipped, 5, 0).is_some_and(|(_, fits)| fits);
            assert!(!believed, "bit {bit}");
        }
    }
}
