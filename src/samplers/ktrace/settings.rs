//! The trace buffers' setting.

use crate::samplers::{Setting, Settings};

/// With the page that is being read and the one that is handed out, a buffer
/// stays below 64 KiB a processor where pages have 4 KiB.
const BUFFER_KB_MAX: u64 = 48;

pub(super) const SETTINGS: &[Setting] = &[Setting {
    key: "buffer_kb",
    default: "32",
    help: "The kernel's memory for unread trace events, KiB a processor, 8 to 48: with the two pages that the kernel adds it stays below 64 where pages have 4 KiB. In the instant in which the buffers are made the kernel takes its own default, 1.4 MiB a processor. Nothing is taken before a driver offers an event.",
    check: |text| kilobytes(text).map(drop),
}];

/// The buffers' size from checked settings; an absent one is its default.
///
/// # Errors
///
/// A sentence that names the setting and what it may be.
pub(super) fn buffer_kb(settings: &Settings) -> Result<u64, String> {
    kilobytes(settings.or_default(SETTINGS, "buffer_kb"))
        .map_err(|why| format!("samplers.ktrace.buffer_kb: {why}"))
}

fn kilobytes(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(kilobytes @ 8..=BUFFER_KB_MAX) => Ok(kilobytes),
        _ => Err("allowed is a size from 8 to 48".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_within_its_limits_is_allowed_and_no_other() {
        let of = |text: &str| buffer_kb(&Settings::new(vec![("buffer_kb", text.to_owned())]));
        assert_eq!(buffer_kb(&Settings::default()), Ok(32));
        assert_eq!((of("8"), of("48")), (Ok(8), Ok(48)));
        for text in ["7", "49", "-8", "much", "8.5"] {
            assert!(of(text).unwrap_err().contains("8 to 48"));
        }
    }
}
