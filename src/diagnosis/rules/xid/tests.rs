//! Positive cases, near misses, and sources that are absent.

use crate::diagnosis::rules::trial::{Trial, gpu};
use crate::schema::{Action, Event, EventKind, Severity, Trust, VerdictState};

const LOST: &str = "NVRM: Xid (PCI:0000:13:00): 79, pid=1, name=x, GPU has fallen off the bus.";

fn trial() -> Trial {
    let mut trial = Trial::new();
    (0..4).for_each(|at| trial.device(&gpu(at)));
    trial
}

#[test]
fn a_gpu_that_fell_off_the_bus_is_one_verdict_whoever_tells() {
    let mut trial = trial();
    trial.line(LOST);
    trial.line("NVRM: GPU 0000:13:00.0: GPU has fallen off the bus.");
    for text in [
        "NVRM: The NVIDIA GPU 0000:13:00.0",
        "NVRM: (PCI ID: 10de:2330) installed in this system has",
        "NVRM: fallen off the bus and is not responding to commands.",
    ] {
        trial.line(text);
    }
    for (source, subject) in [("ktrace", "0000:13:00.0"), ("nvml", "gpu3")] {
        trial.code(Event {
            kind: EventKind::Xid,
            code: 79,
            source: source.into(),
            subject: subject.into(),
            text: "GPU has fallen off the bus.".into(),
            ..Event::default()
        });
    }
    assert_eq!(trial.judged(), ["xid gpu3 critical: drain and reboot node"]);
    assert_eq!(trial.told()[0].evidence[0].text, LOST);
}

#[test]
fn each_source_alone_is_enough() {
    for text in [
        "NVRM: Xid (PCI:0000:13:00.0): 79",
        "NVRM: GPU 0000:13:00.0: GPU has fallen off the bus.",
        "NVRM: The NVIDIA GPU 0000:13:00.0\nNVRM: (PCI ID: 10de:2330) installed in this system has\nNVRM: fallen off the bus and is not responding to commands.",
    ] {
        let mut trial = trial();
        trial.line(text);
        assert_eq!(trial.judged(), ["xid gpu3 critical: drain and reboot node"], "{text}");
    }
}

#[test]
fn a_gpu_that_nobody_samples_is_named_by_its_address() {
    let mut trial = Trial::new();
    trial.line(LOST);
    assert_eq!(trial.judged(), ["xid 0000:13:00.0 critical: drain and reboot node"]);
}

#[test]
fn only_the_kernel_s_own_word_counts() {
    let mut trial = trial();
    trial.line_of(LOST, 1, Trust::Claimed);
    trial.line_of(LOST, 1, Trust::File);
    trial.line_of(LOST, 86, Trust::Claimed);
    trial.line_of(LOST, 0, Trust::Unknown);
    trial.line(&format!("audit: msg=\"user wrote {LOST}\""));
    assert_eq!(trial.judged(), [""; 0]);
    trial.line_of(LOST, 0, Trust::File);
    assert_eq!(trial.judged().len(), 1);
}

#[test]
fn by_products_point_to_their_cause_before_or_after_it() {
    for cause_first in [true, false] {
        let mut trial = trial();
        let cause = "NVRM: Xid (PCI:0000:11:00): 48, pid='<unknown>', name=<unknown>, DBE: An uncorrectable double bit error";
        let follow = [
            "NVRM: Xid (PCI:0000:11:00): 45, pid=1234, name=train, Ch 00000010",
            "NVRM: Xid (PCI:0000:11:00): 63, pid=1896, name=x, Row Remapper: New row marked for remapping, reset gpu to activate.",
        ];
        if cause_first {
            trial.line(cause);
        }
        follow.iter().for_each(|text| trial.line(text));
        if !cause_first {
            trial.line(cause);
        }
        let open: Vec<_> = trial.stage.open().cloned().collect();
        let id = open.iter().find(|of| of.text.contains("Xid 48")).unwrap().id;
        assert_eq!(open.len(), 3);
        for of in open.iter().filter(|of| of.id != id) {
            assert_eq!(of.caused_by, id, "{}", of.text);
            assert!(of.severity < Severity::Error, "{}", of.text);
        }
    }
}

#[test]
fn an_xid_45_that_names_its_cause_follows_it_and_alone_it_is_nothing_to_act_on() {
    let mut trial = trial();
    trial.line(
        "NVRM: Xid (PCI:0000:11:00): 13, pid=1, name=a, Graphics Exception: ESR 0x50df30=0x107000e",
    );
    trial.line(
        "NVRM: Xid (PCI:0000:11:00): 45, pid=1, name=a, Ch 00000010 caused by previous Xid 13",
    );
    let open: Vec<_> = trial.stage.open().cloned().collect();
    let of = |code: &str| open.iter().find(|of| of.text.contains(code)).unwrap();
    assert_eq!(of("Xid 45").caused_by, of("Xid 13").id);
    let mut trial = Trial::new();
    trial.line("NVRM: Xid (PCI:0000:11:00): 45, pid=1, name=a, Ch 00000010");
    assert_eq!(trial.judged(), ["xid 0000:11:00.0 info: none"]);
}

#[test]
fn the_driver_s_own_advice_outranks_ours() {
    let mut trial = trial();
    trial.line("NVRM: Xid (PCI:0000:11:00): 95, pid=1, name=a, Uncontained: LTC TAG (0x2, 0x1). RST: No, D-RST: No");
    trial.line("NVRM: Xid (PCI:0000:11:00): 154, GPU recovery action changed from 0x0 (None) to 0x2 (Node Reboot Required)");
    assert!(trial.stage.open().all(|of| of.action == Action::RebootNode), "{:?}", trial.judged());
    trial.line("NVRM: Xid (PCI:0000:11:00): 154, GPU recovery action changed from 0x2 (Node Reboot Required) to 0x0 (None)");
    assert!(trial.judged().iter().all(|of| !of.contains("154")));
}

#[test]
fn one_program_is_to_blame_until_several_meet_it_in_the_same_place() {
    let fault = |name: &str, bus: u8, tpc: u8| {
        format!(
            "NVRM: Xid (PCI:0000:{bus:02x}:00): 13, pid=1, name={name}, Graphics SM Warp Exception on (GPC 1, TPC {tpc}, SM 0): Out Of Range Address"
        )
    };
    let mut trial = trial();
    for _ in 0..50 {
        trial.line(&fault("train", 0x10, 3));
    }
    trial.line(&fault("infer", 0x10, 4));
    trial.seconds(60);
    assert_eq!(trial.judged(), ["xid gpu0 warning: restart application"]);
    trial.line(&fault("infer", 0x10, 3));
    assert_eq!(trial.judged(), ["xid gpu0 error: investigate"]);
}

#[test]
fn one_program_on_many_gpus_is_the_program() {
    let mut trial = trial();
    for bus in 0x10..0x14 {
        trial.line(&format!("NVRM: Xid (PCI:0000:{bus:02x}:00): 31, pid=7, name=train, Ch 00000008, intr 00000000. MMU Fault: ENGINE GRAPHICS"));
    }
    let judged = trial.judged();
    assert_eq!(judged.len(), 4);
    assert!(judged.iter().all(|of| of.ends_with("warning: restart application")));
    assert!(trial.stage.open().last().unwrap().cause.contains("GPUs at once"));
}

#[test]
fn model_and_driver_change_what_a_code_means() {
    let link = "NVRM: Xid (PCI:0000:10:00): 149, NETIR_LINK_EVT Fatal XC0 i0 Link 08 (0x004505c6 0x00000000 0x00000000 0x00000000 0x00000000 0x00000000)";
    let mut blackwell = gpu(0);
    let accelerator = blackwell.accelerator.as_mut().unwrap();
    accelerator.device_model = "NVIDIA B200".into();
    let mut trial = Trial::new();
    trial.device(&blackwell);
    trial.line(link);
    trial.line("NVRM: Xid (PCI:0000:10:00): 74, NVLink: fatal error detected on link 14(0x0, 0x0, 0x10000, 0x0, 0x0, 0x0, 0x0)");
    let open: Vec<_> = trial.stage.open().cloned().collect();
    let of = |code: &str| open.iter().find(|of| of.text.contains(code)).unwrap();
    assert!(of("Xid 149").cause.contains("NETIR"), "{}", of("Xid 149").cause);
    assert!(of("Xid 74").severity <= Severity::Warning, "74 is not listed for this model");
}

#[test]
fn consequence_bits_of_74_are_no_fault_of_the_link() {
    let mut trial = trial();
    trial.line("NVRM: Xid (PCI:0000:10:00): 74, NVLink: fatal error detected on link 3(0x2, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0)");
    assert_eq!(trial.judged(), ["xid gpu0 info: none"]);
}

#[test]
fn parts_of_a_gpu_have_verdicts_of_their_own() {
    let mut trial = trial();
    for part in ["05", "03"] {
        trial.line(&format!("NVRM: Xid (PCI:0000:10:00 GPU-I:{part}): 94, pid=7194, Contained: CE User Channel (0x9). RST: No, D-RST: No"));
    }
    assert_eq!(trial.stage.open().count(), 2);
    assert!(trial.stage.open().all(|of| of.text.contains("GPU instance")));
}

#[test]
fn an_unknown_code_is_told_and_a_reset_ends_what_was() {
    let mut trial = trial();
    trial.line("NVRM: Xid (PCI:0000:10:00): 99999, unknown error");
    trial.line("NVRM: Xid (PCI:0000:10:00): 62, x");
    assert_eq!(trial.judged().len(), 2);
    trial.event(EventKind::DeviceReturned, "gpu0", "it is back");
    trial.seconds(1);
    let told = trial.told();
    assert!(told.iter().any(|of| of.state == VerdictState::Resolved && of.text.contains("Xid 62")));
}

#[test]
fn a_firmware_without_a_heartbeat_is_told_once_and_follows_from_its_time_out() {
    let silent =
        "NVRM: GPU1 _kgspIsHeartbeatTimedOut: Heartbeat timed out, currentTimeMs 8 timeout 5200";
    let mut trial = trial();
    trial.line(silent);
    trial.line("NVRM: GPU1 kgspHeartbeat: fine");
    assert_eq!(trial.judged(), ["xid node1 error: reset device"]);
    trial.seconds(20);
    for code in ["119, Timeout after 6s of waiting for RPC response", "120, GSP task panic"] {
        trial.line(&format!("NVRM: Xid (PCI:0000:11:00): {code}"));
    }
    let alone = trial.stage.open().filter(|of| of.caused_by == 0).count();
    assert_eq!(alone, 1, "{:?}", trial.judged());
}

#[test]
fn what_was_said_of_an_address_goes_over_to_the_device_that_stands_there() {
    let lost = "NVRM: Xid (PCI:0000:11:00): 79, GPU has fallen off the bus.";
    let mut trial = Trial::new();
    trial.line(lost);
    trial.line("NVRM: Xid (PCI:0000:11:00): 45, pid=1, name=a, Ch 00000010");
    trial.device(&gpu(0));
    assert!(trial.stage.open().all(|of| of.subject == "0000:11:00.0"), "it stands elsewhere");
    trial.device(&gpu(1));
    trial.line(lost);
    let open: Vec<_> = trial.stage.open().cloned().collect();
    assert_eq!(trial.judged(), ["xid gpu1 critical: drain and reboot node", "xid gpu1 info: none"]);
    let of = |code: &str| open.iter().find(|of| of.text.contains(code)).unwrap();
    assert_eq!((of("Xid 79").count, of("Xid 45").caused_by), (2, of("Xid 79").id));
    assert!(of("Xid 79").text.starts_with("gpu1 "), "{}", of("Xid 79").text);
    let told = trial.told();
    let over: Vec<_> = told.iter().filter(|of| of.state == VerdictState::Resolved).collect();
    assert_eq!(over.len(), 2);
    assert!(over.iter().all(|of| open.iter().any(|on| on.id == of.caused_by)));
    trial.event(EventKind::DeviceReturned, "gpu1", "it is back");
    trial.seconds(1);
    assert_eq!(trial.judged(), [""; 0]);
}
