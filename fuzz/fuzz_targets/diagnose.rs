//! A log is taken as hostile: whatever it says, it is read to its end, the
//! same however it arrives, and nothing in it commands a terminal.
#![no_main]

use std::io::{self, Read};

use eagle_eye::cli::diagnose::{About, Judge, Story, each_line};
use eagle_eye::diagnosis::lines::recognise;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = recognise(text);
    }
    let Some(whole) = story(bytes) else { return };
    let dribbled = story(Dribble(bytes)).expect("it was read before");
    let text = whole.to_text("log", 80);
    assert_eq!(text, dribbled.to_text("log", 80));
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'));
    for told in whole.all() {
        assert!(!told.verdict.text.is_empty() && !told.verdict.cause.is_empty());
        assert!((0.0..=1.0).contains(&told.verdict.confidence));
        assert!(told.verdict.caused_by != told.verdict.id);
    }
});

fn story(log: impl Read) -> Option<Story> {
    let about = About { node: "n".to_owned(), now_ns: 1_795_512_303_000_000_000, ..About::default() };
    let mut judge = Judge::new(&about);
    let bytes = each_line(log, |line, _| judge.line(line)).ok()?;
    Some(judge.end(bytes))
}

/// Gives a few bytes a read.
struct Dribble<'a>(&'a [u8]);

impl Read for Dribble<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.0.len().min(buffer.len()).min(61);
        buffer[..bytes].copy_from_slice(&self.0[..bytes]);
        self.0 = &self.0[bytes..];
        Ok(bytes)
    }
}
