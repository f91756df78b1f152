//! What `doctor` says of the cgroup trees.

use std::fs;
use std::path::Path;

use crate::samplers::{Context, Need, Settings};

use super::layout::{FileKind, Layout, Version};
use super::tree_root;

const MOUNT: &str = "mount the node's /sys/fs/cgroup there (hostPath, read-only), or set host_root \
                     to where it is mounted";

/// What is here of what the sampler reads.
pub(super) fn needs(context: &Context, _: &Settings) -> Vec<Need> {
    let root = tree_root(&context.host_root);
    let what = root.display().to_string();
    let Some(layout) = Layout::open(&root) else {
        return vec![Need::trouble(what, "no cgroup tree is mounted there", MOUNT)];
    };
    let mut needs = vec![tree(&what, &root, &layout)];
    needs.extend(controllers(&root, &layout));
    needs.push(pressure(&layout));
    needs.push(processes());
    needs
}

/// The version, and whether it is the node's tree at all.
fn tree(what: &str, root: &Path, layout: &Layout) -> Need {
    // Only a cgroup that is not the root of a tree has a type.
    let is_part = root.join("cgroup.type").exists();
    if is_part {
        return Need::trouble(
            what,
            "is a part of the node's tree, so that other containers are not in sight",
            "mount the node's /sys/fs/cgroup, or run with the node's cgroup namespace \
             (docker run --cgroupns=host)",
        );
    }
    match fs::read_dir(root) {
        Ok(_) => Need::fine(what, format!("cgroups, {}", layout.version.name())),
        Err(error) => Need::trouble(what, format!("cannot be listed: {error}"), MOUNT),
    }
}

/// One line for each controller that readings need.
fn controllers(root: &Path, layout: &Layout) -> Vec<Need> {
    let unified = layout.hierarchies.iter().find(|hierarchy| hierarchy.unified);
    let delegated = unified
        .and_then(|hierarchy| fs::read_to_string(hierarchy.path.join("cgroup.controllers")).ok())
        .unwrap_or_default();
    let rows = [
        ("cpu", "throttling and quota"),
        ("memory", "memory, its limit and kills"),
        ("pids", "tasks and their limit"),
        ("io", "bytes read and written"),
    ];
    let of = |(name, gives): (&str, &str)| {
        let one = if name == "io" { "blkio" } else { name };
        let tree = layout.hierarchies.iter().find(|hierarchy| {
            !hierarchy.unified && hierarchy.controllers.iter().any(|known| known == one)
        });
        let is_delegated = delegated.split_whitespace().any(|known| known == name);
        let what = format!("controller {name}");
        match tree {
            Some(tree) => Need::fine(what, format!("version 1 in {}", tree.path.display())),
            None if is_delegated => Need::fine(what, "version 2"),
            None => Need::limited(
                what,
                format!("is not in {}: {gives} are absent", root.display()),
                format!(
                    "boot without cgroup_disable={one}; on a version 2 node the parent's \
                     cgroup.subtree_control must list {name}"
                ),
            ),
        }
    };
    rows.into_iter().map(of).collect()
}

/// Pressure comes with version 2, where the kernel keeps it.
fn pressure(layout: &Layout) -> Need {
    let what = "pressure of containers";
    if layout.version == Version::One || !layout.has(&[FileKind::Pressure(0)]) {
        return Need::limited(
            what,
            "version 1 of cgroups does not have it",
            "boot with systemd.unified_cgroup_hierarchy=1 for pressure by container",
        );
    }
    let unified = layout.hierarchies.iter().find(|hierarchy| hierarchy.unified);
    let is_kept = unified.is_some_and(|hierarchy| {
        fs::read(hierarchy.path.join("cpu.pressure")).is_ok()
            || fs::read(hierarchy.path.join("cgroup.pressure")).is_ok()
    });
    match is_kept {
        true => Need::fine(what, "the kernel keeps it"),
        false => Need::limited(
            what,
            "the kernel does not keep it",
            "boot with psi=1, or a kernel built with CONFIG_PSI",
        ),
    }
}

/// Whether the container of an engine that connects can be known.
fn processes() -> Need {
    let what = "containers of engines";
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let is_first = fs::read_to_string("/proc/1/comm").is_ok();
    let is_root = own.lines().any(|line| line == "0::/");
    let is_container = fs::metadata("/.dockerenv").is_ok()
        || fs::metadata("/run/.containerenv").is_ok()
        || std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
    match (is_first, is_container && is_root) {
        (true, false) => Need::fine(what, "/proc/<pid>/cgroup of peers can be read"),
        (true, true) => Need::limited(
            what,
            "this agent has its own cgroup namespace and may see no other processes",
            "share the node's process namespace (hostPID: true, or docker run --pid=host)",
        ),
        (false, _) => Need::trouble(what, "/proc cannot be read", "mount /proc in this container"),
    }
}
