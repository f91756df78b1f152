//! What reading an engine's page costs, beside the crate that people take.
//!
//! The page is a real one of vLLM 0.32 under load, 58 KB with one rank; a
//! second one is made of eight such ranks. Ours finds what it wants and keeps
//! nothing; `prometheus-parse` makes a map of labels for every sample, which a
//! reader would still have to search. A search for the end of every line is
//! the floor of anything that looks at all of a page.
#![expect(clippy::expect_used, reason = "a benchmark may fail")]

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use eagle_eye::samplers::engine_scrape::Page;

const PAGE: &str = include_str!("../tests/captures/pages/vllm_0_32.txt");

/// What arrives in one read.
const PIECE_BYTES: usize = 16 * 1024;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let eight = ranks(8);
    for (name, text) in [("one_rank", PAGE), ("eight_ranks", &eight)] {
        let mut group = criterion.benchmark_group(format!("scrape/{name}"));
        group.throughput(Throughput::Bytes(text.len() as u64));
        let mut page = Page::default();
        group.bench_function("ours", |bencher| bencher.iter(|| read(&mut page, text)));
        group.bench_function("prometheus_parse", |bencher| {
            bencher.iter(|| {
                let lines = text.lines().map(|line| Ok(line.to_owned()));
                let scrape = prometheus_parse::Scrape::parse(lines).expect("a page");
                black_box(scrape.samples.len())
            });
        });
        group.bench_function("line_ends", |bencher| {
            bencher.iter(|| memchr::memchr_iter(b'\n', black_box(text.as_bytes())).count());
        });
        group.finish();
    }
    criterion.final_summary();
}

fn read(page: &mut Page, text: &str) -> usize {
    page.begin();
    for piece in black_box(text).as_bytes().chunks(PIECE_BYTES) {
        page.push(piece);
    }
    page.end().expect("an engine's page").ranks.len()
}

/// Every sample of the page once for each of `count` ranks.
fn ranks(count: u32) -> String {
    let mut text = String::new();
    for line in PAGE.lines() {
        for rank in 0..count {
            let is_first = rank == 0;
            if is_first || line.contains("engine=\"0\"") {
                text.push_str(&line.replace("engine=\"0\"", &format!("engine=\"{rank}\"")));
                text.push('\n');
            }
        }
    }
    text
}
