//! Containers that begin, end, restart, freeze and lose processes.

use super::*;
use crate::platform::clock;

const DOCKER: &str = "docker";

fn id(number: u64) -> String {
    format!("{number:016x}{:048x}", 7)
}

/// A node of version 2 with so many containers of docker.
fn node(containers: u64) -> Node {
    let node = Node::empty();
    node.write("cgroup.controllers", "cpu memory pids\n");
    (0..containers).for_each(|number| add(&node, number));
    node
}

fn add(node: &Node, number: u64) {
    let path = format!("{DOCKER}/{}", id(number));
    node.write(&format!("{path}/cgroup.events"), "populated 1\nfrozen 0\n");
    node.write(&format!("{path}/memory.events"), "oom_kill 0\n");
}

fn path(number: u64, file: &str) -> String {
    format!("{DOCKER}/{}/{file}", id(number))
}

#[test]
fn who_comes_begins_and_who_leaves_ends() {
    let node = node(1);
    let mut watched = node.watch();
    watched.tick();
    assert_eq!(watched.events(), []);
    add(&node, 1 << 20);
    watched.tick();
    let name = id(1 << 20)[..12].to_owned();
    let began = watched.whole_events();
    assert_eq!(began.len(), 1);
    assert_eq!((began[0].kind, &began[0].subject), (EventKind::ContainerStarted, &name));
    let sentence = format!("container {0} of docker began, cgroup /docker/{0}", id(1 << 20));
    assert_eq!((&*began[0].source, &began[0].text), ("cgroup", &sentence));
    assert_eq!(watched.values(&name).len(), 4);
    node.remove(&path(1 << 20, ""));
    let report = watched.tick();
    let of_the_other = watched.cgroup.layout.files.len() as u32 - 2;
    assert!(report.absent(Absence::NotFound) <= of_the_other, "it left no absence");
    assert_eq!(report.devices_gone, 1);
    assert_eq!(watched.events(), [(EventKind::ContainerEnded, name)]);
    assert_eq!((watched.names().len(), watched.cgroup.followed()), (1, 1));
}

#[test]
fn the_same_path_with_another_cgroup_is_a_restart() {
    let node = node(1);
    let mut watched = node.watch();
    watched.tick();
    let before = watched.containers()[0].index;
    // The old one stays aside, so that its inode is not given again at once.
    let [old, aside] = [path(0, ""), "aside".to_owned()].map(|path| node.root().join(path));
    fs::rename(old, aside).unwrap();
    add(&node, 0);
    watched.tick();
    let name = id(0)[..12].to_owned();
    let expected = [EventKind::ContainerEnded, EventKind::ContainerStarted];
    assert_eq!(watched.events(), expected.map(|kind| (kind, name.clone())));
    assert_ne!(watched.containers()[0].index, before, "its counters begin anew");
}

#[test]
fn kills_are_told_once_and_those_before_us_never() {
    let node = node(1);
    node.write(&path(0, "memory.events"), "oom_kill 5\n");
    let mut watched = node.watch();
    watched.tick();
    watched.tick();
    assert_eq!(watched.events(), []);
    node.write(&path(0, "memory.events"), "oom_kill 7\n");
    watched.tick();
    let told = watched.whole_events();
    assert_eq!((told.len(), told[0].kind), (1, EventKind::ContainerOomKill));
    assert!(told[0].text.contains("lost 2 processes"), "{}", told[0].text);
    node.write(&path(0, "memory.events"), "oom_kill 0\n");
    watched.tick();
    assert_eq!(watched.events(), [], "a count that fell tells of no kill");
    // Of one that began under our eyes every kill is news.
    add(&node, 1);
    node.write(&path(1, "memory.events"), "oom_kill 1\n");
    watched.tick();
    let kinds: Vec<_> = watched.events().into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, [EventKind::ContainerStarted, EventKind::ContainerOomKill]);
}

#[test]
fn a_kill_wakes_the_sampler_before_its_time_and_puts_nothing_off() {
    let node = node(2);
    let mut watched = node.watch();
    let Watched { cgroup, outlet, .. } = &mut watched;
    let stop = Stop::default();
    let begun_ns = clock::monotonic_ns();
    let due_ns = begun_ns + 3600 * clock::SECOND_NS;
    cgroup.tick(begun_ns, outlet);
    node.write(&path(1, "memory.events"), "max 9\noom_kill 1\n");
    assert_eq!(cgroup.wait(due_ns, &stop), Woken::Early);
    let ticks = cgroup.tick;
    cgroup.tick(clock::monotonic_ns(), outlet);
    assert_eq!(cgroup.tick, ticks, "nothing but the kills was read");
    node.write(&path(0, "memory.events"), "max 9\noom_kill 0\n");
    assert_eq!(cgroup.wait(due_ns + clock::SECOND_NS, &stop), Woken::Early);
    assert_eq!(cgroup.due_ns, due_ns, "the tick that is due stays due");
    cgroup.tick(clock::monotonic_ns(), outlet);
    stop.raise();
    assert_eq!(cgroup.wait(due_ns, &stop), Woken::Due);
    cgroup.tick(due_ns, outlet);
    assert_eq!(cgroup.tick, ticks + 1);
    let name = watched.names()[1].clone();
    assert_eq!(watched.events(), [(EventKind::ContainerOomKill, name.clone())], "told once");
    assert_eq!(watched.value(&name, MetricId::ContainerOomKills), Some(1.0));
}

#[test]
fn ids_that_begin_alike_get_longer_names() {
    let node = node(3);
    let mut watched = node.watch();
    watched.tick();
    assert_eq!(watched.names(), [&id(0)[..12], &id(1)[..13], &id(2)[..14]]);
    assert!(watched.containers().iter().all(|device| device.container.len() == 64));
    // The same id at another place is another device.
    node.write(&format!("other/{}/cgroup.events", id(0)), "populated 1\n");
    watched.tick();
    assert_eq!(watched.names().len(), 4);
    assert_eq!(watched.cgroup.followed(), 4);
}

#[test]
fn a_value_that_can_no_longer_be_had_is_gone() {
    let node = node(1);
    node.write(&path(0, "memory.current"), "5\n");
    node.write(&path(0, "memory.max"), "10\n");
    let mut watched = node.watch();
    watched.tick();
    let name = &id(0)[..12];
    assert_eq!(watched.value(name, MetricId::ContainerMemory), Some(5.0));
    node.write(&path(0, "memory.current"), "nonsense\n");
    node.write(&path(0, "memory.max"), "max\n");
    let report = watched.tick();
    assert!(report.absent(Absence::Unreported) > 0);
    assert_eq!(watched.value(name, MetricId::ContainerMemory), None);
    assert_eq!(watched.value(name, MetricId::ContainerMemoryLimit), Some(10.0));
    for _ in 0..LIMITS_EVERY_TICKS {
        watched.tick();
    }
    assert_eq!(watched.value(name, MetricId::ContainerMemoryLimit), None);
}

#[test]
fn states_follow_the_kernel() {
    let node = node(1);
    let mut watched = node.watch();
    let name = &id(0)[..12];
    for (events, expected) in [
        ("populated 1\nfrozen 0\n", [Some(1.0), Some(0.0), Some(0.0)]),
        ("populated 1\nfrozen 1\n", [Some(0.0), Some(1.0), Some(0.0)]),
        ("populated 0\nfrozen 1\n", [Some(0.0), Some(0.0), Some(1.0)]),
        ("populated 1\n", [Some(1.0), None, Some(0.0)]),
        ("", [None, None, None]),
    ] {
        node.write(&path(0, "cgroup.events"), events);
        watched.tick();
        let state =
            [MetricId::ContainerRunning, MetricId::ContainerFrozen, MetricId::ContainerEmpty]
                .map(|metric| watched.value(name, metric));
        assert_eq!(state, expected, "{events}");
    }
}

#[test]
fn files_that_are_missing_are_counted_with_their_reason() {
    let node = node(1);
    let mut watched = node.watch();
    let report = watched.tick();
    let missing = watched.cgroup.layout.files.len() as u32 - 2;
    assert_eq!((report.files, report.absent(Absence::NotFound)), (2, missing));
    watched.tick();
    let absent = watched.value("not_found", MetricId::ContainerAbsences);
    let slow = watched.cgroup.layout.files.iter().filter(|file| file.kind.is_slow()).count();
    assert_eq!(absent, Some(f64::from(2 * missing) - slow as f64));
}

#[test]
fn more_containers_than_are_followed_are_refused_and_counted() {
    let node = node(CONTAINERS_MAX as u64 + 3);
    let mut watched = node.watch();
    let report = watched.tick();
    assert_eq!(watched.cgroup.followed(), CONTAINERS_MAX);
    assert_eq!(report.absent(Absence::DeviceRefused), 3);
    let refused = watched.value("device_refused", MetricId::ContainerAbsences);
    assert_eq!(refused, Some(3.0));
    node.remove(&path(0, ""));
    watched.tick();
    watched.tick();
    assert_eq!(watched.cgroup.followed(), CONTAINERS_MAX, "room that was made is used");
}

#[test]
fn descriptors_stay_within_their_bound_and_reading_goes_on_without() {
    let node = node(4);
    let mut watched = node.watch();
    // Folders of all four, and one file.
    watched.cgroup.descriptors = Descriptors::new(5, 4);
    for _ in 0..3 {
        watched.tick();
        assert_eq!(watched.cgroup.followed(), 4);
        let values = watched.names().iter().map(|name| watched.values(name).len()).sum::<usize>();
        assert_eq!(values, 16);
    }
    let mut few = node.watch();
    few.cgroup.descriptors = Descriptors::new(2, 2);
    let report = few.tick();
    assert_eq!((few.cgroup.followed(), report.absent(Absence::DeviceRefused)), (2, 2));
    node.remove(&path(0, ""));
    node.remove(&path(1, ""));
    few.tick();
    assert_eq!(few.cgroup.followed(), 2, "descriptors of those that ended are given back");
}
