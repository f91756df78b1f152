//! `/proc/net/dev`: what each network interface carried, lost and refused.

use super::bytes::{fields, lines};

/// Counts of one interface since it appeared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Interface {
    /// Bytes received.
    pub received_bytes: u64,
    /// Packets received.
    pub received_packets: u64,
    /// Packets received with an error.
    pub receive_errors: u64,
    /// Packets received and dropped.
    pub receive_drops: u64,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Packets sent.
    pub sent_packets: u64,
    /// Packets not sent for an error.
    pub send_errors: u64,
    /// Packets dropped before sending.
    pub send_drops: u64,
}

/// Reads the text of `/proc/net/dev`, handing each interface to `interface` by name.
///
/// Returns how many rows made no sense.
pub fn parse(text: &[u8], mut interface: impl FnMut(&[u8], Interface)) -> u32 {
    let mut rows_refused = 0;
    for line in lines(text) {
        match row(line) {
            Some((name, counts)) => interface(name, counts),
            None if is_heading(line) => {}
            None => rows_refused += 1,
        }
    }
    rows_refused
}

/// The two headings are drawn with bars and hold no colon.
fn is_heading(line: &[u8]) -> bool {
    memchr::memchr(b'|', line).is_some() && memchr::memchr(b':', line).is_none()
}

/// A name, a colon (with or without a blank behind it), sixteen numbers.
///
/// An alias' name may hold a colon itself, so the last one counts.
fn row(line: &[u8]) -> Option<(&[u8], Interface)> {
    let colon = memchr::memrchr(b':', line)?;
    let name = fields(&line[..colon]).next()?;
    let [
        received_bytes,
        received_packets,
        receive_errors,
        receive_drops,
        _,
        _,
        _,
        _,
        sent_bytes,
        sent_packets,
        send_errors,
        send_drops,
    ] = fields(&line[colon + 1..]).numbers()?;
    Some((
        name,
        Interface {
            received_bytes,
            received_packets,
            receive_errors,
            receive_drops,
            sent_bytes,
            sent_packets,
            send_errors,
            send_drops,
        },
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::samplers::procfs::captures;

    type Rows = Vec<(Vec<u8>, Interface)>;

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
    fn a_capture_gives_every_interface() {
        check(captures::NET_DEV, &[b"lo", b"ifb0", b"ifb1", b"eth0"], 0);
        let (rows, _) = parsed(captures::NET_DEV);
        assert!(rows[3].1.received_bytes > rows[3].1.received_packets);
        assert_eq!(rows[0].1.received_bytes, rows[0].1.sent_bytes);
    }

    #[test]
    fn each_column_lands_in_its_place() {
        let (rows, _) = parsed(b"e0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n");
        let expected = Interface {
            received_bytes: 1,
            received_packets: 2,
            receive_errors: 3,
            receive_drops: 4,
            sent_bytes: 9,
            sent_packets: 10,
            send_errors: 11,
            send_drops: 12,
        };
        assert_eq!(rows, [(b"e0".to_vec(), expected)]);
    }

    #[test]
    fn rows_that_make_no_sense_are_refused_and_the_rest_is_kept() {
        let numbers = "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16";
        check(format!("eth0:{numbers}\n").as_bytes(), &[b"eth0"], 0);
        check(format!("eth0:1: {numbers}\r\n").as_bytes(), &[b"eth0:1"], 0);
        check(format!("a|b: {numbers}\n").as_bytes(), &[b"a|b"], 0);
        check(b"eth0: 1 2 3 4 5 6 7 8 9 10 11\n", &[], 1);
        check(b"eth0: 1 2 3 4 5 6 7 8 9 10 11 -12\n", &[], 1);
        check(b"eth0: 99999999999999999999 2 3 4 5 6 7 8 9 10 11 12\n", &[], 1);
        check(format!(": {numbers}\n  : {numbers}\nnothing\n\n").as_bytes(), &[], 4);
        check(
            format!("e\0: {numbers}\n\u{fe}: {numbers}\0\n").as_bytes(),
            &[b"e\0", "\u{fe}".as_bytes()],
            0,
        );
        check(b"e0: 1 2 3 4\0 5 6 7 8 9 10 11 12\n", &[], 1);
        check(format!("eth0: {numbers}").as_bytes(), &[], 0);
    }

    #[test]
    fn a_cut_text_says_less_and_never_otherwise() {
        let (whole, _) = parsed(captures::NET_DEV);
        for end in 0..captures::NET_DEV.len() {
            let (rows, refused) = parsed(&captures::NET_DEV[..end]);
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
        fn rows_are_read_as_written(name in "[^\\s:/]{1,15}", counts in any::<[u64; 16]>()) {
            let numbers = counts.map(|count| count.to_string()).join(" ");
            let (rows, refused) = parsed(format!("{name}: {numbers}\n").as_bytes());
            prop_assert_eq!((rows.len(), refused), (1, 0));
            prop_assert_eq!(&rows[0].0, name.as_bytes());
            prop_assert_eq!(rows[0].1.sent_bytes, counts[8]);
        }
    }
}
