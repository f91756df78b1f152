//! What reading NPUs takes, as `doctor` tells it: looks at names and rights
//! only, so that no driver is asked.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use super::settings::{NAME, SETTINGS, USUAL_PLACES};
use crate::platform::child;
use crate::samplers::{Context, Need, Settings};

/// What a look at this machine needs of it, so that it can be tried against a
/// folder.
#[derive(Debug)]
pub(super) struct Machine<'a> {
    /// What stands for `/`.
    pub(super) root: &'a Path,
    /// Folders of `LD_LIBRARY_PATH`.
    pub(super) library_path: String,
    /// Whether we are root.
    pub(super) is_root: bool,
    /// The groups that we are in.
    pub(super) groups: Vec<u32>,
}

pub(super) fn needs(context: &Context, settings: &Settings) -> Vec<Need> {
    let machine = Machine::here();
    let mut needs = machine.needs(settings.or_default(SETTINGS, "library"));
    let is_here =
        machine.has_node() || needs.iter().any(|need| need.what == NAME && need.remedy.is_empty());
    if is_here && child::offered().is_none() {
        needs.push(Need::trouble(
            "child process",
            "only the program eagle-eye itself can read in a child",
            "run `eagle-eye doctor`",
        ));
    }
    if is_here && context.host_root != Path::new("/") {
        needs.push(in_container());
    }
    needs
}

/// Whether there is anything of Ascend's driver here.
pub(super) fn is_here(settings: &Settings) -> bool {
    let machine = Machine::here();
    machine.has_node() || machine.library(settings.or_default(SETTINGS, "library")).is_some()
}

impl Machine<'static> {
    fn here() -> Self {
        let groups = rustix::process::getgroups().unwrap_or_default();
        let own = rustix::process::getegid().as_raw();
        Self {
            root: Path::new("/"),
            library_path: std::env::var("LD_LIBRARY_PATH").unwrap_or_default(),
            is_root: rustix::process::geteuid().is_root(),
            groups: groups.into_iter().map(rustix::process::Gid::as_raw).chain([own]).collect(),
        }
    }
}

impl Machine<'_> {
    /// In the order in which a person should read them.
    pub(super) fn needs(&self, library: &str) -> Vec<Need> {
        let found = self.library(library);
        if found.is_none() && !self.has_node() {
            return vec![Need::not_here(
                NAME,
                "no Ascend driver is installed: no library, no /dev/davinci_manager",
            )];
        }
        let mut needs = vec![match found {
            Some(place) => Need::fine(NAME, place),
            None => Need::trouble(
                NAME,
                "an NPU is here and the library is not found",
                format!(
                    "install the driver's tools, or set LD_LIBRARY_PATH to the folders of {NAME} and its neighbours (/usr/local/dcmi, /usr/local/Ascend/driver/lib64/driver and …/common), or samplers.dcmi.library; in a container, mount them"
                ),
            ),
        }];
        needs.extend(NODES.iter().map(|node| self.node(Path::new(node))));
        needs.push(self.chips());
        if let Some(group) = self.group() {
            needs.push(group);
        }
        if self.root.join(".dockerenv").exists() || self.root.join("run/.containerenv").exists() {
            needs.push(in_container());
        }
        needs
    }

    /// Where the library is, in words.
    fn library(&self, library: &str) -> Option<String> {
        let below = |path: &str| self.root.join(path.trim_start_matches('/'));
        if library.contains('/') {
            return below(library).exists().then(|| library.to_owned());
        }
        let name = if library.is_empty() { NAME } else { library };
        let folders = self.library_path.split(':').filter(|folder| folder.starts_with('/'));
        let named = folders.map(|folder| format!("{folder}/{name}"));
        let usual =
            USUAL_PLACES.iter().filter(|_| library.is_empty()).map(|place| (*place).to_owned());
        if let Some(path) = named.chain(usual).find(|path| below(path).exists()) {
            return Some(path);
        }
        let cache = fs::read(below("/etc/ld.so.cache")).unwrap_or_default();
        memchr::memmem::find(&cache, name.as_bytes())
            .map(|_| "in the dynamic linker's cache".to_owned())
    }

    fn has_node(&self) -> bool {
        self.at(Path::new(NODES[0])).exists()
    }

    fn at(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    fn node(&self, node: &Path) -> Need {
        let what = node.display().to_string();
        let path = self.at(node);
        if !path.exists() {
            return Need::trouble(
                what,
                "is not there",
                "load the driver; in a container, pass the node in",
            );
        }
        match access(&path, Access::READ_OK | Access::WRITE_OK) {
            Ok(()) => Need::fine(what, "may be opened"),
            Err(why) => Need::trouble(
                what,
                format!("may not be opened: {why}"),
                format!("run as root, or as a member of the group {GROUP}"),
            ),
        }
    }

    fn chips(&self) -> Need {
        let what = "/dev/davinci0, 1, …";
        let names = fs::read_dir(self.root.join("dev")).into_iter().flatten().flatten();
        let chips = names.filter(|entry| {
            let name = entry.file_name();
            let number = name.to_str().and_then(|name| name.strip_prefix("davinci"));
            number.is_some_and(|number| number.parse::<u16>().is_ok())
        });
        match chips.take(CHIPS_MAX).count() {
            0 => Need::trouble(
                what,
                "no chip has a node",
                "see whether the chips have booted (`npu-smi info`); in a container, pass their nodes in",
            ),
            chips => Need::fine(what, format!("{chips} chips have a node")),
        }
    }

    /// The driver's group, where being in it matters.
    fn group(&self) -> Option<Need> {
        if self.is_root {
            return None;
        }
        let groups = fs::read_to_string(self.root.join("etc/group")).unwrap_or_default();
        let line = groups.lines().find(|line| line.starts_with(GROUP_LINE))?;
        let id: u32 = line.split(':').nth(2)?.parse().ok()?;
        let what = format!("group {GROUP}");
        Some(if self.groups.contains(&id) {
            Need::fine(what, "we are in it")
        } else {
            Need::limited(
                what,
                "we are not in it, and not root: calls answer -8002",
                format!("run the agent with this group, such as SupplementaryGroups={GROUP}"),
            )
        })
    }
}

/// What containers are known to lack.
fn in_container() -> Need {
    Need::limited(
        "container",
        "in a plain container many calls answer that they are not permitted (-8002) or not supported (-8013), a driver folder that is not mounted whole makes them fail inside (-8005), and missing nodes break the channel to the chip (-8010)",
        "run it privileged as root with /usr/local/Ascend/driver, /usr/local/dcmi and the device nodes mounted, or on the host",
    )
}

/// Device nodes that every chip needs.
const NODES: [&str; 3] = ["/dev/davinci_manager", "/dev/devmm_svm", "/dev/hisi_hdc"];
/// Whom the driver lets in.
const GROUP: &str = "HwHiAiUser";
const GROUP_LINE: &str = "HwHiAiUser:";
/// Most nodes that are counted.
const CHIPS_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samplers::NeedState;

    fn machine(root: &Path) -> Machine<'_> {
        Machine { root, library_path: String::new(), is_root: false, groups: vec![7] }
    }

    #[test]
    fn a_machine_without_a_driver_has_nothing_to_say_but_that() {
        let root = tempfile::tempdir().unwrap();
        let needs = machine(root.path()).needs("");
        assert_eq!(needs.len(), 1);
        assert_eq!(needs[0].state, NeedState::NotHere);
    }

    #[test]
    fn what_is_missing_is_said_with_its_remedy() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("dev")).unwrap();
        fs::create_dir_all(root.path().join("etc")).unwrap();
        for node in ["dev/davinci_manager", "dev/hisi_hdc", "dev/davinci0", "dev/davinci1"] {
            fs::write(root.path().join(node), "").unwrap();
        }
        fs::write(root.path().join("etc/group"), "HwHiAiUser:x:1000:\n").unwrap();
        let needs = machine(root.path()).needs("");
        let states: Vec<_> = needs.iter().map(|need| (need.what.as_str(), need.state)).collect();
        assert_eq!(states[0], (NAME, NeedState::Trouble));
        assert_eq!(states[1], ("/dev/davinci_manager", NeedState::Fine));
        assert_eq!(states[2], ("/dev/devmm_svm", NeedState::Trouble));
        assert_eq!(states[4].1, NeedState::Fine, "{:?}", needs[4]);
        assert!(needs[4].says.starts_with("2 chips"));
        assert_eq!(states[5], ("group HwHiAiUser", NeedState::Limited));
    }

    #[test]
    fn the_library_is_found_by_path_by_name_and_in_the_linkers_cache() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("opt/libdcmi.so");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "").unwrap();
        let mut machine = machine(root.path());
        assert_eq!(machine.library(""), None);
        assert_eq!(machine.library("/opt/libdcmi.so").as_deref(), Some("/opt/libdcmi.so"));
        machine.library_path = "/nowhere:/opt".to_owned();
        assert_eq!(machine.library("").as_deref(), Some("/opt/libdcmi.so"));
        machine.library_path.clear();
        fs::create_dir_all(root.path().join("etc")).unwrap();
        fs::write(root.path().join("etc/ld.so.cache"), b"\0libdcmi.so\0/x/libdcmi.so\0").unwrap();
        assert!(machine.library("").unwrap().contains("cache"));
    }
}
