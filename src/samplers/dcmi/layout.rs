//! The memory that `libdcmi.so` fills in, as its public header lays it out on
//! 64-bit Linux. Sizes and offsets are checked when this compiles.
//!
//! Every field is a number or an array of numbers, so any bytes are a value: a
//! library that fills in nonsense gives nonsense numbers, which
//! [`super::value`] looks at, and never an invalid value.

use std::mem::{align_of, offset_of, size_of};

use bytemuck::{Pod, Zeroable};

/// `struct dcmi_chip_info_v2`; the first generation's ends before `npu_name`.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub struct ChipInfo {
    /// `Ascend`.
    pub chip_type: [u8; 32],
    /// `910B2`.
    pub chip_name: [u8; 32],
    /// `V1`.
    pub chip_version: [u8; 32],
    /// AI cores it has.
    pub ai_cores: u32,
    /// Empty in older libraries.
    pub npu_name: [u8; 32],
}

/// `struct dcmi_pcie_info_all`.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub struct PcieInfo {
    /// PCI vendor.
    pub vendor: u32,
    /// PCI vendor of the board.
    pub sub_vendor: u32,
    /// PCI device.
    pub device: u32,
    /// PCI device of the board.
    pub sub_device: u32,
    /// PCI domain.
    pub domain: i32,
    /// PCI bus.
    pub bus: u32,
    /// Place on the bus.
    pub slot: u32,
    /// PCI function.
    pub function: u32,
    /// Of no meaning.
    pub reserved: [u8; 32],
}

/// `struct dcmi_elabel_info`: the board's electronic label.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub struct Elabel {
    /// Name of the product.
    pub product: [u8; 256],
    /// Model of the board.
    pub model: [u8; 256],
    /// Who made it.
    pub manufacturer: [u8; 256],
    /// When.
    pub manufactured: [u8; 256],
    /// The serial number.
    pub serial: [u8; 256],
}

/// `struct dcmi_die_id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct DieId {
    /// The five words of the die's number.
    pub words: [u32; 5],
}

/// `struct dcmi_flash_info`.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub struct FlashInfo {
    /// Number of the chip.
    pub flash: u64,
    /// Its device number.
    pub device: u16,
    /// Its vendor number.
    pub vendor: u16,
    /// 0x8 good, 0x10 bad.
    pub state: u32,
    /// Bytes.
    pub bytes: u64,
    /// Sectors.
    pub sectors: u32,
    /// Its manufacturer's number.
    pub manufacturer: u16,
    /// Of no meaning.
    pub reserved: [u8; 2],
}

/// `struct dcmi_chip_pcie_err_rate`.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub struct PcieErrors {
    /// Status of interrupts: overflow of deskew, symbol unlock, deskew unlock,
    /// time-out of the physical layer.
    pub interrupts: [u32; 4],
    /// Times that the symbol lock was lost.
    pub symbol_unlocks: u32,
    /// Receive errors of the physical coding.
    pub receive_errors: u32,
    /// Errors of lanes.
    pub lane_errors: u32,
    /// Which receive errors.
    pub receive_status: u32,
    /// Which symbol unlocks.
    pub symbol_status: u32,
    /// Which lanes.
    pub lane_status: u32,
    /// Packets whose link checksum is wrong.
    pub link_crc_errors: u32,
    /// Link packets whose checksum is wrong.
    pub data_crc_errors: u32,
}

/// `struct dcmi_ecc_info` with the two last fields that newer drivers add; an
/// older one leaves them 0.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub struct EccInfo {
    /// Whether errors are corrected.
    pub enabled: i32,
    /// Corrected errors.
    pub corrected: u32,
    /// Errors that could not be corrected.
    pub uncorrected: u32,
    /// Corrected errors in its life.
    pub corrected_lifetime: u32,
    /// Errors that could not be corrected, in its life.
    pub uncorrected_lifetime: u32,
    /// Pages taken out of use after corrected errors.
    pub isolated_corrected: u32,
    /// Pages taken out of use after uncorrected errors.
    pub isolated_uncorrected: u32,
    /// Pages that the next reset takes out of use after corrected errors.
    pub isolate_next_corrected: u32,
    /// Pages that the next reset takes out of use after uncorrected errors.
    pub isolate_next_uncorrected: u32,
}

/// Bytes of [`EccInfo`] that every driver fills in.
pub const ECC_BYTES_LEAST: usize = 28;

/// `struct dcmi_hbm_info`.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub struct HbmInfo {
    /// MB.
    pub size: u64,
    /// MHz.
    pub clock: u32,
    /// Of no meaning.
    pub reserved: u32,
    /// MB.
    pub used: u64,
    /// °C.
    pub temperature: i32,
    /// Percent.
    pub bandwidth: u32,
}

/// `struct dcmi_get_memory_info_stru`: of chips with DDR instead of HBM.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub struct MemoryInfo {
    /// MB.
    pub size: u64,
    /// MB.
    pub available: u64,
    /// MHz.
    pub clock: u32,
    /// Of no meaning.
    pub reserved: u32,
    /// KB of a huge page, how many there are, how many are free.
    pub huge_pages: [u64; 3],
    /// Percent.
    pub used: u32,
    /// Of no meaning.
    pub reserved_end: [u8; 60],
}

/// `struct dcmi_multi_utilization_info`, percent.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub struct Utilization {
    /// AI cube.
    pub cube: u32,
    /// Vector core.
    pub vector: u32,
    /// AI core.
    pub core: u32,
    /// The whole chip.
    pub chip: u32,
    /// Of no meaning.
    pub reserved: [u32; 8],
}

/// `struct dcmi_proc_mem_info`.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub struct Process {
    /// Process id on the node.
    pub process: i32,
    /// Of no meaning.
    pub reserved: u32,
    /// Bytes.
    pub memory: u64,
}

/// `struct dcmi_pcie_link_error_info`.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub struct PcieLinkErrors {
    /// Transmit errors.
    pub transmit: u32,
    /// Receive errors.
    pub receive: u32,
    /// Link checksum errors.
    pub link_crc: u32,
    /// End-to-end checksum errors.
    pub end_crc: u32,
    /// Packets sent again.
    pub retries: u32,
    /// Of no meaning.
    pub reserved: [u32; 32],
}

/// `struct dcmi_hccs_lane_info`.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub struct HccsLanes {
    /// A bit for each port that is used for HCCS.
    pub ports: u32,
    /// The lanes of each port.
    pub lanes: [u32; 16],
    /// Of no meaning.
    pub reserved: [u32; 16],
}

/// `struct dcmi_hccs_statistic_info`: counters of 16 ports, 32 bits each.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub struct HccsCounts {
    /// Packets sent.
    pub sent: [u32; 16],
    /// Packets received.
    pub received: [u32; 16],
    /// Checksum errors.
    pub crc_errors: [u32; 16],
    /// Packets sent again.
    pub retries: [u32; 16],
    /// Of no meaning.
    pub reserved: [[u32; 16]; 4],
}

/// `struct dcmi_hccs_statistic_info_u64`: the same, 64 bits each.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub struct HccsWideCounts {
    /// Packets sent.
    pub sent: [u64; 16],
    /// Packets received.
    pub received: [u64; 16],
    /// Checksum errors.
    pub crc_errors: [u64; 16],
    /// Packets sent again.
    pub retries: [u64; 16],
    /// Of no meaning.
    pub reserved: [[u64; 16]; 4],
}

/// `struct dcmi_sio_crc_err_statistics_info`: the link between two dies.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub struct SioErrors {
    /// Checksum errors sent.
    pub transmit: u16,
    /// Checksum errors received.
    pub receive: u16,
    /// Of no meaning.
    pub reserved: [u8; 8],
}

/// `struct dcmi_multi_ecc_time_data`, of which only the count is used.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub struct MultiBitRecords {
    /// How many.
    pub count: u32,
    /// When, seconds.
    pub times: [[u32; 32]; 2],
}

/// `struct dcmi_network_pkt_stats_info` without its reserve.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub struct NetworkCounts {
    /// Pause frames sent.
    pub mac_tx_pause: u64,
    /// Pause frames received.
    pub mac_rx_pause: u64,
    /// Priority pause frames sent, and those of each priority.
    pub mac_tx_pfc: [u64; 9],
    /// Priority pause frames received, and those of each priority.
    pub mac_rx_pfc: [u64; 9],
    /// Frames sent.
    pub mac_tx: u64,
    /// Bytes sent.
    pub mac_tx_bytes: u64,
    /// Bad frames sent.
    pub mac_tx_bad: u64,
    /// Bytes of bad frames sent.
    pub mac_tx_bad_bytes: u64,
    /// Frames received.
    pub mac_rx: u64,
    /// Bytes received.
    pub mac_rx_bytes: u64,
    /// Bad frames received.
    pub mac_rx_bad: u64,
    /// Bytes of bad frames received.
    pub mac_rx_bad_bytes: u64,
    /// Frames received whose checksum is wrong.
    pub mac_rx_fcs_errors: u64,
    /// Packets of reliable connections received.
    pub roce_rx_rc: u64,
    /// `RoCE` packets received.
    pub roce_rx: u64,
    /// Bad `RoCE` packets received.
    pub roce_rx_errors: u64,
    /// Packets of reliable connections sent.
    pub roce_tx_rc: u64,
    /// `RoCE` packets sent.
    pub roce_tx: u64,
    /// Bad `RoCE` packets sent.
    pub roce_tx_errors: u64,
    /// Entries of completion queues.
    pub roce_completions: u64,
    /// Congestion notices received.
    pub roce_rx_cnp: u64,
    /// Congestion notices sent.
    pub roce_tx_cnp: u64,
    /// Acknowledgements that were not expected.
    pub roce_ack_errors: u64,
    /// Packets out of sequence.
    pub roce_sequence_errors: u64,
    /// Packets that failed verification.
    pub roce_verification_errors: u64,
    /// Queue pairs in a wrong state.
    pub roce_queue_pair_errors: u64,
    /// Packets sent again.
    pub roce_retries: u64,
    /// Doorbells held back by congestion.
    pub roce_ecn: u64,
    /// Packets and bytes of the plain interface, sent and received.
    pub nic: [u64; 4],
    /// When, seconds and microseconds.
    pub time: [i64; 2],
    /// Of no meaning.
    pub reserved: [u64; 8],
}

/// `struct dcmi_event`, of the only type there is.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub struct FaultEvent {
    /// 0: a fault.
    pub kind: u32,
    /// Of no meaning.
    pub reserved: u32,
    /// Which fault.
    pub event: u32,
    /// The chip, by its logical number.
    pub device: u16,
    /// Which kind of part, cut to 8 bits.
    pub node_type: u8,
    /// Which of them.
    pub node: u8,
    /// Which kind of part of that part, cut to 8 bits.
    pub sub_node_type: u8,
    /// Which of them.
    pub sub_node: u8,
    /// 0 to 3.
    pub severity: u8,
    /// 0 over, 1 began, 2 a notice.
    pub assertion: u8,
    /// Number of the fault.
    pub event_serial: i32,
    /// Number of this report.
    pub notice_serial: i32,
    /// Of no meaning.
    pub reserved_time: u32,
    /// When, in seconds or milliseconds.
    pub raised: u64,
    /// Name of the fault.
    pub name: [[u8; 128]; 2],
    /// More, by the driver's word.
    pub additional: [u8; 32],
    /// Which operating system of the chip.
    pub system: u8,
    /// Of no meaning.
    pub reserved_system: u8,
    /// Which kind of part, whole; 0 in older drivers.
    pub node_type_whole: u16,
    /// Which kind of part of that part, whole; 0 in older drivers.
    pub sub_node_type_whole: u16,
    /// Of no meaning.
    pub reserved_end: [u8; 26],
}

/// `struct dcmi_event_filter`; all zero lets everything through.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub struct EventFilter {
    /// Which of the fields count.
    pub flags: u64,
    /// Only this fault.
    pub event: u32,
    /// Only from this severity.
    pub severity: u8,
    /// Only of this kind of part.
    pub node_type: u8,
    /// Of no meaning.
    pub reserved: [u8; 34],
}

/// Fails to compile unless the struct has this size and these offsets.
macro_rules! laid_out {
    ($($of:ident $size:literal $align:literal { $($field:ident $at:literal)* })*) => {
        $(const _: () = {
            assert!(size_of::<$of>() == $size);
            assert!(align_of::<$of>() == $align);
            $(assert!(offset_of!($of, $field) == $at);)*
        };)*
    };
}

laid_out! {
    ChipInfo 132 4 { chip_type 0 chip_name 32 chip_version 64 ai_cores 96 npu_name 100 }
    PcieInfo 64 4 { domain 16 bus 20 slot 24 function 28 reserved 32 }
    Elabel 1280 1 { product 0 model 256 manufacturer 512 manufactured 768 serial 1024 }
    DieId 20 4 { words 0 }
    FlashInfo 32 8 { flash 0 device 8 vendor 10 state 12 bytes 16 sectors 24 manufacturer 28 }
    PcieErrors 48 4 { symbol_unlocks 16 receive_errors 20 lane_errors 24 receive_status 28
        symbol_status 32 lane_status 36 link_crc_errors 40 data_crc_errors 44 }
    EccInfo 36 4 { enabled 0 corrected 4 uncorrected 8 corrected_lifetime 12
        uncorrected_lifetime 16 isolated_corrected 20 isolated_uncorrected 24
        isolate_next_corrected 28 isolate_next_uncorrected 32 }
    HbmInfo 32 8 { size 0 clock 8 used 16 temperature 24 bandwidth 28 }
    MemoryInfo 112 8 { size 0 available 8 clock 16 huge_pages 24 used 48 reserved_end 52 }
    Utilization 48 4 { cube 0 vector 4 core 8 chip 12 reserved 16 }
    Process 16 8 { process 0 memory 8 }
    PcieLinkErrors 148 4 { transmit 0 receive 4 link_crc 8 end_crc 12 retries 16 reserved 20 }
    HccsLanes 132 4 { ports 0 lanes 4 reserved 68 }
    HccsCounts 512 4 { sent 0 received 64 crc_errors 128 retries 192 reserved 256 }
    HccsWideCounts 1024 8 { sent 0 received 128 crc_errors 256 retries 384 reserved 512 }
    SioErrors 12 2 { transmit 0 receive 2 reserved 4 }
    MultiBitRecords 260 4 { count 0 times 4 }
    NetworkCounts 464 8 { mac_tx_pause 0 mac_rx_pause 8 mac_tx_pfc 16 mac_rx_pfc 88 mac_tx 160
        mac_tx_bytes 168 mac_tx_bad 176 mac_rx 192 mac_rx_bytes 200 mac_rx_bad 208
        mac_rx_fcs_errors 224 roce_rx_rc 232 roce_rx 240 roce_rx_errors 248 roce_tx 264
        roce_tx_errors 272 roce_completions 280 roce_rx_cnp 288 roce_tx_cnp 296
        roce_ack_errors 304 roce_sequence_errors 312 roce_verification_errors 320
        roce_queue_pair_errors 328 roce_retries 336 roce_ecn 344 nic 352 time 384 reserved 400 }
    FaultEvent 360 8 { kind 0 event 8 device 12 node_type 14 node 15 sub_node_type 16 sub_node 17
        severity 18 assertion 19 event_serial 20 notice_serial 24 raised 32 name 40
        additional 296 system 328 node_type_whole 330 sub_node_type_whole 332 reserved_end 334 }
    EventFilter 48 8 { flags 0 event 8 severity 12 node_type 13 reserved 14 }
}
