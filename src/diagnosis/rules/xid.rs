//! An NVIDIA GPU reports an Xid, or fell off the bus without one.

mod faults;
mod follows;
mod programs;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use super::line::{Heard, Names, Pace, SECOND_NS, heard, of_meaning, sentences};
use crate::diagnosis::lines::{Pci, Sighting, What, Xid, traced_xid};
use crate::diagnosis::tables::architecture::driver_branch;
use crate::diagnosis::tables::nvlink::{self, LinkBit, LinkError, xid_74_bits};
use crate::diagnosis::tables::{Architecture, workflow, xid};
use crate::diagnosis::{
    Bench, Conclusion, Entry, Fact, Page, Rule, Setting, Subject, Wants, event_evidence,
};
use crate::schema::{Action, Device, Event, EventKind, Health, Severity};
use faults::Faults;
use programs::Programs;

/// What the family knows of this rule.
pub(super) static RULE: Entry = Entry {
    name: "xid",
    summary: "An NVIDIA GPU reports an error by number (Xid), or fell off the bus.",
    page: Page {
        concludes: "What the number means on this model with this driver: a fault of the \
                    program, of a link, of memory, or a GPU that is lost. Xids that only follow \
                    from another (45, 43, 63, 94, 95, 137 and some bits of 74) point to it; the \
                    registers of NVLink 5 are decoded by the driver's generation; the driver's \
                    own advice (Xid 154) outranks what is concluded here.",
        matters: "An Xid ends the engines on that GPU, or lets them go on with a GPU that will \
                  fail soon. Whether to restart the engine, reset the GPU or drain the node \
                  depends on the number, and most numbers are the program's own fault.",
        needs: "A line of the kernel's own log, a trace event, or an event of the driver's \
                library. Each alone is enough; several about one fault make one verdict. The \
                model and the driver's version make the verdict exact, where they are known.",
        silent: "For lines that a program wrote into the log, for lines that quote an Xid, and \
                 for Xids of a test (14, 106, 107).",
        remedy: "Follow the steps in their order. Where a verdict names its cause, act on the \
                 cause. If the driver itself asks for something, do that.",
    },
    settings: &[
        Setting {
            key: "program_window_s",
            default: 86_400.0,
            range: (60.0, 2_592_000.0),
            help: "Within how many seconds Xids 13 and 31 of different programs on one GPU make \
                   the GPU suspect.",
        },
        Setting {
            key: "program_quiet_s",
            default: 3600.0,
            range: (60.0, 604_800.0),
            help: "After how many seconds without another one a fault of a program is over.",
        },
        Setting {
            key: "device_quiet_s",
            default: 86_400.0,
            range: (60.0, 2_592_000.0),
            help: "After how many seconds without another one a fault of the GPU is over, where \
                   no reset or return of the GPU says so before.",
        },
    ],
    wants: Wants {
        events: &[
            EventKind::KernelLine,
            EventKind::Xid,
            EventKind::DeviceReturned,
            EventKind::DeviceResetting,
        ],
        devices: true,
        ..Wants::NOTHING
    },
    consequence_of: &[],
    follows_driver: true,
    open: || Box::<XidRule>::default(),
};

#[derive(Debug, Default)]
struct XidRule {
    names: Names,
    pace: Pace,
    programs: Programs,
    /// Which faults were told lately, by whom.
    faults: Faults,
    /// What may be open, by device.
    keys: BTreeMap<String, BTreeSet<String>>,
    /// The address of a loss that three lines tell, until its last line.
    losing: Option<(Pci, u64)>,
}

/// One Xid, wherever it comes from.
#[derive(Debug, Clone, Copy)]
struct Told<'a> {
    device: &'a str,
    code: u64,
    seen: &'a Sighting<'a>,
    event: &'a Event,
    sure: f32,
}

impl Rule for XidRule {
    fn fact(&mut self, fact: &Fact<'_>, bench: &mut Bench<'_>) {
        match fact {
            Fact::Device(device) => {
                self.names.forget();
                self.named(device);
            }
            Fact::Event(event) if event.kind == EventKind::Xid => self.event(event, bench),
            Fact::Event(event) if event.kind == EventKind::KernelLine => {
                if let Some(heard) = heard(fact, bench) {
                    self.line(&heard, bench);
                }
            }
            Fact::Event(event) => self.over(&event.subject.clone(), bench),
            _ => {}
        }
    }
}

impl XidRule {
    fn line(&mut self, heard: &Heard<'_>, bench: &mut Bench<'_>) {
        let now_ns = bench.now_ns();
        let pci = match (heard.seen.what, heard.seen.pci) {
            (What::GpuLostBegins, Some(pci)) => {
                self.losing = Some((pci, now_ns));
                return;
            }
            (What::GpuLostEnds, _) => {
                // The three lines are one print: they stand together.
                let lost = self.losing.take();
                lost.filter(|(_, ns)| now_ns.saturating_sub(*ns) < JOINED_NS).map(|(pci, _)| pci)
            }
            (What::Booted, _) => {
                self.boot(bench);
                return;
            }
            (What::GpuFirmware, _) => return self.firmware(heard, bench),
            (What::Xid | What::GpuLost, pci) => pci,
            _ => return,
        };
        let Some(pci) = pci else { return };
        let code = if heard.seen.what == What::Xid { heard.seen.code } else { FALLEN };
        let device = self.names.of(pci, bench).to_owned();
        let (seen, event, sure) = (&heard.seen, heard.event, heard.sure);
        self.told(&Told { device: &device, code, seen, event, sure }, bench);
    }

    /// A GPU's firmware gives no heartbeat. The line has the driver's own count
    /// of GPUs, which need not be that of its library: the node is the subject.
    fn firmware(&mut self, heard: &Heard<'_>, bench: &mut Bench<'_>) {
        let unit = heard.seen.unit.unwrap_or_default();
        let (node, quiet_ns) = (bench.node(), bench.setting_ns("device_quiet_s"));
        let key = format!("heartbeat {unit}");
        self.note(node.name, &key);
        self.pace.raise(bench, node, &key, || Conclusion {
            severity: Severity::Error,
            text: format!("The firmware of GPU {unit}, as the driver counts, gives no heartbeat."),
            cause: "Its GSP firmware hangs; calls into the driver soon hang with it.".into(),
            confidence: 0.85 * heard.sure,
            evidence: vec![event_evidence(heard.event)],
            action: Action::ResetDevice,
            steps: sentences(&workflow("RESET_GPU").1),
            health: Health::Suspect,
            quiet_ns,
            by_product_of: vec![("xid", "119".to_owned()), ("xid", "120".to_owned())],
            by_product_ns: follows::apart_ns(119),
            ..Conclusion::default()
        });
    }

    /// A trace event names an address, the driver's library a device.
    fn event(&mut self, event: &Event, bench: &mut Bench<'_>) {
        let device = match Pci::leading(&event.subject) {
            Some((pci, "")) => self.names.of(pci, bench).to_owned(),
            _ => event.subject.clone(),
        };
        let seen = traced_xid(event.code, &event.text);
        let told = Told { device: &device, code: event.code, seen: &seen, event, sure: 1.0 };
        self.told(&told, bench);
    }

    fn told(&mut self, of: &Told<'_>, bench: &mut Bench<'_>) {
        let now_ns = bench.now_ns();
        let subject = Subject::device(of.device);
        if of.code == RECOVERY {
            return self.recovery(of, bench);
        }
        let by_another = self.faults.told(of.device, of.code, &of.event.source, now_ns);
        let key = key(of);
        if by_another && bench.is_open(subject, &key) {
            return;
        }
        self.note(of.device, &key);
        let window_ns = bench.setting_ns("program_window_s");
        let blame = self.programs.blame(of.device, of.code, of.seen, now_ns, window_ns);
        let peers = self.peers(of, now_ns);
        let quiet_ns = (bench.setting_ns("program_quiet_s"), bench.setting_ns("device_quiet_s"));
        let (architecture, driver) = device(of.device, bench);
        self.pace.raise(bench, subject, &key, || {
            let mut conclusion = judged(of, architecture, driver);
            programs::weigh(&mut conclusion, &blame, of);
            if let Some(peer) = &peers {
                conclusion.cause =
                    format!("{} {peer} had a fault of its own just before.", conclusion.cause);
            }
            conclusion.quiet_ns = match conclusion.action {
                Action::None | Action::RestartApplication => quiet_ns.0,
                _ => quiet_ns.1,
            };
            conclusion.confidence *= of.sure;
            conclusion.evidence = vec![event_evidence(of.event)];
            conclusion
        });
    }

    /// Another GPU whose fault an access over NVLink may follow from.
    fn peers(&self, of: &Told<'_>, now_ns: u64) -> Option<String> {
        let over_link = matches!(of.code, 108 | 137);
        if over_link { self.faults.elsewhere(of.device, now_ns).map(str::to_owned) } else { None }
    }

    /// The driver says what is to be done with a GPU.
    fn recovery(&mut self, of: &Told<'_>, bench: &mut Bench<'_>) {
        let subject = Subject::device(of.device);
        let Some(recovery) = of.seen.xid().and_then(|xid| xid.recovery) else { return };
        let Some((action, severity, told)) = advised(recovery) else {
            bench.driver_says(subject, None);
            advices().for_each(|key| bench.clear(subject, &key));
            return;
        };
        // Another advice is another trouble, with other steps.
        let key = format!("{RECOVERY} {recovery}");
        advices().filter(|of| *of != key).for_each(|of| bench.clear(subject, &of));
        bench.driver_says(subject, Some(action));
        self.note(of.device, &key);
        let primary = self.faults.primary(of.device, bench.now_ns());
        let by_product_of = primary.map(|code| ("xid", code.to_string())).collect();
        let (device, quiet_ns) = (of.device, bench.setting_ns("device_quiet_s"));
        self.pace.raise(bench, subject, &key, || Conclusion {
            severity,
            action,
            steps: sentences(&steps(action)),
            by_product_of,
            quiet_ns,
            confidence: of.sure,
            evidence: vec![event_evidence(of.event)],
            ..of_meaning(
                &xid::meaning(RECOVERY, Architecture::Unknown),
                format!("The driver of {device} asks for: {told}."),
            )
        });
    }

    /// What was noted under a device's address is the device's from here on.
    fn named(&mut self, device: &Device) {
        let Some(accelerator) = &device.accelerator else { return };
        let Some((pci, _)) = Pci::leading(&accelerator.pci) else { return };
        let address = pci.to_string();
        if accelerator.parent.is_empty() && !device.name.is_empty() {
            for key in self.keys.remove(&address).unwrap_or_default() {
                self.note(&device.name, &key);
            }
            self.faults.named(&address, &device.name);
        }
    }

    fn note(&mut self, device: &str, key: &str) {
        if self.keys.get(device).is_some_and(|keys| keys.contains(key)) {
            return;
        }
        if self.keys.len() < DEVICES_MAX {
            let keys = self.keys.entry(device.to_owned()).or_default();
            if keys.len() < KEYS_MAX {
                keys.insert(key.to_owned());
            }
        }
    }

    /// A GPU was reset or is back: what it had is over.
    fn over(&mut self, device: &str, bench: &mut Bench<'_>) {
        let subject = Subject::device(device);
        bench.driver_says(subject, None);
        self.faults.forget(device);
        for key in self.keys.remove(device).unwrap_or_default() {
            bench.clear(subject, &key);
        }
    }

    fn boot(&mut self, bench: &mut Bench<'_>) {
        for device in self.keys.keys().cloned().collect::<Vec<_>>() {
            self.over(&device, bench);
        }
    }
}

/// One verdict per number, and per part of a partitioned GPU.
fn key(of: &Told<'_>) -> String {
    match of.seen.instance {
        Some(part) => format!("{} instance {}", of.code, part.gpu),
        None => of.code.to_string(),
    }
}

/// Generation and driver of a GPU that is known.
fn device(name: &str, bench: &Bench<'_>) -> (Architecture, Option<u32>) {
    let known = bench.known().device_named(name).and_then(|(_, of)| of.device.accelerator.as_ref());
    known.map_or((Architecture::Unknown, None), |of| {
        (Architecture::of_model(&of.device_model), driver_branch(&of.driver))
    })
}

/// What the tables say of it, with what its line adds.
fn judged(of: &Told<'_>, architecture: Architecture, driver: Option<u32>) -> Conclusion {
    let meaning = xid::meaning(of.code, architecture);
    let part = of.seen.instance.map_or_else(String::new, |part| match part.compute {
        Some(compute) => format!(", GPU instance {}, compute instance {compute}", part.gpu),
        None => format!(", GPU instance {}", part.gpu),
    });
    let program = match (of.seen.process, of.seen.process_name) {
        (Some(process), name) if !name.is_empty() => format!(" Program: {name} ({process})."),
        (Some(process), _) => format!(" Process: {process}."),
        _ => String::new(),
    };
    let text =
        format!("{}{part} reports Xid {}: {}.{program}", of.device, of.code, meaning.meaning);
    let mut conclusion = of_meaning(&meaning, text);
    conclusion.health = health(&conclusion);
    if let Some(said) = of.seen.xid() {
        conclusion.by_product_of = follows::causes(of.code, said);
        conclusion.by_product_ns = follows::apart_ns(of.code);
        refine(&mut conclusion, of.code, said, driver);
    }
    conclusion
}

/// A GPU is failed only by what takes it away.
fn health(of: &Conclusion) -> Health {
    match (of.severity, of.action) {
        (Severity::Critical, _) => Health::Failed,
        (_, Action::None | Action::RestartApplication) => Health::Healthy,
        (Severity::Error, _) => Health::Suspect,
        _ => Health::Degraded,
    }
}

/// What the words and registers of a line change.
fn refine(conclusion: &mut Conclusion, code: u64, said: &Xid<'_>, driver: Option<u32>) {
    match code {
        45 if said.root.is_some() => {
            let root = said.root.unwrap_or_default();
            conclusion.cause = format!(
                "The driver itself says that this follows from Xid {root}: act on that one."
            );
        }
        74 => link_4(conclusion, said),
        94 | 95 if said.reset == Some(true) => {
            conclusion.severity = Severity::Critical;
            conclusion.action = Action::ResetDevice;
            conclusion.steps = sentences(&workflow("RESET_GPU").1);
            conclusion.health = Health::Failed;
        }
        144..=150 => link_5(conclusion, code, said, driver),
        _ => {}
    }
}

fn link_4(conclusion: &mut Conclusion, said: &Xid<'_>) {
    let bits = xid_74_bits(said.registers.values());
    let link = said.link.map_or_else(String::new, |link| format!(" on link {link}"));
    let Some((register, bit, says)) = bits.last() else { return };
    let (severity, told) = match says {
        LinkBit::Harmless => (Severity::Info, "nothing that needs an act"),
        LinkBit::Consequence => (Severity::Info, "a consequence of another fault"),
        LinkBit::WeakSignal => (Severity::Warning, "a weak signal"),
        LinkBit::IfAgain => (Severity::Warning, "a fault that matters if it comes again"),
        LinkBit::Parity => (Severity::Error, "a parity or ECC fault of the link"),
        LinkBit::Hardware => (Severity::Error, "possibly a fault of the hardware"),
        LinkBit::FabricReset => (Severity::Error, "a consequence that needs the fabric reset"),
    };
    conclusion.severity = severity.min(conclusion.severity);
    conclusion.cause = format!("Register {register}, bit {bit}{link} says: {told}.");
    match says {
        LinkBit::Harmless | LinkBit::Consequence => {
            (conclusion.action, conclusion.health) = (Action::None, Health::Healthy);
            conclusion.steps = sentences(&workflow("WORKFLOW_XID_45").1[..1]);
        }
        LinkBit::FabricReset => {
            conclusion.action = Action::ResetDevice;
            conclusion.steps = sentences(&workflow("RESET_FABRIC").1);
        }
        _ => {}
    }
}

fn link_5(conclusion: &mut Conclusion, code: u64, said: &Xid<'_>, driver: Option<u32>) {
    let registers = said.registers.values();
    let &[info, status, ..] = registers else { return };
    let older_form = registers.len() <= 4;
    let error = LinkError { xid: code as u16, unit: said.unit, info, status, driver, older_form };
    let link = said.link.map_or_else(String::new, |link| match link {
        -1 => ", whole unit".to_owned(),
        link => format!(", link {link}"),
    });
    let Some(rule) = nvlink::rule(&error) else {
        conclusion.confidence = 0.5;
        conclusion.cause = format!(
            "{} Unit {}{link}, registers {info:#x} and {status:#x}, which no rule of the tables knows.",
            conclusion.cause, said.unit
        );
        if said.fatal == Some(false) {
            conclusion.severity = Severity::Warning;
        }
        return;
    };
    conclusion.severity = rule.severity();
    conclusion.action = rule.action(&error);
    let flow = if rule.immediate == "XID_154_EVAL" { "XID_154_EVAL" } else { "RESET_GPU" };
    let flow = if conclusion.action == Action::None { "IGNORE_WATCH" } else { flow };
    conclusion.steps = sentences(&workflow(flow).1);
    conclusion.health = health(conclusion);
    let blame = match rule.blame {
        "HW" => "the hardware",
        "SW" => "software",
        "FW" => "firmware",
        _ => "hardware or software",
    };
    conclusion.cause = format!(
        "Unit {}{link}, status {status:#x}: the vendor's rule blames {blame}.",
        rule.units[1]
    );
}

/// What a number of NVML's recovery action asks for; none where it is nothing.
fn advised(recovery: u8) -> Option<(Action, Severity, &'static str)> {
    Some(match recovery {
        0 => return None,
        1 => (Action::ResetDevice, Severity::Critical, "reset the GPU"),
        2 => (Action::RebootNode, Severity::Critical, "reboot the node"),
        3 => (Action::Investigate, Severity::Error, "end what uses peer access over NVLink"),
        4 => (Action::ResetDevice, Severity::Error, "drain the GPU and reset it"),
        _ => (Action::Investigate, Severity::Error, "an action that this build does not know"),
    })
}

/// Keys of the verdicts about each advice.
fn advices() -> impl Iterator<Item = String> {
    (1..=5).map(|recovery| format!("{RECOVERY} {recovery}"))
}

fn steps(action: Action) -> Vec<&'static str> {
    match action {
        Action::ResetDevice => workflow("RESET_GPU").1,
        Action::RebootNode => workflow("RESTART_BM").1,
        _ => workflow("XID_154").1,
    }
}

/// The GPU fell off the bus.
const FALLEN: u64 = 79;
/// The driver changed its advice.
const RECOVERY: u64 = 154;
/// Most devices, and most codes of one, whose end is waited for; the others end
/// when it was quiet for long.
const DEVICES_MAX: usize = 1024;
const KEYS_MAX: usize = 256;
/// Lines of one print are not further apart.
const JOINED_NS: u64 = 2 * SECOND_NS;
