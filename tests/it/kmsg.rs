//! The kernel's log for real: lines written to `/dev/kmsg`, a flood beyond its
//! ring, captured records, and the shapes of known trouble.
#![expect(clippy::print_stdout, reason = "what is skipped says so, what is measured is shown")]

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use crossbeam_channel::Receiver;
use eagle_eye::newest::{Names, ReadingTable, StepTable};
use eagle_eye::platform::clock::{self, SECOND_NS};
use eagle_eye::platform::doorbell::Doorbell;
use eagle_eye::platform::thread::Stop;
use eagle_eye::ring;
use eagle_eye::samplers::kmsg::{ENTRY, Filter, KEEP};
use eagle_eye::samplers::{
    Context, Cursors, EventOutlet, Fact, Opened, Outlet, OutletParts, Sampler, Settings, Woken,
};
use eagle_eye::schema::log::{Blocks, Record, parse_line};
use eagle_eye::schema::{Event, EventKind, Trust};

const RECORDS: &[u8] = include_bytes!("../captures/kmsg/records");
const SHAPES: &[u8] = include_bytes!("../captures/kmsg/shapes");
const LINES: &[u8] = include_bytes!("../captures/kmsg/lines");

/// The sampler on this machine's log, with room for all of it.
struct Log {
    sampler: Box<dyn Sampler>,
    outlet: Outlet,
    facts: Receiver<Fact>,
    /// Where the journal would say that it stands.
    cursor: Option<Vec<u8>>,
}

impl Log {
    /// Nothing, and a sentence, where this process cannot read and write it.
    fn open(keep: &str, cursor: Option<Vec<u8>>) -> Option<Self> {
        if let Err(error) = File::options().read(true).write(true).open("/dev/kmsg") {
            println!("skipped: /dev/kmsg cannot be read and written here: {error}");
            return None;
        }
        let mut context = Context::to_look(PathBuf::from("/"), PathBuf::from("/"));
        context.cursors =
            Cursors::new(cursor.clone().map(|at| (ENTRY.name, at)).into_iter().collect());
        let settings = Settings::new(vec![
            ("path", String::new()),
            ("level_max", "4".to_owned()),
            ("keep", keep.to_owned()),
        ]);
        let Opened::Ready(sampler) = (ENTRY.open)(&context, &settings) else {
            println!("skipped: /dev/kmsg is not the kernel's log here");
            return None;
        };
        let (events, facts) = crossbeam_channel::bounded(1 << 16);
        let parts = OutletParts {
            steps: ring::ring(1).0,
            readings: ring::ring(64).0,
            step_table: StepTable::heap(1),
            reading_table: ReadingTable::heap(64),
            names: Names::new("n"),
            events: EventOutlet::new(events),
            drain: Doorbell::for_this_thread().ringer(),
        };
        Some(Self { sampler, outlet: Outlet::new(ENTRY.name, parts), facts, cursor })
    }

    /// Reads until an event's text is `text`; what came up to there.
    fn until(&mut self, text: &str) -> Vec<Event> {
        let deadline_ns = clock::monotonic_ns() + 30 * SECOND_NS;
        let mut events = Vec::new();
        while !events.iter().any(|event: &Event| event.text == text) {
            assert!(clock::monotonic_ns() < deadline_ns, "{text} never came");
            self.sampler.tick(clock::monotonic_ns(), &mut self.outlet);
            for fact in self.facts.try_iter() {
                self.cursor = fact.cursor.map(|(_, at)| at).or(self.cursor.take());
                events.extend(fact.event);
            }
        }
        events
    }
}

/// Opened for each line: the kernel limits how many one opening may write. It
/// shows a line only once its line feed, or the next line, has come.
fn write(line: &str) {
    let mut file = File::options().write(true).open("/dev/kmsg").expect("looked at before");
    file.write_all(format!("{line}\n").as_bytes()).expect("the kernel takes a line");
}

/// A text that no other test writes.
fn unique(what: &str) -> String {
    format!("eagle-eye test {what} {} {}", std::process::id(), clock::monotonic_ns())
}

#[test]
fn a_line_written_to_the_kernel_s_log_wakes_the_sampler_and_is_told_once() {
    let Some(mut log) = Log::open(KEEP, None) else { return };
    let first = unique("first");
    write(&format!("<12>{first}"));
    log.until(&first);
    let line = unique("line");
    let written_ns = clock::monotonic_ns();
    write(&format!("<12>{line}"));
    let far_ns = clock::monotonic_ns() + 600 * SECOND_NS;
    assert_eq!(log.sampler.wait(far_ns, &Stop::default()), Woken::Early);
    let events = log.until(&line);
    println!("written to told: {} us", (clock::monotonic_ns() - written_ns) / 1000);
    let event = events.iter().find(|event| event.text == line).unwrap();
    let record = event.log.as_ref().unwrap();
    assert_eq!((event.kind, record.facility, record.level), (EventKind::KernelLine, 1, 4));
    assert_eq!((record.trust, record.before_start), (Trust::Claimed, false));
    assert!(record.sequence > 0 && event.monotonic_ns <= clock::monotonic_ns());
    println!("its time is off by {} us", event.monotonic_ns.abs_diff(written_ns) / 1000);

    let away = unique("away");
    write(&format!("<12>{away}"));
    let mut again = Log::open(KEEP, log.cursor).expect("it could be opened before");
    let events = again.until(&away);
    assert!(events.iter().all(|event| event.text != line && event.text != first));
    let away = events.last().and_then(|event| event.log.as_ref()).unwrap();
    assert!(!away.before_start, "the agent had looked before");
}

#[test]
fn a_flood_beyond_the_ring_is_a_gap_of_its_true_size() {
    if std::env::var_os("EAGLE_EYE_KMSG_FLOOD").is_none() {
        println!(
            "skipped: it would push this machine's log out of its ring; set EAGLE_EYE_KMSG_FLOOD"
        );
        return;
    }
    const LINES: u64 = 12_000;
    for _ in 0..5 {
        let mark = unique("flood");
        let Some(mut log) = Log::open(&mark, None) else { return };
        write(&format!("<14>{mark} begins"));
        let events = log.until(&format!("{mark} begins"));
        let sequence = |event: &Event| event.log.as_ref().unwrap().sequence;
        let begun = sequence(events.last().unwrap());
        let start_ns = clock::monotonic_ns();
        (0..LINES).for_each(|at| write(&format!("<14>{mark} {at}")));
        let flooded_ns = clock::monotonic_ns() - start_ns;
        let events = log.until(&format!("{mark} {}", LINES - 1));
        let reported: u64 = events.iter().map(|event| event.lost).sum();
        let told: Vec<&Event> =
            events.iter().filter(|event| event.text.starts_with(&mark)).collect();
        let ended = sequence(told[told.len() - 1]);
        if ended - begun != LINES {
            println!("somebody else wrote {} lines meanwhile: again", ended - begun - LINES);
            continue;
        }
        // Only ours came: what was not told of them is what was lost.
        let truth = LINES - told.len() as u64;
        println!(
            "{LINES} lines in {} ms: {} told, {reported} reported lost, {truth} truly",
            flooded_ns / 1_000_000,
            told.len()
        );
        assert!(truth > 0, "the flood was no flood");
        assert_eq!(reported, truth);
        return;
    }
    println!("skipped: this machine's log is never left alone");
}

#[test]
fn every_captured_record_is_read_and_the_filter_keeps_what_tells_of_trouble() {
    let filter = Filter::new(4, KEEP).unwrap();
    let count = |bytes| {
        let mut counts = (0, 0);
        for block in Blocks::new(bytes, true) {
            let record = Record::parse(block).unwrap_or_else(|| panic!("{}", block.escape_ascii()));
            counts.0 += 1;
            counts.1 += u32::from(filter.keeps(Some(record.level), record.text));
        }
        counts
    };
    let (read, kept) = count(RECORDS);
    assert!(read > 100 && kept * 10 < read, "{kept} of {read} lines of a good boot");
    // The daemon's line and the one of odd bytes tell of nothing.
    assert_eq!(count(SHAPES), (18, 16));
}

#[test]
fn a_line_says_the_same_in_every_form() {
    let blocks: Vec<&[u8]> = Blocks::new(LINES, true).collect();
    let texts: Vec<&[u8]> = blocks.iter().map(|block| parse_line(block).unwrap().text).collect();
    assert_eq!(texts.len(), 11);
    texts.iter().for_each(|text| assert_eq!(*text, texts[0]));
    assert!(texts[0].starts_with(b"NVRM: Xid (PCI:0000:3b:00): 79"));
}

/// The shapes of known trouble, which are shared between projects and not
/// part of this one.
fn shared_samples() -> Option<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let found = root
        .ancestors()
        .map(|folder| folder.join("shared/facts/kmsg_samples.txt"))
        .find_map(|path| std::fs::read_to_string(path).ok());
    if found.is_none() {
        println!("skipped: no ../shared/facts/kmsg_samples.txt here");
    }
    found
}

#[test]
fn the_default_filter_keeps_every_known_shape_of_trouble_even_without_a_level() {
    let Some(samples) = shared_samples() else { return };
    let filter = Filter::new(4, KEEP).unwrap();
    let mut checked = 0;
    for sample in samples.lines() {
        if sample.starts_with("# === must not match") {
            break;
        }
        if sample.starts_with('#') || sample.trim().is_empty() {
            continue;
        }
        let line = parse_line(sample.as_bytes()).expect("every sample is a line");
        // What the shared file says of framing alone tells of no trouble.
        let framing = line.fragment || line.text.starts_with(b"continued text");
        assert!(framing || filter.keeps(None, line.text), "not kept: {sample}");
        checked += 1;
    }
    assert!(checked > 100, "only {checked} lines");
}

#[test]
fn the_framing_of_every_sample_is_read_as_it_expects() {
    let Some(samples) = shared_samples() else { return };
    let record = |start: &str| {
        let sample = samples.lines().find(|line| line.starts_with(start)).expect(start);
        let line = parse_line(sample.as_bytes()).expect("a record");
        (line.facility, line.level, line.sequence, line.fragment, line.shown(4096))
    };
    for (start, facility, level, sequence, fragment) in [
        ("6,3964,", 0, 6, 3964, false),
        ("4,2101,", 0, 4, 2101, false),
        ("4,2102,", 0, 4, 2102, true),
        ("691,41022,", 86, 3, 41_022, false),
        ("693,41023,", 86, 5, 41_023, false),
        ("5,41024,", 0, 5, 41_024, false),
        ("12,5001,", 1, 4, 5001, false),
    ] {
        let found = record(start);
        let expected = (Some(facility), Some(level), sequence, fragment);
        assert_eq!((found.0, found.1, found.2, found.3), expected, "{start}");
    }
    assert_eq!(record("3,7781,").4.lines().count(), 3, "escaped line feeds are line feeds");
}
