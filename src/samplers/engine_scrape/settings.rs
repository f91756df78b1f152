//! The scraper's settings.

use std::path::PathBuf;

use crate::platform::clock::MILLISECOND_NS;

use super::super::{Setting, Settings, whole_number};
use super::endpoint::Endpoint;

/// The settings, checked.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) endpoints: Vec<Endpoint>,
    pub(super) discover: bool,
    pub(super) engines_max: usize,
    pub(super) page_bytes_max: usize,
    pub(super) timeout_ns: u64,
    pub(super) token_file: Option<PathBuf>,
}

pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        key: "endpoints",
        default: "\"\"",
        help: "Engines' pages, separated by commas: host:port or http://host:port/path, each with =name behind it if the engine is to be called so; /metrics where no path is given.",
        check: |text| endpoints(text).map(drop),
    },
    Setting {
        key: "discover",
        default: "true",
        help: "Whether ports that listen on this host are asked for /metrics or /prometheus/metrics: four in five seconds, each at most six times with growing pauses, none below 1024 but 80 and none that databases, brokers and control planes use by custom; true or false.",
        check: |text| flag(text).map(drop),
    },
    Setting {
        key: "engines_max",
        default: "64",
        help: "Most pages that are read; engines found beyond are left alone; from 1 to 256.",
        check: |text| whole_number(text, 1, 256).map(drop),
    },
    Setting {
        key: "page_bytes_max",
        default: "8388608",
        help: "Longest page, in bytes; a longer one is a failure; from 4096 to 67108864.",
        check: |text| whole_number(text, 4096, 67_108_864).map(drop),
    },
    Setting {
        key: "timeout_ms",
        default: "2000",
        help: "How long one page may take from the connection's start to the page's end, in ms; from 10 to 60000.",
        check: |text| whole_number(text, 10, 60_000).map(drop),
    },
    Setting {
        key: "token_file",
        default: "\"\"",
        help: "A file whose first line is sent as bearer token to the endpoints of the configuration, never to ports that were found; empty sends none.",
        check: |_| Ok(()),
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
                .map_err(|why| format!("samplers.engine_scrape.{}: {why}", setting.key))?;
        }
        let number =
            |key| settings.or_default(SETTINGS, key).replace('_', "").parse::<u64>().unwrap_or(0);
        let token_file = settings.or_default(SETTINGS, "token_file");
        let plan = Self {
            endpoints: endpoints(settings.or_default(SETTINGS, "endpoints"))?,
            discover: flag(settings.or_default(SETTINGS, "discover"))?,
            engines_max: number("engines_max") as usize,
            page_bytes_max: number("page_bytes_max") as usize,
            timeout_ns: number("timeout_ms") * MILLISECOND_NS,
            token_file: (!token_file.is_empty()).then(|| token_file.into()),
        };
        match plan.endpoints.len() > plan.engines_max {
            true => Err(format!(
                "samplers.engine_scrape.endpoints lists {} engines, engines_max allows {}",
                plan.endpoints.len(),
                plan.engines_max
            )),
            false => Ok(plan),
        }
    }
}

fn endpoints(text: &str) -> Result<Vec<Endpoint>, String> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let mut all = Vec::<Endpoint>::new();
    for part in parts {
        let endpoint = Endpoint::parse(part)?;
        let named = |known: &Endpoint| !endpoint.name.is_empty() && known.name == endpoint.name;
        let same = |known: &Endpoint| (&known.host, known.port) == (&endpoint.host, endpoint.port);
        if all.iter().any(|known| named(known) || same(known)) {
            return Err(format!("\"{part}\" is listed twice"));
        }
        all.push(endpoint);
    }
    Ok(all)
}

fn flag(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| format!("it must be true or false, it is \"{text}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_allowed() {
        let plan = Plan::from_settings(&Settings::default()).unwrap();
        assert_eq!((plan.endpoints.len(), plan.discover, plan.engines_max), (0, true, 64));
        assert_eq!((plan.page_bytes_max, plan.timeout_ns), (8 << 20, 2_000_000_000));
    }

    #[test]
    fn what_is_not_allowed_is_refused_with_the_key_and_what_may_be() {
        for (key, text, part) in [
            ("endpoints", "a:1, b", "has no port"),
            ("endpoints", "a:1,a:1/x", "listed twice"),
            ("endpoints", "a:1=n,b:1=n", "listed twice"),
            ("discover", "yes", "true or false"),
            ("engines_max", "0", "1 to 256"),
            ("page_bytes_max", "100", "4096 to"),
            ("timeout_ms", "5", "10 to 60000"),
        ] {
            let settings = Settings::new(vec![(key, text.to_owned())]);
            let sentence = Plan::from_settings(&settings).unwrap_err();
            assert!(sentence.contains(key) && sentence.contains(part), "{sentence}");
        }
        let settings = [("endpoints", "a:1,b:1".to_owned()), ("engines_max", "1".to_owned())];
        let sentence = Plan::from_settings(&Settings::new(settings.into())).unwrap_err();
        assert!(sentence.contains("engines_max allows 1"), "{sentence}");
    }
}
