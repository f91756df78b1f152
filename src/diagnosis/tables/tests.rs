//! The tables are whole, and agree with the catalogues that they come from.

use super::ascend::{AscendFault, Bits, Level};
use super::nvlink::{LinkBit, LinkError, xid_74_bits};
use super::*;

#[test]
fn every_row_is_there() {
    assert_eq!(xid::all().len(), 177);
    assert_eq!(sxid::all().len(), 400);
    assert_eq!(nvlink::all().len(), 95);
    assert_eq!(ascend::all().count(), 922);
    let codes: Vec<u16> = xid::all().iter().map(|row| row.code).collect();
    assert_eq!(codes, (1..=177).collect::<Vec<_>>());
}

#[test]
fn every_code_has_severity_action_cause_and_steps() {
    let whole = |meaning: &Meaning, code: &str| {
        assert!(meaning.known, "{code}");
        assert!(!meaning.meaning.is_empty() && !meaning.cause.is_empty(), "{code}");
        assert!(!meaning.steps.is_empty(), "{code}");
        assert!(!meaning.source.is_empty(), "{code}");
    };
    for row in xid::all() {
        whole(&xid::meaning(row.code.into(), Architecture::Unknown), row.name);
    }
    for row in sxid::all() {
        whole(&sxid::meaning(row.code.into(), None), row.name);
    }
    for row in ascend::all() {
        whole(&row.to_meaning(), row.code);
    }
    for (workflow, steps) in advice::all_workflows() {
        assert!(steps > 0, "{workflow}");
    }
}

/// How many rows of a table have each severity.
fn grades(severities: impl Iterator<Item = Severity>) -> [usize; 4] {
    let mut counts = [0; 4];
    severities.for_each(|severity| counts[severity as usize] += 1);
    counts
}

#[test]
fn severities_agree_with_the_catalogue_s_counts() {
    // Info, warning (with 154, which is to be followed), critical, fatal.
    assert_eq!(grades(xid::all().iter().map(|row| row.severity)), [27, 114, 18, 18]);
    assert_eq!(grades(sxid::all().iter().map(|row| row.severity)), [50, 209, 3, 138]);
    let level = |level| ascend::all().filter(|row| row.level == level).count();
    assert_eq!(level(Level::NotHandle), 149);
    assert_eq!(level(Level::Restart), 162);
    assert_eq!(level(Level::PreSeparate), 202);
    assert_eq!(ascend::all().filter(|row| row.times_in_24h > 0).count(), 43);
}

#[test]
fn actions_stand_on_the_catalogue_s_side() {
    for row in xid::all() {
        let meaning = xid::meaning(row.code.into(), Architecture::Unknown);
        match row.immediate {
            "IGNORE" | "WORKFLOW_XID_45" => {
                assert_eq!(meaning.action, Action::None, "{}", row.code)
            }
            "RESTART_APP" => assert_eq!(meaning.action, Action::RestartApplication, "{}", row.code),
            "RESET_GPU" => assert_eq!(meaning.action, Action::ResetDevice, "{}", row.code),
            "RESTART_BM" => assert_eq!(meaning.action, Action::RebootNode, "{}", row.code),
            "CONTACT_SUPPORT" => assert_eq!(meaning.action, Action::ContactVendor, "{}", row.code),
            _ => {}
        }
        if meaning.severity == Severity::Critical {
            assert!(
                matches!(meaning.action, Action::ResetDevice | Action::RebootNode),
                "{}: {:?}",
                row.code,
                meaning.action
            );
        }
    }
    for row in sxid::all().iter().filter(|row| row.immediate == "IGNORE") {
        assert_eq!(sxid::meaning(row.code.into(), None).action, Action::None);
    }
}

#[test]
fn a_code_that_a_model_does_not_raise_takes_no_gpu_away() {
    let known = xid::meaning(74, Architecture::Hopper);
    assert_eq!(known.severity, Severity::Error);
    let foreign = xid::meaning(74, Architecture::Blackwell);
    assert_eq!((foreign.severity, foreign.action), (Severity::Warning, Action::Investigate));
    assert!(foreign.cause.contains("does not list"));
    assert_eq!(xid::meaning(79, Architecture::Blackwell).severity, Severity::Critical);
}

#[test]
fn an_unknown_code_is_kept() {
    for meaning in [xid::meaning(99_999, Architecture::Hopper), sxid::meaning(99_999, None)] {
        assert!(!meaning.known && meaning.meaning.contains("99999"));
        assert_eq!((meaning.severity, meaning.action), (Severity::Warning, Action::Investigate));
    }
    let bits = ascend::meaning(0x80E0_1802, Some(3));
    assert_eq!((&*bits.meaning, bits.severity), ("HBM/3DRAM: Memory, state 2", Severity::Critical));
    assert_eq!(
        &*ascend::meaning(0x80CF_8001, None).meaning,
        "SDMA: module error that reset does not clear"
    );
    assert_eq!(&*ascend::meaning(0xB406_FFFF, None).meaning, "unknown code B406FFFF");
}

#[test]
fn the_bits_of_every_code_with_bits_name_the_part_of_its_row() {
    let mut seen = 0;
    for AscendFault { code, source, component, .. } in ascend::all() {
        if !matches!(*source, "device" | "host" | "mcu") {
            continue;
        }
        let bits = Bits::of(u32::from_str_radix(code, 16).unwrap()).unwrap();
        assert_eq!(bits.of_host, *source == "host", "{code}");
        seen += 1;
        let Some(node) = bits.node() else { continue };
        let same = component.contains(node) || node.contains(component);
        let other = ["base service", "unit", "device OS", "driver_kernel", "board MCU"];
        assert!(
            same || other.iter().any(|word| component.starts_with(word)),
            "{code} {node} {component}"
        );
    }
    assert_eq!(seen, 695);
}

#[test]
fn the_documented_examples_of_bits_are_read() {
    for (code, node, sensor, state) in
        [(0x80E0_1801, 0x70, 0x0C, 1), (0x8107_8603, 0x83, 0xC3, 3), (0x8C20_4E00, 0x610, 0x27, 0)]
    {
        let bits = Bits::of(code).unwrap();
        assert_eq!((bits.node_type, bits.sensor_type, bits.state), (node, sensor, state));
        assert!(!bits.of_host);
    }
    assert!(Bits::of(0x40F8_4E00).unwrap().of_host);
    assert_eq!(Bits::of(0xA230_1001), None);
}

#[test]
fn nvlink_registers_are_read_by_the_driver_s_generation() {
    let remap = LinkError {
        xid: 145,
        unit: "RLW_REMAP",
        info: 4,
        status: 0x40,
        driver: Some(580),
        older_form: false,
    };
    let rule = nvlink::rule(&remap).unwrap();
    assert_eq!((rule.units[1], rule.immediate), ("RLW_REMAP", "RESET_GPU"));
    let event = LinkError {
        xid: 149,
        unit: "NETIR_LINK_EVT",
        info: 0x0045_05c6,
        status: 0,
        driver: Some(570),
        older_form: false,
    };
    assert_eq!(nvlink::rule(&event).unwrap().units[0], "NETIR_LINK_EVT");
    let by_name = LinkError { driver: None, ..event };
    assert_eq!(nvlink::rule(&by_name), nvlink::rule(&event));
    assert_eq!(nvlink::rule(&LinkError { xid: 1, ..event }), None);
}

#[test]
fn the_bits_of_xid_74_are_ranked() {
    assert_eq!(xid_74_bits(&[0, 0, 0x10000]), [(2, 16, LinkBit::IfAgain)]);
    assert_eq!(xid_74_bits(&[0b10, 0, 0, 0, 0, 0, 0]), [(0, 1, LinkBit::Consequence)]);
    let both = xid_74_bits(&[1 << 4 | 1 << 1]);
    assert_eq!(both.last(), Some(&(0, 4, LinkBit::Parity)));
    assert_eq!(xid_74_bits(&[0; 9]), []);
}
