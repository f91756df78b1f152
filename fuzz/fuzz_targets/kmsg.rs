//! A line of a log is taken as hostile: whatever it says, each parser returns,
//! gives no byte that was not there, and keeps to its limits.
#![no_main]

use std::io;
use std::sync::LazyLock;

use eagle_eye::samplers::kmsg::{
    Attested, Clocks, Cursor, Facts, Filter, KEEP, Records, Round, Telling,
};
use eagle_eye::schema::log::{Blocks, Record, decoded, parse_line};
use eagle_eye::schema::{Event, TEXT_BYTES_MAX};
use libfuzzer_sys::fuzz_target;

/// Made once: it is dear to make and cheap to share.
static FILTER: LazyLock<Filter> = LazyLock::new(|| Filter::new(4, KEEP).expect("our own words"));

fuzz_target!(|bytes: &[u8]| {
    blocks_hold_every_byte_once(bytes);
    a_line_is_within_its_block(bytes);
    a_ring_of_anything_is_read_to_its_end(bytes);
    if let Some(cursor) = Cursor::decode(bytes) {
        assert_eq!(cursor.encode(), bytes);
    }
});

fn blocks_hold_every_byte_once(bytes: &[u8]) {
    for whole in [false, true] {
        let mut blocks = Blocks::new(bytes, whole);
        let given: Vec<u8> = blocks.by_ref().flatten().copied().collect();
        assert_eq!([&given, blocks.rest()].concat(), bytes);
        assert!(!whole || blocks.rest().is_empty());
    }
}

fn a_line_is_within_its_block(bytes: &[u8]) {
    for block in Blocks::new(bytes, true) {
        let Some(line) = parse_line(block) else { continue };
        let range = block.as_ptr_range();
        // `dmesg -x` says the facility in place of a program, the kernel's name
        // for which is ours.
        let program = line.program.filter(|name| *name != b"kernel");
        for part in [line.text, program.unwrap_or(line.text)] {
            let part = part.as_ptr_range();
            assert!(range.start <= part.start && part.end <= range.end);
        }
        let shown = line.shown(TEXT_BYTES_MAX);
        assert!(shown.len() <= TEXT_BYTES_MAX);
        assert!(!shown.chars().any(|c| c.is_control() && c != '\n' && c != '\t'));
        if let Some(stamp) = line.stamp {
            let _ = stamp.wall_ns(u64::MAX);
        }
        if let Some(record) = Record::parse(block) {
            assert!(decoded(record.field("DEVICE"), 16).len() <= 16);
        }
    }
}

/// Each line as a record of a ring.
struct Lines<'a>(std::slice::Split<'a, u8, fn(&u8) -> bool>);

impl Records for Lines<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let line = self.0.next().ok_or(io::ErrorKind::WouldBlock)?;
        let space = buffer.get_mut(..line.len()).ok_or(io::ErrorKind::InvalidInput)?;
        space.copy_from_slice(line);
        Ok(line.len())
    }

    fn rewind(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Takes everything, and looks at it.
struct Taken(u64);

impl Facts for Taken {
    fn offer(&mut self, event: Option<Event>, cursor: Option<Vec<u8>>) -> bool {
        let event = event.expect("only events are told here");
        assert!(event.text.len() <= TEXT_BYTES_MAX);
        assert!(Cursor::decode(&cursor.expect("each with its cursor")).is_some());
        self.0 += 1;
        true
    }
}

fn a_ring_of_anything_is_read_to_its_end(bytes: &[u8]) {
    let split: fn(&u8) -> bool = |byte| *byte == b'\0';
    let now = Clocks { monotonic_ns: 9, raw_ns: 9, wall_ns: 9 };
    let mut ring = Attested::new(Lines(bytes.split(split)), [1; 16], None, &now);
    let mut telling = Telling::new(FILTER.clone());
    let mut taken = Taken(0);
    for _ in 0..=bytes.len() {
        if ring.round(&now, &mut telling, &mut taken) == Round::End {
            break;
        }
    }
    let counts = telling.counts;
    assert!(telling.is_empty());
    assert_eq!(counts.read, counts.kept + counts.passed + counts.malformed);
    assert!(taken.0 <= 2 * counts.kept + counts.read);
}
