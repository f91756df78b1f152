//! What a chip is.

use super::ask::{Asking, away};
use super::code::{Class, Failure};
use super::layout::{ChipInfo, DieId, Elabel, PcieInfo};
use super::library::Dcmi;
use super::symbol::Symbol;
use super::value::text;
use crate::samplers::accelerator::{Failure as Stopped, Identity};
use crate::schema::DeviceState;

/// What a chip is, by its own word.
///
/// # Errors
///
/// When it is away.
pub(super) fn identity(ask: &Asking<'_>, dcmi: &Dcmi) -> Result<Identity, Stopped> {
    let chip: Result<ChipInfo, Failure> = match ask.out(Symbol::ChipInfo) {
        Err(Failure::NotInLibrary) => ask.out(Symbol::ChipInfoOld),
        other => other,
    };
    let chip = match chip {
        Ok(chip) => Some(chip),
        Err(failure) => {
            if let Some(state) = away(failure) {
                return Err(Stopped::Device(state));
            }
            if failure.class() == Class::Gone {
                return Err(Stopped::Device(DeviceState::Gone));
            }
            None
        }
    };
    let elabel: Option<Elabel> = ask.out(Symbol::Elabel).ok();
    let firmware = FIRMWARE.iter().find_map(|of| ask.text(Symbol::ComponentVersion, *of).ok());
    let versions = dcmi.versions(ask.calls);
    Ok(Identity {
        device_model: chip.map(|of| model(&of)).unwrap_or_default(),
        serial: elabel.map(|of| text(&of.serial)).unwrap_or_default(),
        driver: versions.driver,
        firmware: firmware.unwrap_or_default(),
        inforom: String::new(),
        library: versions.library,
    })
}

/// `Ascend 910B2 V1`: the name the driver gives, else kind, name and version.
fn model(of: &ChipInfo) -> String {
    let parts = [text(&of.chip_type), text(&of.chip_name), text(&of.chip_version)];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// The number of the die, as people read it.
pub(super) fn uuid(die: &DieId) -> String {
    if die.words.iter().all(|word| *word == 0 || *word == u32::MAX) {
        return String::new();
    }
    let words: Vec<String> = die.words.iter().map(|word| format!("{word:08x}")).collect();
    words.join("-")
}

/// The canonical address; empty for what is none.
pub(super) fn pci(of: &PcieInfo) -> String {
    let is_one = (0..=0xFFFF).contains(&of.domain)
        && of.bus <= 0xFF
        && of.slot <= 0x1F
        && of.function <= 7
        && of.vendor != 0;
    if !is_one {
        return String::new();
    }
    format!("{:04x}:{:02x}:{:02x}.{:x}", of.domain, of.bus, of.slot, of.function)
}

/// Parts of the firmware package, which all have its version: the first that
/// answers.
const FIRMWARE: [u32; 3] = [11, 8, 0];

#[cfg(test)]
mod tests {
    use bytemuck::Zeroable;

    use super::*;

    #[test]
    fn an_address_is_canonical_or_none() {
        let of = PcieInfo { vendor: 0x19e5, bus: 0xc1, ..PcieInfo::zeroed() };
        assert_eq!(pci(&of), "0000:c1:00.0");
        assert_eq!(pci(&PcieInfo { domain: -1, ..of }), "");
        assert_eq!(pci(&PcieInfo { bus: 256, ..of }), "");
        assert_eq!(pci(&PcieInfo::zeroed()), "");
    }

    #[test]
    fn a_die_of_nothing_has_no_name() {
        assert_eq!(uuid(&DieId { words: [0; 5] }), "");
        assert_eq!(
            uuid(&DieId { words: [1, 0xAB, 0, 0, 2] }),
            "00000001-000000ab-00000000-00000000-00000002"
        );
    }
}
