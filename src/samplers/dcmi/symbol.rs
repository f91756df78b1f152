//! The functions of `libdcmi.so` that are called, by both generations' names.
//!
//! Only functions that read are here: none that resets, clears, sets or
//! upgrades is ever looked up.

/// A generation of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generation {
    /// `dcmi_*`, which name a chip by card and place on the card.
    First,
    /// `dcmiv2_*`, which name it by one number.
    Second,
}

/// The prototype of a function, less the numbers that name the chip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Fills in one struct or number.
    Out,
    /// The same of the thing that a number picks.
    Pick,
    /// Fills in a list and its length, whose room the length says before.
    List,
    /// Fills in a length and a list of numbers, whose room is an argument.
    Codes,
    /// Fills in a list of events and its length, whose room is an argument.
    Events,
    /// Fills in whatever a command and a sub-command stand for.
    Gate,
    /// Fills in a text about the thing that a number picks.
    Text,
    /// Takes a filter and a function to call.
    Subscribe,
}

macro_rules! symbols {
    ($($(#[$doc:meta])* $name:ident $shape:ident $first:literal $second:literal;)*) => {
        /// A function that is called of one chip. Either generation may lack
        /// it, and any library.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Symbol { $($(#[$doc])* $name,)* }

        /// Every one, in the order of its number.
        pub const SYMBOLS: &[Symbol] = &[$(Symbol::$name,)*];

        impl Symbol {
            /// Its prototype.
            #[must_use]
            pub const fn shape(self) -> Shape {
                match self { $(Self::$name => Shape::$shape,)* }
            }

            /// Its name in that generation; empty where there is none.
            #[must_use]
            pub const fn name(self, generation: Generation) -> &'static str {
                match (self, generation) {
                    $((Self::$name, Generation::First) => $first,
                      (Self::$name, Generation::Second) => $second,)*
                }
            }
        }
    };
}

symbols! {
    /// Chip temperature, °C.
    Temperature Out "dcmi_get_device_temperature" "dcmiv2_get_device_temperature";
    /// Power, tenths of a watt.
    Power Out "dcmi_get_device_power_info" "dcmiv2_get_device_power_info";
    /// Core voltage, hundredths of a volt.
    Voltage Out "dcmi_get_device_voltage" "dcmiv2_get_device_voltage";
    /// A clock, MHz.
    Frequency Pick "dcmi_get_device_frequency" "dcmiv2_get_device_frequency";
    /// Use of one part, percent.
    UtilizationRate Pick "dcmi_get_device_utilization_rate" "dcmiv2_get_device_utilization_rate";
    /// Use of four parts at once.
    MultiUtilization Out "dcmi_get_device_multi_utilization_rate" "dcmiv2_get_device_multi_utilization_rate";
    /// Size, use, temperature and bandwidth of the HBM.
    Hbm Out "dcmi_get_device_hbm_info" "dcmiv2_get_device_hbm_info";
    /// Size and use of the DDR, of chips without HBM.
    Memory Out "dcmi_get_device_memory_info_v3" "";
    /// The worst open fault.
    Health Out "dcmi_get_device_health" "dcmiv2_get_device_health";
    /// The open faults.
    ErrorCodes Codes "dcmi_get_device_errorcode_v2" "dcmiv2_get_device_error_code_list";
    /// A fault in words.
    ErrorText Text "dcmi_get_device_errorcode_string" "dcmiv2_get_device_error_info";
    /// The open faults as events.
    CurrentFaults Events "dcmi_get_device_current_fault_event" "dcmiv2_get_device_current_fault_event";
    /// Faults as they happen.
    SubscribeFaults Subscribe "dcmi_subscribe_fault_event" "dcmiv2_subscribe_fault_event";
    /// The chip's own probe of its network.
    NetworkHealth Out "dcmi_get_device_network_health" "dcmiv2_get_device_network_health";
    /// Counters of memory errors.
    Ecc Pick "dcmi_get_device_ecc_info" "dcmiv2_get_device_ecc_info";
    /// When errors that could not be corrected were recorded.
    MultiBitTimes Out "dcmi_get_multi_ecc_time_info_v2" "dcmiv2_get_multi_ecc_time_info";
    /// Counters of the PCIe link.
    PcieErrors Out "dcmi_get_device_pcie_error_cnt" "dcmiv2_get_device_pcie_error_cnt";
    /// HCCS, SIO, PCIe by command.
    Info Gate "dcmi_get_device_info" "dcmiv2_get_device_info";
    /// Counters of the network port.
    NetworkCounts Pick "dcmi_get_netdev_pkt_stats_info" "dcmiv2_get_netdev_pkt_stats_info";
    /// One sensor.
    Sensor Pick "dcmi_get_device_sensor_info" "dcmiv2_get_device_sensor_info";
    /// How far the chip has booted.
    BootStatus Out "dcmi_get_device_boot_status" "dcmiv2_get_device_boot_status";
    /// How many flash chips there are.
    FlashCount Out "dcmi_get_device_flash_count" "dcmiv2_get_device_flash_cnt";
    /// One flash chip.
    FlashInfo Pick "dcmi_get_device_flash_info_v2" "dcmiv2_get_device_flash_info";
    /// Who works on the chip.
    Processes List "dcmi_get_device_resource_info" "dcmiv2_get_device_proc_mem_info";
    /// Name and version of the chip.
    ChipInfo Out "dcmi_get_device_chip_info_v2" "dcmiv2_get_device_chip_info";
    /// The same, of older libraries.
    ChipInfoOld Out "dcmi_get_device_chip_info" "";
    /// Its PCI address.
    PcieInfo Out "dcmi_get_device_pcie_info_v2" "dcmiv2_get_device_pcie_info";
    /// Serial number and maker of the board.
    Elabel Out "dcmi_get_device_elabel_info" "dcmiv2_get_device_elabel_info";
    /// The number of the die.
    DieId Pick "dcmi_get_device_die_v2" "dcmiv2_get_device_die_id";
    /// The version of one.
    ComponentVersion Text "dcmi_get_device_component_static_version" "dcmiv2_get_device_component_static_version";
}
