//! A log as a stream of lines, in one buffer.

use std::io::{self, Read};

use crate::schema::log::{Blocks, LINE_BYTES_MAX, Line, parse_line};

/// Bytes that are held at once. The longest line that is looked at, with its
/// fields, fits several times.
const BUFFER_BYTES: usize = 64 << 10;

/// Hands over every line of a log with the bytes read so far; says how many
/// bytes there were. Of a line without an end only the beginning is looked at.
///
/// # Errors
///
/// What the source says, and where it is compressed: it has no lines then.
pub fn each_line(mut reader: impl Read, mut take: impl FnMut(&Line<'_>, u64)) -> io::Result<u64> {
    let mut buffer = vec![0; BUFFER_BYTES];
    let (mut held, mut read, mut dropping) = (0, 0_u64, false);
    loop {
        let more = match reader.read(&mut buffer[held..]) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            more => more?,
        };
        if read == 0 {
            refuse_compressed(&buffer[..more])?;
        }
        read += more as u64;
        held += more;
        let whole = more == 0;
        let mut blocks = Blocks::new(&buffer[..held], whole);
        for block in blocks.by_ref() {
            // The end of a line whose beginning was taken.
            if std::mem::take(&mut dropping) {
                continue;
            }
            if let Some(line) = parse_line(block) {
                take(&line, read);
            }
        }
        let rest = blocks.rest().len();
        buffer.copy_within(held - rest..held, 0);
        held = rest;
        if whole {
            return Ok(read);
        }
        if held == buffer.len() {
            let beginning = &buffer[..LINE_BYTES_MAX];
            if let Some(line) = parse_line(beginning).filter(|_| !dropping) {
                take(&line, read);
            }
            (held, dropping) = (0, true);
        }
    }
}

/// Compressed bytes would be read as one long line that says nothing.
fn refuse_compressed(bytes: &[u8]) -> io::Result<()> {
    let kinds: [(&[u8], &str); 4] = [
        (b"\x1f\x8b", "gzip: zcat FILE | eagle-eye diagnose --log -"),
        (b"\x28\xb5\x2f\xfd", "zstd: zstdcat FILE | eagle-eye diagnose --log -"),
        (b"\xfd7zXZ", "xz: xzcat FILE | eagle-eye diagnose --log -"),
        (b"LPKSHHRH", "systemd: journalctl -k --file FILE | eagle-eye diagnose --log -"),
    ];
    match kinds.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        Some((_, how)) => Err(io::Error::other(format!("it is in the format of {how}"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives so many bytes a read.
    struct Dribble<'a>(&'a [u8], usize);

    impl Read for Dribble<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let bytes = self.0.len().min(buffer.len()).min(self.1);
            buffer[..bytes].copy_from_slice(&self.0[..bytes]);
            self.0 = &self.0[bytes..];
            Ok(bytes)
        }
    }

    fn lines(bytes: &[u8], at_once: usize) -> Vec<String> {
        let mut lines = Vec::new();
        let read =
            each_line(Dribble(bytes, at_once), |line, _| lines.push(line.shown(64))).unwrap();
        assert_eq!(read, bytes.len() as u64);
        lines
    }

    #[test]
    fn lines_are_the_same_however_they_arrive() {
        let bytes = b"[1.0] one\n4,1,1,-;two\n DEVICE=+pci:0\n\n[2.0] three";
        for at_once in [1, 2, 3, 7, 64, 4096] {
            assert_eq!(lines(bytes, at_once), ["one", "two", "three"], "{at_once}");
        }
    }

    #[test]
    fn a_line_without_an_end_costs_no_memory_and_hides_no_other() {
        let mut bytes = b"before\n".to_vec();
        bytes.extend(std::iter::repeat_n(b'x', 5 * BUFFER_BYTES));
        bytes.extend_from_slice(b"\nbehind\n");
        let told = lines(&bytes, usize::MAX);
        assert_eq!((told.len(), &*told[0], &*told[2]), (3, "before", "behind"));
        assert!(told[1].starts_with("xxx"));
    }

    #[test]
    fn a_compressed_log_is_refused_with_the_way_to_read_it() {
        let error = each_line(&b"\x1f\x8b\x08rest"[..], |_, _| {}).unwrap_err();
        assert!(error.to_string().contains("zcat"));
    }
}
