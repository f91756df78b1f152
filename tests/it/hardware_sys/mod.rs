//! Hardware read by real child processes: what hangs, freezes, dies or lies
//! costs only itself.

mod liar;
mod scene;
mod tree;
pub(crate) mod unkillable;

use std::path::Path;

use eagle_eye::platform::clock::{self, SECOND_NS};
use eagle_eye::samplers::hardware_sys::reading::Reading;
use eagle_eye::samplers::hardware_sys::{ENTRY, HardwareSys, Limits, STUCK_MAX};
use eagle_eye::samplers::procfs::Absence;
use eagle_eye::samplers::{Context, Settings};
use eagle_eye::schema::{EventKind, MetricId};
use rustix::process::{Pid, Signal, kill_process};

use crate::binary::Running;
use crate::counting::allocations;
use crate::server::eventually;
use scene::{Heard, Node, Nothing, PAUSE_NS, program};
use tree::{SERVER, Tree};
use unkillable::Unkillable;

const TEMP: &str = "class/hwmon/hwmon0/temp1_input";
const PACKAGE: &str = "coretemp coretemp.0 Package id 0";

fn is_running(child: Pid) -> bool {
    // What ended and was not waited for yet does not run.
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.as_raw_nonzero()));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn a_server_is_read_by_a_child_round_after_round() {
    let mut node = Node::patient();
    let readings = node.round();
    let child = node.child();
    assert_eq!(node.heard.values(MetricId::NvmeLive), [("nvme0", 1.0)]);
    node.tree.write("class/nvme/nvme0/state", "dead");
    assert_eq!(node.tick(), readings);
    assert_eq!(node.heard.values(MetricId::NvmeLive), [("nvme0", 0.0)]);
    assert_eq!(node.child(), child, "the same child reads on");
    assert_eq!(node.heard.events, []);
    assert_eq!(node.heard.of_node(MetricId::HardwareAbsent), 1.0);
}

#[test]
fn devices_that_come_and_go_are_met_when_it_is_time_to_look() {
    let mut node = Node::patient();
    node.round();
    node.tree.write("class/nvme/nvme7/state", "live");
    std::fs::remove_file(node.tree.sys().join("class/infiniband/mlx5_0")).expect("it was there");
    node.tick();
    assert_eq!(node.heard.values(MetricId::NvmeLive).len(), 1);
    node.now_ns += PAUSE_NS;
    node.tick();
    assert_eq!(node.heard.values(MetricId::NvmeLive), [("nvme0", 1.0), ("nvme7", 1.0)]);
    assert_eq!(node.heard.values(MetricId::InfinibandRate), []);
}

#[test]
fn a_file_that_hangs_costs_itself_and_is_read_again_once_it_answers() {
    let mut node = Node::impatient();
    let pipe = node.hang(TEMP);
    node.round();
    assert_eq!(node.heard.subjects(EventKind::SourceHangs), [format!("/sys/{TEMP}")]);
    assert_eq!(node.sampler.hanging(), 1);
    let sensors: Vec<_> = node.heard.values(MetricId::Sensor).iter().map(|(at, _)| *at).collect();
    assert_eq!(sensors, ["coretemp coretemp.0 Core 0", "nvme nvme0 Composite"]);
    assert_eq!(node.heard.of_node(MetricId::SourcesHanging), 1.0);

    // Tried again in vain: by another child, so that the round goes on.
    let child = node.child();
    node.now_ns += PAUSE_NS;
    assert!(node.tick() > 0);
    assert_eq!((node.child(), node.sampler.hanging()), (child, 1));

    // That trial ends, and the next one finds an answer.
    std::fs::remove_file(&pipe).expect("it was there");
    node.tree.write(TEMP, "51000");
    eventually("the file answers", || {
        node.now_ns += PAUSE_NS;
        node.tick();
        node.sampler.hanging() == 0
    });
    node.round();
    assert_eq!(node.heard.subjects(EventKind::SourceAnswers), [format!("/sys/{TEMP}")]);
    assert_eq!(node.heard.subjects(EventKind::SourceHangs).len(), 1, "said once");
    assert!(node.heard.values(MetricId::Sensor).contains(&(PACKAGE, 51.0)));
}

#[test]
fn a_file_that_begins_to_hang_takes_its_last_value_along() {
    let mut node = Node::impatient();
    node.round();
    assert!(node.heard.values(MetricId::Sensor).contains(&(PACKAGE, 61.0)));
    node.hang(TEMP);
    node.tick();
    node.round();
    assert!(!node.heard.values(MetricId::Sensor).iter().any(|(at, _)| *at == PACKAGE));
}

#[test]
fn a_name_that_hangs_while_devices_are_looked_for_costs_its_device() {
    let mut node = Node::impatient();
    node.hang("class/thermal/thermal_zone0/type");
    node.round();
    let expected = ["/sys/class/thermal/thermal_zone0/type"];
    assert_eq!(node.heard.subjects(EventKind::SourceHangs), expected);
    assert_eq!(node.heard.values(MetricId::InterfaceUp).len(), 2);
}

#[test]
fn a_device_with_two_files_that_hang_is_left_out_whole() {
    let mut node = Node::impatient();
    let folder = "class/infiniband/mlx5_0/ports/1/counters";
    for file in ["port_rcv_data", "symbol_error", "link_downed", "port_xmit_wait"] {
        node.hang(&format!("{folder}/{file}"));
    }
    node.round();
    assert_eq!(node.sampler.hanging(), 2, "two of four were met");
    assert_eq!(node.heard.values(MetricId::InfinibandTransmitDiscards), []);
    assert_eq!(node.heard.values(MetricId::InfinibandPortActive).len(), 1);
}

#[test]
fn a_frozen_child_is_replaced_and_a_killed_one_too() {
    for signal in [Signal::STOP, Signal::KILL] {
        let mut node = Node::impatient();
        let readings = node.round();
        let child = node.child();
        kill_process(child, signal).expect("it is ours");
        assert_eq!(node.round(), readings);
        assert_ne!(node.child(), child);
        assert_eq!(node.heard.events, [], "the first time it may be anything");
        eventually("the old one is gone", || {
            node.tick();
            node.heard.of_node(MetricId::ChildrenStuck) == 0.0
        });
        assert!(!is_running(child));
    }
}

#[test]
fn a_child_that_is_killed_after_every_round_costs_no_round() {
    let mut node = Node::patient();
    let readings = node.round();
    for _ in 0..5 {
        kill_process(node.child(), Signal::KILL).expect("it is ours");
        assert_eq!(node.tick(), readings);
    }
    assert_eq!(node.heard.events, []);
}

#[test]
fn children_that_cannot_be_killed_are_few_and_nobody_waits_for_them() {
    let mut node = Node::new(Tree::plant(SERVER), 1500);
    let first = node.tree.place("class/hwmon/hwmon9");
    let Some(first) = Unkillable::mount(&first) else {
        println!("skipped: this process may not mount a file system in user space");
        return;
    };
    node.round();
    assert_eq!(node.heard.subjects(EventKind::SourceHangs), ["/sys/class/hwmon/hwmon9"]);
    assert_eq!(node.heard.of_node(MetricId::ChildrenStuck), 1.0);
    assert_eq!(node.heard.values(MetricId::NvmeLive).len(), 1, "the rest is read");

    // Trials get stuck as well, until the last place is kept for the reader.
    let last = STUCK_MAX as f64 - 1.0;
    eventually("trials are stuck", || {
        node.now_ns += 3600 * SECOND_NS;
        node.tick();
        node.heard.of_node(MetricId::ChildrenStuck) >= last
    });
    for _ in 0..5 {
        node.now_ns += 3600 * SECOND_NS;
        assert!(node.tick() > 0);
    }
    assert_eq!(node.heard.of_node(MetricId::ChildrenStuck), last);

    let second = node.tree.place("class/nvme/nvme9");
    let second = Unkillable::mount(&second).expect("as the first");
    node.now_ns += PAUSE_NS;
    eventually("the reader is stuck, too", || {
        node.tick();
        node.heard.of_node(MetricId::ChildrenStuck) > last
    });
    node.tick();
    assert_eq!(node.sampler.reader_id(), None, "nothing is left to read with");
    assert_eq!(node.heard.values(MetricId::NvmeLive), []);
    assert!(node.heard.events.iter().any(|(_, _, text)| text.contains("cannot end")));
    let context = Context::to_look("/".into(), "/".into());
    let needs = (ENTRY.needs)(&context, &Settings::default());
    assert!(needs.iter().any(|need| need.says.contains("cannot end")), "doctor says so: {needs:?}");

    drop((first, second));
    eventually("all end once the kernel lets go, and one reads again", || {
        node.tick() > 0 && node.heard.of_node(MetricId::ChildrenStuck) == 0.0
    });
    assert_eq!(node.heard.subjects(EventKind::SourceAnswers), ["hardware_sys child"]);
    assert_eq!(node.heard.values(MetricId::NvmeLive).len(), 1);
}

#[test]
fn a_program_that_is_no_child_of_ours_is_not_believed_and_started_rarely() {
    for program in ["/bin/echo", "/bin/yes", "/bin/true", "/bin/cat", "/nowhere"] {
        let tree = Tree::plant(SERVER);
        let mut sampler = HardwareSys::new(Path::new(program), tree.root(), Limits::new(1000, 60));
        let mut heard = Heard::default();
        for _ in 0..50 {
            assert_eq!(sampler.tick(SECOND_NS, &mut heard).readings, 0);
        }
        assert_eq!(heard.subjects(EventKind::SourceHangs), ["hardware_sys child"], "{program}");
        assert_eq!(sampler.devices(), 0);
        assert_eq!(sampler.reader_id(), None);
    }
}

#[test]
fn a_child_dies_with_its_agent() {
    let tree = Tree::plant(SERVER);
    let root = format!("host_root={}", tree.root().display());
    // Host load is not in that tree.
    let mut agent = Running::start(&["--set", &root]);
    let mut child = None;
    eventually("a child reads", || {
        child = child_of(agent.id());
        child.is_some()
    });
    let child = child.expect("just found");
    agent.end(Signal::KILL);
    eventually("it is gone", || !is_running(child));
}

fn child_of(agent: u32) -> Option<Pid> {
    let tasks = std::fs::read_dir(format!("/proc/{agent}/task")).ok()?;
    let children = tasks.flatten().find_map(|task| {
        let children = std::fs::read_to_string(task.path().join("children")).ok()?;
        children.split_whitespace().next()?.parse().ok()
    })?;
    Pid::from_raw(children)
}

#[test]
fn once_devices_are_known_neither_side_allocates() {
    let tree = Tree::plant(SERVER);
    let mut reading = Reading::new(&tree.sys(), Nothing).expect("the tree is there");
    reading.round(1, true);
    reading.round(2, false);
    assert_eq!(allocations(|| (3..20).for_each(|round| reading.round(round, false))), 0);
    let mut sampler = HardwareSys::new(program(), tree.root(), Limits::new(60_000, 60));
    let mut round = || sampler.tick(SECOND_NS, &mut Nothing).readings;
    eventually("two rounds", || round() > 0 && round() > 0);
    assert_eq!(allocations(|| (0..20).for_each(|_| assert!(round() > 0))), 0);
}

#[test]
fn this_machine_s_own_sys_is_read() {
    if !Path::new("/sys/class").is_dir() {
        println!("skipped: this machine has no /sys");
        return;
    }
    let begun_ns = clock::monotonic_ns();
    let mut heard = Heard::default();
    let mut sampler = HardwareSys::new(program(), Path::new("/"), Limits::new(60_000, 60));
    let report = sampler.tick(begun_ns, &mut heard);
    assert_eq!(report.absent(Absence::TooLong), 0, "{report:?}");
    assert_eq!(sampler.hanging(), 0, "{:?}", heard.events);
    println!("{} devices, {report:?}", sampler.devices());
    for (at, value) in &heard.values {
        let (kind, name) = &heard.devices[at.0 as usize];
        println!("{kind} {name} {} {value}", at.1.row().name);
    }
    let physical = std::fs::read_dir("/sys/class/net")
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().join("device").exists())
        .filter(|entry| !entry.path().join("device/physfn").exists());
    let changes = heard.values(MetricId::InterfaceCarrierChanges).len();
    assert!(changes >= physical.count(), "every interface with hardware is read");
    assert!(report.files > 0, "{report:?}");
}
