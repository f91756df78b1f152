//! The log's settings.

use std::path::PathBuf;

use super::filter::{Filter, KEEP};
use crate::samplers::{Setting, Settings};

pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        key: "path",
        default: "\"\"",
        help: "A log file or pipe to follow instead of the kernel's log, below host_root, in any form that dmesg, journalctl or a syslog daemon writes; empty reads the kernel's log.",
        check: |text| match text.is_empty() || text.starts_with('/') {
            true => Ok(()),
            false => Err("allowed is an absolute path, or nothing".to_owned()),
        },
    },
    Setting {
        key: "level_max",
        default: "4",
        help: "Lines up to this level become events: 0 emergency, 3 error, 4 warning, 6 information, 7 all.",
        check: |text| level(text).map(drop),
    },
    Setting {
        key: "keep",
        default: KEEP_DEFAULT,
        help: "Lines that hold one of these, in capitals or not, become events at any level; at most 256 of at most 128 bytes, separated by commas.",
        check: |text| Filter::new(0, text).map(drop),
    },
];

/// [`KEEP`] as TOML.
const KEEP_DEFAULT: &str = match std::str::from_utf8(&QUOTED) {
    Ok(text) => text,
    Err(_) => panic!("words are UTF-8"),
};

const QUOTED: [u8; KEEP.len() + 2] = {
    let mut bytes = [b'"'; KEEP.len() + 2];
    let mut at = 0;
    while at < KEEP.len() {
        bytes[at + 1] = KEEP.as_bytes()[at];
        at += 1;
    }
    bytes
};

/// The settings, checked.
#[derive(Debug)]
pub(super) struct Plan {
    /// The file or pipe to follow, without its leading slash.
    pub(super) path: Option<PathBuf>,
    pub(super) filter: Filter,
}

impl Plan {
    /// From checked settings; an absent one is its default.
    ///
    /// # Errors
    ///
    /// A sentence that names the setting and what it may be.
    pub(super) fn from_settings(settings: &Settings) -> Result<Self, String> {
        for setting in SETTINGS {
            (setting.check)(settings.or_default(SETTINGS, setting.key))
                .map_err(|why| format!("samplers.kmsg.{}: {why}", setting.key))?;
        }
        let path = settings.or_default(SETTINGS, "path");
        let path = path.trim_start_matches('/');
        let filter = Filter::new(
            level(settings.or_default(SETTINGS, "level_max"))?,
            settings.or_default(SETTINGS, "keep"),
        )?;
        Ok(Self { path: (!path.is_empty()).then(|| path.into()), filter })
    }
}

fn level(text: &str) -> Result<u8, String> {
    match text.parse() {
        Ok(level @ 0..=7) => Ok(level),
        _ => Err("allowed is a level from 0 to 7".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(key: &'static str, text: &str) -> Result<Plan, String> {
        Plan::from_settings(&Settings::new(vec![(key, text.to_owned())]))
    }

    #[test]
    fn defaults_are_allowed_and_read_the_kernel_s_log() {
        let plan = Plan::from_settings(&Settings::default()).unwrap();
        assert_eq!(plan.path, None);
        assert!(plan.filter.keeps(Some(4), b"anything") && plan.filter.keeps(Some(6), b"NVRM: x"));
        assert!(!plan.filter.keeps(Some(5), b"anything"));
    }

    #[test]
    fn what_is_not_allowed_is_refused_with_the_key_and_what_may_be() {
        for (key, text, part) in [
            ("path", "var/log/kern.log", "absolute"),
            ("level_max", "8", "0 to 7"),
            ("level_max", "warn", "0 to 7"),
            ("keep", &"x".repeat(129), "128 bytes"),
        ] {
            let sentence = plan(key, text).unwrap_err();
            assert!(sentence.contains(key) && sentence.contains(part), "{sentence}");
        }
        assert_eq!(plan("path", "/a/b").unwrap().path, Some("a/b".into()));
    }
}
