//! Lines of PCIe: errors reported and corrected (AER), ports shut to contain
//! one (DPC), slots that lost their link.
//!
//! They begin with any driver's name and the device's address.

use super::scan::{after, hex, holds, number, word};
use super::{Detail, Pci, Sighting, What};

/// A line of any driver about its device on PCI.
pub(super) fn line(text: &str) -> Option<Sighting<'_>> {
    let (driver, rest) = text.split_once(' ')?;
    if driver.len() > DRIVER_BYTES_MAX {
        return None;
    }
    let (pci, rest) = Pci::leading(rest)?;
    let said = rest.strip_prefix(": ")?;
    let named = |what| Sighting { pci: Some(pci), name: driver, ..Sighting::of(what) };
    if let Some(error) = after(said, "PCIe Bus Error: severity=") {
        let layer =
            after(error, "type=").map(|layer| layer.split_once(',').map_or(layer, |(of, _)| of));
        let detail = graded(error, layer.unwrap_or_default());
        return Some(Sighting { detail, ..named(What::PcieError) });
    }
    if let Some(error) = said.strip_prefix("AER: ") {
        return of_aer(error, named);
    }
    if said.starts_with("DPC: containment event") {
        return Some(named(What::PcieContained));
    }
    if said.starts_with("pciehp: ") {
        return said.ends_with("Link Down").then(|| named(What::PcieLinkDown));
    }
    let said = said.trim_start();
    if said.starts_with("device [") && holds(said, "error status/mask=") {
        let code = after(said, "status/mask=").and_then(hex).map_or(0, |(status, _)| status);
        return Some(Sighting { code, ..named(What::PcieErrorDetail) });
    }
    let bit = said.strip_prefix('[').map(str::trim_start).and_then(number);
    let (bit, name) = bit.filter(|(bit, _)| *bit < 32)?;
    let name = name.strip_prefix("] ")?.trim();
    let (name, _) = word(name);
    let detail = Detail::Said(name);
    Some(Sighting { code: 1 << bit, detail, ..named(What::PcieErrorDetail) })
}

/// What follows `AER: `; the device that erred is named at the end.
fn of_aer<'a>(error: &'a str, named: impl Fn(What) -> Sighting<'a>) -> Option<Sighting<'a>> {
    if error.starts_with("can't recover") {
        return Some(named(What::PcieNotRecovered));
    }
    let many = error.starts_with("Multiple ");
    let error = error.strip_prefix("Multiple ").unwrap_or(error);
    let received = after(error, " received").map(|rest| {
        let rest = rest.strip_prefix(" from").unwrap_or(rest);
        Pci::leading(rest.trim_start_matches([':', ' '])).map(|(pci, _)| pci)
    })?;
    // A root port that does not know who erred names nobody: all zeros.
    let received = received.filter(|of| (of.bus, of.device, of.function) != (0, 0, 0));
    let detail = graded(error, "");
    let sighting = named(What::PcieError);
    let amount = Some(1 + u64::from(many));
    Some(Sighting { pci: received.or(sighting.pci), amount, detail, ..sighting })
}

fn graded<'a>(error: &'a str, layer: &'a str) -> Detail<'a> {
    let corrected = error.starts_with("Correct");
    Detail::Pcie { corrected, fatal: !corrected && holds(error, "(Fatal)"), layer }
}

/// Longer words are no driver's name.
const DRIVER_BYTES_MAX: usize = 64;
