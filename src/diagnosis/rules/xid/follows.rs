//! Which Xids only follow from others.

use crate::diagnosis::lines::Xid;
use crate::diagnosis::rules::line::SECOND_NS;
use crate::diagnosis::tables::xid;
use crate::schema::Severity;

/// Xids that take channels and programs down with them.
const PRIMARY: [u16; 28] = [
    48, 79, 95, 94, 13, 31, 62, 119, 120, 109, 64, 74, 32, 46, 69, 110, 136, 140, 143, 144, 145,
    146, 147, 149, 158, 167, 171, 172,
];

/// Whether others follow from it.
pub(super) fn is_primary(code: u64) -> bool {
    PRIMARY.iter().any(|of| u64::from(*of) == code)
        || xid::row(code).is_some_and(|row| row.severity == Severity::Critical)
}

/// The verdicts of which this one may be a by-product, by rule and key. Where
/// the driver names the cause, that one.
pub(super) fn causes(code: u64, said: &Xid<'_>) -> Vec<(&'static str, String)> {
    let of = |codes: &[u16]| codes.iter().map(|code| ("xid", code.to_string())).collect();
    if let Some(root) = said.root {
        return of(&[root]);
    }
    match code {
        45 => of(&PRIMARY),
        43 => of(&[48, 79, 95, 94, 13, 31, 32, 69, 109, 119, 120]),
        // That memory waits for a reset, or can not be replaced, stands until
        // somebody acts; these only tell of the moment.
        63 | 64 => {
            let mut causes = of(&[48, 171, 94, 95]);
            causes.push(("memory_wear", String::new()));
            causes
        }
        119 | 120 => of(&[119, 120]),
        94 | 95 => of(&[48, 171, 172]),
        48 => of(&[144, 145, 146, 147]),
        171 | 172 => of(&[48]),
        137 | 108 => of(&[79, 48, 95, 74, 144, 145, 146, 149]),
        79 => vec![("pcie_aer", "fatal".to_owned()), ("pcie_aer", "contained".to_owned())],
        _ => Vec::new(),
    }
}

/// How far from its cause such an Xid may come, ns.
pub(super) const fn apart_ns(code: u64) -> u64 {
    match code {
        // The reading comes a period of its sampler later.
        63 | 64 => 600 * SECOND_NS,
        // The driver tries again and again to reach a firmware that hangs.
        119 | 120 => 60 * SECOND_NS,
        _ => 5 * SECOND_NS,
    }
}
