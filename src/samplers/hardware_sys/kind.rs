//! The kinds of devices that `/sys` tells about, and how many of each.

/// A kind of device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum Kind {
    /// The node as a whole.
    Node,
    /// A memory controller.
    MemoryController,
    /// A memory module, or a chip-select row where the kernel knows no modules.
    Dimm,
    /// A PCI device, by its address.
    Pci,
    /// An NVMe controller.
    Nvme,
    /// A network interface with hardware behind it, or a bond of such.
    Interface,
    /// A port of an InfiniBand or RoCE adapter.
    InfinibandPort,
    /// A thermal zone of the firmware.
    ThermalZone,
    /// A temperature sensor.
    Sensor,
}

impl Kind {
    /// Every kind, in the order of its number.
    pub const ALL: [Self; 9] = [
        Self::Node,
        Self::MemoryController,
        Self::Dimm,
        Self::Pci,
        Self::Nvme,
        Self::Interface,
        Self::InfinibandPort,
        Self::ThermalZone,
        Self::Sensor,
    ];

    /// The kind as devices bear it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::MemoryController => "memory_controller",
            Self::Dimm => "dimm",
            Self::Pci => "pci",
            Self::Nvme => "nvme",
            Self::Interface => "interface",
            Self::InfinibandPort => "infiniband_port",
            Self::ThermalZone => "thermal_zone",
            Self::Sensor => "sensor",
        }
    }

    /// Most devices of this kind; a further one is refused and counted.
    #[must_use]
    pub const fn devices_max(self) -> usize {
        match self {
            Self::Node => 1,
            Self::MemoryController => 32,
            Self::Pci | Self::Dimm | Self::Sensor => 256,
            Self::Nvme | Self::Interface | Self::InfinibandPort | Self::ThermalZone => 64,
        }
    }

    /// Whether another sampler gives readings of the same devices: who forgets
    /// such a device takes the other's readings along.
    #[must_use]
    pub const fn is_shared(self) -> bool {
        matches!(self, Self::Node | Self::Interface)
    }
}

/// Most devices of all kinds.
pub const DEVICES_MAX: usize = {
    let (mut at, mut sum) = (0, 0);
    while at < Kind::ALL.len() {
        sum += Kind::ALL[at].devices_max();
        at += 1;
    }
    sum
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_number_and_name() {
        for (at, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, at);
        }
        let names: std::collections::BTreeSet<_> = Kind::ALL.map(Kind::name).into();
        assert_eq!(names.len(), Kind::ALL.len());
        const { assert!(DEVICES_MAX <= crate::newest::DEVICES_MAX / 2) };
    }
}
