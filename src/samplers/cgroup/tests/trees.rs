//! A node of each version, whole: every reading with its value.

use super::*;

const SHORT_A: &str = "3f1c2ab45d6e";
const SHORT_B: &str = "77aa0c55e4d3";

/// What the limited container of each tree must show; a reading that is not
/// listed must be absent.
fn expected(differences: &[(&'static str, Option<f64>)]) -> BTreeMap<&'static str, f64> {
    let mut expected = BTreeMap::from([
        ("container_cpu_seconds_total", 91.234_567),
        ("container_cpu_user_seconds_total", 80.0),
        ("container_cpu_system_seconds_total", 11.234_567),
        ("container_cpu_periods_total", 5120.0),
        ("container_cpu_throttled_periods_total", 128.0),
        ("container_cpu_throttled_seconds_total", 6.4),
        ("container_cpu_quota_cores", 2.5),
        ("container_memory_bytes", 1_073_741_824.0),
        ("container_memory_limit_bytes", 2_147_483_648.0),
        ("container_memory_working_set_bytes", 973_741_824.0),
        ("container_swap_bytes", 4096.0),
        ("container_swap_limit_bytes", 0.0),
        ("container_oom_kills_total", 2.0),
        ("container_pressure_cpu_some_seconds_total", 7.0),
        ("container_pressure_cpu_full_seconds_total", 6.0),
        ("container_pressure_memory_some_seconds_total", 5.0),
        ("container_pressure_memory_full_seconds_total", 4.0),
        ("container_pressure_io_some_seconds_total", 3.0),
        ("container_pressure_io_full_seconds_total", 2.0),
        ("container_tasks", 23.0),
        ("container_tasks_limit", 1024.0),
        ("container_io_read_bytes_total", 1_572_864.0),
        ("container_io_write_bytes_total", 12_288.0),
        ("container_running", 1.0),
        ("container_frozen", 0.0),
        ("container_empty", 0.0),
    ]);
    for &(name, value) in differences {
        match value {
            Some(value) => drop(expected.insert(name, value)),
            None => drop(expected.remove(name).expect("a name of the list")),
        }
    }
    expected
}

#[track_caller]
fn assert_near(values: &BTreeMap<&str, f64>, expected: &BTreeMap<&str, f64>) {
    assert!(values.keys().eq(expected.keys()), "{values:?}");
    for (name, value) in values {
        assert!((value - expected[name]).abs() < 1e-9 * value.max(1.0), "{name} is {value}");
    }
}

/// What a tree without limits lacks.
const UNLIMITED: [&str; 4] = [
    "container_cpu_quota_cores",
    "container_memory_limit_bytes",
    "container_swap_limit_bytes",
    "container_tasks_limit",
];

#[test]
fn version_two_is_seen_whole() {
    let node = Node::captured("v2");
    let mut watched = node.watch();
    assert_eq!(watched.cgroup.version(), Version::Two);
    let report = watched.tick();
    assert_eq!(report.absent_total(), 0, "{report:?}");
    assert_eq!(watched.names(), [SHORT_A, SHORT_B]);
    assert_near(&watched.values(SHORT_A), &expected(&[]));
    let mut other = expected(&UNLIMITED.map(|name| (name, None)));
    other.extend([
        ("container_oom_kills_total", 0.0),
        ("container_running", 0.0),
        ("container_frozen", 1.0),
    ]);
    assert_near(&watched.values(SHORT_B), &other);
    assert_eq!(watched.value("cgroup", MetricId::ContainersFollowed), Some(2.0));
    let [a, b]: [Device; 2] = watched.containers().try_into().unwrap();
    assert_eq!((&*a.container, &*a.pod, &*a.vendor), (ID_A, POD, "containerd"));
    assert_eq!((&*b.container, &*b.pod, &*b.vendor), (ID_B, "", "docker"));
    assert_eq!(watched.events(), [], "who was there before us has not begun");
}

#[test]
fn version_one_is_seen_whole_but_for_what_it_lacks() {
    let node = Node::captured("v1");
    std::os::unix::fs::symlink("cpu,cpuacct", node.root().join("cpu")).unwrap();
    let mut watched = node.watch();
    assert_eq!(watched.cgroup.version(), Version::One);
    let report = watched.tick();
    assert_eq!(report.absent_total(), 0, "{report:?}");
    assert_eq!(watched.names(), [SHORT_A, SHORT_B]);
    let lacks = expected(&[])
        .into_keys()
        .filter(|name| name.contains("pressure"))
        .chain(["container_swap_limit_bytes"])
        .map(|name| (name, None));
    let mut differences: Vec<_> = lacks.collect();
    differences.push(("container_cpu_system_seconds_total", Some(11.23)));
    assert_near(&watched.values(SHORT_A), &expected(&differences));
    assert_eq!(watched.value(SHORT_B, MetricId::ContainerMemoryLimit), None);
    assert_eq!(watched.value(SHORT_B, MetricId::ContainerCpuQuota), None);
    assert_eq!(watched.value(SHORT_B, MetricId::ContainerFrozen), Some(1.0));
    assert_eq!(watched.containers()[0].pod, POD);
}

#[test]
fn a_hybrid_node_gives_pressure_from_one_version_and_the_rest_from_the_other() {
    let node = Node::captured("hybrid");
    let mut watched = node.watch();
    assert_eq!(watched.cgroup.version(), Version::Hybrid);
    let report = watched.tick();
    assert_eq!(report.absent_total(), 0, "{report:?}");
    let differences = [
        ("container_swap_limit_bytes", None),
        ("container_cpu_system_seconds_total", Some(11.23)),
        ("container_oom_kills_total", Some(1.0)),
    ];
    assert_near(&watched.values(SHORT_B), &expected(&differences));
}

#[test]
fn every_metric_of_the_entry_is_seen_in_version_two() {
    let node = Node::captured("v2");
    node.remove("system.slice/vllm.service/cpu.stat");
    let mut watched = node.watch_with("system.slice/vllm");
    watched.tick();
    let names = watched.names.devices().into_iter().map(|device| device.name);
    let seen: Vec<_> = names.flat_map(|name| watched.values(&name).into_keys()).collect();
    for metric in METRICS {
        assert!(seen.contains(&metric.row().name), "{metric:?}");
    }
}

#[test]
fn named_cgroups_are_followed_by_their_path() {
    let node = Node::captured("v2");
    for (include, more) in [
        ("", &[][..]),
        ("/system.slice/vllm.service", &["system.slice/vllm.service"]),
        ("nothing, system.slice/v", &["system.slice/vllm.service"]),
        ("system.slice/", &["system.slice/ssh.service", "system.slice/vllm.service"]),
        ("system.slice", &["system.slice"]),
        ("kubepods.slice/kubepods", &["kubepods.slice/kubepods-burstable.slice"]),
    ] {
        let mut watched = node.watch_with(include);
        watched.tick();
        let mut names = watched.names();
        names.retain(|name| ![SHORT_A, SHORT_B].contains(&name.as_str()));
        assert_eq!(names, more, "{include}");
    }
    let mut watched = node.watch_with("system.slice/vllm");
    watched.tick();
    let device = watched.containers().pop().unwrap();
    assert_eq!((&*device.container, &*device.pod), ("system.slice/vllm.service", ""));
    assert_eq!(watched.value(&device.name, MetricId::ContainerCpu), Some(5.0));
    assert_eq!(watched.value(&device.name, MetricId::ContainerMemoryLimit), None);
}

#[test]
fn patterns_and_too_many_prefixes_are_refused_with_a_sentence() {
    for bad in ["system.slice/*", "a?", "a[b]", "a\nb", &"a,".repeat(INCLUDES_MAX + 1)] {
        assert!(includes(bad).unwrap_err().contains("at most 64 prefixes"), "{bad}");
    }
    assert_eq!(includes("\"\"").unwrap(), [""; 0]);
    assert_eq!(includes(" /a/b ,c,").unwrap(), ["a/b", "c"]);
}

#[test]
fn what_is_needed_is_said_for_each_version() {
    let says = |tree: &str| {
        let node = Node::captured(tree);
        let needs = (ENTRY.needs)(&node.context(), &Settings::default());
        for need in &needs {
            let fine = need.state == crate::samplers::NeedState::Fine;
            assert_eq!(fine, need.remedy.is_empty(), "{need:?}");
        }
        needs.iter().map(|need| format!("{}: {}", need.what, need.says)).collect::<Vec<_>>()
    };
    let has = |says: &[String], what: &str| says.iter().any(|line| line.contains(what));
    assert!(has(&says("v2"), "cgroups, version 2"));
    assert!(has(&says("v2"), "controller memory: version 2"));
    assert!(has(&says("v1"), "version 1 of cgroups does not have it"));
    assert!(has(&says("hybrid"), "cgroups, hybrid"));
    assert!(has(&says("hybrid"), "controller io: version 1 in "));
    let part = Node::captured("v2");
    part.write("cgroup.type", "domain\n");
    part.write("cgroup.controllers", "cpu\n");
    let needs = (ENTRY.needs)(&part.context(), &Settings::default());
    assert!(needs[0].says.contains("a part of the node's tree"), "{needs:?}");
    assert!(
        needs.iter().any(|need| need.what == "controller pids" && need.remedy.contains("pids"))
    );
    let none = (ENTRY.needs)(&Node::empty().context(), &Settings::default());
    assert_eq!(none.len(), 1);
    assert!(none[0].remedy.contains("host_root"));
}
