//! Which lines become events: those of a level, and those that hold one of a
//! list of words. A stated filter, no judgement.

use aho_corasick::{AhoCorasick, AhoCorasickKind};

/// Most words that are looked for.
pub const WORDS_MAX: usize = 256;
/// Longest word that is looked for, bytes.
pub const WORD_BYTES_MAX: usize = 128;

/// The words by default: what drivers of accelerators, the memory, the PCIe
/// and the network fabric and the disks say of trouble, at whichever level.
/// The Ascend driver's errors come as notices, links go down as information.
pub const KEEP: &str = "NVRM,nvidia,Xid,ascend,drv_,tsdrv,event_id=,event id=,switch fault,\
AER:,PCIe Bus Error,error status/mask,DPC:,link down,link is down,status down,\
status definitely down,EDAC,mce:,machine check,hardware error,memory failure,\
out of memory,oom-kill,oom_,blocked for more than,lockup,detected stall,kernel panic,\
segfault,nvme,I/O error,no available path,fs error,filesystem,disk failure,temperature,\
throttled,mlx5,table full";

/// Says of a line whether it becomes an event.
#[derive(Debug, Clone)]
pub struct Filter {
    level_max: u8,
    words: AhoCorasick,
}

impl Filter {
    /// Keeps lines up to `level_max` (0 is an emergency, 7 debugging) and those
    /// that hold one of `keep`, separated by commas, in capitals or not.
    ///
    /// # Errors
    ///
    /// A sentence that says what is allowed.
    pub fn new(level_max: u8, keep: &str) -> Result<Self, String> {
        let words: Vec<&str> =
            keep.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
        if words.len() > WORDS_MAX || words.iter().any(|word| word.len() > WORD_BYTES_MAX) {
            return Err(format!(
                "allowed are {WORDS_MAX} words of {WORD_BYTES_MAX} bytes, separated by commas"
            ));
        }
        let words = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .kind(Some(AhoCorasickKind::DFA))
            .build(&words)
            .map_err(|error| format!("these words are too many to be looked for: {error}"))?;
        Ok(Self { level_max, words })
    }

    /// Whether a line becomes an event. One without a level needs a word.
    #[inline]
    #[must_use]
    pub fn keeps(&self, level: Option<u8>, text: &[u8]) -> bool {
        level.is_some_and(|level| level <= self.level_max) || self.words.is_match(text)
    }

    /// Bytes that looking for the words takes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.words.memory_usage()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_kept_for_its_level_or_for_a_word() {
        let filter = Filter::new(4, " nvme, Link Down,,").unwrap();
        for (level, text, kept) in [
            (Some(4), "anything", true),
            (Some(5), "anything", false),
            (None, "anything", false),
            (Some(7), "the NVMe says", true),
            (None, "link down", true),
            (Some(6), "link up, then down", false),
        ] {
            assert_eq!(filter.keeps(level, text.as_bytes()), kept, "{level:?} {text}");
        }
        let nothing = Filter::new(0, "").unwrap();
        assert!(!nothing.keeps(Some(1), b"anything") && nothing.keeps(Some(0), b""));
    }

    #[test]
    fn words_beyond_the_limit_are_refused() {
        assert!(Filter::new(4, &"w,".repeat(WORDS_MAX)).is_ok());
        assert!(Filter::new(4, &"w,".repeat(WORDS_MAX + 1)).is_err());
        assert!(Filter::new(4, &"w".repeat(WORD_BYTES_MAX + 1)).is_err());
    }

    #[test]
    fn the_default_words_cost_little_memory() {
        let bytes = Filter::new(4, KEEP).unwrap().memory_bytes();
        assert!(bytes < 256 << 10, "{bytes}");
    }
}
