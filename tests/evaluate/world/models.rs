//! The cards that scenarios are played with: limits as vendors give them,
//! rounded; how they warm up is our model, not a measurement.

/// One type of card.
#[derive(Debug)]
pub(crate) struct Model {
    /// As its driver names it.
    pub(crate) name: &'static str,
    /// `gpu` or `npu`.
    pub(crate) kind: &'static str,
    /// Drivers that are met in the field.
    pub(crate) drivers: &'static [&'static str],
    /// Firmware versions.
    pub(crate) firmware: &'static [&'static str],
    /// W when idle, and at most.
    pub(crate) power_w: (f64, f64),
    /// °C at which it slows down and switches itself off.
    pub(crate) limits_c: (f64, f64),
    /// °C that its memory stands; none where nobody says.
    pub(crate) memory_limit_c: Option<f64>,
    /// °C of the chip at full power in a healthy server at 25 °C.
    pub(crate) full_c: f64,
    /// Highest clock, MHz.
    pub(crate) clock_mhz: f64,
    /// Device memory, GiB.
    pub(crate) memory_gib: f64,
    /// Links to other cards.
    pub(crate) links: u32,
    /// PCIe generation and lanes.
    pub(crate) pcie: (u32, u32),
    /// Whether it replaces rows of its memory (else it retires pages).
    pub(crate) remaps: bool,
}

/// All of them.
pub(crate) const MODELS: [Model; 6] = [
    Model {
        name: "NVIDIA A100-SXM4-80GB",
        kind: "gpu",
        drivers: &["535.161.08", "550.90.07", "570.158.01"],
        firmware: &["92.00.45.00.03", "92.00.9E.00.01"],
        power_w: (55.0, 400.0),
        limits_c: (89.0, 92.0),
        memory_limit_c: Some(95.0),
        full_c: 64.0,
        clock_mhz: 1410.0,
        memory_gib: 80.0,
        links: 12,
        pcie: (4, 16),
        remaps: true,
    },
    Model {
        name: "NVIDIA H100 80GB HBM3",
        kind: "gpu",
        drivers: &["535.183.06", "550.127.05", "570.133.20", "580.82.07"],
        firmware: &["96.00.74.00.01", "96.00.A5.00.03"],
        power_w: (70.0, 700.0),
        limits_c: (87.0, 92.0),
        memory_limit_c: Some(95.0),
        full_c: 66.0,
        clock_mhz: 1980.0,
        memory_gib: 80.0,
        links: 18,
        pcie: (5, 16),
        remaps: true,
    },
    Model {
        name: "NVIDIA B200",
        kind: "gpu",
        drivers: &["570.133.20", "580.82.07", "595.71.05"],
        firmware: &["97.00.88.00.0F", "97.00.C5.00.01"],
        power_w: (140.0, 1000.0),
        limits_c: (87.0, 92.0),
        memory_limit_c: Some(95.0),
        full_c: 67.0,
        clock_mhz: 1965.0,
        memory_gib: 180.0,
        links: 18,
        pcie: (5, 16),
        remaps: true,
    },
    Model {
        name: "NVIDIA L40S",
        kind: "gpu",
        drivers: &["535.161.08", "550.90.07", "595.71.05"],
        firmware: &["95.02.66.00.02"],
        power_w: (34.0, 350.0),
        limits_c: (88.0, 98.0),
        memory_limit_c: None,
        full_c: 70.0,
        clock_mhz: 2520.0,
        memory_gib: 48.0,
        links: 0,
        pcie: (4, 16),
        remaps: false,
    },
    Model {
        name: "Ascend910B3",
        kind: "npu",
        drivers: &["24.1.rc3", "25.0.rc1"],
        firmware: &["7.5.0.1.129", "7.7.0.1.231"],
        power_w: (92.0, 400.0),
        limits_c: (105.0, 115.0),
        memory_limit_c: Some(95.0),
        full_c: 62.0,
        clock_mhz: 1800.0,
        memory_gib: 64.0,
        links: 7,
        pcie: (4, 16),
        remaps: false,
    },
    Model {
        name: "Ascend310P3",
        kind: "npu",
        drivers: &["23.0.3", "24.1.rc3"],
        firmware: &["7.1.0.5.220", "7.5.0.1.129"],
        power_w: (16.0, 72.0),
        limits_c: (105.0, 115.0),
        memory_limit_c: None,
        full_c: 68.0,
        clock_mhz: 1080.0,
        memory_gib: 24.0,
        links: 0,
        pcie: (4, 16),
        remaps: false,
    },
];

/// NVIDIA's, those with links among them, and Ascend's.
pub(crate) const NVIDIA: &[usize] = &[0, 1, 2, 3];
/// NVIDIA's cards with NVLink.
pub(crate) const NVLINKED: &[usize] = &[0, 1, 2];
/// Cards with NVLink up to its fourth generation.
pub(crate) const NVLINK4: &[usize] = &[0, 1];
/// Ascend's cards.
pub(crate) const ASCEND: &[usize] = &[4, 5];
/// Every card.
pub(crate) const ANY: &[usize] = &[0, 1, 2, 3, 4, 5];
