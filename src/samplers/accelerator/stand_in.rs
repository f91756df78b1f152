//! Stand-ins for vendors' libraries, for those who have no such hardware.
//!
//! A stand-in is one source file, `fakes/<vendor>.rs`, on the standard library
//! only; `build.rs` compiles it to a library that the program carries, and
//! [`plant`] writes it to a folder with the scenario that it plays beside it.
//! From there it is loaded as the real one would be, by its path. What a
//! scenario can say stands in `fakes/scenario.rs`, which all stand-ins share.

use std::io;
use std::path::{Path, PathBuf};

/// The libraries of vendors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StandIn {
    /// NVIDIA's NVML.
    Nvml,
    /// Ascend's DCMI.
    Dcmi,
}

impl StandIn {
    /// The library's name, as the real one has it.
    #[must_use]
    pub const fn file(self) -> &'static str {
        match self {
            Self::Nvml => "libnvidia-ml.so.1",
            Self::Dcmi => "libdcmi.so",
        }
    }

    const fn bytes(self) -> &'static [u8] {
        match self {
            Self::Nvml => include_bytes!(concat!(env!("OUT_DIR"), "/nvml.so")),
            Self::Dcmi => include_bytes!(concat!(env!("OUT_DIR"), "/dcmi.so")),
        }
    }
}

/// Writes a stand-in and its scenario into `folder`; its path.
///
/// # Errors
///
/// When the folder cannot be written to, or this program carries no such
/// stand-in.
pub fn plant(of: StandIn, folder: &Path, scenario: &str) -> io::Result<PathBuf> {
    if of.bytes().is_empty() {
        return Err(io::Error::other(format!(
            "this program carries no stand-in for {}",
            of.file()
        )));
    }
    let path = folder.join(of.file());
    play(&path, scenario)?;
    // Whoever has the old one loaded keeps it.
    let beside = folder.join(format!("{}.new", of.file()));
    std::fs::write(&beside, without_missing(of.bytes(), scenario))?;
    std::fs::rename(&beside, &path)?;
    Ok(path)
}

/// Has the stand-in at `path` play another scenario from now on.
///
/// # Errors
///
/// When it cannot be written.
pub fn play(path: &Path, scenario: &str) -> io::Result<()> {
    let mut of = path.as_os_str().to_owned();
    of.push(super::SCENARIO);
    let of = PathBuf::from(of);
    let mut beside = of.as_os_str().to_owned();
    beside.push(".new");
    std::fs::write(&beside, scenario)?;
    std::fs::rename(&beside, &of)
}

/// The library without the functions that the scenario calls missing, as an
/// older version would lack them: their names in the table of symbols become
/// others, so that the linker does not find them.
fn without_missing(library: &[u8], scenario: &str) -> Vec<u8> {
    let mut bytes = library.to_vec();
    for name in scenario.lines().filter_map(|line| line.trim().strip_prefix("missing ")) {
        let symbol = [&[0], name.trim().as_bytes(), &[0]].concat();
        if let Some(at) = memchr::memmem::find(&bytes, &symbol) {
            bytes[at + 1] = b'_';
        }
    }
    bytes
}

/// A day in the life of healthy devices, for who wants to see what they look
/// like.
#[must_use]
pub fn demo_scenario(of: StandIn, devices: u32) -> String {
    match of {
        StandIn::Nvml => demo_gpus(devices),
        StandIn::Dcmi => demo_npus(devices),
    }
}

fn demo_npus(devices: u32) -> String {
    format!(
        "devices {devices}\n\
         wave * temperature 41 66 180000\n\
         wave * memory_temperature 45 70 240000\n\
         wave * power 900 3600 60000\n\
         wave * utilization 20 98 45000\n\
         wave * core 15 95 45000\n\
         wave * cube 10 80 45000\n\
         wave * vector 5 60 45000\n\
         wave * memory_activity 10 70 45000\n\
         wave * memory_used 20000 60000 90000\n\
         count * hccs_sent 90000\n\
         count * hccs_received 90000\n"
    )
}

fn demo_gpus(devices: u32) -> String {
    format!(
        "devices {devices}\n\
         wave * temperature 46 72 180000\n\
         wave * memory_temperature 52 80 240000\n\
         wave * power 120000 640000 60000\n\
         wave * utilization 20 98 45000\n\
         wave * memory_activity 10 70 45000\n\
         wave * clock 1400 1980 90000\n\
         count * pcie_replays 0.01\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_that_is_missing_has_another_name_in_the_library() {
        let library = b"x\0nvmlA\0nvmlAB\0";
        assert_eq!(without_missing(library, "devices 1\nmissing nvmlA\n"), b"x\0_vmlA\0nvmlAB\0");
    }
}
