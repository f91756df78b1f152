//! Maintenance windows and acknowledgements: verdicts that are known, and
//! silent for a while.

/// Verdicts of some subjects and rules that are silenced until an end.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Silence {
    /// Name of the subject; one that ends in `*` stands for all that begin so.
    pub subject: String,
    /// Name of the rule; one that ends in `*` stands for all that begin so.
    pub rule: String,
    /// From when, ns since 1970.
    pub from_wall_ns: u64,
    /// Until when, ns since 1970.
    pub until_wall_ns: u64,
    /// Why, for whoever reads the verdict.
    pub reason: String,
}

/// Most silences at once.
pub const SILENCES_MAX: usize = 1024;

impl Silence {
    /// Whether it silences such a verdict now.
    #[must_use]
    pub fn covers(&self, subject: &str, rule: &str, wall_ns: u64) -> bool {
        (self.from_wall_ns..self.until_wall_ns).contains(&wall_ns)
            && matches(&self.subject, subject)
            && matches(&self.rule, rule)
    }
}

fn matches(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |begin| name.starts_with(begin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silence_covers_its_subjects_rules_and_time_only() {
        let silence = Silence {
            subject: "gpu*".into(),
            rule: "thermal".into(),
            from_wall_ns: 10,
            until_wall_ns: 20,
            reason: "fans".into(),
        };
        for (subject, rule, wall_ns, covers) in [
            ("gpu0", "thermal", 10, true),
            ("gpu0", "thermal", 20, false),
            ("gpu0", "thermal", 9, false),
            ("npu0", "thermal", 15, false),
            ("gpu0", "thermal_other", 15, false),
        ] {
            assert_eq!(silence.covers(subject, rule, wall_ns), covers, "{subject} {rule}");
        }
    }
}
