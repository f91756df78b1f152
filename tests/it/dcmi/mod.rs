//! NPUs read through a stand-in for DCMI by real child processes, by either
//! generation of its functions.

mod scene;

use eagle_eye::samplers::accelerator::stand_in::{self, StandIn};
use eagle_eye::schema::{AbsentReason, DeviceState, Event, EventKind, FaultPhase, MetricId};
use rustix::process::{Pid, Signal, kill_process};

use crate::nvml::scene::Heard;
use scene::Scene;

const POWER: MetricId = MetricId::AcceleratorPower;
const HBM_FAULT: u64 = 0x80E0_1801;
const PORT_FAULT: u64 = 0x8107_8603;

fn reason(heard: &Heard, name: &str, metric: MetricId) -> Option<AbsentReason> {
    let accelerator = heard.accelerator(name)?;
    let of = accelerator.absent.iter().find(|of| of.metric == metric as u16);
    of.map(|of| of.reason)
}

/// Faults of a code, with their phases and whether they were there before.
fn faults(events: &[Event], code: u64) -> Vec<(&str, FaultPhase, bool)> {
    let of =
        events.iter().filter(|event| event.kind == EventKind::DeviceFault && event.code == code);
    of.filter_map(|event| {
        let fault = event.fault?;
        Some((event.subject.as_str(), fault.phase, fault.replayed))
    })
    .collect()
}

fn all_groups(scene: &mut Scene, name: &str) {
    scene.until("all groups", |heard| {
        heard.value(name, MetricId::AcceleratorThrottled).is_some()
            && heard.value(name, MetricId::NpuFlashesBad).is_some()
            && heard.value(name, MetricId::AcceleratorProcesses).is_some()
    });
}

/// What the stand-in says of itself.
fn assert_described(scene: &Scene, generation: u32) {
    let heard = &scene.heard;
    let npu1 = heard.accelerator("npu1").expect("described");
    assert_eq!(npu1.device_model, "Simulated 910B2 V1");
    assert_eq!((npu1.serial.as_str(), npu1.pci.as_str()), ("02KABC", "0000:c1:00.0"));
    assert_eq!(npu1.driver, if generation == 1 { "24.1.rc2" } else { "25.5.0" });
    assert_eq!(npu1.firmware, "7.5.0.1");
    assert!(npu1.simulated);
    assert_eq!(npu1.processes[0].process, 4711);
    assert_eq!(npu1.processes[0].memory_bytes, Some(1 << 30));
    let device = heard.device("npu1").expect("described");
    assert_eq!((device.kind.as_str(), device.vendor.as_str()), ("npu", "Huawei"));
    assert!(device.uuid.starts_with("0000d1e1-"), "{}", device.uuid);
}

const BUSY: &str = "\
set npu1 temperature 71
set npu1 power 3105
set npu1 core 90
set npu1 mhz_7 1200
set npu1 memory_used 60000
set npu1 ecc_single 5
set npu1 ecc_double 1
set npu1 next_double 2
set npu1 hccs_sent 10
set npu1 hccs_crc 2
set npu1 pcie_link_crc 3
set npu1 pcie_lane 4
set npu1 pcie_retries 6
set npu1 network_health 3
set npu1 network_base 500
set npu1 sensor_12 61
set npu1 flash_bad 1
set npu1 health 2
set npu1 sio_receive 8
text npu1 serial 02KABC
process npu1 4711 1073741824
";

#[test]
fn what_the_library_says_reaches_readings_and_descriptions_in_both_generations() {
    for generation in [1, 2] {
        let lines = format!("devices 2\ngeneration {generation}\n{BUSY}");
        let mut scene = Scene::patient(&lines);
        all_groups(&mut scene, "npu0");
        all_groups(&mut scene, "npu1");
        scene.until("it is described", |heard| {
            heard.accelerator("npu1").is_some_and(|of| !of.processes.is_empty())
        });
        let heard = &scene.heard;
        for (metric, value) in [
            (MetricId::AcceleratorTemperature, 71.0),
            (POWER, 310.5),
            (MetricId::AcceleratorVoltage, 0.83),
            (MetricId::AcceleratorClock, 1.2e9),
            (MetricId::AcceleratorClockMax, 1.65e9),
            (MetricId::AcceleratorThrottled, 1.0),
            (MetricId::AcceleratorUtilization, 0.55),
            (MetricId::NpuAiCore, 0.9),
            (MetricId::NpuAiCube, 0.3),
            (MetricId::NpuVectorCore, 0.2),
            (MetricId::NpuAiCpu, 0.1),
            (MetricId::AcceleratorMemoryUsed, 62_914_560_000.0),
            (MetricId::AcceleratorMemoryTotal, 68_719_476_736.0),
            (MetricId::AcceleratorMemoryTemperature, 48.0),
            (MetricId::AcceleratorMemoryActivity, 0.12),
            (MetricId::AcceleratorMemoryClock, 1.6e9),
            (MetricId::AcceleratorTemperatureSlowdown, 90.0),
            (MetricId::AcceleratorTemperatureShutdown, 105.0),
            (MetricId::AcceleratorEccEnabled, 1.0),
            (MetricId::AcceleratorEccCorrected, 5.0),
            (MetricId::AcceleratorEccUncorrected, 1.0),
            (MetricId::NpuPagesIsolateNextCorrected, 0.0),
            (MetricId::NpuPagesIsolateNextUncorrected, 2.0),
            (MetricId::AcceleratorLinks, 7.0),
            (MetricId::NpuHccsSent, 70.0),
            (MetricId::AcceleratorLinkCrcErrors, 14.0),
            (MetricId::AcceleratorPcieErrors, 7.0),
            (MetricId::NpuPcieLaneErrors, 4.0),
            (MetricId::AcceleratorPcieReplays, 6.0),
            (MetricId::AcceleratorNetworkHealth, 3.0),
            // By their places among the counters.
            (MetricId::NpuMacPauseSent, 500.0),
            (MetricId::NpuMacPfcReceived, 511.0),
            (MetricId::NpuMacFcsErrors, 528.0),
            (MetricId::NpuRoceRetries, 542.0),
            (MetricId::NpuRoceEcn, 543.0),
            (MetricId::NpuOpticalPresent, 1.0),
            (MetricId::NpuOpticalTemperature, 61.0),
            (MetricId::NpuFlashes, 2.0),
            (MetricId::NpuFlashesBad, 1.0),
            (MetricId::NpuBootStage, 16.0),
            (MetricId::NpuSioReceivedErrors, 8.0),
            (MetricId::AcceleratorHealthLevel, 2.0),
            (MetricId::AcceleratorErrorCodes, 0.0),
            (MetricId::AcceleratorProcesses, 1.0),
            (MetricId::AcceleratorState, 1.0),
        ] {
            let name = metric.row().name;
            assert_eq!(heard.value("npu1", metric), Some(value), "{name}, {generation}");
        }
        assert_eq!(heard.value("npu0", MetricId::AcceleratorThrottled), Some(0.0));
        assert_described(&scene, generation);
    }
}

#[test]
fn what_an_npu_does_not_give_is_absent_with_its_reason() {
    let mut scene = Scene::patient(
        "devices 1\necc_bytes 28\nmissing dcmi_get_device_voltage\n\
         answer npu0 dcmi_get_device_network_health -8013\n\
         answer npu0 dcmi_get_device_resource_info -8002\n\
         answer npu0 dcmi_get_device_info/16/5 -8255\n\
         answer npu0 dcmi_get_device_sensor_info/12 -8008\n\
         answer npu0 dcmi_get_netdev_pkt_stats_info -8255\n\
         answer npu0 dcmi_get_device_pcie_error_cnt -8005\n\
         set npu0 memory_temperature 32765\nset npu0 hccs_sent 3\n",
    );
    scene.until("all groups", |heard| {
        heard.value("npu0", MetricId::NpuFlashesBad).is_some()
            && heard.value("npu0", MetricId::NpuHccsSent).is_some()
    });
    for (metric, expected) in [
        (MetricId::AcceleratorVoltage, AbsentReason::NotInLibrary),
        (MetricId::AcceleratorNetworkHealth, AbsentReason::NoPermission),
        (MetricId::AcceleratorProcesses, AbsentReason::NoPermission),
        (MetricId::NpuMacSent, AbsentReason::NotSupported),
        (MetricId::NpuOpticalTemperature, AbsentReason::NotSupported),
        (MetricId::AcceleratorPcieErrors, AbsentReason::Failed),
        (MetricId::AcceleratorMemoryTemperature, AbsentReason::Failed),
        (MetricId::NpuPagesIsolateNextUncorrected, AbsentReason::NotInLibrary),
    ] {
        scene.until(metric.row().name, |heard| reason(heard, "npu0", metric) == Some(expected));
        assert_eq!(scene.heard.value("npu0", metric), None, "{}", metric.row().name);
    }
    // An older driver's counters of 32 bits, and an empty port.
    assert_eq!(scene.heard.value("npu0", MetricId::NpuHccsSent), Some(21.0));
    assert_eq!(scene.heard.value("npu0", MetricId::NpuOpticalPresent), Some(0.0));
    assert_eq!(scene.heard.value("npu0", MetricId::AcceleratorEccCorrected), Some(0.0));
    // What failed is asked for again.
    scene.play("devices 1\n");
    let metric = MetricId::AcceleratorPcieErrors;
    scene.until("it is back", |heard| {
        heard.value("npu0", metric).is_some() && reason(heard, "npu0", metric).is_none()
    });
}

#[test]
fn an_old_driver_gives_one_use_after_the_other_and_lists_its_faults() {
    let lines = "devices 1\nmissing dcmi_get_device_multi_utilization_rate\n\
                 missing dcmi_subscribe_fault_event\n\
                 missing dcmi_get_device_current_fault_event\nset npu0 percent_2 77\n";
    let mut scene = Scene::patient(lines);
    scene.until("that is said", |heard| !heard.of(EventKind::DeviceNotice).is_empty());
    all_groups(&mut scene, "npu0");
    assert_eq!(scene.heard.value("npu0", MetricId::NpuAiCore), Some(0.77));
    assert_eq!(scene.heard.value("npu0", MetricId::AcceleratorUtilization), Some(0.35));
    let text = &scene.heard.of(EventKind::DeviceNotice)[0].text;
    assert!(text.contains("listed"), "{text}");

    scene.play(&format!("{lines}fault npu0 0x80E01801 severity=3\n"));
    scene.until("it begins", |heard| !faults(&heard.events, HBM_FAULT).is_empty());
    scene.play(lines);
    scene.until("it ends", |heard| faults(&heard.events, HBM_FAULT).len() == 2);
    assert_eq!(
        faults(&scene.heard.events, HBM_FAULT),
        [("npu0", FaultPhase::Raised, false), ("npu0", FaultPhase::Cleared, false)]
    );
    let begun = &scene.heard.of(EventKind::DeviceFault)[0];
    assert!(begun.text.contains("text of 80E01801"), "{}", begun.text);
    assert_eq!(begun.fault.map(|fault| fault.node_type), Some(0x70));
}

#[test]
fn a_fault_that_is_told_and_listed_begins_once_and_ends_once() {
    for generation in [1, 2] {
        let calm = format!("devices 2\ngeneration {generation}\n");
        let mut scene = Scene::patient(&calm);
        scene.rounds(&["npu0", "npu1"], 3);
        scene.play(&format!(
            "{calm}event npu1 1 0x80E01801 severity=3 node=2 serial=41 raised=1700000000\n\
             fault npu1 0x80E01801 severity=3 node=2 serial=41\n"
        ));
        scene.until("it begins", |heard| !faults(&heard.events, HBM_FAULT).is_empty());
        scene.until("it is listed", |heard| {
            heard.value("npu1", MetricId::AcceleratorErrorCodes) == Some(1.0)
        });
        scene.rounds(&["npu1"], 30);
        scene.play(&format!(
            "{calm}event npu1 0 0x80E01801 severity=3 node=2 serial=42\n\
             event npu1 2 0x81078603 serial=43\n"
        ));
        scene.until("it ends", |heard| {
            faults(&heard.events, HBM_FAULT).len() > 1
                && !faults(&heard.events, PORT_FAULT).is_empty()
        });
        scene.rounds(&["npu1"], 30);
        let events = &scene.heard.events;
        assert_eq!(
            faults(events, HBM_FAULT),
            [("npu1", FaultPhase::Raised, false), ("npu1", FaultPhase::Cleared, false)]
        );
        assert_eq!(faults(events, PORT_FAULT), [("npu1", FaultPhase::Occurred, false)]);
        let begun = scene.heard.of(EventKind::DeviceFault)[0];
        let fault = begun.fault.expect("in parts");
        assert_eq!((fault.severity, fault.node_id, fault.node_type), (3, 2, 0x70));
        assert_eq!((fault.serial, fault.raised_wall_ns), (41, 1_700_000_000_000_000_000));
        assert_eq!(begun.severity, eagle_eye::schema::Severity::Critical);
    }
}

#[test]
fn what_is_open_at_the_start_is_replayed_and_another_child_says_nothing_twice() {
    let open = "devices 1\nfault npu0 0x80E01801 severity=3\nfault npu0 0x81078603 severity=2\n";
    let mut scene = Scene::patient(open);
    scene.until("they are told", |heard| {
        !faults(&heard.events, HBM_FAULT).is_empty()
            && !faults(&heard.events, PORT_FAULT).is_empty()
    });
    assert_eq!(faults(&scene.heard.events, HBM_FAULT), [("npu0", FaultPhase::Raised, true)]);
    scene.play("devices 1\nfault npu0 0x80E01801 severity=3\n");
    let reader = scene.sampler.reader_id().and_then(|id| Pid::from_raw(id as i32));
    kill_process(reader.expect("one reads"), Signal::KILL).expect("it is ours");
    scene.until("the other ended", |heard| faults(&heard.events, PORT_FAULT).len() == 2);
    scene.rounds(&["npu0"], 15);
    assert_eq!(
        faults(&scene.heard.events, PORT_FAULT),
        [("npu0", FaultPhase::Raised, true), ("npu0", FaultPhase::Cleared, false)]
    );
    assert_eq!(faults(&scene.heard.events, HBM_FAULT).len(), 1);
}

#[test]
fn a_chip_that_vanishes_resets_or_is_upgraded_is_an_event_and_a_state() {
    let mut scene = Scene::patient("devices 2\n");
    scene.rounds(&["npu0", "npu1"], 2);
    for (lines, kind, state) in [
        ("gone npu1\n", EventKind::DeviceGone, DeviceState::Gone),
        ("answer npu1 * -8012\n", EventKind::DeviceResetting, DeviceState::Resetting),
        ("answer npu1 * -8017\n", EventKind::DeviceUpgrading, DeviceState::Upgrading),
    ] {
        let returned = scene.heard.of(EventKind::DeviceReturned).len();
        scene.play(&format!("devices 2\n{lines}"));
        scene.until("it is said", |heard| {
            heard.subjects(kind) == ["npu1"]
                && heard.accelerator("npu1").is_some_and(|of| of.state == state)
        });
        assert_eq!(scene.heard.value("npu1", POWER), None);
        assert_eq!(
            scene.heard.value("npu1", MetricId::AcceleratorState),
            Some(f64::from(state as u8))
        );
        scene.rounds(&["npu0"], 3);
        scene.play("devices 2\n");
        scene.until("it is back", |heard| {
            heard.of(EventKind::DeviceReturned).len() == returned + 1
                && heard.value("npu1", POWER).is_some()
        });
    }
    // Each has a thread of its own: which comes first is chance.
    let mut appeared = scene.heard.subjects(EventKind::DeviceAppeared);
    appeared.sort_unstable();
    assert_eq!(appeared, ["npu0", "npu1"]);
}

#[test]
fn a_chip_whose_call_hangs_is_named_and_costs_itself() {
    let mut scene = Scene::impatient("devices 3\ncards 3\n");
    scene.rounds(&["npu0", "npu1", "npu2"], 2);
    scene.play("devices 3\ncards 3\nhang npu1 dcmi_get_device_hbm_info sleep\n");
    scene.until("it is said", |heard| !heard.of(EventKind::SourceHangs).is_empty());
    let said = scene.heard.of(EventKind::SourceHangs)[0].clone();
    assert_eq!(said.subject, "npu1");
    assert!(said.text.contains("dcmi_get_device_hbm_info"), "{}", said.text);
    scene.until("the state shows", |heard| {
        heard.accelerator("npu1").is_some_and(|of| of.state == DeviceState::Silent)
    });
    scene.rounds(&["npu0", "npu2"], 5);
    scene.play("devices 3\ncards 3\n");
    scene.until("it answers", |heard| heard.value("npu1", POWER).is_some());
    assert_eq!(scene.heard.subjects(EventKind::SourceHangs), ["npu1"]);
    assert_eq!(scene.heard.subjects(EventKind::SourceAnswers), ["npu1"]);
}

#[test]
fn a_library_that_locks_is_read_on_without_the_chip() {
    let mut scene = Scene::impatient("devices 3\n");
    scene.rounds(&["npu0", "npu1", "npu2"], 2);
    let reader = scene.sampler.reader_id();
    scene.play("devices 3\nhang npu1 dcmi_get_device_temperature lock\n");
    scene.until("it is said", |heard| heard.subjects(EventKind::SourceHangs).contains(&"npu1"));
    scene.rounds(&["npu0", "npu2"], 5);
    assert_ne!(scene.sampler.reader_id(), reader);
    scene.play("devices 3\n");
    scene.until("it is tried and answers", |heard| heard.value("npu1", POWER).is_some());
}

#[test]
fn nonsense_in_any_answer_is_absent_or_a_number_and_ends_nothing() {
    let mut scene = Scene::patient("devices 2\ngarbage npu0 *\n");
    scene.rounds(&["npu1"], 25);
    scene.until("npu0 is here", |heard| heard.accelerator("npu0").is_some());
    assert_eq!(scene.heard.of(EventKind::SourceHangs).len(), 0);
    assert_eq!(scene.heard.value("npu0", MetricId::AcceleratorTemperature), None);
    let serial = &scene.heard.accelerator("npu0").expect("described").serial;
    assert!(serial.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{serial:?}");
}

#[test]
fn a_driver_that_refuses_to_begin_is_said_with_the_remedy_and_begins_later() {
    let mut scene = Scene::patient("devices 1\nanswer library dcmi_init -8005\n");
    scene.until("it is said", |heard| !heard.of(EventKind::DeviceNotice).is_empty());
    let text = &scene.heard.of(EventKind::DeviceNotice)[0].text;
    assert!(text.contains("dcmi_init"), "{text}");
    scene.play("devices 1\n");
    scene.rounds(&["npu0"], 2);
}

#[test]
fn another_driver_is_loaded_without_a_restart() {
    let mut scene = Scene::patient("devices 1\ndriver 24.1\n");
    scene.until("it is here", |heard| !heard.of(EventKind::DeviceAppeared).is_empty());
    scene.rounds(&["npu0"], 1);
    let folder = scene.root().to_owned();
    stand_in::plant(StandIn::Dcmi, &folder, "devices 1\ndriver 25.5\n").expect("room for it");
    scene.until("it is said", |heard| !heard.of(EventKind::DeviceChanged).is_empty());
    let text = &scene.heard.of(EventKind::DeviceChanged)[0].text;
    assert!(text.contains("driver is 25.5, it was 24.1"), "{text}");
    scene.rounds(&["npu0"], 2);
}
