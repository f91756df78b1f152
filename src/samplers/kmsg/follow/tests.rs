//! Files that grow, turn and shrink, and pipes.

use std::io::Write;

use super::super::filter::Filter;
use super::*;
use crate::schema::Event;

/// Takes so many events, and the last cursor.
#[derive(Default)]
struct Journal {
    events: Vec<Event>,
    cursor: Option<Cursor>,
    room: usize,
}

impl Facts for Journal {
    fn offer(&mut self, event: Option<Event>, cursor: Option<Vec<u8>>) -> bool {
        let taken = self.events.len() < self.room;
        if taken {
            self.events.extend(event);
            self.cursor = cursor.as_deref().and_then(Cursor::decode);
        }
        taken
    }
}

struct Reader {
    followed: Followed,
    telling: Telling,
    journal: Journal,
}

const NOW: Clocks = Clocks { monotonic_ns: 1 << 60, raw_ns: 1 << 60, wall_ns: 1_795_512_303 << 30 };

impl Reader {
    fn at(path: &Path, cursor: Option<Cursor>) -> Self {
        Self {
            followed: Followed::open(path, cursor).unwrap(),
            telling: Telling::new(Filter::new(4, "nvme").unwrap()),
            journal: Journal { room: 99, ..Journal::default() },
        }
    }

    fn round(&mut self) -> Round {
        self.followed.round(&NOW, &mut self.telling, &mut self.journal)
    }

    /// The texts told since last asked.
    fn told(&mut self) -> Vec<String> {
        while self.round() == Round::More {}
        self.journal.events.drain(..).map(|event| event.text).collect()
    }
}

fn append(path: &Path, text: &str) {
    let file = File::options().append(true).create(true).open(path);
    file.unwrap().write_all(text.as_bytes()).unwrap();
}

#[test]
fn a_file_is_followed_as_it_grows_is_rotated_and_truncated() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    append(&path, "nvme one\nnothing\nnvme t");
    let mut reader = Reader::at(&path, None);
    assert_eq!(reader.told(), ["nvme one"]);
    append(&path, "wo\n");
    assert_eq!(reader.told(), ["nvme two"]);
    append(&path, "nvme without its end");
    std::fs::rename(&path, dir.path().join("log.1")).unwrap();
    assert!(reader.told().is_empty(), "nothing stands in its place yet");
    append(&path, "nvme three\n");
    assert_eq!(reader.told(), ["nvme without its end", "nvme three"]);
    File::create(&path).unwrap();
    assert!(reader.told().is_empty());
    append(&path, "nvme 4\n");
    assert_eq!(reader.told(), ["nvme 4"]);
    std::fs::remove_file(&path).unwrap();
    assert!(reader.told().is_empty());
    assert_eq!((reader.telling.counts.failed, reader.telling.counts.malformed), (0, 0));
}

#[test]
fn what_was_there_at_first_is_marked_and_a_restart_repeats_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    append(&path, "nvme one\n<6>not kept\n");
    let mut reader = Reader::at(&path, None);
    reader.round();
    append(&path, "nvme two\n");
    reader.round();
    let marks = |events: &[Event]| -> Vec<bool> {
        events.iter().filter_map(|event| Some(event.log.as_ref()?.before_start)).collect()
    };
    assert_eq!(marks(&reader.journal.events), [true, false]);
    assert_eq!(reader.followed.cursor(), reader.journal.cursor);

    append(&path, "nvme three\n");
    let mut again = Reader::at(&path, reader.journal.cursor);
    assert_eq!(again.told(), ["nvme three"]);
    std::fs::rename(&path, dir.path().join("log.1")).unwrap();
    append(&path, "nvme other\n");
    let mut other = Reader::at(&path, again.journal.cursor);
    assert_eq!(other.told(), ["nvme other"]);
}

#[test]
fn a_full_channel_leaves_the_lines_in_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    append(&path, &"nvme\n".repeat(20_000));
    let mut reader = Reader::at(&path, None);
    reader.journal.room = 5;
    assert_eq!(reader.round(), Round::Held);
    assert!(reader.telling.counts.read < 10);
    reader.journal.room = 20_000;
    while reader.round() == Round::More {}
    assert_eq!(reader.journal.events.len(), 20_000);
}

#[test]
fn a_line_without_end_is_cut_and_its_rest_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    append(&path, &format!("nvme {}\nnvme after\n", "x".repeat(5 * BUFFER_BYTES)));
    let told = Reader::at(&path, None).told();
    assert_eq!(told.len(), 2);
    assert!(told[0].len() <= crate::schema::TEXT_BYTES_MAX);
    assert_eq!(told[1], "nvme after");
}

#[test]
fn a_record_in_a_file_keeps_its_fields_and_its_fragments() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    append(&path, "4,1,1,-;one \n SUBSYSTEM=pci\n DEVICE=+pci:0\n4,2,1,c;line\n");
    let mut reader = Reader::at(&path, None);
    reader.round();
    let event = &reader.journal.events[0];
    assert_eq!((&*event.text, &*event.subject), ("one line", "+pci:0"));
    assert_eq!(event.log.as_ref().unwrap().trust, Trust::File);
}

#[test]
fn a_pipe_is_read_through_writers_that_come_and_go() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &path, Mode::RUSR | Mode::WUSR).unwrap();
    let mut reader = Reader::at(&path, None);
    for text in ["nvme one", "nvme two"] {
        assert!(reader.told().is_empty());
        assert!(!reader.followed.ready(0));
        append(&path, &format!("{text}\n"));
        assert!(reader.followed.ready(0));
        assert_eq!(reader.told(), [text]);
    }
    assert_eq!(reader.followed.cursor(), None);
}

#[test]
fn what_is_neither_file_nor_pipe_is_refused() {
    for path in ["/", "/dev/null"] {
        let error = Followed::open(Path::new(path), None).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{path}");
    }
}

#[test]
fn a_time_with_its_zone_is_believed_and_one_without_only_for_what_lies_back() {
    let wall = |text: &str, before_start| {
        let line = parse_line(text.as_bytes()).unwrap();
        at(&line, before_start, &NOW).wall_ns
    };
    let zoned = "2026-11-24T09:00:00Z h kernel: x";
    let unzoned = "[Tue Nov 24 09:00:00 2026] x";
    let then_ns = 1_795_510_800_000_000_000;
    for (text, before_start, expected) in [
        (zoned, false, then_ns),
        (zoned, true, then_ns),
        (unzoned, false, NOW.wall_ns),
        (unzoned, true, then_ns),
        ("[12.5] x", true, NOW.wall_ns),
        ("x", false, NOW.wall_ns),
    ] {
        assert_eq!(wall(text, before_start), expected, "{text}");
    }
}
