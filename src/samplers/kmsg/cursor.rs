//! How far a log has been read, as the journal keeps it over a restart.

use crate::schema::name_hash;

/// A boot's UUID, in bytes; zeros where the node does not say it.
pub(super) type Boot = [u8; 16];

/// How far a log has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cursor {
    /// Up to a record of `/dev/kmsg`.
    Record {
        /// Of which boot.
        boot: Boot,
        /// Its sequence number.
        sequence: u64,
        /// Its time, µs; 0 where it was never read.
        time_us: u64,
    },
    /// Up to a line of syslog(2).
    Line {
        /// Of which boot.
        boot: Boot,
        /// Its time, µs; 0 where it has none.
        time_us: u64,
        /// The hash of its bytes.
        hash: u64,
    },
    /// Up to a place in a file.
    Place {
        /// The file's file system.
        device: u64,
        /// The file's number on it.
        inode: u64,
        /// Bytes read.
        offset: u64,
    },
}

const RECORD: u8 = 1;
const LINE: u8 = 2;
const PLACE: u8 = 3;

impl Cursor {
    /// As the journal keeps it: what it is, then its numbers.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let (tag, boot, numbers): (u8, &[u8], &[u64]) = match self {
            Self::Record { boot, sequence, time_us } => (RECORD, boot, &[*sequence, *time_us]),
            Self::Line { boot, time_us, hash } => (LINE, boot, &[*time_us, *hash]),
            Self::Place { device, inode, offset } => (PLACE, &[], &[*device, *inode, *offset]),
        };
        let mut bytes = vec![tag];
        bytes.extend_from_slice(boot);
        numbers.iter().for_each(|number| bytes.extend_from_slice(&number.to_le_bytes()));
        bytes
    }

    /// What the journal kept; nothing where it is not one of ours.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (&tag, rest) = bytes.split_first()?;
        if tag == PLACE {
            let [device, inode, offset] = numbers(rest)?;
            return Some(Self::Place { device, inode, offset });
        }
        let (boot, rest) = rest.split_first_chunk()?;
        let [first, second] = numbers(rest)?;
        match tag {
            RECORD => Some(Self::Record { boot: *boot, sequence: first, time_us: second }),
            LINE => Some(Self::Line { boot: *boot, time_us: first, hash: second }),
            _ => None,
        }
    }
}

fn numbers<const N: usize>(bytes: &[u8]) -> Option<[u64; N]> {
    let mut all = [0; N];
    let mut rest = bytes;
    for one in &mut all {
        let (number, behind) = rest.split_first_chunk()?;
        *one = u64::from_le_bytes(*number);
        rest = behind;
    }
    rest.is_empty().then_some(all)
}

/// The boot that `text` of `/proc/sys/kernel/random/boot_id` names.
pub(super) fn boot(text: &[u8]) -> Option<Boot> {
    let text = text.trim_ascii();
    let mut digits = text.iter().filter(|byte| **byte != b'-');
    let mut boot = [0; 16];
    for byte in &mut boot {
        let mut digit = || char::from(*digits.next()?).to_digit(16);
        *byte = (digit()? * 16 + digit()?) as u8;
    }
    (digits.next().is_none() && boot != [0; 16]).then_some(boot)
}

/// The hash by which a line is known again.
pub(super) fn line_hash(line: &[u8]) -> u64 {
    name_hash(&String::from_utf8_lossy(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_the_journal_and_nonsense_does_not() {
        let boot = boot(b"0b5f9a1e-6a36-4f4c-9a55-1f2c3d4e5f60\n").unwrap();
        assert_eq!((boot[0], boot[15]), (0x0b, 0x60));
        for cursor in [
            Cursor::Record { boot, sequence: u64::MAX, time_us: 7 },
            Cursor::Line { boot, time_us: 7, hash: 9 },
            Cursor::Place { device: 1, inode: 2, offset: 3 },
        ] {
            let bytes = cursor.encode();
            assert_eq!(Cursor::decode(&bytes), Some(cursor));
            for end in 0..bytes.len() {
                assert_eq!(Cursor::decode(&bytes[..end]), None, "cut at {end}");
            }
            assert_eq!(Cursor::decode(&[&bytes[..], &[0]].concat()), None);
            assert_eq!(Cursor::decode(&[&[9], &bytes[1..]].concat()), None);
        }
    }

    #[test]
    fn only_a_uuid_names_a_boot() {
        for text in [
            &b""[..],
            b"0b5f9a1e-6a36-4f4c-9a55-1f2c3d4e5f6",
            b"0b5f9a1e-6a36-4f4c-9a55-1f2c3d4e5f600",
            b"0b5f9a1e-6a36-4f4c-9a55-1f2c3d4e5fxx",
            b"00000000-0000-0000-0000-000000000000",
        ] {
            assert_eq!(boot(text), None);
        }
    }
}
