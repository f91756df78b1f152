//! A rule file as text becomes a plan that cannot be wrong, with every
//! mistake at once.
//!
//! ```toml
//! [rules.thermal_throttle]     # a rule of ours
//! severity = "error"           # info, warning, error, critical
//! hold_s = 20                  # any of its settings
//!
//! [rules.power_cap]
//! enabled = false
//!
//! [codes.xid.63]               # a row of a vendor's table
//! severity = "warning"
//! action = "reset device"
//!
//! [[threshold]]                # a rule of yours
//! name = "inlet_warm"
//! metric = "sensor_celsius"
//! above = 45
//! for_s = 60
//! severity = "warning"
//! text = "{device} reads {value} °C."
//!
//! [[silence]]                  # a maintenance window
//! subject = "gpu*"
//! rule = "*"
//! from = 2026-11-24T20:00:00Z
//! until = 2026-11-24T23:00:00Z
//! reason = "fans are changed"
//! ```

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{CodePlan, Plan, RulePlan, Threshold, moment, threshold};
use crate::diagnosis::rule::Entry;
use crate::diagnosis::rules;
use crate::diagnosis::silence::{SILENCES_MAX, Silence};
use crate::schema::{Action, Severity, bounded_text};

/// Something wrong in a rule file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The line, from 1 on.
    pub line: usize,
    /// The key with its path, such as `rules.thermal_throttle.hold_s`.
    pub key: String,
    /// What is wrong and what is allowed, in a sentence.
    pub text: String,
}

impl std::fmt::Display for Mistake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}: {}: {}", self.line, self.key, self.text)
    }
}

/// Most bytes of a rule file.
pub const RULE_FILE_BYTES_MAX: usize = 1 << 20;
/// Most mistakes that are told at once.
const MISTAKES_MAX: usize = 100;
/// Most rows of codes that a file may change.
const CODES_MAX: usize = 4096;

impl Plan {
    /// The plan that a rule file says; all that it does not say is as by
    /// default.
    ///
    /// # Errors
    ///
    /// Every mistake with its line and key, at most a hundred. Nothing of a
    /// file with a mistake holds.
    pub fn read(text: &str) -> Result<Self, Vec<Mistake>> {
        let mut reading = Reading { text, plan: Self::default(), mistakes: Vec::new() };
        if text.len() > RULE_FILE_BYTES_MAX {
            reading.mistake(0, "", format!("a rule file has at most {RULE_FILE_BYTES_MAX} bytes"));
            return Err(reading.mistakes);
        }
        match DeTable::parse(text) {
            Ok(table) => reading.file(table.get_ref()),
            Err(error) => {
                let at = error.span().map_or(0, |span| span.start);
                reading.mistake(at, "", format!("this is no TOML: {}", error.message()));
            }
        }
        if reading.mistakes.is_empty() { Ok(reading.plan) } else { Err(reading.mistakes) }
    }
}

/// A file on its way to a plan.
pub(super) struct Reading<'t> {
    text: &'t str,
    plan: Plan,
    mistakes: Vec<Mistake>,
}

type Value<'t> = Spanned<DeValue<'t>>;

impl<'t> Reading<'t> {
    fn file(&mut self, table: &DeTable<'t>) {
        for (key, value) in table {
            let at = key.span().start;
            match key.get_ref().as_ref() {
                "rules" => self.tables("rules", value, Self::rule),
                "codes" => self.tables("codes", value, |this, table, value| {
                    let path = format!("codes.{}", table.get_ref());
                    let name = table.get_ref().to_string();
                    this.tables(&path, value, |this, code, value| this.code(&name, code, value));
                }),
                "threshold" => self.list("threshold", value, Self::threshold),
                "silence" => self.list("silence", value, Self::silence),
                other => {
                    let allowed = "allowed are rules, codes, threshold, silence";
                    self.mistake(at, other, format!("no such table; {allowed}"));
                }
            }
        }
    }

    fn rule(&mut self, key: &Spanned<std::borrow::Cow<'t, str>>, value: &Value<'t>) {
        let path = format!("rules.{}", key.get_ref());
        let Some(entry) = rules::ALL.iter().find(|entry| entry.name == key.get_ref().as_ref())
        else {
            let text = "no such rule; `eagle-eye list rules` names them".to_owned();
            return self.mistake(key.span().start, &path, text);
        };
        let Some(table) = self.table(&path, value) else { return };
        let mut plan = RulePlan::default();
        for (key, value) in table {
            let path = format!("{path}.{}", key.get_ref());
            match key.get_ref().as_ref() {
                "enabled" => plan.disabled = self.truth(&path, value) == Some(false),
                "severity" => plan.severity = self.severity(&path, value),
                name => self.setting(entry, name, &path, key.span().start, value, &mut plan),
            }
        }
        self.plan.rules.insert(entry.name.to_owned(), plan);
    }

    fn setting(
        &mut self,
        entry: &'static Entry,
        name: &str,
        path: &str,
        at: usize,
        value: &Value<'t>,
        plan: &mut RulePlan,
    ) {
        let Some(setting) = entry.settings.iter().find(|of| of.key == name) else {
            let mut known: Vec<&str> = entry.settings.iter().map(|of| of.key).collect();
            known.extend(["enabled", "severity"]);
            let text = format!("no such setting; allowed are {}", known.join(", "));
            return self.mistake(at, path, text);
        };
        if let Some(number) = self.number(path, value, setting.range) {
            plan.numbers.insert(setting.key, number);
        }
    }

    fn code(&mut self, name: &str, key: &Spanned<std::borrow::Cow<'t, str>>, value: &Value<'t>) {
        let code = key.get_ref().as_ref();
        let path = format!("codes.{name}.{code}");
        let Some(table) = self.table(&path, value) else { return };
        if self.plan.codes.len() >= CODES_MAX {
            let text = format!("at most {CODES_MAX} codes may be changed");
            return self.mistake(key.span().start, &path, text);
        }
        let mut plan = CodePlan::default();
        for (key, value) in table {
            let path = format!("{path}.{}", key.get_ref());
            match key.get_ref().as_ref() {
                "enabled" => plan.disabled = self.truth(&path, value) == Some(false),
                "severity" => plan.severity = self.severity(&path, value),
                "action" => plan.action = self.action(&path, value),
                _ => {
                    let text = "allowed are enabled, severity, action".to_owned();
                    self.mistake(key.span().start, &path, text);
                }
            }
        }
        self.plan.codes.insert((name.to_owned(), code.to_owned()), plan);
    }

    fn threshold(&mut self, path: &str, value: &Value<'t>) {
        let Some(read) = threshold::read(self, path, value) else { return };
        let taken = |of: &Threshold| of.name == read.name;
        let ours = rules::ALL.iter().any(|entry| entry.name == read.name);
        if ours || self.plan.thresholds.iter().any(taken) {
            let text = format!("the name {} is taken; choose another", read.name);
            return self.mistake(value.span().start, &format!("{path}.name"), text);
        }
        if self.plan.thresholds.len() >= threshold::THRESHOLDS_MAX {
            let text = format!("at most {} thresholds are allowed", threshold::THRESHOLDS_MAX);
            return self.mistake(value.span().start, path, text);
        }
        self.plan.thresholds.push(read);
    }

    fn silence(&mut self, path: &str, value: &Value<'t>) {
        let Some(table) = self.table(path, value) else { return };
        let mut silence = Silence { rule: "*".into(), subject: "*".into(), ..Silence::default() };
        for (key, value) in table {
            let path = format!("{path}.{}", key.get_ref());
            match key.get_ref().as_ref() {
                "subject" => silence.subject = self.text(&path, value).unwrap_or_default(),
                "rule" => silence.rule = self.text(&path, value).unwrap_or_default(),
                "reason" => silence.reason = self.text(&path, value).unwrap_or_default(),
                "from" => silence.from_wall_ns = self.moment(&path, value),
                "until" => silence.until_wall_ns = self.moment(&path, value),
                _ => {
                    let text = "allowed are subject, rule, from, until, reason".to_owned();
                    self.mistake(key.span().start, &path, text);
                }
            }
        }
        let at = value.span().start;
        if silence.until_wall_ns <= silence.from_wall_ns {
            let text = "it needs an end, and that after its beginning".to_owned();
            return self.mistake(at, &format!("{path}.until"), text);
        }
        if silence.reason.is_empty() {
            let text = "say why, for whoever reads a silenced verdict".to_owned();
            return self.mistake(at, &format!("{path}.reason"), text);
        }
        if self.plan.silences.len() >= SILENCES_MAX {
            let text = format!("at most {SILENCES_MAX} silences are allowed");
            return self.mistake(at, path, text);
        }
        self.plan.silences.push(silence);
    }

    pub(super) fn mistake(&mut self, at: usize, key: &str, text: String) {
        if self.mistakes.len() < MISTAKES_MAX {
            let before = self.text.get(..at).unwrap_or_default();
            let line = 1 + before.bytes().filter(|byte| *byte == b'\n').count();
            // A key is the file's own bytes: short, and nothing that drives a
            // terminal.
            let key: String = key.chars().filter(|c| !c.is_control()).take(200).collect();
            let text = text.chars().filter(|c| !c.is_control()).take(1000).collect();
            self.mistakes.push(Mistake { line, key, text });
        }
    }

    pub(super) fn table<'v>(
        &mut self,
        path: &str,
        value: &'v Value<'t>,
    ) -> Option<&'v DeTable<'t>> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            self.mistake(value.span().start, path, "it must be a table".to_owned());
        }
        table
    }

    fn tables(
        &mut self,
        path: &str,
        value: &Value<'t>,
        mut each: impl FnMut(&mut Self, &Spanned<std::borrow::Cow<'t, str>>, &Value<'t>),
    ) {
        let Some(table) = self.table(path, value) else { return };
        for (key, value) in table {
            each(self, key, value);
        }
    }

    fn list(&mut self, path: &str, value: &Value<'t>, each: fn(&mut Self, &str, &Value<'t>)) {
        let Some(list) = value.get_ref().as_array() else {
            let text = format!("it must be a list of tables: [[{path}]]");
            return self.mistake(value.span().start, path, text);
        };
        for (at, value) in list.iter().enumerate() {
            each(self, &format!("{path}[{}]", at + 1), value);
        }
    }

    pub(super) fn number(
        &mut self,
        path: &str,
        value: &Value<'t>,
        (least, most): (f64, f64),
    ) -> Option<f64> {
        let number = match value.get_ref() {
            DeValue::Integer(of) if of.radix() == 10 => of.as_str().parse::<f64>().ok(),
            DeValue::Float(of) => of.as_str().parse::<f64>().ok(),
            _ => None,
        };
        let number = number.filter(|number| (least..=most).contains(number));
        if number.is_none() {
            let text = format!("it must be a number from {least} to {most}");
            self.mistake(value.span().start, path, text);
        }
        number
    }

    pub(super) fn text(&mut self, path: &str, value: &Value<'t>) -> Option<String> {
        let text = value.get_ref().as_str().map(bounded_text);
        let text = text.filter(|text| !text.chars().any(|c| c.is_control() && c != '\n'));
        if text.is_none() {
            let told = "it must be a text without control characters".to_owned();
            self.mistake(value.span().start, path, told);
        }
        text.map(str::to_owned)
    }

    pub(super) fn texts(&mut self, path: &str, value: &Value<'t>) -> Vec<String> {
        match value.get_ref().as_array() {
            Some(list) => list.iter().filter_map(|value| self.text(path, value)).collect(),
            None => {
                self.mistake(value.span().start, path, "it must be a list of texts".to_owned());
                Vec::new()
            }
        }
    }

    fn truth(&mut self, path: &str, value: &Value<'t>) -> Option<bool> {
        let truth = value.get_ref().as_bool();
        if truth.is_none() {
            self.mistake(value.span().start, path, "it must be true or false".to_owned());
        }
        truth
    }

    pub(super) fn severity(&mut self, path: &str, value: &Value<'t>) -> Option<Severity> {
        let all = [Severity::Info, Severity::Warning, Severity::Error, Severity::Critical];
        let name = value.get_ref().as_str().unwrap_or_default();
        let severity = all.into_iter().find(|of| of.name() == name);
        if severity.is_none() {
            let text = "it must be one of info, warning, error, critical".to_owned();
            self.mistake(value.span().start, path, text);
        }
        severity
    }

    pub(super) fn action(&mut self, path: &str, value: &Value<'t>) -> Option<Action> {
        let name = value.get_ref().as_str().unwrap_or_default();
        let action = Action::ALL.into_iter().find(|of| of.name() == name);
        if action.is_none() {
            let all: Vec<&str> = Action::ALL.iter().map(|of| of.name()).collect();
            let text = format!("it must be one of {}", all.join(", "));
            self.mistake(value.span().start, path, text);
        }
        action
    }

    fn moment(&mut self, path: &str, value: &Value<'t>) -> u64 {
        let moment = value.get_ref().as_datetime().and_then(moment::wall_ns);
        if moment.is_none() {
            let text = "it must be a time with its offset, such as 2026-11-24T20:00:00Z";
            self.mistake(value.span().start, path, text.to_owned());
        }
        moment.unwrap_or_default()
    }
}
