//! An engine's page is taken as hostile: whatever it says, in whatever pieces,
//! it is read to the same end, within its limits, and what is known from it can
//! be held by the field that holds it.
//!
//! The first byte says how the rest is cut on its way.
#![no_main]

use bytemuck::Zeroable;
use eagle_eye::samplers::engine_scrape::exposition::{Cutter, LINE_BYTES_MAX, Line};
use eagle_eye::samplers::engine_scrape::{CELLS_MAX, LISTENERS_MAX, Page, parse_listeners};
use eagle_eye::schema::{Field, StepCore};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((&cut, text)) = bytes.split_first() else { return };
    lines_stand_in_the_text(text);
    pieces_make_no_difference(text, usize::from(cut) + 1);
    let mut listeners = 0;
    parse_listeners(text, |_| listeners += 1);
    assert!(listeners <= LISTENERS_MAX);
});

fn lines_stand_in_the_text(text: &[u8]) {
    let mut cutter = Cutter::default();
    cutter.push(text, |line| {
        assert!(line.len() <= LINE_BYTES_MAX && !line.contains(&b'\n'));
        let Some(named) = Line::of(line) else { return };
        assert!(!named.name.is_empty());
        if let Ok(sample) = named.sample() {
            for (name, value) in sample.labels() {
                assert!(!name.is_empty() && name.len() + value.len() < line.len());
            }
        }
    });
    assert_eq!(cutter.lines() as usize, text.iter().filter(|byte| **byte == b'\n').count());
}

fn pieces_make_no_difference(text: &[u8], pieces: usize) {
    let mut page = Page::default();
    let whole = said(&mut page, text, text.len().max(1));
    assert_eq!(said(&mut page, text, pieces), whole);
}

/// Reads the page and says what is known of each rank.
fn said(page: &mut Page, text: &[u8], pieces: usize) -> Option<Vec<(String, StepCore)>> {
    page.begin();
    for piece in text.chunks(pieces) {
        page.push(piece);
    }
    let said = page.end().ok()?;
    assert!(said.ranks.len() <= CELLS_MAX && !said.ranks.is_empty());
    let ranks = said.ranks.iter().map(|rank| {
        let mut step = StepCore { rank: rank.rank, ..StepCore::zeroed() };
        rank.fill(&mut step);
        for field in Field::ALL {
            assert!(step.value(*field).is_none_or(|value| value.is_finite() && value >= 0.0));
        }
        assert!(step.value(Field::KvUsage).is_none_or(|usage| usage <= 1.0));
        (said.model(rank), step)
    });
    Some(ranks.collect())
}
