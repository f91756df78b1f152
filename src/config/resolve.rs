//! File, environment and flags, laid over the defaults.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use super::{SettingDoc, settings};

/// Variables that are known and do not concern an agent, which may be started
/// from the environment of an engine or a router.
const OTHERS: [&str; 11] = [
    // The command line's.
    "EAGLE_EYE_CONFIG",
    "EAGLE_EYE_SOCKET",
    "EAGLE_EYE_NATS",
    // An engine's, as python/README.md lists them.
    "EAGLE_EYE_INSTANCE",
    "EAGLE_EYE_ENDPOINT",
    "EAGLE_EYE_ROLE",
    "EAGLE_EYE_DISABLE",
    "EAGLE_EYE_NATS_CREDENTIALS",
    "EAGLE_EYE_NATS_ALWAYS",
    // The tests'.
    "EAGLE_EYE_BINARY",
    "EAGLE_EYE_BLESS",
];

/// Where values come from; later layers win.
#[derive(Debug, Clone, Default)]
pub struct Layers {
    values: HashMap<String, (String, String)>,
    mistakes: Vec<Mistake>,
}

/// One mistake in a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The key it is about; empty when the whole file is.
    pub key: String,
    /// Where the value came from: the file, a variable, a flag.
    pub source: String,
    /// What is wrong and what is allowed.
    pub sentence: String,
}

/// Every mistake of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistakes(pub Vec<Mistake>);

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.key.is_empty() {
            write!(f, "{}: {}", self.source, self.sentence)
        } else {
            write!(f, "{} ({}): {}", self.key, self.source, self.sentence)
        }
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        write!(f, "the configuration has {count} mistake{}", if count == 1 { "" } else { "s" })?;
        self.0.iter().try_for_each(|mistake| write!(f, "\n  {mistake}"))
    }
}

impl std::error::Error for Mistakes {}

impl Layers {
    /// Lays a TOML file's settings on top.
    pub fn file(&mut self, path: &Path) {
        let source = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => self.text(&text, &source),
            Err(error) => self.mistake("", &source, &format!("cannot be read: {error}")),
        }
    }

    /// Lays TOML text on top; `source` names it in mistakes.
    pub fn text(&mut self, text: &str, source: &str) {
        match text.parse::<toml::Table>() {
            Ok(table) => self.table("", &table, source),
            Err(error) => self.mistake("", source, &toml_mistake(text, &error)),
        }
    }

    /// Lays variables `EAGLE_EYE_…` on top; others are passed over, and so are
    /// those of `OTHERS`.
    pub fn environment(&mut self, variables: impl IntoIterator<Item = (String, String)>) {
        let known = settings();
        for (variable, value) in variables {
            if !variable.starts_with("EAGLE_EYE_") || OTHERS.contains(&variable.as_str()) {
                continue;
            }
            match known.iter().find(|setting| variable_name(&setting.key) == variable) {
                Some(setting) => self.set(&setting.key, value, &variable),
                None => self.mistake("", &variable, "no setting has this name"),
            }
        }
    }

    /// Lays one setting on top, as from a flag.
    pub fn set(&mut self, key: &str, value: String, source: &str) {
        self.values.insert(key.to_owned(), (value, source.to_owned()));
    }

    /// Every setting with its value, or every mistake.
    ///
    /// # Errors
    ///
    /// All mistakes: unknown keys, values of the wrong kind or out of bounds.
    pub fn resolve(mut self) -> Result<HashMap<String, String>, Mistakes> {
        let known = settings();
        let mut values = HashMap::new();
        for setting in &known {
            let given = self.values.remove(&setting.key);
            let (value, source) = given.unwrap_or_else(|| default_of(setting));
            if let Err(allowed) = (setting.check)(&value) {
                let shown = without_secrets(&setting.key, &value);
                self.mistake(
                    &setting.key,
                    &source,
                    &format!("\"{shown}\" is not allowed; {allowed}"),
                );
            }
            values.insert(setting.key.clone(), value);
        }
        let mut unknown: Vec<(String, String)> =
            self.values.drain().map(|(key, (_, source))| (key, source)).collect();
        unknown.sort();
        for (key, source) in unknown {
            let sentence = match nearest(&key, &known) {
                Some(near) => format!("no setting has this name; did you mean {near}?"),
                None => "no setting has this name".to_owned(),
            };
            self.mistake(&key, &source, &sentence);
        }
        if self.mistakes.is_empty() { Ok(values) } else { Err(Mistakes(self.mistakes)) }
    }

    /// Every setting with its value, the default where what was given is
    /// mistaken, and every mistake: for those who go on regardless.
    ///
    /// # Panics
    ///
    /// Never: what is left without the mistakes is right.
    #[must_use]
    pub fn resolve_anyway(mut self) -> (HashMap<String, String>, Vec<Mistake>) {
        let Err(Mistakes(mistakes)) = self.clone().resolve() else {
            let values = self.resolve().expect("it was resolved a moment ago");
            return (values, Vec::new());
        };
        self.mistakes.clear();
        self.values.retain(|key, _| mistakes.iter().all(|mistake| mistake.key != *key));
        (self.resolve().expect("every default passes its own check"), mistakes)
    }

    fn table(&mut self, prefix: &str, table: &toml::Table, source: &str) {
        for (key, value) in table {
            let key = format!("{prefix}{key}");
            match value {
                toml::Value::Table(inner) => self.table(&format!("{key}."), inner, source),
                value => match text_of(value) {
                    Some(text) => self.set(&key, text, source),
                    None => {
                        let allowed = "allowed is text, a number, true, false, or a list of these";
                        self.mistake(&key, source, allowed);
                    }
                },
            }
        }
    }

    fn mistake(&mut self, key: &str, source: &str, sentence: &str) {
        self.mistakes.push(Mistake {
            key: key.to_owned(),
            source: source.to_owned(),
            sentence: sentence.to_owned(),
        });
    }
}

/// The variable by which a setting can be given.
#[must_use]
pub fn variable_name(key: &str) -> String {
    format!("EAGLE_EYE_{}", key.replace('.', "_").to_uppercase())
}

/// A value as a mistake may show it: no password or token, and of a URL
/// nothing that stands before an `@`.
fn without_secrets<'a>(key: &str, value: &'a str) -> Cow<'a, str> {
    if key.ends_with("password") || key.ends_with("token") {
        return "…".into();
    }
    match value.rsplit_once('@') {
        Some((_, host)) if key.ends_with("urls") => format!("…@{host}").into(),
        _ => value.into(),
    }
}

/// Where text is no TOML, and why; the line itself may hold a secret.
fn toml_mistake(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = 1 + before.matches('\n').count();
    format!("is no TOML: line {line}: {}", error.message().trim())
}

fn default_of(setting: &SettingDoc) -> (String, String) {
    (setting.default.trim_matches('"').to_owned(), "default".to_owned())
}

fn text_of(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Boolean(truth) => Some(truth.to_string()),
        toml::Value::Array(list) => {
            let parts: Option<Vec<String>> = list.iter().map(text_of).collect();
            Some(parts?.join(","))
        }
        toml::Value::Datetime(_) | toml::Value::Table(_) => None,
    }
}

/// The setting that looks most like `key`, if any does.
fn nearest<'a>(key: &str, known: &'a [SettingDoc]) -> Option<&'a str> {
    const LIKENESS_LEAST: f64 = 0.85;
    let likeness = |setting: &SettingDoc| strsim::jaro_winkler(&setting.key, key);
    let nearest = known.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    (likeness(nearest) >= LIKENESS_LEAST).then_some(nearest.key.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_layers_win() {
        let mut layers = Layers::default();
        layers.text("[pipeline]\nlinger_us = 10\nbatch_bytes = 2_048", "file");
        layers.environment([("EAGLE_EYE_PIPELINE_LINGER_US".to_owned(), "20".to_owned())]);
        layers.set("node", "n".to_owned(), "--node");
        let values = layers.resolve().unwrap();
        assert_eq!(values["pipeline.linger_us"], "20");
        assert_eq!(values["pipeline.batch_bytes"], "2048");
        assert_eq!((&values["node"][..], &values["log.level"][..]), ("n", "info"));
    }

    #[test]
    fn all_mistakes_come_together_each_with_its_key_and_what_is_allowed() {
        let mut layers = Layers::default();
        layers.text(
            "nodee = 1\nlisten = \"nowhere\"\n[pipeline]\nlinger_us = -1\n[nats]\npassword = 1979-05-27",
            "ee.toml",
        );
        layers.environment([("EAGLE_EYE_LINGER".to_owned(), "1".to_owned())]);
        let Mistakes(mistakes) = layers.resolve().unwrap_err();
        let text: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        for part in [
            "nodee (ee.toml): no setting has this name; did you mean node?",
            "listen (ee.toml): \"nowhere\" is not allowed; allowed is an address",
            "pipeline.linger_us (ee.toml): \"-1\" is not allowed; allowed is a whole number from 0",
            "nats.password (ee.toml): allowed is text",
            "EAGLE_EYE_LINGER: no setting has this name",
        ] {
            assert!(text.iter().any(|mistake| mistake.starts_with(part)), "{part}\n{text:#?}");
        }
        assert_eq!(text.len(), 5);
    }

    #[test]
    fn what_is_right_holds_beside_mistakes_for_those_who_go_on() {
        let mut layers = Layers::default();
        layers.text("nodee = 1\nnode = \"n\"\nlisten = \"nowhere\"", "f");
        layers.environment([("EAGLE_EYE_NO".to_owned(), "1".to_owned())]);
        let (values, mistakes) = layers.resolve_anyway();
        assert_eq!((&values["node"][..], &values["listen"][..]), ("n", "127.0.0.1:9752"));
        assert_eq!(mistakes.len(), 3, "{mistakes:?}");
        let (values, mistakes) = Layers::default().resolve_anyway();
        assert!(mistakes.is_empty() && values.len() == settings().len());
    }

    #[test]
    fn what_concerns_an_engine_a_router_or_a_test_is_no_mistake() {
        let mut layers = Layers::default();
        layers.environment(OTHERS.map(|name| (name.to_owned(), "1".to_owned())));
        let values = layers.resolve().unwrap();
        assert_eq!(values, Layers::default().resolve().unwrap());
        for key in settings().iter().map(|setting| variable_name(&setting.key)) {
            assert!(!OTHERS.contains(&key.as_str()), "{key} is a setting of the agent's");
        }
    }

    #[test]
    fn text_that_is_no_toml_is_one_mistake() {
        let mut layers = Layers::default();
        layers.text("= 1", "f");
        assert_eq!(layers.resolve().unwrap_err().0.len(), 1);
    }

    #[test]
    fn mistakes_show_no_secret_and_where_they_are() {
        for (text, shown) in [
            ("[nats]\nurls = \"http://me:geheim@h:1\"", "\"…@h:1\" is not allowed"),
            ("[nats]\nurls = \"nats://a,me:ge@heim@h\"", "\"…@h\" is not allowed"),
            ("[nats]\npassword = geheim", "f: is no TOML: line 2: "),
            ("[nats]\n\ntoken = \"geheim", "f: is no TOML: line 3: "),
        ] {
            let mut layers = Layers::default();
            layers.text(text, "f");
            let said = layers.resolve().unwrap_err().to_string();
            assert!(said.contains(shown) && !said.contains("heim"), "{text}: {said}");
        }
    }
}
