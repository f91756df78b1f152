//! The sampler allocates nothing per tick once it knows its containers.

use std::fs;
use std::path::Path;

use eagle_eye::platform::clock::SECOND_NS;
use eagle_eye::samplers::cgroup::LIMITS_EVERY_TICKS;

use super::{TREE, Watched};
use crate::counting::allocations;

/// A node of version 2 with so many containers.
fn many(containers: u64) -> tempfile::TempDir {
    let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures/cgroup/v2");
    let scope = "cri-containerd-3f1c2ab45d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f701";
    let pod = "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod9f0a1b2c_3d4e_5f60_7182_93a4b5c6d7e8.slice";
    let from = captures.join(pod).join(format!("{scope}.scope"));
    let host = tempfile::tempdir().expect("a folder");
    let root = host.path().join(TREE.trim_start_matches('/'));
    for number in 0..containers {
        let to = root.join(pod).join(format!("cri-containerd-{number:064x}.scope"));
        fs::create_dir_all(&to).expect("the folder is ours");
        for file in fs::read_dir(&from).expect("the capture").map(|entry| entry.expect("it")) {
            fs::copy(file.path(), to.join(file.file_name())).expect("it is copied");
        }
    }
    fs::write(root.join("cgroup.controllers"), "cpu io memory pids\n").expect("it is ours");
    host
}

#[test]
fn a_tick_over_known_containers_allocates_nothing() {
    const CONTAINERS: u64 = 50;
    let host = many(CONTAINERS);
    let mut watched = Watched::over(host.path()).expect("the tree is there");
    (0..3).for_each(|_| watched.tick());
    assert_eq!(watched.cgroup.followed() as u64, CONTAINERS);
    let mut readings = 0;
    let allocated = allocations(|| {
        // Each with a walk, some with limits.
        for _ in 0..3 * LIMITS_EVERY_TICKS {
            watched.now_ns += SECOND_NS;
            let report = watched.cgroup.tick_report(watched.now_ns, &mut watched.outlet);
            readings += u64::from(report.readings);
        }
    });
    assert!(readings > CONTAINERS * 22 * 3 * LIMITS_EVERY_TICKS, "{readings} readings");
    assert_eq!(allocated, 0);
}

#[test]
fn files_that_are_missing_cost_no_allocation_either() {
    let host = many(8);
    let mut watched = Watched::over(host.path()).expect("the tree is there");
    watched.tick();
    for device in watched.names.devices().iter().filter(|device| device.kind == "container") {
        let root = host.path().join(TREE.trim_start_matches('/'));
        let pod = root.join("kubepods.slice/kubepods-burstable.slice");
        let pod = fs::read_dir(pod).expect("the pod").next().expect("one").expect("it").path();
        let scope = pod.join(format!("cri-containerd-{}.scope", device.container));
        for file in ["memory.max", "cpu.max", "pids.max"] {
            fs::remove_file(scope.join(file)).expect("it was copied");
        }
    }
    // Each time that limits are read, the next file is found to be gone.
    (0..4 * LIMITS_EVERY_TICKS).for_each(|_| watched.tick());
    assert_eq!(watched.cgroup.followed(), 8, "a missing file ends no container");
    let allocated = allocations(|| {
        for _ in 0..200 {
            watched.now_ns += SECOND_NS;
            watched.cgroup.tick_report(watched.now_ns, &mut watched.outlet);
        }
    });
    assert_eq!(allocated, 0);
}
