//! What NVML needs, as `doctor` tells it: files and their permissions. Calls
//! nothing of the driver, which may hang.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use crate::platform::child;
use crate::samplers::{Context, Need, Settings};

/// Where the dynamic linker and the ways to install a driver put libraries.
const FOLDERS: &[&str] = &[
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    "/lib64",
    "/lib",
    "/usr/local/nvidia/lib64",
    "/usr/lib/wsl/lib",
    "/run/opengl-driver/lib",
];

/// Most PCI devices that are looked at.
const DEVICES_MAX: usize = 4096;

/// The file that `library` names, if one is found.
pub(super) fn library_file(library: &Path) -> Option<PathBuf> {
    if library.components().count() > 1 {
        return library.is_file().then(|| library.to_owned());
    }
    let path = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let set = std::env::split_paths(&path).filter(|folder| folder.is_absolute());
    let folders = set.chain(FOLDERS.iter().map(PathBuf::from));
    folders.map(|folder| folder.join(library)).find(|file| file.is_file())
}

/// Whether this node shows an NVIDIA GPU: on PCI, or by its driver.
pub(super) fn has_device(root: &Path) -> bool {
    driver(root).is_some() || !devices(root).is_empty()
}

/// PCI addresses of NVIDIA's display and 3D controllers.
fn devices(root: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(root.join("sys/bus/pci/devices")) else { return Vec::new() };
    let is_ours = |entry: &fs::DirEntry| {
        let says = |file| fs::read_to_string(entry.path().join(file)).unwrap_or_default();
        says("vendor").trim() == "0x10de" && says("class").starts_with("0x03")
    };
    let ours = entries.take(DEVICES_MAX).flatten().filter(is_ours);
    ours.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn driver(root: &Path) -> Option<String> {
    fs::read_to_string(root.join("proc/driver/nvidia/version")).ok()
}

pub(super) fn needs(context: &Context, settings: &Settings) -> Vec<Need> {
    let library = Path::new(settings.or_default(super::SETTINGS, "library"));
    let root = &context.host_root;
    let devices = devices(root);
    let mut needs = Vec::new();
    if devices.is_empty() && driver(root).is_none() && library_file(library).is_none() {
        let what = "an NVIDIA GPU";
        needs.push(Need::not_here(what, "none is on this node's PCI, and no driver for one"));
        return needs;
    }
    needs.push(if devices.is_empty() {
        Need::not_here("NVIDIA GPUs", "none shows in /sys/bus/pci, as in some virtual machines")
    } else {
        Need::fine("NVIDIA GPUs", format!("{} on PCI", devices.len()))
    });
    needs.push(driver_need(root));
    needs.push(library_need(library));
    needs.extend(mismatch(root, library));
    needs.extend(node_needs());
    if child::offered().is_none() {
        needs.push(Need::limited(
            "a child that reads",
            "this program is not eagle-eye, which alone can become one",
            "run the program eagle-eye",
        ));
    }
    needs
}

fn driver_need(root: &Path) -> Need {
    let path = "/proc/driver/nvidia/version";
    match driver(root) {
        Some(text) => {
            let line = text.lines().next().unwrap_or_default();
            Need::fine(path, line.trim_start_matches("NVRM version:").trim())
        }
        None => Need::limited(
            path,
            "no NVIDIA driver is loaded, or a container hides it",
            "load the driver (modprobe nvidia), or mount the node's /proc and set host_root",
        ),
    }
}

fn library_need(library: &Path) -> Need {
    match library_file(library) {
        Some(file) => {
            Need::fine(library.display().to_string(), format!("found: {}", file.display()))
        }
        None => Need::trouble(
            library.display().to_string(),
            "is not found",
            "install the driver's user part; in a container, let the NVIDIA container runtime \
             mount it (NVIDIA_DRIVER_CAPABILITIES=utility), or set samplers.nvml.library",
        ),
    }
}

/// A library of another version than the driver's, which refuses to work.
fn mismatch(root: &Path, library: &Path) -> Option<Need> {
    let file = fs::canonicalize(library_file(library)?).ok()?;
    let version = file.file_name()?.to_str()?.rsplit_once(".so.")?.1.to_owned();
    if !version.contains('.') {
        return None;
    }
    let driver = driver(root)?;
    (!driver.contains(&version)).then(|| {
        Need::trouble(
            "driver and library",
            format!("the library is of version {version}, the driver that is loaded is not"),
            "load the driver that was installed: reboot, or unload and load its modules",
        )
    })
}

/// The nodes through which the library asks the driver.
fn node_needs() -> Vec<Need> {
    let mut nodes = vec![PathBuf::from("/dev/nvidiactl")];
    let entries = fs::read_dir("/dev").into_iter().flatten().take(DEVICES_MAX).flatten();
    let gpus = entries.map(|entry| entry.path()).filter(|path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.strip_prefix("nvidia").is_some_and(|number| {
            !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
        })
    });
    nodes.extend(gpus);
    nodes.sort();
    nodes.iter().map(|node| node_need(node)).collect()
}

fn node_need(node: &Path) -> Need {
    let what = node.display().to_string();
    if !node.exists() {
        return Need::trouble(
            what,
            "is not there",
            "start nvidia-persistenced or run nvidia-modprobe once; in a container, let the \
             runtime add the device",
        );
    }
    // Opening it would wake a device that sleeps.
    match access(node, Access::READ_OK | Access::WRITE_OK) {
        Ok(()) => Need::fine(what, "may be opened"),
        Err(error) => Need::trouble(
            what,
            format!("may not be opened: {error}"),
            "add this user to the node's group (often video or render); root is not needed",
        ),
    }
}
