//! Which container a cgroup belongs to, by its path.
//!
//! Runtimes write the container's id into the path and the kubelet the pod's
//! UID, each in one of two forms: plain folders (the `cgroupfs` driver) or
//! units of systemd, in which `-` means a level, so that a UID has `_` instead.
//! The deepest container counts: a node of kind is a container that holds others.

/// The longest path that is looked at, bytes: the kernel's own limit.
const PATH_BYTES_MAX: usize = 4096;

/// Most bytes of `/proc/<pid>/cgroup` that are looked at.
pub(super) const PROCESS_BYTES_MAX: usize = 32 << 10;

/// The longest name of a container that has no hexadecimal id.
const NAME_BYTES_MAX: usize = 64;

const ID_BYTES: usize = 64;

/// What made a container, as far as its path tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Runtime {
    /// The path does not tell: the kubelet's plain folders hold the bare id.
    #[default]
    Unknown,
    /// Docker.
    Docker,
    /// containerd, by the kubelet or by nerdctl.
    Containerd,
    /// CRI-O.
    CriO,
    /// Podman.
    Podman,
    /// systemd-nspawn and what else registers a machine with systemd.
    Nspawn,
    /// LXC, LXD or Incus.
    Lxc,
}

impl Runtime {
    /// The runtime in one word; empty where it is unknown.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "",
            Self::Docker => "docker",
            Self::Containerd => "containerd",
            Self::CriO => "cri-o",
            Self::Podman => "podman",
            Self::Nspawn => "nspawn",
            Self::Lxc => "lxc",
        }
    }
}

/// A container as a cgroup's path names it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ContainerPath {
    /// The runtime's id, 64 hexadecimal digits; the name where there is none.
    pub container: String,
    /// The UID of its Kubernetes pod, with dashes; empty where there is none.
    pub pod: String,
    /// What made it.
    pub runtime: Runtime,
}

/// The same, borrowed from the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place<'a> {
    id: &'a str,
    pod: &'a str,
    runtime: Runtime,
    /// Whether the cgroup is the container's own, not one within it.
    pub(super) is_own: bool,
}

impl Place<'_> {
    pub(super) fn to_owned(self) -> ContainerPath {
        let container = match self.runtime {
            Runtime::Nspawn => unescape(self.id),
            _ => self.id.to_owned(),
        };
        ContainerPath { container, pod: self.pod.replace('_', "-"), runtime: self.runtime }
    }
}

/// The container that the cgroup at `path` is in, if any.
#[must_use]
pub fn of_path(path: &str) -> Option<ContainerPath> {
    place(path).map(Place::to_owned)
}

/// The container that a process runs in, by the text of `/proc/<pid>/cgroup`.
///
/// Of several hierarchies the first that names a pod counts, else the first
/// that names a container: with version 1 of cgroups, the line of version 2
/// may name the runtime's own service only.
#[must_use]
pub fn of_process(text: &[u8]) -> Option<ContainerPath> {
    let text = &text[..text.len().min(PROCESS_BYTES_MAX)];
    let mut first = None;
    for line in crate::samplers::procfs::lines(text) {
        let Ok(line) = std::str::from_utf8(line) else { continue };
        let Some(path) = line.splitn(3, ':').nth(2) else { continue };
        match place(path.strip_suffix(" (deleted)").unwrap_or(path)) {
            Some(place) if !place.pod.is_empty() => return Some(place.to_owned()),
            Some(place) => first = first.or(Some(place)),
            None => {}
        }
    }
    first.map(Place::to_owned)
}

/// The deepest container in `path`. Allocates nothing.
pub(super) fn place(path: &str) -> Option<Place<'_>> {
    if path.len() > PATH_BYTES_MAX {
        return None;
    }
    let (mut pod, mut parent) = ("", "");
    let mut found: Option<Place<'_>> = None;
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        // A runtime told to use systemd's names where there is no systemd
        // makes one folder of slice, prefix and id, with colons between.
        let mut parts = segment.splitn(3, ':');
        let slice = parts.next().unwrap_or_default();
        let (above, own) = match (parts.next(), parts.next()) {
            (Some(prefix), Some(id)) => (prefix, id),
            _ => (parent, segment),
        };
        pod = pod_uid(slice).unwrap_or(pod);
        if let Some((id, runtime)) = container(own, above) {
            found = Some(Place { id, pod, runtime, is_own: true });
        } else if let Some(place) = &mut found {
            place.is_own = false;
        }
        parent = segment;
    }
    found
}

/// The pod's UID in a segment such as `pod<uid>` or `kubepods-…-pod<uid>.slice`.
fn pod_uid(segment: &str) -> Option<&str> {
    let uid = match segment.strip_suffix(".slice") {
        Some(unit) if unit.contains("kubepods") => unit.rsplit_once("-pod")?.1,
        Some(_) => return None,
        None => segment.strip_prefix("pod")?,
    };
    is_uid(uid).then_some(uid)
}

/// A UUID with either separator, or the 32 digits of a pod from a file.
fn is_uid(uid: &str) -> bool {
    let digit = |byte: u8| byte.is_ascii_hexdigit();
    match uid.len() {
        32 => uid.bytes().all(digit),
        36 => uid.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => matches!(byte, b'-' | b'_'),
            _ => digit(byte),
        }),
        _ => false,
    }
}

/// The container's id in a segment below `parent`.
fn container<'a>(segment: &'a str, parent: &str) -> Option<(&'a str, Runtime)> {
    if is_id(segment) {
        // What podman puts there in this form is a pod.
        let is_pod = parent == "libpod_parent";
        return (!is_pod).then_some((segment, by_prefix(parent)));
    }
    let unit = segment.strip_suffix(".scope");
    let stem = unit.unwrap_or(segment);
    if let Some((prefix, id)) = stem.rsplit_once('-')
        && is_id(id)
    {
        let runtime = by_prefix(prefix);
        // The process that minds the container is not in it.
        let is_minder = prefix.ends_with("conmon") || prefix.is_empty();
        let is_named = unit.is_some() || runtime != Runtime::Unknown;
        return (is_named && !is_minder).then_some((id, runtime));
    }
    machine(segment, parent).or_else(|| lxc(segment, parent)).or_else(|| fargate(segment, parent))
}

fn by_prefix(prefix: &str) -> Runtime {
    match prefix {
        "docker" => Runtime::Docker,
        "cri-containerd" | "containerd" | "nerdctl" => Runtime::Containerd,
        "crio" => Runtime::CriO,
        "libpod" => Runtime::Podman,
        _ => Runtime::Unknown,
    }
}

/// What systemd's machine daemon knows, virtual machines left out.
fn machine<'a>(segment: &'a str, parent: &str) -> Option<(&'a str, Runtime)> {
    if parent != "machine.slice" {
        return None;
    }
    let nspawn = segment.strip_prefix("systemd-nspawn@").and_then(|s| s.strip_suffix(".service"));
    let other = segment.strip_prefix("machine-").and_then(|s| s.strip_suffix(".scope"));
    let name = nspawn.or(other.filter(|name| !name.starts_with("qemu")))?;
    is_name(name).then_some((name, Runtime::Nspawn))
}

fn lxc<'a>(segment: &'a str, parent: &str) -> Option<(&'a str, Runtime)> {
    let name = match parent {
        "lxc" | "lxc.payload" => segment,
        _ => segment.strip_prefix("lxc.payload.")?,
    };
    is_name(name).then_some((name, Runtime::Lxc))
}

/// `<task>-<number>` below `<task>`, as on Amazon's Fargate.
fn fargate<'a>(segment: &'a str, parent: &str) -> Option<(&'a str, Runtime)> {
    let number = segment.strip_prefix(parent)?.strip_prefix('-')?;
    let is_task = parent.len() == 32 && parent.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_number = (1..=20).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit());
    (is_task && is_number).then_some((segment, Runtime::Unknown))
}

fn is_id(text: &str) -> bool {
    text.len() == ID_BYTES && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_name(text: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

/// A name without systemd's escapes, as far as they are printable ASCII.
fn unescape(name: &str) -> String {
    let mut plain = String::with_capacity(name.len());
    let mut rest = name;
    while let Some((before, escape)) = rest.split_once("\\x") {
        plain.push_str(before);
        let code = escape.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        rest = match code.filter(u8::is_ascii_graphic) {
            Some(code) => {
                plain.push(char::from(code));
                &escape[2..]
            }
            None => {
                plain.push_str("\\x");
                escape
            }
        };
    }
    plain + rest
}
