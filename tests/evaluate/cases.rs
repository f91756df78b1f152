//! Incidents from the files under `tests/cases/`.

use std::fs;
use std::path::{Path, PathBuf};

use eagle_eye::schema::{Accelerator, Action, Device, DeviceState, Engine, Severity};
use serde::Deserialize;

use crate::classes::Class;
use crate::lines::{Cast, facts, span};
use crate::trace::{Expected, Fact, Moment, Never, Resolve, SECOND, Taker, Tolerated, Truth};

/// How long a trace goes on in silence after its last fact.
const QUIET_NS: u64 = 60 * SECOND;

/// An incident as its file tells it.
pub(crate) struct Case {
    /// Its path below `tests/cases/`, without the ending.
    pub(crate) name: String,
    /// What a person knows about it.
    pub(crate) truth: Truth,
    devices: Vec<Device>,
    engines: Vec<Engine>,
    facts: Vec<(Moment, Fact)>,
    quiet_ns: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    about: String,
    source: String,
    /// How long nothing comes after the last fact.
    quiet: Option<String>,
    #[serde(default)]
    device: Vec<DeviceText>,
    #[serde(default)]
    engine: Vec<EngineText>,
    facts: String,
    #[serde(default)]
    expect: Vec<ExpectText>,
    #[serde(default)]
    may: Vec<OtherText>,
    #[serde(default)]
    never: Vec<OtherText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeviceText {
    name: String,
    kind: Option<String>,
    #[serde(default)]
    model: String,
    #[serde(default)]
    pci: String,
    #[serde(default)]
    driver: String,
    #[serde(default)]
    firmware: String,
    #[serde(default)]
    container: String,
    /// Processes that work on it.
    #[serde(default)]
    processes: Vec<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EngineText {
    name: String,
    model: String,
    #[serde(default)]
    process: u32,
    #[serde(default)]
    container: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectText {
    class: String,
    #[serde(default)]
    subject: String,
    severity: String,
    #[serde(default)]
    actions: Vec<String>,
    at: String,
    within: String,
    #[serde(default)]
    resolve: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OtherText {
    class: Option<String>,
    subject: Option<String>,
    severity: String,
}

impl Case {
    /// Hands the whole incident over, the inventory first, and says when it
    /// ends.
    pub(crate) fn play(&self, take: &mut Taker<'_>) -> u64 {
        let start = Moment::default();
        for device in &self.devices {
            take(start, &Fact::Device(Box::new(device.clone())));
        }
        for engine in &self.engines {
            take(start, &Fact::Engine(Box::new(engine.clone())));
        }
        for (at, fact) in &self.facts {
            take(*at, fact);
        }
        self.facts.last().map_or(0, |(at, _)| at.since_ns) + self.quiet_ns
    }

    fn parse(name: &str, text: &str) -> Result<Self, String> {
        let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
        if file.about.is_empty() || file.source.is_empty() {
            return Err("say what it is about and where it is from".into());
        }
        let devices: Vec<_> =
            file.device.iter().enumerate().map(|(index, of)| of.device(index)).collect();
        let engines: Vec<_> = file.engine.iter().map(EngineText::engine).collect();
        let cast = Cast { devices: &devices, engines: &engines };
        let facts = facts(&file.facts, &cast)?;
        let quiet_ns = file.quiet.as_deref().map_or(Ok(QUIET_NS), span)?;
        let truth = Truth {
            expected: file.expect.iter().map(ExpectText::expected).collect::<Result<_, _>>()?,
            tolerated: file.may.iter().map(OtherText::tolerated).collect::<Result<_, _>>()?,
            never: file.never.iter().map(OtherText::never).collect::<Result<_, _>>()?,
        };
        Ok(Self { name: name.to_owned(), truth, devices, engines, facts, quiet_ns })
    }
}

impl DeviceText {
    fn device(&self, index: usize) -> Device {
        let letters: String = self.name.chars().take_while(|c| c.is_alphabetic()).collect();
        let kind = self.kind.clone().unwrap_or(match letters.as_str() {
            "node" | "cpu" | "gpu" | "npu" | "nvme" | "pci" => letters,
            "eth" | "ens" | "enp" | "bond" => "interface".into(),
            "sd" | "md" => "disk".into(),
            _ => "container".into(),
        });
        let vendor = match kind.as_str() {
            "gpu" => "NVIDIA",
            "npu" => "Huawei",
            _ => "",
        };
        let accelerator = (!vendor.is_empty()).then(|| {
            let processes = self.processes.iter().map(|process| eagle_eye::schema::DeviceProcess {
                process: *process,
                ..Default::default()
            });
            Box::new(Accelerator {
                device_model: self.model.clone(),
                pci: self.pci.clone(),
                driver: self.driver.clone(),
                firmware: self.firmware.clone(),
                state: DeviceState::Present,
                processes: processes.collect(),
                ..Accelerator::default()
            })
        });
        Device {
            index: index as u32 + 1,
            name: self.name.clone(),
            kind,
            vendor: vendor.into(),
            uuid: if vendor.is_empty() { String::new() } else { format!("UUID-{}", self.name) },
            container: self.container.clone(),
            accelerator,
            ..Device::default()
        }
    }
}

impl EngineText {
    fn engine(&self) -> Engine {
        Engine {
            incarnation: 1,
            process: self.process,
            container: self.container.clone(),
            engine: "vllm 0.32.0".into(),
            source: "plugin".into(),
            ..Engine::named(&self.name, &self.model)
        }
    }
}

impl ExpectText {
    fn expected(&self) -> Result<Expected, String> {
        let classes: Result<Vec<_>, _> = self.class.split('|').map(Class::find).collect();
        let (first, last) =
            self.severity.split_once("..").unwrap_or((&self.severity, &self.severity));
        let actions: Result<Vec<_>, _> = self.actions.iter().map(|name| action(name)).collect();
        let resolve = match self.resolve.as_str() {
            "" | "may" => Resolve::May,
            "must" => Resolve::Must,
            "must not" => Resolve::MustNot,
            other => return Err(format!("resolve is may, must or must not, not {other}")),
        };
        let (at_ns, within_ns) = (span(&self.at)?, span(&self.within)?);
        let subjects = self.subject.split('|').filter(|name| !name.is_empty());
        let expected = Expected {
            classes: classes?,
            subjects: subjects.map(str::to_owned).collect(),
            severities: Vec::new(),
            actions: actions?,
            at_ns,
            within_ns,
            resolve,
        };
        Ok(expected.severity(severity(first)?, severity(last)?))
    }
}

impl OtherText {
    fn class(&self) -> Result<Option<Class>, String> {
        self.class.as_deref().map(Class::find).transpose()
    }

    fn tolerated(&self) -> Result<Tolerated, String> {
        if self.subject.is_some() {
            return Err("[[may]] has no subject".into());
        }
        Ok(Tolerated { class: self.class()?, severity_max: severity(&self.severity)? })
    }

    fn never(&self) -> Result<Never, String> {
        let (class, severity_min) = (self.class()?, severity(&self.severity)?);
        Ok(Never { class, subject: self.subject.clone(), severity_min })
    }
}

fn severity(name: &str) -> Result<Severity, String> {
    let all = (0..4).map(Severity::from_number);
    let mut found = all.filter(|severity| severity.name() == name);
    found.next().ok_or_else(|| format!("no severity is called {name}"))
}

fn action(name: &str) -> Result<Action, String> {
    let mut all = Action::ALL.into_iter();
    all.find(|of| of.name() == name).ok_or_else(|| format!("no action is called {name}"))
}

/// Every case below this folder of `tests/cases/`, by name.
pub(crate) fn cases(folder: &str) -> Vec<Case> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut paths = Vec::new();
    walk(&root.join(folder), &mut paths);
    paths.sort();
    let load = |path: &PathBuf| {
        let name = path.strip_prefix(&root).expect("below the folder").with_extension("");
        let name = name.to_string_lossy().replace('\\', "/");
        let text = fs::read_to_string(path).expect("a case can be read");
        Case::parse(&name, &text).unwrap_or_else(|error| panic!("tests/cases/{name}.toml: {error}"))
    };
    paths.iter().map(load).collect()
}

fn walk(folder: &Path, paths: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            walk(&path, paths);
        } else if path.extension().is_some_and(|ending| ending == "toml") {
            paths.push(path);
        }
    }
}

#[test]
fn every_case_can_be_read_and_says_what_is_right() {
    let all: Vec<_> = ["made", "real"].into_iter().flat_map(cases).collect();
    assert!(all.len() >= 40, "{} cases", all.len());
    for case in all {
        let truth = &case.truth;
        let says = !truth.expected.is_empty() || !truth.never.is_empty();
        assert!(says, "{}: expect something, or say what must never be said", case.name);
        assert!(!case.facts.is_empty(), "{}: a case has facts", case.name);
    }
}

#[test]
fn a_mistake_in_a_case_is_named() {
    let head = "about = 'a'\nsource = 'b'\nfacts = '0s kmsg x'\n";
    for (rest, says) in [
        (
            "[[expect]]\nclass = 'a.b'\nseverity = 'error'\nat = '0s'\nwithin = '5s'",
            "a.b is no class",
        ),
        ("[[never]]\nseverity = 'bad'", "no severity is called bad"),
        ("[[may]]\nseverity = 'info'\nsubject = 'x'", "has no subject"),
        ("colour = 'red'", "unknown field"),
    ] {
        let error = Case::parse("x", &format!("{head}{rest}")).err().expect(rest);
        assert!(error.contains(says), "{error}");
    }
}
