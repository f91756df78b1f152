//! Lines of main memory and of processors: EDAC, machine checks, reports of
//! the firmware (CPER), pages taken out of use.

use super::scan::{after, hex, holds, number, number_after, small, word};
use super::{Detail, Sighting, What};

/// `EDAC MC0: 1 CE memory read error on CPU_SrcID#0… (channel:1 slot:0 …)`.
pub(super) fn edac(text: &str) -> Option<Sighting<'_>> {
    let (unit, rest) = number(text.strip_prefix("EDAC MC")?)?;
    let (amount, rest) = number(rest.strip_prefix(": ")?)?;
    let rest = rest.trim_start();
    let what = match word(rest).0 {
        "CE" => What::MemoryCorrected,
        "UE" => What::MemoryUncorrected,
        _ => return None,
    };
    let name = after(rest, " on ").map(|name| name.split_once(" (").map_or(name, |(of, _)| of));
    Some(Sighting {
        unit: small(unit),
        amount: Some(amount),
        name: name.unwrap_or_default(),
        ..Sighting::of(what)
    })
}

/// `mce: [Hardware Error]: CPU 12: Machine Check: 0 Bank 8: 8c00004000010090`.
pub(super) fn machine_check(text: &str) -> Option<Sighting<'_>> {
    let said = text.strip_prefix("mce: ")?;
    let said = said.strip_prefix("[Hardware Error]: ").unwrap_or(said);
    if said.starts_with("Machine check events logged") {
        return Some(Sighting::of(What::MachineCheckLogged));
    }
    if let Some(why) = said.strip_prefix("Machine check: ") {
        return Some(Sighting {
            detail: Detail::Said(why),
            ..Sighting::of(What::MachineCheckFatal)
        });
    }
    let (unit, rest) = number(said.strip_prefix("CPU ")?)?;
    let bank = number_after(rest, " Bank ")?;
    let status = after(rest, " Bank ").and_then(|rest| rest.split_once(": "));
    let code = status.and_then(|(_, status)| hex(status)).map_or(0, |(status, _)| status);
    Some(Sighting {
        code,
        unit: small(unit),
        amount: Some(bank),
        ..Sighting::of(What::MachineCheck)
    })
}

/// `[Hardware Error]: CPU:18 (10:9:1) MC4_STATUS[Over|CE|…]: 0xdc5c410004080a13`:
/// a machine check in the words of AMD's decoder.
pub(super) fn decoded(text: &str) -> Option<Sighting<'_>> {
    let (unit, rest) = number(text.strip_prefix("[Hardware Error]: CPU:")?)?;
    let (bank, rest) = number(after(rest, " MC")?)?;
    let flags = rest.strip_prefix("_STATUS[")?;
    let (code, _) = hex(after(flags, "]: ")?.strip_prefix("0x")?)?;
    Some(Sighting {
        code,
        unit: small(unit),
        amount: Some(bank),
        ..Sighting::of(What::MachineCheck)
    })
}

/// `{1}[Hardware Error]: event severity: fatal`.
pub(super) fn firmware_first(text: &str) -> Option<Sighting<'_>> {
    let (unit, rest) = number(text.strip_prefix('{')?)?;
    let said = rest.strip_prefix("}[Hardware Error]: ")?;
    let what = match said.trim_start().strip_prefix("event severity: ").map(str::trim_end) {
        Some("fatal") => What::FirmwareFatal,
        Some("recoverable") => What::FirmwareRecoverable,
        Some("corrected") => What::FirmwareCorrected,
        _ => What::FirmwareReport,
    };
    let said = said.trim();
    let name = said.strip_prefix("section_type: ").unwrap_or_default();
    Some(Sighting { unit: small(unit), name, detail: Detail::Said(said), ..Sighting::of(what) })
}

/// `Memory failure: 0x1f3b9a: recovery action for dirty LRU page: Recovered`.
pub(super) fn poisoned(text: &str) -> Option<Sighting<'_>> {
    let (code, rest) = hex(text.strip_prefix("Memory failure: ")?)?;
    let said = rest.strip_prefix(": ")?;
    let told = holds(said, "recovery action") || holds(said, "Killing") || holds(said, "poison");
    told.then(|| Sighting { code, detail: Detail::Said(said), ..Sighting::of(What::PagePoisoned) })
}
