//! Lines of network adapters and of connection tracking.

use super::scan::{holds, number, number_after, small};
use super::{Detail, Pci, Sighting, What};

/// `mlx5_core 0000:5c:00.0: …`.
pub(super) fn mlx5(text: &str) -> Option<Sighting<'_>> {
    let (pci, rest) = Pci::leading(text.strip_prefix("mlx5_core ")?)?;
    let said = rest.strip_prefix(": ")?;
    let found = if holds(said, "insufficient power") {
        let watts = said.rsplit_once('(').and_then(|(_, watts)| number(watts));
        Sighting { amount: watts.map(|(watts, _)| watts), ..Sighting::of(What::NicPower) }
    } else if let Some(module) = said.strip_prefix("Port module event") {
        let unit = number_after(module, "module ").and_then(small);
        let fault = module.starts_with("[error]");
        let unplugged = holds(module, "unplugged");
        let what = match (fault, unplugged) {
            (true, _) => What::NicModule,
            (_, true) => What::NicUnplugged,
            _ => return None,
        };
        Sighting { unit, detail: Detail::Said(said), ..Sighting::of(what) }
    } else if holds(said, "health compromised") || holds(said, "reached miss count") {
        Sighting::of(What::NicFirmware)
    } else if holds(said, "mlx5_cmd_out_err") || holds(said, "Will cause a leak of a command") {
        Sighting { detail: Detail::Said(said), ..Sighting::of(What::NicCommand) }
    } else {
        return None;
    };
    Some(Sighting { pci: Some(pci), name: "mlx5_core", ..found })
}

/// `nf_conntrack: nf_conntrack: table full, dropping packet`.
pub(super) fn connections(text: &str) -> Option<Sighting<'_>> {
    let said = text.strip_prefix("nf_conntrack: ")?;
    holds(said, "table full").then(|| Sighting::of(What::ConnectionsFull))
}

/// Links of interfaces, in the words of the common drivers.
pub(super) fn link(text: &str) -> Option<Sighting<'_>> {
    const DOWN: [&str; 5] = [
        "Link is Down",
        "Link down",
        "NIC Link is Down",
        "NIC Copper Link is Down",
        "link status definitely down",
    ];
    const UP: [&str; 4] = ["Link is Up", "Link up", "NIC Link is Up", "link status definitely up"];
    if !holds(text, "ink ") {
        return None;
    }
    let parts = text.rsplit_once(": ")?;
    // `bond0: (slave eth1): link status definitely down, disabling slave`.
    let (head, said) = match parts {
        (head, said) if head.ends_with(')') => (head.trim_end_matches(')'), said),
        parts => parts,
    };
    let what = if DOWN.iter().any(|down| said.starts_with(down)) {
        What::LinkDown
    } else if UP.iter().any(|up| said.starts_with(up)) {
        What::LinkUp
    } else {
        return None;
    };
    let name = head.rsplit([' ', ':']).next()?;
    let named = !name.is_empty() && name.len() <= 32 && !name.contains(['[', '(']);
    let pci = head.split(' ').find_map(|word| Pci::leading(word)).map(|(pci, _)| pci);
    named.then(|| Sighting { name, pci, ..Sighting::of(what) })
}
