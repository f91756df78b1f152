//! The devices of a node as the journal keeps them, so that one that vanishes
//! while nobody looks is missed.

use super::known::Known;
use super::library::{Found, Identity, Kind};
use super::record::{DEVICES_MAX, TEXT_BYTES_MAX};
use crate::schema::DeviceState;

/// What an inventory begins with; another version of it says something else.
const HEAD: &str = "inventory 1";

/// Words of a line.
const WORDS: usize = 12;

/// The bytes of an inventory: a line for each device, words parted by tabs.
/// Texts hold neither, since records of a child are made printable.
pub(super) fn encode(devices: &[Known]) -> Vec<u8> {
    let mut text = String::from(HEAD);
    for device in devices.iter().filter(|device| device.is_announced).take(DEVICES_MAX) {
        let (found, identity) = (&device.found, &device.identity);
        let state = (device.state as u8).to_string();
        let since = device.state_since_wall_ns.to_string();
        let words: [&str; WORDS] = [
            &found.name,
            found.kind.name(),
            &found.uuid,
            &found.pci,
            &found.parent,
            &identity.device_model,
            &identity.serial,
            &identity.driver,
            &identity.firmware,
            &identity.inforom,
            &state,
            &since,
        ];
        text.push('\n');
        text.push_str(&words.join("\t"));
    }
    text.into_bytes()
}

/// The devices of an inventory; what makes no sense is left out.
pub(super) fn decode(bytes: &[u8]) -> Vec<Known> {
    let text = str::from_utf8(bytes).unwrap_or_default();
    let mut lines = text.split('\n');
    if lines.next() != Some(HEAD) {
        return Vec::new();
    }
    lines.filter_map(line).take(DEVICES_MAX).collect()
}

fn line(line: &str) -> Option<Known> {
    let words: Vec<&str> = line.split('\t').collect();
    let words: [&str; WORDS] = words.try_into().ok()?;
    let is_text = |word: &&str| {
        word.len() <= TEXT_BYTES_MAX && word.bytes().all(|byte| matches!(byte, b' '..=b'~'))
    };
    if !words.iter().all(is_text) || words[0].is_empty() {
        return None;
    }
    let [name, kind, uuid, pci, parent, device_model, serial, driver, firmware, inforom, ..] =
        words.map(str::to_owned);
    let kind = [Kind::Gpu, Kind::Npu].into_iter().find(|of| of.name() == kind)?;
    let found = Found { name, kind, parent, uuid, pci, handle: 0 };
    let identity =
        Identity { device_model, serial, driver, firmware, inforom, library: String::new() };
    let mut device = Known::new(found);
    device.identity = identity;
    device.is_announced = true;
    device.state = match DeviceState::from_number(words[10].parse().ok()?) {
        // That was so for the process that called.
        DeviceState::Silent => DeviceState::Unknown,
        state => state,
    };
    device.state_since_wall_ns = words[11].parse().ok()?;
    Some(device)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_inventory_comes_back_as_it_was() {
        let mut device = Known::new(Found {
            name: "gpu0/mig1".to_owned(),
            parent: "gpu0".to_owned(),
            uuid: "MIG-1".to_owned(),
            ..Found::default()
        });
        device.identity.serial = "1652 1".to_owned();
        (device.is_announced, device.state) = (true, DeviceState::Gone);
        device.state_since_wall_ns = 7;
        let bytes = encode(&[device.clone(), Known::new(Found::default())]);
        let back = decode(&bytes);
        assert_eq!(back.len(), 1, "one that nobody was told of is left out");
        assert_eq!((&back[0].found, &back[0].identity), (&device.found, &device.identity));
        assert_eq!((back[0].state, back[0].state_since_wall_ns), (DeviceState::Gone, 7));
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_inventory_or_none(bytes in prop::collection::vec(any::<u8>(), 0..400), text in "inventory 1\n([a-z0-9\t\n ]{0,200})") {
            let _ = decode(&bytes);
            for device in decode(text.as_bytes()) {
                prop_assert!(!device.found.name.is_empty());
            }
        }
    }
}
