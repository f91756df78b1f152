//! Rule files, whole and wrong.

use super::*;
use crate::diagnosis::rules::trial::{Trial, device, gpu};
use crate::schema::{MetricId, VerdictState};

const FILE: &str = r#"
[rules.power_cap]
enabled = false

[rules.pcie_link]
severity = "info"
hold_s = 5
busy_ratio = 0.5

[codes.xid.63]
severity = "error"
action = "reset device"

[[threshold]]
name = "inlet_warm"
metric = "sensor_celsius"
above = 45
release = 42.5
for_s = 10
severity = "error"
text = "{device} reads {value} °C, limit {limit}."
action = "repair cooling"
steps = ["Open the window."]

[[silence]]
subject = "gpu*"
rule = "pcie_link"
from = 2023-01-01T00:00:00Z
until = 2033-01-01T00:00:00Z
reason = "risers are changed"
"#;

#[test]
fn a_file_says_switches_numbers_codes_thresholds_and_silences() {
    let plan = Plan::read(FILE).expect("a good file");
    assert!(!plan.runs("power_cap") && plan.runs("pcie_link"));
    let code = plan.code("xid", "63").expect("set");
    assert_eq!((code.severity, code.action), (Some(Severity::Error), Some(Action::ResetDevice)));
    let mut trial = Trial::with(plan);
    trial.device(&gpu(0));
    for (metric, value) in [
        (MetricId::AcceleratorPcieLanesMax, 16.0),
        (MetricId::AcceleratorPcieLanes, 8.0),
        (MetricId::AcceleratorUtilization, 0.9),
    ] {
        trial.set(0, metric, value);
    }
    trial.device(&device(7, "sensor", "inlet"));
    trial.set(7, MetricId::Sensor, 48.0);
    trial.seconds(20);
    assert_eq!(trial.open(), ["inlet_warm inlet", "pcie_link gpu0"]);
    let open: Vec<_> = trial.stage.open().cloned().collect();
    let link = open.iter().find(|of| of.rule == "pcie_link").expect("open");
    assert_eq!((link.severity, link.silenced_by.as_str()), (Severity::Info, "risers are changed"));
    let warm = open.iter().find(|of| of.rule == "inlet_warm").expect("open");
    assert_eq!(warm.text, "inlet reads 48 °C, limit 45.");
    assert_eq!((warm.limit_source.as_str(), warm.action), ("operator", Action::RepairCooling));
    // Another file: the operator's rule is gone, and what it said is over.
    trial.told();
    trial.stage.adopt(Plan::default());
    trial.seconds(5);
    let told = trial.told();
    assert!(told.iter().any(|of| of.rule == "inlet_warm" && of.state == VerdictState::Resolved));
    assert!(told.iter().any(|of| of.rule == "pcie_link" && of.silenced_until_wall_ns == 0));
    assert_eq!(trial.open(), ["pcie_link gpu0"]);
}

#[test]
fn every_mistake_is_named_by_line_and_key() {
    let file = "[rules.nothing]\n\
                [rules.pcie_link]\n\
                hold_s = -5\n\
                severity = \"bad\"\n\
                holdd_s = 5\n\
                enabled = 3\n\
                [codes.xid.13]\n\
                action = \"shout\"\n\
                [[threshold]]\n\
                name = \"Bad Name\"\n\
                metric = \"no_such\"\n\
                above = 3\n\
                [[threshold]]\n\
                name = \"pcie_link\"\n\
                metric = \"sensor_celsius\"\n\
                below = 3\n\
                release = 2\n\
                [[silence]]\n\
                until = 2026-01-01\n\
                [other]\n";
    let mistakes = Plan::read(file).expect_err("mistakes");
    let told: Vec<(usize, &str)> = mistakes.iter().map(|of| (of.line, of.key.as_str())).collect();
    for wanted in [
        (1, "rules.nothing"),
        (3, "rules.pcie_link.hold_s"),
        (4, "rules.pcie_link.severity"),
        (5, "rules.pcie_link.holdd_s"),
        (6, "rules.pcie_link.enabled"),
        (8, "codes.xid.13.action"),
        (9, "threshold[1].name"),
        (11, "threshold[1].metric"),
        (13, "threshold[2].release"),
        (19, "silence[1].until"),
        (20, "other"),
    ] {
        assert!(told.contains(&wanted), "{wanted:?} in {told:#?}");
    }
    let broken = Plan::read("a = [\n1, ]\nb = = 3").expect_err("no TOML");
    assert_eq!((broken.len(), broken[0].line), (1, 3));
    assert!(Plan::read(&" ".repeat(RULE_FILE_BYTES_MAX + 1)).is_err());
    assert_eq!(Plan::read(""), Ok(Plan::default()));
}

mod properties {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[\\[\\]a-z_.= \"0-9\n\\-:TZ]{0,200}") {
            let _ = Plan::read(&text);
        }

        #[test]
        fn a_damaged_file_is_read_or_refused(at in any::<prop::sample::Index>(), to in any::<char>()) {
            let mut chars: Vec<char> = FILE.chars().collect();
            let at = at.index(chars.len());
            chars[at] = to;
            if let Err(mistakes) = Plan::read(&chars.into_iter().collect::<String>()) {
                prop_assert!(!mistakes.is_empty());
                prop_assert!(mistakes.iter().all(|of| of.line >= 1 && !of.text.is_empty()));
            }
        }
    }
}
