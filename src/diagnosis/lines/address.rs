//! Addresses of devices on PCI, as drivers write them.

use std::fmt;

/// An address on PCI. Drivers of GPUs leave the function out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pci {
    /// The domain, of 16 bits on most machines.
    pub domain: u32,
    /// The bus.
    pub bus: u8,
    /// The device; of 5 bits, but taken as it stands.
    pub device: u8,
    /// The function.
    pub function: u8,
}

/// A part of a partitioned GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Instance {
    /// The GPU instance.
    pub gpu: u16,
    /// The compute instance within it.
    pub compute: Option<u16>,
}

impl Pci {
    /// An address at the start of `text`, with a function or without, and
    /// what follows it.
    #[must_use]
    pub fn leading(text: &str) -> Option<(Self, &str)> {
        let (domain, rest) = field(text, 4, 8)?;
        let (bus, rest) = field(rest.strip_prefix(':')?, 2, 2)?;
        let (device, rest) = field(rest.strip_prefix(':')?, 2, 2)?;
        let mut address = Self { domain, bus: bus as u8, device: device as u8, function: 0 };
        if let Some(behind) = rest.strip_prefix('.')
            && let Some((function, behind)) = field(behind, 1, 1)
            && function < 8
        {
            address.function = function as u8;
            return Some((address, behind));
        }
        Some((address, rest))
    }
}

/// So many hexadecimal digits.
fn field(text: &str, least: usize, most: usize) -> Option<(u32, &str)> {
    let digits = text.bytes().take(most).take_while(u8::is_ascii_hexdigit).count();
    if digits < least {
        return None;
    }
    let (digits, rest) = text.split_at(digits);
    Some((u32::from_str_radix(digits, 16).ok()?, rest))
}

impl fmt::Display for Pci {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { domain, bus, device, function } = self;
        write!(f, "{domain:04x}:{bus:02x}:{device:02x}.{function}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_of_writing_an_address_gives_its_canonical_form() {
        for (text, expected) in [
            ("0000:5c:00.0", Some(("0000:5c:00.0", ""))),
            ("0000:5C:00: x", Some(("0000:5c:00.0", ": x"))),
            ("0003:00:00)", Some(("0003:00:00.0", ")"))),
            ("0001:ab:cd)", Some(("0001:ab:cd.0", ")"))),
            ("00000000:9b:00.1 x", Some(("0000:9b:00.1", " x"))),
            ("0000:9b:00.", Some(("0000:9b:00.0", "."))),
            ("0000:9b", None),
            ("abc", None),
            ("", None),
        ] {
            let read = Pci::leading(text).map(|(address, rest)| (address.to_string(), rest));
            assert_eq!(read, expected.map(|(a, rest)| (a.to_owned(), rest)), "{text}");
        }
    }
}
