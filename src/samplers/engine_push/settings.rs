//! The door's settings.

use crate::platform::clock::MILLISECOND_NS;
use crate::schema::Door;

use super::super::{Setting, Settings, whole_number};

/// The settings, checked.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) slots_max: u32,
    pub(super) engines_max: usize,
    pub(super) views_max: usize,
    pub(super) mode: u32,
    pub(super) group: Option<u32>,
    /// Empty: everyone whom the socket's mode lets in.
    pub(super) users: Vec<u32>,
    pub(super) poll_ns: u64,
    pub(super) quiet_ns: u64,
}

pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        key: "slots_max",
        default: "4096",
        help: "Most steps that one engine's memory may hold; a power of two from 1 to 4096.",
        check: |text| match whole_number(text, 1, u64::from(Door::SLOTS_MAX))?.is_power_of_two() {
            true => Ok(()),
            false => Err("it must be a power of two from 1 to 4096".to_owned()),
        },
    },
    Setting {
        key: "engines_max",
        default: "1024",
        help: "Most engines at once; more are refused and counted; from 1 to 4096.",
        check: |text| whole_number(text, 1, 4096).map(drop),
    },
    Setting {
        key: "views_max",
        default: "256",
        help: "Most readers at once; more are refused and counted; from 0 to 4096.",
        check: |text| whole_number(text, 0, 4096).map(drop),
    },
    Setting {
        key: "socket_mode",
        default: "\"0660\"",
        help: "Who may call, as the socket's mode in octal.",
        check: |text| mode(text).map(drop),
    },
    Setting {
        key: "socket_group",
        default: "\"\"",
        help: "The socket's group, by name or number; empty leaves it as it is made.",
        check: |text| group(text).map(drop),
    },
    Setting {
        key: "allow_users",
        default: "\"\"",
        help: "User ids that may call, separated by commas; empty allows all whom the mode lets in.",
        check: |text| users(text).map(drop),
    },
    Setting {
        key: "poll_us",
        default: "500",
        help: "Pause between two looks at the doors while steps flow, in microseconds; from 20 to 10000. Steps that come less often than every second look ring for the agent instead (benches/README.md).",
        check: |text| whole_number(text, 20, 10_000).map(drop),
    },
    Setting {
        key: "quiet_ms",
        default: "20",
        help: "How long no step must come before the door sleeps until it is rung for, in ms; from 1 to 10000.",
        check: |text| whole_number(text, 1, 10_000).map(drop),
    },
];

impl Plan {
    /// From checked settings; an absent one is its default.
    ///
    /// # Errors
    ///
    /// A sentence that names the setting and what it may be.
    pub(super) fn from_settings(settings: &Settings) -> Result<Self, String> {
        for setting in SETTINGS {
            (setting.check)(settings.or_default(SETTINGS, setting.key))
                .map_err(|why| format!("samplers.engine_push.{}: {why}", setting.key))?;
        }
        let number =
            |key| settings.or_default(SETTINGS, key).replace('_', "").parse::<u64>().unwrap_or(0);
        Ok(Self {
            slots_max: number("slots_max") as u32,
            engines_max: number("engines_max") as usize,
            views_max: number("views_max") as usize,
            mode: mode(settings.or_default(SETTINGS, "socket_mode"))?,
            group: group(settings.or_default(SETTINGS, "socket_group"))?,
            users: users(settings.or_default(SETTINGS, "allow_users"))?,
            poll_ns: number("poll_us") * 1000,
            quiet_ns: number("quiet_ms") * MILLISECOND_NS,
        })
    }
}

fn mode(text: &str) -> Result<u32, String> {
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode <= 0o777 => Ok(mode),
        _ => Err(format!("it must be a mode in octal such as 0660, it is \"{text}\"")),
    }
}

fn users(text: &str) -> Result<Vec<u32>, String> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts
        .map(|part| {
            part.parse().map_err(|_| format!("it must list user ids by number, not \"{part}\""))
        })
        .collect()
}

/// A group's number, as `/etc/group` has it.
fn group(text: &str) -> Result<Option<u32>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    if let Ok(number) = text.parse() {
        return Ok(Some(number));
    }
    let groups = std::fs::read_to_string("/etc/group").unwrap_or_default();
    match group_in(&groups, text) {
        Some(number) => Ok(Some(number)),
        None => Err(format!("/etc/group has no group \"{text}\"; create it or give its number")),
    }
}

fn group_in(groups: &str, name: &str) -> Option<u32> {
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_allowed() {
        let plan = Plan::from_settings(&Settings::default()).unwrap();
        assert_eq!((plan.mode, plan.engines_max, plan.group), (0o660, 1024, None));
    }

    #[test]
    fn what_is_not_allowed_is_refused_with_the_key_and_what_may_be() {
        for (key, text, part) in [
            ("slots_max", "3", "power of two"),
            ("slots_max", "8192", "1 to 4096"),
            ("engines_max", "0", "1 to 4096"),
            ("socket_mode", "rw", "octal"),
            ("socket_mode", "1777", "octal"),
            ("socket_group", "no such group", "/etc/group"),
            ("allow_users", "1,root", "root"),
            ("poll_us", "5", "20 to 10000"),
            ("quiet_ms", "x", "1 to 10000"),
        ] {
            let settings = Settings::new(vec![(key, text.to_owned())]);
            let sentence = Plan::from_settings(&settings).unwrap_err();
            assert!(sentence.contains(key) && sentence.contains(part), "{sentence}");
        }
    }

    #[test]
    fn a_group_is_found_by_its_name() {
        let groups = "root:x:0:\nbroken\nserving:x:1007:a,b\n";
        assert_eq!(group_in(groups, "serving"), Some(1007));
        assert_eq!(group_in(groups, "broken"), None);
        assert_eq!(group_in(groups, "serv"), None);
    }
}
