//! The closed vocabulary of causes, and which rule says which of them.
//!
//! Cases and scenarios speak of causes, never of rules, so that they can be
//! written before the rules are.

use std::collections::BTreeMap;
use std::fs;
use std::sync::OnceLock;

use eagle_eye::schema::Verdict;
use serde::Deserialize;

/// The name of a cause in `tests/cases/classes.toml`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Class(&'static str);

/// One line of the mapping.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mapped {
    rule: String,
    /// Parts of the verdict's text or cause that narrow the line down; one of
    /// them is enough.
    #[serde(default)]
    says: Vec<String>,
    class: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    classes: BTreeMap<String, String>,
    #[serde(default)]
    rule: Vec<Mapped>,
}

fn file() -> &'static File {
    static FILE: OnceLock<File> = OnceLock::new();
    FILE.get_or_init(|| {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases/classes.toml");
        let text = fs::read_to_string(path).expect("tests/cases/classes.toml can be read");
        toml::from_str(&text).unwrap_or_else(|error| panic!("tests/cases/classes.toml: {error}"))
    })
}

impl Class {
    /// The class with this name, or a sentence.
    pub(crate) fn find(name: &str) -> Result<Self, String> {
        let found = file().classes.get_key_value(name).map(|(name, _)| Self(name.as_str()));
        found.ok_or_else(|| format!("{name} is no class of tests/cases/classes.toml"))
    }

    /// The class with this name, which must be there.
    pub(crate) fn named(name: &str) -> Self {
        Self::find(name).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Its name.
    pub(crate) const fn name(self) -> &'static str {
        self.0
    }

    /// What a verdict says in the words of the vocabulary; none where nobody
    /// said what its rule means.
    pub(crate) fn of(verdict: &Verdict) -> Option<Self> {
        let says = |part: &String| verdict.text.contains(part) || verdict.cause.contains(part);
        let line = file().rule.iter().find(|line| {
            line.rule == verdict.rule && (line.says.is_empty() || line.says.iter().any(says))
        })?;
        Some(Self::named(&line.class))
    }

    /// Every class with its sentence.
    pub(crate) fn all() -> impl Iterator<Item = (Self, &'static str)> {
        file().classes.iter().map(|(name, about)| (Self(name), about.as_str()))
    }
}

#[test]
fn every_line_of_the_mapping_names_a_class() {
    for line in &file().rule {
        Class::named(&line.class);
    }
    for (class, about) in Class::all() {
        assert!(about.ends_with('.'), "{} needs a sentence", class.name());
        assert!(class.name().split_once('.').is_some(), "{} is group.cause", class.name());
    }
}
