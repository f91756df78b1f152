//! The containers that are followed: who began, who ended, under which name.

use std::collections::HashSet;
use std::ffi::CString;

use rustix::fs::AtFlags;

use crate::samplers::Outlet;
use crate::samplers::procfs::{Absence, TickReport};
use crate::schema::{Device, EventKind, Severity};

use super::alarm::{Alarm, Bell};
use super::container::{Descriptors, Files};
use super::layout::Layout;
use super::path::{self, ContainerPath};

/// Containers that are followed at once; a further one is refused as
/// [`Absence::DeviceRefused`] and looked at again at the next walk.
pub const CONTAINERS_MAX: usize = 512;

/// Trees that are searched at most: one of each version.
pub(super) const SEARCHED_MAX: usize = 2;

/// Digits of an id in a name: as docker shows it.
const NAME_DIGITS: usize = 12;

/// One followed container.
#[derive(Debug)]
pub(super) struct Container {
    /// From the root of each hierarchy.
    path: Box<[u8]>,
    about: ContainerPath,
    name: String,
    pub(super) device: u32,
    pub(super) files: Files,
    /// Of its cgroup, by searched tree; 0 where it has none.
    inodes: [u64; SEARCHED_MAX],
    /// The same as the walk at hand found it.
    found: [u64; SEARCHED_MAX],
    /// Kills told; nothing before the first look at one that was there before
    /// us.
    pub(super) oom_kills: Option<u64>,
    /// Metrics that have a value, by bit.
    pub(super) values: u64,
    /// What rings when it loses a process for want of memory.
    pub(super) bell: Option<Bell>,
    /// Whether that rang.
    pub(super) rang: bool,
}

/// All of them, by path.
#[derive(Debug)]
pub(super) struct Containers {
    pub(super) list: Vec<Container>,
    /// Found in the walk at hand and not known.
    arrivals: Vec<Arrival>,
    names: HashSet<String>,
    include: Vec<String>,
    /// Whether there was a walk before: what it did not find has begun.
    began: bool,
}

#[derive(Debug)]
struct Arrival {
    path: Box<[u8]>,
    about: ContainerPath,
    found: [u64; SEARCHED_MAX],
}

impl Containers {
    /// None yet; those below the prefixes in `include` count as such too.
    pub(super) fn new(include: Vec<String>) -> Self {
        Self {
            list: Vec::new(),
            arrivals: Vec::new(),
            names: HashSet::new(),
            include,
            began: false,
        }
    }

    /// Begins a walk.
    pub(super) fn begin(&mut self) {
        for container in &mut self.list {
            container.found = [0; SEARCHED_MAX];
        }
        self.arrivals.clear();
    }

    /// Tells of a cgroup in a searched tree.
    pub(super) fn found(&mut self, tree: usize, path: &[u8], inode: u64, report: &mut TickReport) {
        if let Ok(at) = self.list.binary_search_by(|known| (*known.path).cmp(path)) {
            self.list[at].found[tree] = inode;
            return;
        }
        if let Some(arrival) = self.arrivals.iter_mut().find(|new| *new.path == *path) {
            arrival.found[tree] = inode;
            return;
        }
        let Some(about) = self.recognise(path) else { return };
        if self.list.len() + self.arrivals.len() >= CONTAINERS_MAX {
            return report.count(Absence::DeviceRefused, 1);
        }
        let mut found = [0; SEARCHED_MAX];
        found[tree] = inode;
        self.arrivals.push(Arrival { path: path.into(), about, found });
    }

    /// Whether the cgroup at `path` is a container, or to be followed as one.
    fn recognise(&self, path: &[u8]) -> Option<ContainerPath> {
        let path = std::str::from_utf8(path).ok()?;
        if let Some(place) = path::place(path).filter(|place| place.is_own) {
            return Some(place.to_owned());
        }
        let is_included = self.include.iter().any(|prefix| {
            path.strip_prefix(prefix.as_str()).is_some_and(|rest| !rest.contains('/'))
        });
        let is_plain = !path.chars().any(char::is_control);
        (is_included && is_plain)
            .then(|| ContainerPath { container: path.to_owned(), ..ContainerPath::default() })
    }

    /// Ends a walk: who was not found has ended, who was not known has begun.
    pub(super) fn end(
        &mut self,
        layout: &Layout,
        descriptors: &mut Descriptors,
        alarm: &Alarm,
        outlet: &mut Outlet,
        report: &mut TickReport,
    ) {
        for at in (0..self.list.len()).rev() {
            let known = &mut self.list[at];
            if known.found == [0; SEARCHED_MAX] {
                known.look_again(layout);
            }
            let is_gone = known.found == [0; SEARCHED_MAX];
            let is_other = |(was, is): (&u64, &u64)| *was != 0 && *is != 0 && was != is;
            let is_another = known.inodes.iter().zip(&known.found).any(is_other);
            if !is_gone && !is_another {
                known.inodes = known.found;
                continue;
            }
            let gone = self.list.remove(at);
            if is_another {
                let Container { path, about, found, .. } = &gone;
                let (path, about, found) = (path.clone(), about.clone(), *found);
                self.arrivals.push(Arrival { path, about, found });
            }
            if let Some(bell) = gone.bell {
                alarm.take_down(bell);
            }
            self.forget(gone, descriptors, outlet);
            report.devices_gone += 1;
        }
        for arrival in std::mem::take(&mut self.arrivals) {
            match self.follow(arrival, layout, descriptors, alarm, outlet) {
                // It ended between being listed and being opened.
                Ok(()) | Err(Absence::NotFound) => {}
                Err(why) => report.count(why, 1),
            }
        }
        self.began = true;
    }

    fn follow(
        &mut self,
        arrival: Arrival,
        layout: &Layout,
        descriptors: &mut Descriptors,
        alarm: &Alarm,
        outlet: &mut Outlet,
    ) -> Result<(), Absence> {
        let Arrival { path, about, found } = arrival;
        let Err(at) = self.list.binary_search_by(|known| known.path.cmp(&path)) else {
            return Ok(());
        };
        let below = CString::new(&*path).map_err(|_| Absence::Malformed)?;
        let files = Files::open(layout, &below, descriptors)?;
        let name = self.name(&about, &path);
        let device = name.as_deref().and_then(|name| outlet.register("container", name));
        let (Some(name), Some(device)) = (name, device) else {
            files.close(descriptors);
            return Err(Absence::DeviceRefused);
        };
        self.names.insert(name.clone());
        outlet.describe(Device {
            index: device,
            name: name.clone(),
            kind: "container".to_owned(),
            vendor: about.runtime.name().to_owned(),
            container: about.container.clone(),
            pod: about.pod.clone(),
            ..Device::default()
        });
        let container = Container {
            path,
            about,
            name,
            device,
            bell: files.bell(layout, alarm),
            files,
            inodes: found,
            found,
            oom_kills: self.began.then_some(0),
            values: 0,
            rang: false,
        };
        if self.began {
            let text = container.sentence("began");
            outlet.event(EventKind::ContainerStarted, Severity::Info, &container.name, text);
        }
        self.list.insert(at, container);
        Ok(())
    }

    fn forget(&mut self, gone: Container, descriptors: &mut Descriptors, outlet: &mut Outlet) {
        let text = gone.sentence("ended");
        outlet.event(EventKind::ContainerEnded, Severity::Info, &gone.name, text);
        outlet.forget_device(gone.device);
        self.names.remove(&gone.name);
        gone.files.close(descriptors);
    }

    /// The first digits of an id, more where others begin so, at last the
    /// path; nothing if even that is taken.
    fn name(&self, about: &ContainerPath, path: &[u8]) -> Option<String> {
        let id = crate::schema::bounded_name(&about.container);
        let has_digits = id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        let least = if has_digits { NAME_DIGITS } else { id.len() };
        let path = String::from_utf8_lossy(path);
        (least..=id.len())
            .map(|digits| &id[..digits])
            .chain([crate::schema::bounded_name(&path)])
            .find(|name| !name.is_empty() && !self.names.contains(*name))
            .map(str::to_owned)
    }
}

impl Container {
    /// Looks for a cgroup that a walk did not find: the walk may have come to
    /// a bound or have been refused a descriptor.
    fn look_again(&mut self, layout: &Layout) {
        let Ok(path) = CString::new(&*self.path) else { return };
        for (found, &tree) in self.found.iter_mut().zip(&layout.searched) {
            let root = &layout.hierarchies[tree].root;
            let stat = rustix::fs::statat(root, &path, AtFlags::SYMLINK_NOFOLLOW);
            *found = stat.map_or(0, |stat| stat.st_ino);
        }
    }

    /// Kills that the last look showed and that were not told yet.
    pub(super) fn new_oom_kills(&mut self, now: Option<u64>) -> u64 {
        let Some(now) = now else { return 0 };
        let before = self.oom_kills.replace(now).unwrap_or(now);
        now.saturating_sub(before)
    }

    /// States that the kernel killed so many of its processes.
    pub(super) fn tell_oom_kills(&self, kills: u64, outlet: &mut Outlet) {
        let what = match kills {
            1 => "lost a process that the kernel killed for want of memory".to_owned(),
            kills => format!("lost {kills} processes that the kernel killed for want of memory"),
        };
        let text = self.sentence(&what);
        outlet.event(EventKind::ContainerOomKill, Severity::Error, &self.name, text);
    }

    fn sentence(&self, what: &str) -> String {
        let ContainerPath { container, pod, runtime } = &self.about;
        let mut text = format!("container {container}");
        for (word, value) in [(" of ", runtime.name()), (" in pod ", pod)] {
            if !value.is_empty() {
                text.push_str(word);
                text.push_str(value);
            }
        }
        format!("{text} {what}, cgroup /{}", String::from_utf8_lossy(&self.path))
    }
}
