use bytemuck::Zeroable;
use proptest::prelude::*;

use super::*;

const HBM: u32 = 0x80E0_1801;
const PORT: u32 = 0x8107_8603;

fn event(code: u32, assertion: u8, node: u8) -> FaultEvent {
    FaultEvent { event: code, device: 3, node, assertion, severity: 2, ..FaultEvent::zeroed() }
}

fn phases(reports: &[Report]) -> Vec<(u32, FaultPhase, bool)> {
    reports.iter().map(|of| (of.code, of.record.phase, of.record.replayed)).collect()
}

#[test]
fn a_fault_that_is_told_and_listed_begins_once_and_ends_once() {
    let mut faults = Faults::default();
    faults.are_told(true);
    assert_eq!(faults.look(3, &[]), []);
    let begun = faults.tell(&event(HBM, 1, 0)).expect("news");
    assert_eq!((begun.chip, begun.code, begun.record.phase), (3, HBM, FaultPhase::Raised));
    assert_eq!(faults.tell(&event(HBM, 1, 0)), None, "told twice");
    for _ in 0..3 {
        assert_eq!(faults.list(3, &[HBM]), []);
    }
    let ended = faults.tell(&event(HBM, 0, 0)).expect("news");
    assert_eq!(ended.record.phase, FaultPhase::Cleared);
    for _ in 0..3 {
        assert_eq!(faults.list(3, &[]), []);
    }
}

#[test]
fn the_list_alone_tells_at_once() {
    let mut faults = Faults::default();
    assert_eq!(phases(&faults.list(3, &[PORT])), [(PORT, FaultPhase::Raised, true)]);
    assert_eq!(phases(&faults.list(3, &[PORT, HBM])), [(HBM, FaultPhase::Raised, false)]);
    assert_eq!(phases(&faults.list(3, &[HBM])), [(PORT, FaultPhase::Cleared, false)]);
    assert_eq!(faults.list(3, &[HBM]), []);
    assert_eq!(phases(&faults.list(3, &[HBM, PORT])), [(PORT, FaultPhase::Raised, false)]);
}

#[test]
fn beside_what_is_told_the_list_is_believed_the_second_time() {
    let mut faults = Faults::default();
    faults.are_told(true);
    faults.look(3, &[]);
    assert_eq!(faults.list(3, &[HBM]), [], "it may be on its way");
    assert_eq!(phases(&faults.list(3, &[HBM])), [(HBM, FaultPhase::Raised, false)]);
    assert_eq!(faults.tell(&event(HBM, 1, 0)), None, "told late");
    assert_eq!(faults.list(3, &[]), []);
    assert_eq!(phases(&faults.list(3, &[])), [(HBM, FaultPhase::Cleared, false)]);
    assert_eq!(faults.tell(&event(HBM, 0, 0)), None, "told late");
    assert!(faults.tell(&event(HBM, 1, 0)).is_some(), "it begins again");
}

#[test]
fn the_list_need_not_have_what_is_told() {
    let mut faults = Faults::default();
    faults.are_told(true);
    faults.look(3, &[]);
    assert!(faults.tell(&event(PORT, 1, 0)).is_some());
    for _ in 0..4 {
        assert_eq!(faults.list(3, &[]), []);
    }
    assert!(faults.tell(&event(PORT, 0, 0)).is_some());
}

#[test]
fn each_part_begins_and_ends_by_itself() {
    let mut faults = Faults::default();
    faults.are_told(true);
    faults.look(3, &[]);
    assert!(faults.tell(&event(HBM, 1, 0)).is_some());
    assert!(faults.tell(&event(HBM, 1, 1)).is_some());
    let ended = faults.tell(&event(HBM, 0, 1)).expect("news");
    assert_eq!(ended.record.node_id, 1);
    assert_eq!(faults.tell(&event(HBM, 1, 0)), None, "still open");
}

#[test]
fn what_was_open_before_the_first_look_is_replayed_and_what_a_reset_ended_ends() {
    let mut faults = Faults::default();
    faults.are_told(true);
    let open = [event(HBM, 1, 0), event(PORT, 1, 2)];
    assert_eq!(
        phases(&faults.look(3, &open)),
        [(HBM, FaultPhase::Raised, true), (PORT, FaultPhase::Raised, true)]
    );
    assert_eq!(faults.look(3, &open), []);
    assert_eq!(phases(&faults.look(3, &open[1..])), [(HBM, FaultPhase::Cleared, false)]);
    assert_eq!(faults.tell(&event(HBM, 0, 0)), None, "told late");
}

#[test]
fn what_is_told_before_the_first_look_is_not_replayed_by_it() {
    let mut faults = Faults::default();
    assert!(faults.tell(&event(HBM, 1, 0)).is_some());
    assert_eq!(faults.look(3, &[event(HBM, 1, 0)]), []);
}

#[test]
fn a_notice_happens_each_time_but_is_not_told_twice() {
    let mut faults = Faults::default();
    let notice = |serial| FaultEvent { notice_serial: serial, ..event(PORT, 2, 0) };
    assert!(faults.tell(&notice(7)).is_some());
    assert_eq!(faults.tell(&notice(7)), None);
    assert!(faults.tell(&notice(8)).is_some());
    assert!(faults.tell(&notice(0)).is_some());
    assert!(faults.tell(&notice(0)).is_some());
}

#[test]
fn the_kind_of_part_comes_whole() {
    assert_eq!(part(&event(0x8C20_4E00, 1, 0)).node_type, 0x610);
    let cut = FaultEvent { node_type: 0x10, ..event(0x8C20_4E00, 1, 0) };
    assert_eq!(part(&cut).node_type, 0x610);
    let whole = FaultEvent { node_type_whole: 0x78C, ..cut };
    assert_eq!(part(&whole).node_type, 0x78C);
    let black_box = FaultEvent { node_type: 5, ..event(0xB406_0011, 1, 0) };
    assert_eq!(part(&black_box).node_type, 5);
}

/// The end state of a code as reports told it.
fn told_open(reports: &[Report], code: u32) -> bool {
    reports.iter().filter(|of| of.code == code).fold(false, |open, of| match of.record.phase {
        FaultPhase::Raised => true,
        FaultPhase::Cleared => false,
        _ => open,
    })
}

proptest! {
    /// Whatever is told or listed in whatever order, by one part, a fault
    /// never begins twice without an end between.
    #[test]
    fn begins_and_ends_alternate(
        told in any::<bool>(),
        steps in proptest::collection::vec((0_u8..6, 0_u32..3), 0..200),
    ) {
        let mut faults = Faults::default();
        faults.are_told(told);
        let mut reports = faults.look(3, &[]);
        for (what, code) in steps {
            match what {
                0 => reports.extend(faults.tell(&event(code, 1, 0))),
                1 => reports.extend(faults.tell(&event(code, 0, 0))),
                2 => reports.extend(faults.list(3, &[code])),
                3 => reports.extend(faults.list(3, &[])),
                4 => reports.extend(faults.look(3, &[event(code, 1, 0)])),
                _ => faults.are_told(code > 0),
            }
        }
        for code in 0..3 {
            let mut open = false;
            for report in reports.iter().filter(|of| of.code == code) {
                let raised = report.record.phase == FaultPhase::Raised;
                prop_assert!(!(raised && open), "{code} begins twice: {reports:?}");
                open = raised;
            }
            prop_assert_eq!(open, told_open(&reports, code));
        }
    }

    /// Any bytes are an event, and nothing grows without bound.
    #[test]
    fn hostile_events_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 360 * 4)) {
        let mut faults = Faults::default();
        let events: Vec<FaultEvent> =
            bytes.chunks_exact(360).map(bytemuck::pod_read_unaligned).collect();
        for event in &events {
            if let Some(report) = faults.tell(event) {
                prop_assert!(report.name.len() <= 3 * value::TEXT_BYTES_MAX);
                let _ = severity(&report.record);
            }
        }
        faults.look(events[0].device, &events);
        faults.list(events[0].device, &[events[0].event]);
    }
}
