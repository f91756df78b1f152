//! Which faults are open, so that each begins once and ends once, whoever
//! tells: the driver as it happens, its list of open codes, or both.
//!
//! A fault told by the driver has parts (which memory, which port); the list
//! has codes only. So a code that is open counts as known whatever its part,
//! and while faults are told, the list is believed only when it says the same
//! twice: what it says first may be on its way. Pure: no clock, no call.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::layout::FaultEvent;
use super::value;
use crate::schema::{FaultPhase, FaultRecord, Severity};

/// A fault that began, ended or happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The chip, by its logical number.
    pub chip: u16,
    /// The fault's code.
    pub code: u32,
    /// The rest of it.
    pub record: FaultRecord,
    /// What the driver calls it; empty where it came as a code only.
    pub name: String,
}

/// The faults of all chips.
#[derive(Debug, Default)]
pub struct Faults {
    chips: BTreeMap<u16, ChipFaults>,
    /// Whether the driver tells faults as they happen.
    told: bool,
}

#[derive(Debug, Default)]
struct ChipFaults {
    /// Whether anybody has looked at what is open.
    looked: bool,
    open: BTreeMap<u32, Open>,
    /// Codes in the list that the driver has not told of, and how often the
    /// list had them.
    doubted: BTreeMap<u32, u8>,
    /// Codes that ended by the list; their end may still be told.
    ended: BTreeSet<u32>,
    /// The last notices, against one that is told twice.
    noticed: VecDeque<(u32, i32)>,
}

#[derive(Debug, Default)]
struct Open {
    parts: Vec<Part>,
    listed: bool,
    missing: u8,
}

/// Which part of a chip a fault is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Part {
    node_type: u16,
    node: u16,
    sub_node_type: u16,
    sub_node: u16,
}

impl Faults {
    /// Whether the driver tells faults as they happen.
    pub fn are_told(&mut self, told: bool) {
        self.told = told;
    }

    /// The driver told of this.
    pub fn tell(&mut self, event: &FaultEvent) -> Option<Report> {
        let phase = phase(event);
        let faults = self.chip(event.device)?;
        let is_news = match phase {
            FaultPhase::Raised => faults.begin(event.event, part(event)),
            FaultPhase::Cleared => faults.end(event.event, part(event)),
            _ => faults.notice(event.event, event.notice_serial),
        };
        is_news.then(|| report(event, false))
    }

    /// Everything that is open now, as events: at the start, and after a chip
    /// was away.
    pub fn look(&mut self, chip: u16, events: &[FaultEvent]) -> Vec<Report> {
        let Some(faults) = self.chip(chip) else { return Vec::new() };
        let replayed = !std::mem::replace(&mut faults.looked, true);
        let mut reports = Vec::new();
        let raised = |event: &&FaultEvent| phase(event) == FaultPhase::Raised;
        for event in events.iter().filter(raised) {
            if faults.begin(event.event, part(event)) {
                reports.push(Report { chip, ..report(event, replayed) });
            }
        }
        let codes: Vec<u32> = events.iter().filter(raised).map(|event| event.event).collect();
        let over: Vec<u32> =
            faults.open.keys().copied().filter(|code| !codes.contains(code)).collect();
        // What began before the first look and is not in it was told, and its
        // end will be.
        for code in over.into_iter().filter(|_| !replayed) {
            reports.extend(faults.over(chip, code));
        }
        reports
    }

    /// The codes that are open now.
    pub fn list(&mut self, chip: u16, codes: &[u32]) -> Vec<Report> {
        let told = self.told;
        let Some(faults) = self.chip(chip) else { return Vec::new() };
        let replayed = !std::mem::replace(&mut faults.looked, true);
        let mut reports = Vec::new();
        let codes: BTreeSet<u32> = codes.iter().copied().take(CODES_MAX).collect();
        faults.doubted.retain(|code, _| codes.contains(code));
        for code in &codes {
            if let Some(open) = faults.open.get_mut(code) {
                (open.listed, open.missing) = (true, 0);
                continue;
            }
            let times = faults.doubted.entry(*code).or_default();
            *times = times.saturating_add(1);
            if replayed || !told || *times > 1 {
                faults.doubted.remove(code);
                faults.open.insert(*code, Open { listed: true, ..Open::default() });
                reports.push(by_code(chip, *code, FaultPhase::Raised, replayed));
            }
        }
        let mut over = Vec::new();
        for (code, open) in faults.open.iter_mut().filter(|(code, _)| !codes.contains(code)) {
            open.missing = open.missing.saturating_add(1);
            // The list need not have everything that the driver tells.
            if !told || (open.listed && open.missing > 1) {
                over.push(*code);
            }
        }
        for code in over {
            reports.extend(faults.over(chip, code));
        }
        reports
    }

    fn chip(&mut self, chip: u16) -> Option<&mut ChipFaults> {
        if self.chips.len() >= CHIPS_MAX && !self.chips.contains_key(&chip) {
            return None;
        }
        Some(self.chips.entry(chip).or_default())
    }
}

impl ChipFaults {
    /// Whether this is news.
    fn begin(&mut self, code: u32, part: Part) -> bool {
        self.doubted.remove(&code);
        self.ended.remove(&code);
        if self.open.len() >= CODES_MAX && !self.open.contains_key(&code) {
            return true;
        }
        let is_open = self.open.contains_key(&code);
        let open = self.open.entry(code).or_default();
        // The list told it without its part.
        let is_known = (is_open && open.parts.is_empty()) || open.parts.contains(&part);
        if !open.parts.contains(&part) && open.parts.len() < PARTS_MAX {
            open.parts.push(part);
        }
        !is_known
    }

    /// Whether this is news.
    fn end(&mut self, code: u32, part: Part) -> bool {
        self.doubted.remove(&code);
        let Some(open) = self.open.get_mut(&code) else { return !self.ended.remove(&code) };
        open.parts.retain(|of| *of != part);
        if open.parts.is_empty() {
            self.open.remove(&code);
        }
        true
    }

    /// Whether this is news. A driver that numbers nothing tells each once.
    fn notice(&mut self, code: u32, serial: i32) -> bool {
        if serial == 0 {
            return true;
        }
        if self.noticed.contains(&(code, serial)) {
            return false;
        }
        if self.noticed.len() >= NOTICED_MAX {
            self.noticed.pop_front();
        }
        self.noticed.push_back((code, serial));
        true
    }

    /// A code is open no more, each part of it.
    fn over(&mut self, chip: u16, code: u32) -> Vec<Report> {
        let open = self.open.remove(&code).unwrap_or_default();
        if self.ended.len() < CODES_MAX {
            self.ended.insert(code);
        }
        if open.parts.is_empty() {
            return vec![by_code(chip, code, FaultPhase::Cleared, false)];
        }
        let of_part = |part: Part| {
            let mut report = by_code(chip, code, FaultPhase::Cleared, false);
            report.record.node_type = part.node_type;
            report.record.node_id = part.node;
            report.record.sub_node_type = part.sub_node_type;
            report.record.sub_node_id = part.sub_node;
            report
        };
        open.parts.into_iter().map(of_part).collect()
    }
}

/// How much a fault matters by itself, by the driver's word.
#[must_use]
pub fn severity(record: &FaultRecord) -> Severity {
    match (record.phase, record.severity) {
        (FaultPhase::Cleared, _) | (FaultPhase::Occurred, 0) => Severity::Info,
        (_, 0 | 1 | FaultRecord::SEVERITY_UNKNOWN) => Severity::Warning,
        (_, 2) => Severity::Error,
        _ => Severity::Critical,
    }
}

fn phase(event: &FaultEvent) -> FaultPhase {
    match event.assertion {
        0 => FaultPhase::Cleared,
        1 => FaultPhase::Raised,
        2 => FaultPhase::Occurred,
        _ => FaultPhase::Unknown,
    }
}

fn part(event: &FaultEvent) -> Part {
    let whole = |whole: u16, cut: u8| if whole == 0 { u16::from(cut) } else { whole };
    let node_type = match whole(event.node_type_whole, 0) {
        // Older drivers cut it to 8 bits; the code has all of it.
        0 => node_type(event.event).unwrap_or(u16::from(event.node_type)),
        node_type => node_type,
    };
    Part {
        node_type,
        node: u16::from(event.node),
        sub_node_type: whole(event.sub_node_type_whole, event.sub_node_type),
        sub_node: u16::from(event.sub_node),
    }
}

/// The kind of part that a code names: bits 27 to 17. Codes that begin with A
/// or B are laid out differently.
fn node_type(code: u32) -> Option<u16> {
    (code >> 28 < 0xA).then_some(((code >> 17) & 0x7FF) as u16)
}

fn report(event: &FaultEvent, replayed: bool) -> Report {
    let part = part(event);
    let serial = if event.notice_serial == 0 { event.event_serial } else { event.notice_serial };
    let record = FaultRecord {
        phase: phase(event),
        severity: event.severity,
        node_type: part.node_type,
        node_id: part.node,
        sub_node_type: part.sub_node_type,
        sub_node_id: part.sub_node,
        serial: u64::from(serial.cast_unsigned()),
        raised_wall_ns: value::wall_ns(event.raised),
        replayed,
    };
    let name = value::text(bytemuck::bytes_of(&event.name));
    Report { chip: event.device, code: event.event, record, name }
}

fn by_code(chip: u16, code: u32, phase: FaultPhase, replayed: bool) -> Report {
    let record = FaultRecord {
        phase,
        severity: FaultRecord::SEVERITY_UNKNOWN,
        node_type: node_type(code).unwrap_or(0),
        replayed,
        ..FaultRecord::default()
    };
    Report { chip, code, record, name: String::new() }
}

/// Most chips whose faults are followed.
const CHIPS_MAX: usize = 256;
/// Most codes of a chip that are followed; the driver lists no more.
const CODES_MAX: usize = 128;
/// Most parts of a code that are followed.
const PARTS_MAX: usize = 32;
/// How many notices of a chip are remembered.
const NOTICED_MAX: usize = 64;

#[cfg(test)]
mod tests;
