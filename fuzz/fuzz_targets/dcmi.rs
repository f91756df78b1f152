//! What Ascend's library fills in and tells is taken as hostile: any bytes are
//! an event, a code or a number, what is followed stays bounded, and a fault
//! never begins twice without an end between.
#![no_main]

use std::collections::BTreeSet;

use eagle_eye::samplers::dcmi::code::Failure;
use eagle_eye::samplers::dcmi::faults::{Faults, Report, severity};
use eagle_eye::samplers::dcmi::layout::FaultEvent;
use eagle_eye::samplers::dcmi::value;
use eagle_eye::schema::FaultPhase;
use libfuzzer_sys::fuzz_target;

/// A chip that is looked at, and one part of it: so that events meet.
const CHIP: u16 = 3;

fuzz_target!(|bytes: &[u8]| {
    let mut faults = Faults::default();
    let mut open = BTreeSet::new();
    let mut steps = bytes.iter().copied();
    while let Some(step) = steps.next() {
        let code = u32::from(steps.next().unwrap_or(0) % 4);
        let raised = FaultEvent { event: code, device: CHIP, assertion: 1, ..of(&[]) };
        let reports: Vec<Report> = match step % 8 {
            0 => faults.tell(&raised).into_iter().collect(),
            1 => faults.tell(&FaultEvent { assertion: 0, ..raised }).into_iter().collect(),
            2 => faults.list(CHIP, &[code]),
            3 => faults.list(CHIP, &[]),
            4 => faults.look(CHIP, &[raised]),
            5 => {
                faults.are_told(code > 1);
                Vec::new()
            }
            _ => break,
        };
        for report in reports {
            match report.record.phase {
                FaultPhase::Raised => assert!(open.insert(report.code), "begins twice"),
                _ => {
                    open.remove(&report.code);
                }
            }
        }
    }
    let rest: Vec<u8> = steps.collect();
    let events: Vec<FaultEvent> = rest.chunks(size_of::<FaultEvent>()).map(of).collect();
    for event in &events {
        if let Some(report) = faults.tell(event) {
            assert!(report.name.len() <= value::TEXT_BYTES_MAX);
            let _ = severity(&report.record);
        }
        numbers(event);
    }
    let codes: Vec<u32> = events.iter().map(|event| event.event).collect();
    faults.look(CHIP, &events);
    faults.list(CHIP, &codes);
});

fn of(bytes: &[u8]) -> FaultEvent {
    let mut whole = [0; size_of::<FaultEvent>()];
    whole[..bytes.len()].copy_from_slice(bytes);
    bytemuck::pod_read_unaligned(&whole)
}

/// Numbers are finite or none, codes have words.
fn numbers(event: &FaultEvent) {
    let raw = event.event;
    let signed = raw.cast_signed();
    let answers = [
        value::celsius(signed),
        value::watts(signed),
        value::volts(raw),
        value::hertz(raw),
        value::ratio(raw),
        value::bytes(event.raised),
        value::count(event.raised),
    ];
    assert!(answers.iter().flatten().all(|value| value.is_finite()));
    let failure = Failure::Returned(signed);
    assert!(!failure.says().is_empty());
    let _ = (failure.class(), failure.reason(), value::wall_ns(event.raised));
}
