//! What tracefs says is taken as hostile: whatever a description, a page or a
//! count holds, each parser returns, gives no byte that was not there, and
//! ends.
#![no_main]

use std::sync::LazyLock;

use eagle_eye::samplers::ktrace::{Form, Layout, Now, PAGE_BYTES_MAX, Page, Telling, WATCHED, lost};
use eagle_eye::schema::{NAME_BYTES_MAX, TEXT_BYTES_MAX};
use libfuzzer_sys::fuzz_target;

const FORMAT: &[u8] = include_bytes!("../../tests/captures/ktrace/uprobe");
const LAYOUT: Layout = Layout { time: 0, commit: 8, data: 16, bytes: 4096 };
const NOW: Now = Now { monotonic_ns: 9, wall_ns: 9 };

/// The form that the captured page needs.
static FORM: LazyLock<Form> =
    LazyLock::new(|| Form::parse(&WATCHED[0], FORMAT).expect("the kernel's own words"));

fuzz_target!(|bytes: &[u8]| {
    let _ = lost(bytes);
    // A description in front, behind a zero what it describes.
    let (front, behind) = match bytes.iter().position(|byte| *byte == 0) {
        Some(at) => (&bytes[..at], &bytes[at + 1..]),
        None => (bytes, bytes),
    };
    if let Some(layout) = Layout::parse(front) {
        assert!(layout.bytes <= PAGE_BYTES_MAX && layout.data < layout.bytes);
        a_page_ends(behind, &layout);
    }
    if let Ok(form) = Form::parse(&WATCHED[0], front)
        && let Some(told) = form.read(behind)
    {
        assert!(told.device.len().max(told.text.len()) <= behind.len());
    }
    a_page_ends(bytes, &LAYOUT);
    what_is_told_keeps_to_its_limits(bytes);
});

fn a_page_ends(bytes: &[u8], layout: &Layout) {
    let Some(records) = Page::parse(bytes, layout) else { return };
    let given: usize = records.flatten().map(|record| record.data.len()).sum();
    assert!(given <= bytes.len());
}

fn what_is_told_keeps_to_its_limits(bytes: &[u8]) {
    let mut telling = Telling::default();
    telling.hear(bytes, &LAYOUT, &[*FORM], NOW);
    let mut told = 0;
    assert!(telling.flush(|event| {
        told += 1;
        assert!(event.text.len() <= TEXT_BYTES_MAX && event.subject.len() <= NAME_BYTES_MAX);
        assert!(!event.text.chars().chain(event.subject.chars()).any(char::is_control));
        assert!(event.monotonic_ns <= NOW.monotonic_ns);
        true
    }));
    assert_eq!(told, telling.counts.read);
}
