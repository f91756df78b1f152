//! Trees that nobody sane would mount, and any bytes in any file.

use proptest::prelude::*;

use super::*;

/// The files of a captured tree, from its root.
fn files(root: &Path, below: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(root.join(below)).unwrap().map(Result::unwrap) {
        let path = below.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => files(root, &path, found),
            false => found.push(path),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_bytes_in_any_file_are_survived(
        tree in prop_oneof![Just("v1"), Just("v2"), Just("hybrid")],
        texts in proptest::collection::vec(
            (any::<prop::sample::Index>(), prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..300),
                "[a-z_0-9 =\n]{0,200}".prop_map(String::into_bytes),
                Just(b"18446744073709551615\n".to_vec()),
            ]),
            0..12,
        ),
    ) {
        let node = Node::captured(tree);
        let mut paths = Vec::new();
        files(&node.root(), Path::new(""), &mut paths);
        let mut watched = node.watch();
        watched.tick();
        for (index, text) in &texts {
            fs::write(node.root().join(index.get(&paths)), text).unwrap();
        }
        for _ in 0..LIMITS_EVERY_TICKS {
            watched.tick();
        }
        for name in watched.names() {
            // Asserts that every value is a number and not below zero.
            watched.values(&name);
        }
    }
}

#[test]
fn the_walk_ends_at_its_bounds_and_says_so() {
    let node = Node::empty();
    node.write("cgroup.controllers", "");
    let deep = format!("{}docker/{ID_A}/cgroup.events", "x/".repeat(40));
    node.write(&deep, "populated 1\n");
    let long = format!("{}/{}", "y".repeat(250), "z".repeat(250));
    node.write(&format!("{long}/{long}/{long}/docker/{ID_B}/cgroup.events"), "populated 1\n");
    for folder in 0..FOLDERS_MAX + 10 {
        fs::create_dir_all(node.root().join(format!("many/{folder}/below"))).unwrap();
    }
    let mut watched = node.watch();
    let report = watched.tick();
    assert_eq!(watched.names(), [""; 0]);
    let refused = report.absent(Absence::DeviceRefused);
    assert!((10..100).contains(&refused), "{refused}");
}

#[test]
fn a_walk_that_comes_to_a_bound_ends_nobody() {
    let node = Node::empty();
    node.write("cgroup.controllers", "");
    node.write(&format!("docker/{ID_A}/cgroup.events"), "populated 1\n");
    let mut watched = node.watch();
    watched.tick();
    for folder in 0..FOLDERS_MAX + 10 {
        fs::create_dir_all(node.root().join(format!("many{folder}/below"))).unwrap();
    }
    let report = watched.tick();
    assert!(report.absent(Absence::DeviceRefused) >= 10);
    assert_eq!((watched.names().len(), watched.events()), (1, vec![]));
    node.remove(&format!("docker/{ID_A}"));
    watched.tick();
    assert_eq!(watched.events(), [(EventKind::ContainerEnded, ID_A[..12].to_owned())]);
}

#[test]
fn what_is_no_plain_file_is_absent() {
    let node = Node::empty();
    node.write("cgroup.controllers", "");
    let root = node.root().join("docker").join(ID_A);
    fs::create_dir_all(root.join("cgroup.events")).unwrap();
    fs::write(root.join("memory.stat"), vec![b'x'; FILE_BYTES_MAX]).unwrap();
    std::os::unix::fs::symlink("/dev/zero", root.join("cpu.stat")).unwrap();
    let fifo = rustix::fs::CWD;
    rustix::fs::mknodat(
        fifo,
        root.join("pids.current"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    let mut watched = node.watch();
    let report = watched.tick();
    assert_eq!(watched.cgroup.followed(), 1);
    assert_eq!(report.absent(Absence::TooLong), 2, "{report:?}");
    assert!(report.absent(Absence::Failed) >= 1, "{report:?}");
    assert_eq!(watched.values(&ID_A[..12]), BTreeMap::new());
}

#[test]
fn names_that_are_no_text_are_passed_over() {
    use std::os::unix::ffi::OsStrExt;
    let node = Node::empty();
    node.write("cgroup.controllers", "");
    node.write(&format!("docker/{ID_A}/cgroup.events"), "populated 1\n");
    let odd = node.root().join(std::ffi::OsStr::from_bytes(b"docker/\xff\xfe\n"));
    fs::create_dir_all(odd.join(ID_B)).unwrap();
    fs::create_dir_all(node.root().join("docker/with\x1bescape")).unwrap();
    let mut watched = node.watch_with("docker/");
    watched.tick();
    assert_eq!(watched.names(), [&ID_A[..12]]);
}
