//! What stands below `/sys`, and what a child that reads it says, are taken as
//! hostile: each parser returns, and only what the records can carry and the
//! metric table knows is believed.
#![no_main]

use eagle_eye::samplers::hardware_sys::content::VALUES_MAX;
use eagle_eye::samplers::hardware_sys::record::{RECORD_BYTES, TEXT_BYTES_MAX, decode, encode};
use eagle_eye::samplers::hardware_sys::rows;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    values_are_bounded_and_of_their_row(bytes);
    a_number_stands_in_the_text(bytes);
    records_mean_what_they_say(bytes);
});

/// Whatever the text, a file gives few values, and finite ones.
fn values_are_bounded_and_of_their_row(text: &[u8]) {
    for row in rows::all() {
        let Ok(values) = row.content.read(text) else { continue };
        let count = values.iter().count();
        assert!((1..=VALUES_MAX).contains(&count), "{}", row.file);
        for (metric, value) in values.iter() {
            assert!(value.is_finite(), "{} of {}", metric.row().name, row.file);
        }
    }
}

/// A count of less than sixteen digits is in the text as it is printed.
fn a_number_stands_in_the_text(text: &[u8]) {
    let aer = rows::all().filter(|row| row.file.starts_with("aer_dev"));
    for value in aer.filter_map(|row| row.content.read(text).ok()).flat_map(|values| {
        values.iter().map(|(_, value)| value).collect::<Vec<_>>()
    }) {
        if value < 1e15 {
            let digits = format!("{value}");
            assert!(text.windows(digits.len()).any(|window| window == digits.as_bytes()));
        }
    }
}

/// A record is refused, or comes back the same from its own words.
fn records_mean_what_they_say(bytes: &[u8]) {
    let (mut text, mut again) = (String::new(), String::new());
    for record in bytes.chunks(RECORD_BYTES) {
        let mut whole = [0; RECORD_BYTES];
        whole[..record.len()].copy_from_slice(record);
        if let Ok(message) = decode(&whole, &mut text) {
            assert_eq!(decode(&encode(&message), &mut again), Ok(message));
        }
        assert!(text.len() <= TEXT_BYTES_MAX);
    }
}
