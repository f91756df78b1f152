//! `/proc/diskstats`: what each block device read, wrote and has in flight.

use super::bytes::{fields, lines};

/// Counts of one block device since it appeared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Disk {
    /// Reads completed.
    pub reads: u64,
    /// Sectors of 512 bytes read.
    pub read_sectors: u64,
    /// Writes completed.
    pub writes: u64,
    /// Sectors of 512 bytes written.
    pub written_sectors: u64,
    /// Requests in flight now.
    pub in_flight: u64,
    /// Milliseconds with a request in flight.
    pub busy_ms: u64,
}

/// Reads the text of `/proc/diskstats`, handing each block device to `disk` by name.
///
/// Returns how many rows made no sense.
pub fn parse(text: &[u8], mut disk: impl FnMut(&[u8], Disk)) -> u32 {
    let mut rows_refused = 0;
    for line in lines(text) {
        match row(line) {
            Some((name, counts)) => disk(name, counts),
            None => rows_refused += 1,
        }
    }
    rows_refused
}

/// Major, minor, name, and the eleven columns that every kernel since 2.6.25 writes.
fn row(line: &[u8]) -> Option<(&[u8], Disk)> {
    let mut columns = fields(line);
    let [_major, _minor] = columns.numbers()?;
    let name = columns.next()?;
    let [reads, _, read_sectors, _, writes, _, written_sectors, _, in_flight, busy_ms, _weighted] =
        columns.numbers()?;
    Some((name, Disk { reads, read_sectors, writes, written_sectors, in_flight, busy_ms }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::samplers::procfs::captures;

    type Rows = Vec<(Vec<u8>, Disk)>;

    fn parsed(text: &[u8]) -> (Rows, u32) {
        let mut rows = Rows::new();
        let refused = parse(text, |name, counts| rows.push((name.to_vec(), counts)));
        (rows, refused)
    }

    #[track_caller]
    fn check(text: &[u8], names: &[&[u8]], refused: u32) {
        let (rows, got_refused) = parsed(text);
        assert_eq!(rows.iter().map(|row| &row.0[..]).collect::<Vec<_>>(), names);
        assert_eq!(got_refused, refused);
    }

    #[test]
    fn a_capture_gives_every_block_device() {
        let (rows, refused) = parsed(captures::DISKSTATS);
        assert_eq!((rows.len(), refused), (10, 0));
        let (name, counts) = &rows[8];
        assert_eq!(name, b"vda");
        assert!(counts.reads > 0 && counts.read_sectors > counts.reads && counts.busy_ms > 0);
    }

    #[test]
    fn each_column_lands_in_its_place() {
        let (rows, _) = parsed(b" 8 0 sda 1 2 3 4 5 6 7 8 9 10 11\n");
        let expected = Disk {
            reads: 1,
            read_sectors: 3,
            writes: 5,
            written_sectors: 7,
            in_flight: 9,
            busy_ms: 10,
        };
        assert_eq!(rows, [(b"sda".to_vec(), expected)]);
    }

    #[test]
    fn rows_that_make_no_sense_are_refused_and_the_rest_is_kept() {
        let numbers = "1 2 3 4 5 6 7 8 9 10 11";
        let good: &[&[u8]] = &[b"sda"];
        check(format!("8 0 sda {numbers}\nx\n").as_bytes(), good, 1);
        check(format!("8 0 sda {numbers} 12 13 14 15 16 17\r\n").as_bytes(), good, 0);
        check(format!("8 1 cciss/c0d0 {numbers}\n").as_bytes(), &[b"cciss/c0d0"], 0);
        check(format!("8 sda {numbers}\n8 0 {numbers}\n\n").as_bytes(), &[], 3);
        check(b"8 1 sda1 1 2 3 4\n", &[], 1);
        check(b"8 0 sda 99999999999999999999 2 3 4 5 6 7 8 9 10 11\n", &[], 1);
        check(b"8 0 sda 1 2 3 4 5 6 7\0 8 9 10 11\n", &[], 1);
        check(b"8 0 s\0a 1 2 3 4 5 6 7 8 9 10 11\n", &[b"s\0a"], 0);
        check(format!("8 0 sda {numbers}").as_bytes(), &[], 0);
    }

    #[test]
    fn a_cut_text_says_less_and_never_otherwise() {
        let (whole, _) = parsed(captures::DISKSTATS);
        for end in 0..captures::DISKSTATS.len() {
            let (rows, refused) = parsed(&captures::DISKSTATS[..end]);
            assert!(whole.starts_with(&rows) && refused == 0);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(text in proptest::collection::vec(any::<u8>(), 0..512)) {
            for (name, _) in parsed(&text).0 {
                prop_assert!(!name.is_empty());
            }
        }

        #[test]
        fn rows_are_read_as_written(name in "[^\\s]{1,31}", counts in any::<[u64; 11]>()) {
            let numbers = counts.map(|count| count.to_string()).join(" ");
            let (rows, refused) = parsed(format!("  8   0 {name} {numbers}\n").as_bytes());
            prop_assert_eq!((rows.len(), refused), (1, 0));
            prop_assert_eq!(&rows[0].0, name.as_bytes());
            prop_assert_eq!(rows[0].1.busy_ms, counts[9]);
        }
    }
}
