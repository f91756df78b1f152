//! NVML as a [`Library`]: which GPUs and instances there are.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, Nvml};

use super::events::Events;
use super::failure::reason;
use super::raw;
use super::reader::GpuReader;
use crate::platform::atomic::{AtomicU64, Ordering};
use crate::platform::clock::{self, MILLISECOND_NS};
use crate::samplers::accelerator::{Calls, Failure, Found, Kind, Library, Notice, Reader, Wanted};

/// Most GPUs of one node.
const GPUS_MAX: u32 = 64;

/// Most instances of one GPU.
const INSTANCES_MAX: u32 = 16;

/// A loaded NVML.
pub(super) struct NvmlLibrary {
    pub(super) nvml: &'static Nvml,
    pub(super) driver: String,
    pub(super) version: String,
    stamp: Stamp,
    known: Mutex<Known>,
    events: Mutex<Option<Events>>,
    /// A bit for each GPU whose recovery action is to be read soon.
    pub(super) recheck: AtomicU64,
}

/// What was once read of GPUs and does not change while the library is loaded.
#[derive(Default)]
struct Known {
    /// UUID and PCI address of a GPU, by index.
    gpus: HashMap<u32, (String, String)>,
    /// UUIDs of instances, by GPU and index.
    instances: HashMap<(u32, u32), String>,
    /// Names of GPUs, as events identify them.
    names: HashMap<usize, String>,
    /// GPUs that have no instances.
    whole: Vec<u32>,
}

/// What tells one driver from another.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    file: Option<PathBuf>,
    library: Option<(u64, u64, i64)>,
    driver: Option<String>,
    host_root: PathBuf,
}

impl NvmlLibrary {
    /// Loads the library at `path`.
    pub(super) fn load(path: &Path, host_root: &Path, calls: &Calls) -> Result<Self, Failure> {
        let failed = |error: NvmlError| match error {
            NvmlError::LibloadingError(error) => {
                Failure::Library(format!("{}: {error}", path.display()))
            }
            error => Failure::Library(error.to_string()),
        };
        let nvml = calls.call("nvmlInit_v2", || Nvml::builder().lib_path(path.as_os_str()).init());
        // Never dropped: the process ends instead.
        let nvml: &'static Nvml = Box::leak(Box::new(nvml.map_err(failed)?));
        let text = |of: Result<String, NvmlError>| of.unwrap_or_default();
        let driver = text(calls.call("nvmlSystemGetDriverVersion", || nvml.sys_driver_version()));
        let version = text(calls.call("nvmlSystemGetNVMLVersion", || nvml.sys_nvml_version()));
        Ok(Self {
            nvml,
            driver,
            version,
            stamp: Stamp::take(mapped(path), host_root),
            known: Mutex::default(),
            events: Mutex::default(),
            recheck: AtomicU64::new(0),
        })
    }

    /// The device that `found` stands for.
    pub(super) fn device(&self, calls: &Calls, handle: u64) -> Result<Device<'static>, NvmlError> {
        let (index, instance) = (handle as u32, (handle >> 32) as u32);
        let gpu =
            calls.call("nvmlDeviceGetHandleByIndex_v2", || self.nvml.device_by_index(index))?;
        if instance == 0 {
            return Ok(gpu);
        }
        let name = "nvmlDeviceGetMigDeviceHandleByIndex";
        calls.call(name, || gpu.mig_device_by_index(instance - 1))
    }

    /// Name of the GPU that an event is about, and its index.
    pub(super) fn name_of(&self, identity: usize) -> Option<String> {
        self.known().names.get(&identity).cloned()
    }

    /// Names of the GPUs that are known.
    pub(super) fn gpus(&self) -> Vec<u32> {
        let mut gpus: Vec<_> = self.known().gpus.keys().copied().collect();
        gpus.sort_unstable();
        gpus
    }

    /// A GPU with its instances.
    fn look(
        &self,
        index: u32,
        calls: &Calls,
        wanted: &Wanted,
        found: &mut Vec<Found>,
    ) -> Result<(), Failure> {
        let name = format!("gpu{index}");
        let about = |call| (name.as_str(), call);
        let (of, call) = about("nvmlDeviceGetHandleByIndex_v2");
        let gpu = match calls.call_about(of, call, || self.nvml.device_by_index(index)) {
            Ok(gpu) => gpu,
            Err(error) => {
                return match reason(&error) {
                    Err(Failure::Library(why)) => Err(Failure::Library(why)),
                    _ => Ok(()),
                };
            }
        };
        let known = self.known().gpus.get(&index).cloned();
        let (uuid, pci) = match known {
            Some(known) => known,
            None => {
                let uuid = calls.call_about(&name, "nvmlDeviceGetUUID", || gpu.uuid());
                let pci = calls.call_about(&name, "nvmlDeviceGetPciInfo_v3", || gpu.pci_info());
                let pci = pci.map(|pci| canonical(pci.domain, pci.bus, pci.device, &pci.bus_id));
                let known = (uuid.unwrap_or_default(), pci.unwrap_or_default());
                let mut list = self.known();
                list.gpus.insert(index, known.clone());
                list.names.insert(raw::identity(&gpu), name.clone());
                known
            }
        };
        let handle = u64::from(index);
        let parent = String::new();
        found.push(Found {
            name: name.clone(),
            kind: Kind::Gpu,
            parent,
            uuid,
            pci: pci.clone(),
            handle,
        });
        self.look_inside(index, &gpu, (&name, &pci), calls, wanted, found);
        Ok(())
    }

    /// The instances of a GPU.
    fn look_inside(
        &self,
        index: u32,
        gpu: &Device<'static>,
        (parent, pci): (&str, &str),
        calls: &Calls,
        wanted: &Wanted,
        found: &mut Vec<Found>,
    ) {
        if self.known().whole.contains(&index) {
            return;
        }
        match calls.call_about(parent, "nvmlDeviceGetMigMode", || gpu.mig_mode()) {
            Ok(mode) if mode.current == 1 => {}
            Ok(_) => return,
            Err(error) => {
                if matches!(error, NvmlError::NotSupported | NvmlError::FailedToLoadSymbol(_)) {
                    self.known().whole.push(index);
                }
                return;
            }
        }
        let count = "nvmlDeviceGetMaxMigDeviceCount";
        let most = calls.call_about(parent, count, || gpu.mig_device_count()).unwrap_or(0);
        for at in 0..most.min(INSTANCES_MAX) {
            let name = format!("{parent}/mig{at}");
            if wanted.left_out.contains(&name) {
                continue;
            }
            let call = "nvmlDeviceGetMigDeviceHandleByIndex";
            let Ok(part) = calls.call_about(parent, call, || gpu.mig_device_by_index(at)) else {
                continue;
            };
            let uuid = calls.call_about(parent, "nvmlDeviceGetUUID", || part.uuid());
            let uuid = uuid.unwrap_or_default();
            self.known().instances.insert((index, at), uuid.clone());
            found.push(Found {
                name,
                kind: Kind::Gpu,
                parent: parent.to_owned(),
                uuid,
                pci: pci.to_owned(),
                handle: u64::from(index) | u64::from(at + 1) << 32,
            });
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Library for NvmlLibrary {
    fn devices(&self, calls: &Calls, wanted: &Wanted) -> Result<Vec<Found>, Failure> {
        let count = calls.call("nvmlDeviceGetCount_v2", || self.nvml.device_count());
        let count = match count.map_err(|error| reason(&error)) {
            Ok(count) => count,
            Err(Err(failure)) => return Err(failure),
            Err(Ok(why)) => {
                return Err(Failure::Library(format!("GPUs cannot be counted: {}", why.name())));
            }
        };
        let mut found = Vec::new();
        for index in 0..count.min(GPUS_MAX) {
            if !wanted.is_left_out(&format!("gpu{index}")) {
                self.look(index, calls, wanted, &mut found)?;
            }
        }
        Ok(found)
    }

    fn reader<'a>(&'a self, found: &Found) -> Box<dyn Reader + 'a> {
        Box::new(GpuReader::new(self, found))
    }

    fn wait_events(
        &self,
        calls: &Calls,
        limit_ms: u32,
        tell: &mut dyn FnMut(Notice),
    ) -> Result<(), Failure> {
        // Only the thread of events takes this lock.
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        let is_looked = !self.gpus().is_empty();
        if is_looked && events.as_ref().is_none_or(|events| !events.covers(self)) {
            *events = Events::open(self, calls);
        }
        match events.as_mut().map(|events| events.wait(self, calls, limit_ms, tell)) {
            Some(Ok(())) => {}
            Some(Err(failure)) => {
                *events = None;
                return Err(failure);
            }
            None => {
                let pause_ms = if is_looked { u64::from(limit_ms) } else { 50 };
                clock::sleep_until(clock::monotonic_ns() + pause_ms * MILLISECOND_NS);
            }
        }
        Ok(())
    }

    fn has_changed(&self) -> bool {
        let now = Stamp::take(self.stamp.file.clone(), &self.stamp.host_root);
        // A driver that is not there for a moment says so by its answers.
        (now.library.is_some() && now.library != self.stamp.library)
            || (now.driver.is_some() && now.driver != self.stamp.driver)
    }
}

impl Stamp {
    fn take(file: Option<PathBuf>, host_root: &Path) -> Self {
        let metadata = file.as_ref().and_then(|file| fs::metadata(file).ok());
        let driver = fs::read_to_string(host_root.join("proc/driver/nvidia/version")).ok();
        Self {
            library: metadata.map(|of| (of.dev(), of.ino(), of.mtime())),
            driver,
            file,
            host_root: host_root.to_owned(),
        }
    }
}

/// The file that was loaded for `path`, by its last part.
fn mapped(path: &Path) -> Option<PathBuf> {
    if path.is_absolute() {
        return Some(path.to_owned());
    }
    let name = path.file_name()?.to_str()?;
    let stem = name.split(".so").next()?;
    let maps = fs::read_to_string("/proc/self/maps").ok()?;
    let line = maps.lines().find(|line| line.contains(stem))?;
    line.find('/').map(|at| PathBuf::from(&line[at..]))
}

/// `0000:5c:00.0`.
fn canonical(domain: u32, bus: u32, device: u32, id: &str) -> String {
    let function = id.rsplit_once('.').and_then(|(_, function)| function.parse::<u8>().ok());
    format!("{domain:04x}:{bus:02x}:{device:02x}.{}", function.unwrap_or(0))
}

impl NvmlLibrary {
    /// Has the recovery action of this GPU read with its next tick.
    pub(super) fn ask_recovery(&self, index: u32) {
        self.recheck.fetch_or(1 << (index % 64), Ordering::Relaxed);
    }

    /// Whether the recovery action of this GPU is to be read now.
    pub(super) fn takes_recovery(&self, index: u32) -> bool {
        let bit = 1 << (index % 64);
        self.recheck.load(Ordering::Relaxed) & bit != 0
            && self.recheck.fetch_and(!bit, Ordering::Relaxed) & bit != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_in_one_way() {
        assert_eq!(canonical(0, 0x5c, 0, "00000000:5C:00.0"), "0000:5c:00.0");
        assert_eq!(canonical(1, 0xaf, 3, "garbage"), "0001:af:03.0");
    }
}
