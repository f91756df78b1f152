//! How many trace events pass through one processor, from the kernel's page to
//! an event of ours.
//!
//! A captured page of 24 records is read over and over: as bytes with offsets,
//! which is our way, and the same records as the text that `trace_pipe` gives,
//! with one pattern of the `regex` crate, which is how scripts commonly read
//! it. Both end in the same device, number and text.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![expect(clippy::print_stdout, reason = "the ratios are what this is run for")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use eagle_eye::samplers::ktrace::{Form, Layout, Now, Page, Telling, WATCHED};
use regex::bytes::Regex;

const PAGE: &[u8] = include_bytes!("../tests/captures/ktrace/page");
const HEADER: &[u8] = include_bytes!("../tests/captures/ktrace/header_page");
const FORMAT: &[u8] = include_bytes!("../tests/captures/ktrace/uprobe");
const RECORDS: usize = 24;

/// Device, number and text of each record, by offsets.
fn parsed(layout: &Layout, form: &Form) -> usize {
    let records = Page::parse(PAGE, layout).into_iter().flatten().flatten();
    records.filter(|record| black_box(form.read(record.data)).is_some()).count()
}

/// The page as `trace_pipe` shows it.
fn as_text(layout: &Layout, form: &Form) -> Vec<u8> {
    let mut text = Vec::new();
    for record in Page::parse(PAGE, layout).into_iter().flatten().flatten() {
        let told = form.read(record.data).expect("captured");
        let [seconds, micros] = [1_000_000_000, 1000].map(|unit| record.time_ns / unit);
        let head = format!(
            "    python-4711    [000] ..... {seconds:5}.{:06}: nvidia_dev_xid: Xid (PCI:",
            micros % 1_000_000
        );
        let code = format!("): {}, ", told.code);
        for part in [head.as_bytes(), told.device, code.as_bytes(), told.text, b"\n"] {
            text.extend_from_slice(part);
        }
    }
    text
}

fn matched(text: &[u8], pattern: &Regex) -> usize {
    let lines = text.split(|byte| *byte == b'\n');
    lines.filter(|line| black_box(pattern.captures(line)).is_some()).count()
}

/// Records a second of each way, the median of turns for `budget`.
fn rates<const N: usize>(mut ways: [&mut dyn FnMut(); N], budget: Duration) -> [f64; N] {
    let mut samples = [const { Vec::<f64>::new() }; N];
    let begun = Instant::now();
    while begun.elapsed() < budget {
        for (way, samples) in ways.iter_mut().zip(&mut samples) {
            let start = Instant::now();
            (0..100).for_each(|_| way());
            samples.push((100 * RECORDS) as f64 / start.elapsed().as_secs_f64());
        }
    }
    samples.map(|mut samples| {
        samples.sort_by(f64::total_cmp);
        samples[samples.len() / 2]
    })
}

fn main() {
    let layout = Layout::parse(HEADER).expect("captured");
    let form = Form::parse(&WATCHED[0], FORMAT).expect("captured");
    assert_eq!(parsed(&layout, &form), RECORDS);
    let text = as_text(&layout, &form);
    let pattern = r"\] \S+ +(\d+\.\d+): nvidia_dev_xid: Xid \(PCI:([^)]*)\): (\d+), (.*)";
    let pattern = Regex::new(pattern).expect("our own pattern");
    assert_eq!(matched(&text, &pattern), RECORDS);
    let mut telling = Telling::default();
    let mut told = || {
        telling.hear(PAGE, &layout, &[form], Now { monotonic_ns: 1 << 60, wall_ns: 1 << 60 });
        black_box(telling.flush(|event| !black_box(event).text.is_empty()));
    };

    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2))
        .sample_size(20)
        .configure_from_args();
    let mut group = criterion.benchmark_group("ktrace");
    group.throughput(Throughput::Elements(RECORDS as u64));
    group.bench_function("told", |bench| bench.iter(&mut told));
    group.finish();
    let [told, parsed, matched] = rates(
        [
            &mut told,
            &mut || {
                black_box(parsed(&layout, &form));
            },
            &mut || {
                black_box(matched(&text, &pattern));
            },
        ],
        Duration::from_secs(3),
    );
    println!(
        "ktrace: from page to event {:.2} M records/s (goal >= 1.00); fields alone {:.1}, from \
         text with a regex {:.2}",
        told / 1e6,
        parsed / 1e6,
        matched / 1e6,
    );
    criterion.final_summary();
}
