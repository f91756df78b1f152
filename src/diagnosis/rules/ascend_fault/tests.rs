//! Positive cases, near misses, and sources that are absent.

use crate::diagnosis::rules::trial::{Trial, device};
use crate::schema::{Event, EventKind, FaultPhase, FaultRecord, Severity, Trust};

const HEARTBEAT: &str = "[ascend] [ERROR] [drv_soft_fault] [heart_beat_judge 318] <kworker/5:1H:39365> Heartbeat lost! (device_id=1; old_count=1104; current_count=1104; lost_count=4; total_lost_count=4)";

fn printed(code: &str, chip: u32, assertion: u32, serial: u32) -> String {
    format!(
        "[ascend] [ERROR] [fault_manager] [dms_fault_event_print 1411] event_id={code}; device_id={chip}; node_type=0x70[HBM]; node_id=0; sub_node_id=0; event_type=0xc[Memory]; severity=3[Critical]; assertion={assertion}[x]; description=[]; os_id=0; event_serial_num={serial}; notify_serial_num=15; event_raised_time=1752000000123 ms."
    )
}

#[test]
fn both_texts_of_a_lost_heartbeat_are_one_lost_card() {
    let mut trial = Trial::new();
    trial.line(HEARTBEAT);
    trial.line(&HEARTBEAT.replace("device_id=", "device="));
    assert_eq!(trial.judged(), ["ascend_fault npu1 critical: reset device"]);
}

#[test]
fn the_driver_s_own_facility_counts_where_there_is_such_a_chip() {
    let mut trial = Trial::new();
    trial.line_of(HEARTBEAT, 86, Trust::Claimed);
    assert_eq!(trial.judged(), [""; 0], "no chip");
    trial.device(&device(7, "npu", "npu1"));
    trial.line_of(HEARTBEAT, 1, Trust::Claimed);
    assert_eq!(trial.judged(), [""; 0], "somebody's facility");
    trial.line_of(HEARTBEAT, 86, Trust::Claimed);
    assert_eq!(trial.judged().len(), 1);
}

#[test]
fn a_fault_ends_when_the_driver_says_so() {
    let mut trial = Trial::new();
    trial.line(&printed("0x80e01801", 0, 1, 12));
    assert_eq!(trial.judged(), ["ascend_fault npu0 error: restart application"]);
    trial.line(&printed("0x80e01801", 0, 0, 12));
    assert_eq!(trial.judged(), [""; 0]);
}

#[test]
fn a_line_and_an_event_of_one_report_are_one() {
    let mut trial = Trial::new();
    trial.line(&printed("0x80e01801", 0, 1, 12));
    trial.code(Event {
        kind: EventKind::DeviceFault,
        source: "dcmi".into(),
        subject: "npu0".into(),
        code: 0x80e0_1801,
        fault: Some(FaultRecord {
            phase: FaultPhase::Raised,
            serial: 12,
            ..FaultRecord::default()
        }),
        ..Event::default()
    });
    assert_eq!(trial.stage.open().map(|of| of.count).collect::<Vec<_>>(), [1]);
}

#[test]
fn what_comes_too_often_in_a_day_is_a_person_s_case() {
    let mut trial = Trial::new();
    let line = |serial| printed("0x80DF8008", 2, 1, serial);
    trial.line(&line(1));
    assert_eq!(trial.judged(), ["ascend_fault npu2 critical: reset device"]);
    trial.seconds(7200);
    trial.line(&line(2));
    assert_eq!(trial.judged(), ["ascend_fault npu2 critical: replace part"]);
}

#[test]
fn the_same_code_on_several_chips_at_once_is_counted_against_none() {
    let mut trial = Trial::new();
    for (serial, chip) in [(1, 0), (2, 1), (3, 1), (4, 1)] {
        trial.line(&printed("0x80DF8008", chip, 1, serial));
    }
    assert!(trial.judged().iter().all(|of| of.ends_with("reset device")), "{:?}", trial.judged());
    assert!(trial.stage.open().any(|of| of.cause.contains("at once")));
}

#[test]
fn a_link_that_stays_down_takes_its_chip_out_and_one_that_comes_back_does_not() {
    let mut trial = Trial::new();
    trial.line(&printed("0x81078603", 0, 1, 5));
    trial.seconds(10);
    trial.line(&printed("0x81078603", 0, 0, 5));
    trial.seconds(60);
    assert_eq!(trial.judged(), [""; 0]);
    trial.line(&printed("0x81078603", 0, 1, 6));
    trial.seconds(30);
    let judged = trial.judged();
    assert!(judged.contains(&"ascend_fault npu0 error: repair link".to_owned()), "{judged:?}");
}

#[test]
fn a_failed_retry_with_a_lost_link_is_graver_than_each() {
    let mut trial = Trial::new();
    trial.line(&printed("0x8C1F860B", 0, 2, 1));
    assert!(trial.stage.open().all(|of| of.severity < Severity::Critical));
    trial.line(&printed("0x81078603", 0, 1, 2));
    assert!(trial.stage.open().any(|of| of.severity == Severity::Critical));
}

#[test]
fn a_code_s_state_may_stand_in_the_next_line() {
    let success = "[ascend] [dms_module] [dms_sensor_report 673] Event Process Success. (Event id=0x80E18008; Node Type=0x70; Sensor num=0x1; name=\"hbm\"; Sensor Type=0xc0)";
    let info = |assertion| {
        format!(
            "[ascend] [dms_module] [dms_sensor_report 677] Event Info. (Sensor Object=0x0; assertion={assertion}; severity=2; event_state=0x8; private_data=0x0)"
        )
    };
    let mut trial = Trial::new();
    trial.line(success);
    trial.line(&info(0));
    assert_eq!(trial.judged(), [""; 0]);
    trial.line(success);
    trial.line(&info(1));
    assert_eq!(trial.judged(), ["ascend_fault node1 critical: reset device"]);
}

#[test]
fn an_unknown_code_is_named_by_its_bits_and_information_is_none() {
    let mut trial = Trial::new();
    trial.line(&printed("0x80E01802", 0, 1, 1));
    assert!(trial.stage.open().next().unwrap().text.contains("HBM"));
    let mut trial = Trial::new();
    trial.line("[ascend] [drv_pcie] [INFO] [devdrv_init_dev_num 2248] <systemd-udevd:4853:4853> Findout device. (index=7; device=d105; dev_num=0)");
    assert_eq!(trial.judged(), [""; 0]);
}

#[test]
fn a_bus_switch_has_its_own_codes() {
    let mut trial = Trial::new();
    trial.line("[WARN] switch fault [0x00f103b0,155907,na,na] Assertion");
    assert_eq!(trial.judged(), ["ascend_fault node1 critical: contact vendor"]);
    trial.line("[WARN] switch fault [0x00f103b0,155907,na,na] Recover");
    assert_eq!(trial.judged(), [""; 0]);
    trial.line("[WARN] switch fault [0x00f1ff09,155913,cpu,na] Assertion");
    assert_eq!(trial.judged(), ["ascend_fault node1 warning: investigate"]);
    let unknown = trial.stage.open().next().expect("it was just judged");
    assert!(!unknown.cause.is_empty() && !unknown.steps.is_empty());
}
