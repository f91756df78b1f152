//! GPUs read through a stand-in for NVML by real child processes: what hangs,
//! crashes, vanishes or lies costs only itself.

pub(crate) mod scene;

use eagle_eye::platform::clock::{self, SECOND_NS};
use eagle_eye::samplers::accelerator::STUCK_MAX;
use eagle_eye::samplers::accelerator::stand_in::{self, StandIn};
use eagle_eye::schema::{AbsentReason, DeviceState, EventKind, MetricId};
use rustix::process::{Pid, Signal, kill_process};

use crate::binary::Running;
use crate::hardware_sys::unkillable::Unkillable;
use crate::server::{eventually, free_port};
use scene::{Scene, page};

const POWER: MetricId = MetricId::AcceleratorPower;

#[test]
fn what_the_library_says_reaches_readings_and_descriptions() {
    let mut scene = Scene::patient(
        "devices 2\nset gpu1 temperature 71\nset gpu1 power 412500\nset gpu1 throttle 36\n\
         set gpu0 ecc_uncorrected 3\nset gpu1 links_active 17\nprocess gpu1 77 1048576\n\
         text gpu1 serial 165\nset gpu1 banks_none 2\nset gpu1 fabric_health 1\n\
         set gpu1 sram_threshold 1\nset gpu1 temperature_margin 12\n",
    );
    scene.until("all groups", |heard| {
        heard.value("gpu1", MetricId::AcceleratorInforomValid).is_some()
            && heard.value("gpu1", MetricId::AcceleratorLinksActive).is_some()
            && heard.accelerator("gpu1").is_some_and(|of| !of.processes.is_empty())
    });
    let heard = &scene.heard;
    for (name, metric, value) in [
        ("gpu1", MetricId::AcceleratorTemperature, 71.0),
        ("gpu1", POWER, 412.5),
        ("gpu0", MetricId::AcceleratorEccUncorrected, 3.0),
        ("gpu1", MetricId::AcceleratorThrottlePowerCap, 1.0),
        ("gpu1", MetricId::AcceleratorThrottleThermalSoftware, 1.0),
        ("gpu1", MetricId::AcceleratorThrottleThermalHardware, 0.0),
        ("gpu1", MetricId::AcceleratorThrottled, 1.0),
        ("gpu0", MetricId::AcceleratorThrottled, 0.0),
        ("gpu1", MetricId::AcceleratorUtilization, 0.63),
        ("gpu1", MetricId::AcceleratorLinksActive, 17.0),
        ("gpu1", MetricId::AcceleratorClockMax, 1.98e9),
        ("gpu1", MetricId::AcceleratorProcesses, 1.0),
        ("gpu1", MetricId::AcceleratorState, 1.0),
        ("gpu1", MetricId::AcceleratorPowerLimit, 700.0),
        ("gpu1", MetricId::AcceleratorBanksWithoutSpare, 2.0),
        ("gpu1", MetricId::AcceleratorFabricHealthy, 0.0),
        ("gpu0", MetricId::AcceleratorFabricHealthy, 1.0),
        ("gpu1", MetricId::AcceleratorSramThreshold, 1.0),
        ("gpu1", MetricId::AcceleratorTemperatureMargin, 12.0),
    ] {
        assert_eq!(heard.value(name, metric), Some(value), "{name} {}", metric.row().name);
    }
    let gpu1 = heard.accelerator("gpu1").expect("described");
    assert_eq!(gpu1.device_model, "Simulated H100 80GB");
    assert_eq!((gpu1.serial.as_str(), gpu1.pci.as_str()), ("165", "0000:11:00.0"));
    assert_eq!((gpu1.driver.as_str(), gpu1.state), ("580.95.05", DeviceState::Present));
    assert!(gpu1.simulated);
    assert_eq!(gpu1.processes[0].process, 77);
    assert_eq!(gpu1.processes[0].memory_bytes, Some(1 << 20));
    let device = heard.device("gpu1").expect("described");
    assert_eq!((device.kind.as_str(), device.vendor.as_str()), ("gpu", "NVIDIA"));
    assert_eq!(heard.subjects(EventKind::DeviceAppeared).len(), 2);
}

#[test]
fn what_a_gpu_does_not_give_is_absent_with_its_reason_and_costs_no_call() {
    let mut scene = Scene::patient(
        "devices 1\nmissing nvmlDeviceGetEncoderUtilization\n\
         answer gpu0 nvmlDeviceGetDecoderUtilization 4\nanswer gpu0 field82 3\n\
         answer gpu0 nvmlDeviceGetClockInfo 999\n",
    );
    let reason = |scene: &Scene, metric: MetricId| {
        let accelerator = scene.heard.accelerator("gpu0")?;
        let of = accelerator.absent.iter().find(|of| of.metric == metric as u16);
        of.map(|of| of.reason)
    };
    scene.until("all groups", |heard| {
        heard.value("gpu0", MetricId::AcceleratorInforomValid).is_some()
            && heard.value("gpu0", MetricId::AcceleratorPcieLanes).is_some()
    });
    scene.rounds(&["gpu0"], 8);
    for (metric, expected) in [
        (MetricId::AcceleratorEncoder, AbsentReason::NotInLibrary),
        (MetricId::AcceleratorDecoder, AbsentReason::NoPermission),
        (MetricId::AcceleratorMemoryTemperature, AbsentReason::NotSupported),
        (MetricId::AcceleratorFan, AbsentReason::NotSupported),
        (MetricId::AcceleratorClock, AbsentReason::Failed),
    ] {
        assert_eq!(reason(&scene, metric), Some(expected), "{}", metric.row().name);
        assert_eq!(scene.heard.value("gpu0", metric), None);
    }
    // What failed is asked for again; what is not supported is not.
    scene.play("devices 1\n");
    scene.until("the clock is back", |heard| {
        heard.value("gpu0", MetricId::AcceleratorClock).is_some()
    });
    scene.until("that shows", |heard| {
        let of = heard.accelerator("gpu0").map_or(&[][..], |of| &of.absent);
        of.iter().all(|of| of.metric != MetricId::AcceleratorClock as u16)
    });
    assert_eq!(scene.heard.value("gpu0", MetricId::AcceleratorDecoder), None);
}

#[test]
fn a_call_that_hangs_is_named_and_costs_its_own_device() {
    for how in ["sleep", "spin"] {
        let mut scene = Scene::impatient("devices 3\n");
        scene.rounds(&["gpu0", "gpu1", "gpu2"], 2);
        let reader = scene.sampler.reader_id();
        scene.play(&format!("devices 3\nhang gpu1 nvmlDeviceGetTemperature {how}\n"));
        scene.until("it is said", |heard| !heard.of(EventKind::SourceHangs).is_empty());
        let said = scene.heard.of(EventKind::SourceHangs)[0].clone();
        assert_eq!(said.subject, "gpu1");
        assert!(said.text.contains("nvmlDeviceGetTemperature"), "{}", said.text);
        scene.until("the state shows", |heard| {
            heard.value("gpu1", MetricId::AcceleratorState) == Some(5.0)
                && heard.accelerator("gpu1").is_some_and(|of| of.state == DeviceState::Silent)
        });
        assert_eq!(scene.heard.known("gpu1"), 1, "all but its state is absent");
        let silent = scene.heard.accelerator("gpu1").expect("described");
        assert_eq!(silent.silent_call, "nvmlDeviceGetTemperature");
        scene.rounds(&["gpu0", "gpu2"], 5);
        assert_eq!(scene.sampler.reader_id(), reader, "nobody waits behind it");

        scene.play("devices 3\n");
        scene.until("it answers", |heard| heard.value("gpu1", POWER).is_some());
        assert_eq!(scene.heard.subjects(EventKind::SourceAnswers), ["gpu1"]);
        scene.rounds(&["gpu0", "gpu1", "gpu2"], 2);
        assert_eq!(scene.heard.subjects(EventKind::SourceHangs), ["gpu1"], "said once");
    }
}

#[test]
fn a_call_that_holds_up_the_others_is_left_out_by_the_next_child() {
    let mut scene = Scene::new("devices 3\n", 1000, None);
    scene.rounds(&["gpu0", "gpu1", "gpu2"], 2);
    let reader = scene.sampler.reader_id();
    scene.play("devices 3\nhang gpu1 nvmlDeviceGetFieldValues lock\n");
    scene.until("it is said", |heard| heard.subjects(EventKind::SourceHangs).contains(&"gpu1"));
    scene.until("another child reads", |_| true);
    scene.rounds(&["gpu0", "gpu2"], 5);
    assert_ne!(scene.sampler.reader_id(), reader);
    assert_eq!(scene.heard.value("gpu1", POWER), None);
    assert_eq!(scene.heard.value("gpu1", MetricId::AcceleratorState), Some(5.0));
    scene.play("devices 3\n");
    scene.until("it is tried and answers", |heard| heard.value("gpu1", POWER).is_some());
    assert!(scene.heard.subjects(EventKind::SourceAnswers).contains(&"gpu1"));
}

#[test]
fn a_library_that_never_loads_is_said_and_loaded_once_it_answers() {
    let mut scene = Scene::impatient("devices 1\nhang library nvmlInit_v2 sleep\n");
    scene.until("it is said", |heard| !heard.of(EventKind::SourceHangs).is_empty());
    let said = scene.heard.of(EventKind::SourceHangs)[0];
    assert!(said.subject == "nvml" && said.text.contains("nvmlInit_v2"), "{}", said.text);
    scene.play("devices 1\n");
    scene.rounds(&["gpu0"], 3);
    scene.until("that is said", |heard| !heard.of(EventKind::SourceAnswers).is_empty());
}

#[test]
fn a_child_that_crashes_or_is_killed_is_started_again() {
    let mut scene = Scene::patient("devices 2\n");
    scene.rounds(&["gpu0", "gpu1"], 2);
    let reader = scene.sampler.reader_id().and_then(|id| Pid::from_raw(id as i32));
    kill_process(reader.expect("one reads"), Signal::KILL).expect("it is ours");
    scene.rounds(&["gpu0", "gpu1"], 2);
    scene.play("devices 2\ncrash gpu1 nvmlDeviceGetTemperature\n");
    scene.until("that is said", |heard| heard.subjects(EventKind::SourceHangs).contains(&"nvml"));
    scene.until("nothing is known", |heard| heard.value("gpu0", POWER).is_none());
    scene.play("devices 2\n");
    scene.rounds(&["gpu0", "gpu1"], 2);
}

#[test]
fn an_answer_of_nonsense_is_absent_or_out_of_range_and_ends_nothing() {
    let mut scene = Scene::patient(
        "devices 2\ngarbage gpu0 nvmlDeviceGetFieldValues\ngarbage gpu0 nvmlDeviceGetName\n\
         garbage gpu0 nvmlDeviceGetSerial\n",
    );
    scene.rounds(&["gpu1"], 5);
    scene.until("gpu0 is read", |heard| {
        heard.value("gpu0", MetricId::AcceleratorTemperature).is_some()
    });
    assert_eq!(scene.heard.value("gpu0", POWER), None);
    assert_eq!(scene.heard.of(EventKind::SourceHangs).len(), 0);
}

#[test]
fn a_gpu_that_vanishes_is_an_event_and_a_state_and_so_is_its_return() {
    let mut scene = Scene::patient("devices 2\n");
    scene.rounds(&["gpu0", "gpu1"], 2);
    scene.play("devices 2\ngone gpu1\n");
    scene.until("it is said", |heard| {
        heard.subjects(EventKind::DeviceGone) == ["gpu1"]
            && heard.value("gpu1", MetricId::AcceleratorState) == Some(2.0)
    });
    assert_eq!(scene.heard.known("gpu1"), 1);
    let text = &scene.heard.of(EventKind::DeviceGone)[0].text;
    assert!(text.contains("GPU-5131") && text.contains("0000:11:00.0"), "{text}");
    // A restart of the agent does not find it either, and says nothing twice.
    scene.restart();
    scene.rounds(&["gpu0"], 5);
    assert_eq!(scene.heard.subjects(EventKind::DeviceGone), ["gpu1"]);
    scene.play("devices 2\n");
    scene.until("it is back", |heard| heard.subjects(EventKind::DeviceReturned) == ["gpu1"]);
    scene.rounds(&["gpu1"], 2);
    // Each has a thread of its own: which comes first is chance.
    let mut appeared = scene.heard.subjects(EventKind::DeviceAppeared);
    appeared.sort_unstable();
    assert_eq!(appeared, ["gpu0", "gpu1"]);
}

#[test]
fn a_gpu_that_vanished_while_nobody_looked_is_missed() {
    let mut scene = Scene::patient("devices 3\n");
    scene.rounds(&["gpu0", "gpu1", "gpu2"], 1);
    scene.until("that is kept", |heard| heard.of(EventKind::DeviceAppeared).len() == 3);
    scene.play("devices 2\n");
    scene.restart();
    scene.until("it is missed", |heard| heard.subjects(EventKind::DeviceGone) == ["gpu2"]);
}

#[test]
fn an_xid_is_told_once_and_the_recovery_action_read_at_once() {
    let mut scene = Scene::patient("devices 2\n");
    scene.rounds(&["gpu0", "gpu1"], 2);
    scene.until("the thread of events listens", |heard| {
        heard.value("nvml", MetricId::DriverCalls).is_some_and(|calls| calls > 40.0)
    });
    // Written anew with the same event, as an editor would.
    scene.play("devices 2\nset gpu1 recovery_action 2\nevent gpu1 8 79\nevent gpu0 32768 0\n");
    scene.until("it is told", |heard| {
        heard.of(EventKind::Xid).len() == 1 && heard.of(EventKind::DeviceFault).len() == 1
    });
    let xid = scene.heard.of(EventKind::Xid)[0];
    assert_eq!((xid.subject.as_str(), xid.code), ("gpu1", 79));
    scene.until("what the driver wants", |heard| {
        heard.value("gpu1", MetricId::AcceleratorRecoveryAction) == Some(2.0)
    });
    scene.rounds(&["gpu0", "gpu1"], 10);
    assert_eq!(scene.heard.of(EventKind::Xid).len(), 1);
}

#[test]
fn another_driver_is_a_change_and_is_loaded_without_a_restart() {
    let mut scene = Scene::patient("devices 1\ndriver 570.1\n");
    scene.until("it is here", |heard| !heard.of(EventKind::DeviceAppeared).is_empty());
    scene.rounds(&["gpu0"], 1);
    let folder = scene.root().to_owned();
    stand_in::plant(StandIn::Nvml, &folder, "devices 1\ndriver 580.2\n").expect("room for it");
    scene.until("it is said", |heard| !heard.of(EventKind::DeviceChanged).is_empty());
    let text = &scene.heard.of(EventKind::DeviceChanged)[0].text;
    assert!(text.contains("driver is 580.2, it was 570.1"), "{text}");
    scene.rounds(&["gpu0"], 2);
}

#[test]
fn a_library_that_comes_later_is_loaded_without_a_restart() {
    let mut scene = Scene::patient("devices 1\n");
    std::fs::remove_file(&scene.library).expect("it was there");
    scene.until("it is said", |heard| heard.subjects(EventKind::DeviceNotice) == ["nvml"]);
    let folder = scene.root().to_owned();
    stand_in::plant(StandIn::Nvml, &folder, "devices 1\n").expect("room for it");
    scene.rounds(&["gpu0"], 2);
}

#[test]
fn instances_are_parts_with_readings_of_their_own() {
    let mut scene = Scene::patient("devices 1\npart gpu0 2\nprocess gpu0/mig1 9 5\n");
    scene.until("they are read", |heard| {
        heard.value("gpu0/mig1", MetricId::AcceleratorMemoryUsed).is_some()
            && heard.accelerator("gpu0/mig1").is_some_and(|of| of.processes.len() == 1)
    });
    let part = scene.heard.accelerator("gpu0/mig1").expect("described");
    assert_eq!(part.parent, "gpu0");
    assert!(scene.heard.device("gpu0/mig1").is_some_and(|of| of.uuid.starts_with("MIG-")));
}

#[test]
fn events_wait_until_the_journal_takes_them() {
    let mut scene = Scene::patient("devices 2\n");
    scene.heard.refuses = true;
    scene.rounds(&["gpu0", "gpu1"], 2);
    assert!(scene.heard.events.is_empty());
    scene.heard.refuses = false;
    scene.until("they are taken", |heard| heard.of(EventKind::DeviceAppeared).len() == 2);
}

#[test]
fn a_tick_makes_three_calls_for_a_device() {
    let mut scene = Scene::fast_only("devices 2\n");
    scene.rounds(&["gpu0", "gpu1"], 10);
    let now = |scene: &Scene| {
        let rounds = ["gpu0", "gpu1"].map(|name| scene.heard.count(name, POWER));
        (scene.sampler.tally().calls, rounds.iter().sum::<u64>(), clock::monotonic_ns())
    };
    let (calls, rounds, begun_ns) = now(&scene);
    scene.rounds(&["gpu0", "gpu1"], 50);
    let (calls_now, rounds_now, now_ns) = now(&scene);
    let (calls, rounds) = (calls_now - calls, rounds_now - rounds);
    // The thread of events calls once a second, and a beat tells of calls
    // whose values were heard before or are still to come.
    let besides = (now_ns - begun_ns) / SECOND_NS + 2 + 2 * 30;
    assert!(calls <= 3 * rounds + besides, "{calls} calls in {rounds} ticks");
}

#[test]
fn children_that_cannot_end_are_few_and_nobody_waits_for_them() {
    let mut scene = Scene::new("devices 3\n", 1000, None);
    let place = scene.root().join("frozen");
    let Some(frozen) = Unkillable::mount(&place) else {
        println!("skipped: this process may not mount a file system in user space");
        return;
    };
    scene.rounds(&["gpu0", "gpu1", "gpu2"], 2);
    let call = format!("nvmlDeviceGetFieldValues write={}", place.join("x").display());
    scene.play(&format!("devices 3\nhang gpu1 {call}\nhang gpu2 {call}\n"));
    scene.until("both are said", |heard| {
        let said = heard.subjects(EventKind::SourceHangs);
        said.contains(&"gpu1") && said.contains(&"gpu2")
    });
    scene.until("a child is stuck", |heard| {
        heard.value("nvml", MetricId::ChildrenStuck).is_some_and(|stuck| stuck >= 1.0)
    });
    scene.rounds(&["gpu0"], 20);
    let stuck = scene.heard.value("nvml", MetricId::ChildrenStuck).unwrap_or_default();
    assert!(stuck <= STUCK_MAX as f64, "{stuck}");
    assert_eq!(scene.heard.value("gpu1", MetricId::AcceleratorState), Some(5.0));

    scene.play("devices 3\n");
    drop(frozen);
    scene.until("all answer", |heard| {
        heard.value("gpu1", POWER).is_some() && heard.value("gpu2", POWER).is_some()
    });
    scene.until("all that were stuck end", |heard| {
        heard.value("nvml", MetricId::ChildrenStuck) == Some(0.0)
    });
}

#[test]
fn an_agent_with_gpus_only_is_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let scenario = "devices 2\nset gpu1 temperature 71\n";
    let path = stand_in::plant(StandIn::Nvml, folder.path(), scenario).expect("room for it");
    let library = format!("samplers.nvml.library={}", path.display());
    let port = free_port();
    let others = ["engine_scrape", "procfs", "cgroup", "kmsg", "ktrace", "hardware_sys"];
    let off = others.map(|name| format!("samplers.{name}.enabled=false"));
    let mut arguments = vec!["--set", &library];
    off.iter().for_each(|set| arguments.extend(["--set", set]));
    let mut agent = Running::serving(port, &arguments);
    // In whichever order their threads were first.
    let named = |name: &str| {
        let page = page(port, "/v1/devices");
        let mut all = page["devices"].as_array().into_iter().flatten();
        all.find(|device| device["name"] == name).cloned().unwrap_or_default()
    };
    let mut gpu = serde_json::Value::Null;
    eventually("GPUs are shown", || {
        assert!(agent.is_running(), "{}", agent.log());
        gpu = named("gpu1");
        gpu["readings"]["accelerator_temperature_celsius"]["value"] == 71.0
    });
    // What happened before the library was loaded is nobody's to tell.
    stand_in::play(&path, &format!("{scenario}event gpu0 8 48\n")).expect("it can be written");
    eventually("its Xid is shown", || {
        let has_xid = |event: &serde_json::Value| event["code"] == 48 && event["source"] == "nvml";
        named("gpu0")["events"].as_array().is_some_and(|events| events.iter().any(has_xid))
    });
    assert_eq!((&gpu["name"], &gpu["simulated"]), (&"gpu1".into(), &true.into()));
    assert_eq!(gpu["absent"]["accelerator_fan_ratio"], "not supported");
    assert_eq!(gpu["state"], "present");
}
