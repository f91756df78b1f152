//! Lines of NVIDIA's drivers: of GPUs (NVRM), of NVSwitches, of memory shared
//! with network adapters, and the text of their trace events.

use super::scan::{after, hex, holds, number, small, word};
use super::{Detail, Instance, Pci, Sighting, What};

/// What a line says of an Xid besides its number and process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Xid<'a> {
    /// The rest of the line.
    pub said: &'a str,
    /// The Xid that this one follows from, by the driver's own word.
    pub root: Option<u16>,
    /// The unit of an NVLink; empty where it is not about one.
    pub unit: &'a str,
    /// Whether the driver calls it fatal.
    pub fatal: Option<bool>,
    /// The link; -1 stands for a whole unit.
    pub link: Option<i32>,
    /// Registers of an NVLink error.
    pub registers: Registers,
    /// Which part of the chip: GPC, TPC and SM.
    pub place: Option<[u16; 3]>,
    /// The recovery action that an Xid 154 changes to, as NVML numbers it.
    pub recovery: Option<u8>,
    /// Whether a reset is needed, where the line says it.
    pub reset: Option<bool>,
}

/// The registers of a line, at most seven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Registers {
    values: [u32; 7],
    count: u8,
}

impl Registers {
    /// The registers, in the line's order.
    #[must_use]
    pub fn values(&self) -> &[u32] {
        &self.values[..usize::from(self.count)]
    }

    /// What stands between brackets, joined by commas or blanks.
    fn read(text: &str) -> Self {
        let mut all = Self::default();
        let mut rest = text;
        while usize::from(all.count) < all.values.len()
            && let Some((value, behind)) = rest.strip_prefix("0x").and_then(hex)
            && let Ok(value) = u32::try_from(value)
        {
            all.values[usize::from(all.count)] = value;
            all.count += 1;
            rest = behind.trim_start_matches([',', ' ']);
        }
        all
    }
}

/// A line of the GPUs' driver.
pub(super) fn driver(text: &str) -> Option<Sighting<'_>> {
    let rest = text.strip_prefix("NVRM: ")?;
    if let Some(rest) = rest.strip_prefix("Xid (") {
        return Some(xid(rest));
    }
    if let Some(rest) = rest.strip_prefix("GPU at PCI:") {
        let (pci, rest) = Pci::leading(rest)?;
        let uuid = rest.strip_prefix(": ")?;
        return Some(Sighting { pci: Some(pci), name: uuid, ..Sighting::of(What::GpuIdentity) });
    }
    if let Some(serial) = rest.strip_prefix("GPU Board Serial Number: ") {
        return Some(Sighting { name: serial, ..Sighting::of(What::GpuIdentity) });
    }
    if let Some(rest) = rest.strip_prefix("GPU") {
        if let Some((unit, said)) = number(rest) {
            let hangs = holds(said, "kgspIsHeartbeatTimedOut");
            return hangs
                .then(|| Sighting { unit: small(unit), ..Sighting::of(What::GpuFirmware) });
        }
        let rest = rest.strip_prefix(" at ").or_else(|| rest.strip_prefix(' '))?;
        let (pci, rest) = Pci::leading(rest)?;
        let lost = holds(rest, "fallen off the bus");
        return lost.then(|| Sighting { pci: Some(pci), ..Sighting::of(What::GpuLost) });
    }
    if let Some(rest) = rest.strip_prefix("The NVIDIA GPU ") {
        let (pci, rest) = Pci::leading(rest)?;
        // One record with line feeds in it says all; three lines say it in turn.
        let whole = holds(rest, "fallen off the bus");
        let what = if whole { What::GpuLost } else { What::GpuLostBegins };
        return Some(Sighting { pci: Some(pci), code: part_id(rest), ..Sighting::of(what) });
    }
    if rest.starts_with("(PCI ID: ") {
        return Some(Sighting { code: part_id(rest), ..Sighting::of(What::GpuLostGoesOn) });
    }
    if rest.starts_with("fallen off the bus") {
        return Some(Sighting::of(What::GpuLostEnds));
    }
    if rest.starts_with("knvlink") && holds(rest, "ostRxDet") {
        let unit = after(rest, "peer").and_then(number).and_then(|(peer, _)| small(peer));
        return Some(Sighting { unit, ..Sighting::of(What::NvlinkDiscovery) });
    }
    None
}

/// Vendor and device of `PCI ID: 10de:2330`, 16 bits each; 0 where there is
/// none.
fn part_id(text: &str) -> u64 {
    let read = || {
        let (vendor, rest) = hex(after(text, "PCI ID: ")?)?;
        let (device, _) = hex(rest.strip_prefix(':')?)?;
        (vendor <= 0xFFFF && device <= 0xFFFF).then_some(vendor << 16 | device)
    };
    read().unwrap_or_default()
}

/// What follows `NVRM: Xid (`.
fn xid(text: &str) -> Sighting<'_> {
    let malformed = Sighting::of(What::XidMalformed);
    let text = text.strip_prefix("PCI:").unwrap_or(text);
    let Some((pci, rest)) = Pci::leading(text) else { return malformed };
    let malformed = Sighting { pci: Some(pci), ..malformed };
    let Some((inside, rest)) = rest.split_once("): ") else { return malformed };
    let Some((code, rest)) = number(rest) else { return malformed };
    let instance = instance(inside);
    let rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
    let (process, process_name, said) = process(rest);
    Sighting {
        code,
        pci: Some(pci),
        instance,
        process,
        process_name,
        detail: Detail::Xid(told(code, said)),
        ..Sighting::of(What::Xid)
    }
}

/// ` GPU-I:03 GPU-CI:00`.
fn instance(text: &str) -> Option<Instance> {
    let part = |word| u16::try_from(number(after(text, word)?)?.0).ok();
    Some(Instance { gpu: part("GPU-I:")?, compute: part("GPU-CI:") })
}

/// `pid=7194, name=python3, …`; a name may hold commas and blanks, and ends
/// before what the driver says itself.
fn process(text: &str) -> (Option<u32>, &str, &str) {
    let Some(rest) = text.strip_prefix("pid=") else { return (None, "", text) };
    let Some((pid, rest)) = rest.split_once(',') else { return (None, "", rest) };
    let process = pid.trim_matches('\'').parse().ok();
    let rest = rest.trim_start();
    let Some(rest) = rest.strip_prefix("name=") else { return (process, "", rest) };
    // The driver's own words begin behind the last comma that a capital
    // follows; a name may hold commas itself.
    let ends = rest.match_indices(", ").find(|(at, _)| says_itself(&rest[at + 2..]));
    let (name, said) = match ends {
        Some((at, _)) => (&rest[..at], &rest[at + 2..]),
        None => rest.split_once(", ").unwrap_or((rest, "")),
    };
    let name = if name.starts_with('<') { "" } else { name };
    (process, name, said)
}

fn says_itself(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_uppercase()) && text.contains([' ', ':'])
}

/// A trace event of an Xid: its number, and the driver's words.
#[must_use]
pub fn traced_xid(code: u64, text: &str) -> Sighting<'_> {
    let (process, process_name, said) = process(text);
    let detail = Detail::Xid(told(code, said));
    Sighting { code, process, process_name, detail, ..Sighting::of(What::Xid) }
}

fn told(code: u64, said: &str) -> Xid<'_> {
    let mut xid = Xid { said, ..Xid::default() };
    let short = |(value, _): (u64, &str)| u16::try_from(value).ok();
    xid.root = after(said, "caused by previous Xid ").and_then(number).and_then(short);
    match code {
        13 => xid.place = place(said),
        74 => {
            let behind = after(said, "on link ");
            xid.link = behind.and_then(signed);
            xid.fatal = Some(holds(said, "fatal error") && !holds(said, "non-fatal"));
            let open = behind.and_then(|behind| behind.split_once('('));
            xid.registers = open.map(|(_, inside)| Registers::read(inside)).unwrap_or_default();
        }
        94 | 95 => xid.reset = after(said, "RST: ").map(|rest| rest.starts_with("Yes")),
        144..=150 => link_5(said, &mut xid),
        154 => {
            let to = after(said, " to ").and_then(hex);
            xid.recovery = to.and_then(|(action, _)| u8::try_from(action).ok());
        }
        _ => {}
    }
    xid
}

/// `(GPC 1, TPC 3, SM 0)`.
fn place(said: &str) -> Option<[u16; 3]> {
    let part = |word| u16::try_from(number(after(said, word)?)?.0).ok();
    Some([part("(GPC ")?, part(", TPC ")?, part(", SM ")?])
}

fn signed(text: &str) -> Option<i32> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let value = i32::try_from(number(digits)?.0).ok()?;
    Some(if negative { -value } else { value })
}

/// `RLW_REMAP Nonfatal XC1 i0 Link 10 (0x… 0x…)`.
fn link_5<'a>(said: &'a str, xid: &mut Xid<'a>) {
    let (unit, rest) = word(said);
    let named =
        unit.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    if unit.is_empty() || !named {
        return;
    }
    xid.unit = unit;
    let rest = rest.trim_start();
    xid.fatal = match word(rest).0 {
        "Fatal" => Some(true),
        "Nonfatal" => Some(false),
        _ => None,
    };
    xid.link = after(rest, "Link ").and_then(signed);
    let open = rest.split_once('(');
    xid.registers = open.map(|(_, inside)| Registers::read(inside)).unwrap_or_default();
}

/// Lines of NVIDIA's other drivers.
pub(super) fn other(text: &str) -> Option<Sighting<'_>> {
    if let Some(rest) = text.strip_prefix("nvidia-nvswitch") {
        return sxid(rest);
    }
    if let Some(rest) = text.strip_prefix("nvidia_dev_xid: dev=") {
        return traced(rest, What::Xid);
    }
    if let Some(rest) = text.strip_prefix("nvswitch_dev_sxid: dev=") {
        return traced(rest, What::Sxid);
    }
    let rest = text.strip_prefix("nvidia-peermem ")?;
    holds(rest, "invalid context").then(|| Sighting::of(What::PeerMemory))
}

/// `3: SXid (PCI:0000:05:00.0): 12028, Non-fatal, Link 32 …`.
fn sxid(text: &str) -> Option<Sighting<'_>> {
    let (switch, rest) = number(text)?;
    let rest = rest.strip_prefix(": SXid (PCI:")?;
    let (pci, rest) = Pci::leading(rest)?;
    let (code, rest) = number(rest.strip_prefix("): ")?)?;
    let said = rest.strip_prefix(", ").unwrap_or_default();
    let more = said.starts_with("Severity ") || said.starts_with("Data {");
    let fatal = match word(said).0 {
        "Fatal" => Some(true),
        "Non-fatal" => Some(false),
        _ => None,
    };
    let link = after(said, "Link ").and_then(signed);
    Some(Sighting {
        code,
        pci: Some(pci),
        unit: small(switch),
        detail: Detail::Sxid { fatal, link, said },
        ..Sighting::of(if more { What::SxidDetail } else { What::Sxid })
    })
}

/// `0000:9b:00.0 error_code=79 msg=…`.
fn traced(text: &str, what: What) -> Option<Sighting<'_>> {
    let (pci, rest) = Pci::leading(text)?;
    let (code, rest) = number(rest.trim_start().strip_prefix("error_code=")?)?;
    let said = rest.trim_start().strip_prefix("msg=").unwrap_or_default();
    let detail = match what {
        What::Xid => Detail::Xid(told(code, said)),
        _ => Detail::Sxid { fatal: None, link: after(said, "Link ").and_then(signed), said },
    };
    Some(Sighting { code, pci: Some(pci), detail, ..Sighting::of(what) })
}
