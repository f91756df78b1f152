//! How many lines of the kernel's log pass through one processor.
//!
//! Captured records go from a ring to the count of what was passed over. Then
//! the same reading and the same words take turns without the rest: our way,
//! one pattern of the `regex` crate, and a list of its patterns one by one,
//! which is how agents of this kind commonly look for them. None of the lines
//! holds a word. The kernel's own part, a system call a record that no reader
//! can avoid, is measured last.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![expect(clippy::print_stdout, reason = "the ratios are what this is run for")]

use std::fs::File;
use std::hint::black_box;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use eagle_eye::samplers::kmsg::{
    Attested, Clocks, Facts, Filter, KEEP, RECORDS_ROUND_MAX, Records, Round, Telling,
};
use eagle_eye::schema::Event;
use eagle_eye::schema::log::{Blocks, RECORD_BYTES_MAX, Record, parse_line};
use regex::bytes::{Regex, RegexBuilder};

const CAPTURED: &[u8] = include_bytes!("../tests/captures/kmsg/records");

/// As many as one round reads.
const LINES: usize = RECORDS_ROUND_MAX;

/// Gives its records for ever, numbered as the kernel would: one that came
/// before would be passed over unread.
struct Ring {
    records: Vec<Vec<u8>>,
    next: u64,
}

/// Where the number stands in a record, in as many digits as it needs for ever.
const DIGITS: std::ops::Range<usize> = 2..14;

impl Records for Ring {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let record = &self.records[self.next as usize % self.records.len()];
        buffer[..record.len()].copy_from_slice(record);
        let mut number = self.next;
        for digit in buffer[DIGITS].iter_mut().rev() {
            *digit = b'0' + (number % 10) as u8;
            number /= 10;
        }
        self.next += 1;
        Ok(record.len())
    }

    fn rewind(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Takes everything.
struct Nowhere;

impl Facts for Nowhere {
    fn offer(&mut self, _: Option<Event>, _: Option<Vec<u8>>) -> bool {
        true
    }
}

/// Captured lines that hold no word, over and over, at this level.
fn records(level: u8) -> Vec<Vec<u8>> {
    let filter = Filter::new(4, KEEP).expect("our own words");
    let captured: Vec<Record<'_>> = Blocks::new(CAPTURED, true).filter_map(Record::parse).collect();
    let plain: Vec<&Record<'_>> =
        captured.iter().filter(|record| !filter.keeps(None, record.text)).collect();
    (0..LINES)
        .map(|at| {
            let head = format!("{level},{:012},{},-;", 0, 1_000_000 + at);
            [head.as_bytes(), plain[at % plain.len()].text, b"\n"].concat()
        })
        .collect()
}

/// Ours, from the ring to the count.
struct Ours {
    ring: Attested<Ring>,
    telling: Telling,
    now: Clocks,
}

impl Ours {
    fn new(records: Vec<Vec<u8>>) -> Self {
        let now = Clocks::now();
        let ring = Attested::new(Ring { records, next: 0 }, [1; 16], None, &now);
        let telling = Telling::new(Filter::new(4, KEEP).expect("our own words"));
        Self { ring, telling, now }
    }

    fn round(&mut self) -> Round {
        self.ring.round(&self.now, &mut self.telling, &mut Nowhere)
    }
}

/// Reading alone, the words looked for by whoever is asked.
fn words(records: &[Vec<u8>], buffer: &mut [u8], holds_word: impl Fn(&[u8]) -> bool) -> usize {
    let mut kept = 0;
    for record in records {
        buffer[..record.len()].copy_from_slice(record);
        let Some(record) = Record::parse(&buffer[..record.len()]) else { continue };
        kept += usize::from(record.level <= 4 || holds_word(record.text));
    }
    kept
}

fn pattern(pattern: &str) -> Regex {
    RegexBuilder::new(pattern).case_insensitive(true).unicode(false).build().expect("our words")
}

/// Lines a second of one call of each way, the median of turns for `budget`.
fn rates<const N: usize>(mut ways: [&mut dyn FnMut(); N], budget: Duration) -> [f64; N] {
    let mut samples = [const { Vec::<f64>::new() }; N];
    let begun = Instant::now();
    while begun.elapsed() < budget {
        for (way, samples) in ways.iter_mut().zip(&mut samples) {
            let start = Instant::now();
            way();
            samples.push(LINES as f64 / start.elapsed().as_secs_f64());
        }
    }
    samples.map(|mut samples| {
        samples.sort_by(f64::total_cmp);
        samples[samples.len() / 2]
    })
}

/// Lines a second of reading this machine's log, where it may be read.
fn kernel_rate() -> io::Result<f64> {
    let mut options = File::options();
    options.read(true).custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32);
    let mut best = 0.0_f64;
    for _ in 0..20 {
        let mut log = options.open("/dev/kmsg")?;
        let mut buffer = [0; RECORD_BYTES_MAX];
        let (mut lines, start) = (0, Instant::now());
        while log.read(&mut buffer).is_ok() {
            lines += 1;
        }
        best = best.max(f64::from(lines) / start.elapsed().as_secs_f64());
    }
    Ok(best)
}

fn compare() {
    let records = records(6);
    let bytes: usize = records.iter().map(Vec::len).sum();
    let mut ours = Ours::new(records.clone());
    let escaped: Vec<String> = KEEP.split(',').map(regex::escape).collect();
    let one = pattern(&escaped.join("|"));
    let each: Vec<Regex> = escaped.iter().map(|word| pattern(word)).collect();
    let [mut a, mut b, mut c] = [const { [0; RECORD_BYTES_MAX] }; 3];
    let dmesg: Vec<Vec<u8>> = records.iter().map(|record| as_dmesg(record)).collect();
    let filter = Filter::new(4, KEEP).expect("our own words");
    let [ring, text, alone, regex, regexes] = rates(
        [
            &mut || {
                black_box(ours.round());
            },
            &mut || {
                for line in &dmesg {
                    let line = parse_line(line).expect("a line");
                    black_box(filter.keeps(line.level, line.text));
                }
            },
            &mut || {
                black_box(words(&records, &mut a, |text| filter.keeps(None, text)));
            },
            &mut || {
                black_box(words(&records, &mut b, |text| one.is_match(text)));
            },
            &mut || {
                black_box(words(&records, &mut c, |text| each.iter().any(|w| w.is_match(text))));
            },
        ],
        Duration::from_secs(5),
    );
    println!(
        "kmsg/passed: {:.0} bytes a line; from ring to count {:.2} M lines/s (goal >= 1.00), dmesg \
         text {:.2}; reading and words alone {:.2}, with one regex {:.2}, with {} regexes {:.3}",
        bytes as f64 / LINES as f64,
        ring / 1e6,
        text / 1e6,
        alone / 1e6,
        regex / 1e6,
        each.len(),
        regexes / 1e6,
    );
    let mut kept = Ours::new(self::records(3));
    let [kept] = rates(
        [&mut || {
            black_box(kept.round());
        }],
        Duration::from_secs(2),
    );
    println!("kmsg/kept: {:.2} M lines/s become events (goal >= 0.30)", kept / 1e6);
    match kernel_rate() {
        Ok(rate) => println!("kmsg/kernel: /dev/kmsg alone gives {:.2} M lines/s here", rate / 1e6),
        Err(error) => println!("kmsg/kernel: /dev/kmsg cannot be read here: {error}"),
    }
}

/// A record as `dmesg` shows it.
fn as_dmesg(record: &[u8]) -> Vec<u8> {
    let record = Record::parse(record).expect("our own record");
    let head = format!("[{:5}.{:06}] ", record.time_us / 1_000_000, record.time_us % 1_000_000);
    [head.as_bytes(), record.text].concat()
}

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2))
        .sample_size(20)
        .configure_from_args();
    let mut group = criterion.benchmark_group("kmsg");
    group.throughput(Throughput::Elements(LINES as u64));
    let mut ours = Ours::new(records(6));
    group.bench_function("passed", |bench| bench.iter(|| ours.round()));
    group.finish();
    compare();
    criterion.final_summary();
}
