//! The registers behind an Xid of NVLink: bits of Xid 74, and the rules of
//! Xids 144 to 150, which differ by the driver's generation.

use std::sync::LazyLock;

use super::rows::rows;
use crate::schema::{Action, Severity};

/// First driver branch with the second set of masks.
const SECOND_MASKS_SINCE: u32 = 575;

/// Bits of a register that must stand so: `value` where `care` is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mask {
    care: u32,
    value: u32,
}

impl Mask {
    /// 32 signs, the highest bit first: 0, 1, or - for any.
    fn read(text: &str) -> Option<Self> {
        let mut mask = Self::default();
        if text.len() != 32 {
            return None;
        }
        for sign in text.bytes() {
            (mask.care, mask.value) = (mask.care << 1, mask.value << 1);
            match sign {
                b'0' | b'1' => {
                    (mask.care, mask.value) = (mask.care | 1, mask.value | u32::from(sign & 1))
                }
                b'-' => {}
                _ => return None,
            }
        }
        Some(mask)
    }

    const fn holds(self, register: u32) -> bool {
        register & self.care == self.value
    }
}

/// A rule for one unit, sub-code and status of an Xid 144 to 150.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkRule {
    /// The Xid.
    pub xid: u16,
    /// The unit, as drivers before and from branch 575 on name it.
    pub units: [&'static str; 2],
    masks: [Option<Mask>; 2],
    second_masks: [Option<Mask>; 2],
    status: Option<u32>,
    /// The vendor's word for what to do at once.
    pub immediate: &'static str,
    /// The vendor's word for what to look into.
    pub investigatory: &'static str,
    /// `nonfatal`, `fatal`, or `link_fatal`.
    pub grade: &'static str,
    /// Whether hardware, software or firmware is to blame.
    pub blame: &'static str,
    /// What to do where the second mask holds; else empty.
    pub second_action: &'static str,
    /// Xids that this one brings, joined by + or /; may be empty.
    pub leads_to: &'static str,
}

static RULES: LazyLock<Vec<LinkRule>> = LazyLock::new(|| {
    let read = |row: [&'static str; 14]| {
        let [xid, unit_1, unit_2, mask_1, mask_2, status, immediate, investigatory, rest @ ..] =
            row;
        let [grade, blame, second_1, second_2, second_action, leads_to] = rest;
        let status = status.split('/').next().unwrap_or_default();
        Some(LinkRule {
            xid: xid.parse().ok()?,
            units: [unit_1, unit_2],
            masks: [Mask::read(mask_1), Mask::read(mask_2)],
            second_masks: [Mask::read(second_1), Mask::read(second_2)],
            status: status.strip_prefix("0x").and_then(|hex| u32::from_str_radix(hex, 16).ok()),
            immediate,
            investigatory,
            grade,
            blame,
            second_action,
            leads_to,
        })
    };
    rows(include_str!("data/nvlink5.tsv")).filter_map(read).collect()
});

/// Every rule, in the vendor's order.
#[must_use]
pub fn all() -> &'static [LinkRule] {
    &RULES
}

/// What the line of such an Xid says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LinkError<'a> {
    /// The Xid.
    pub xid: u16,
    /// The unit, as the line names it.
    pub unit: &'a str,
    /// The first register, which holds the sub-code.
    pub info: u32,
    /// The second register.
    pub status: u32,
    /// The driver's branch; none where unknown.
    pub driver: Option<u32>,
    /// Whether the line has the four registers of older drivers.
    pub older_form: bool,
}

/// The rule for an error: by the masks of its driver's generation, then by the
/// name of its unit. Where the driver is not known the name and the form of
/// the line tell which generation it is, and both are tried where they do not.
#[must_use]
pub fn rule(error: &LinkError<'_>) -> Option<&'static LinkRule> {
    let generations: &[usize] = match error.driver {
        Some(branch) if branch >= SECOND_MASKS_SINCE => &[1],
        Some(_) => &[0],
        None if error.older_form => &[0],
        None => &[1, 0],
    };
    let of_xid = || RULES.iter().filter(|rule| rule.xid == error.xid);
    for &generation in generations {
        let by_mask = |rule: &&LinkRule| {
            rule.masks[generation].is_some_and(|mask| mask.holds(error.info))
                || rule.second_masks[generation].is_some_and(|mask| mask.holds(error.info))
        };
        if let Some(rule) = by_status(of_xid().filter(by_mask), error.status) {
            return Some(rule);
        }
    }
    let named = |rule: &&LinkRule| rule.units.contains(&error.unit);
    by_status(of_xid().filter(named), error.status)
}

/// Of these, the one for this status, else the one for any.
fn by_status<'r>(
    rules: impl Iterator<Item = &'r LinkRule> + Clone,
    status: u32,
) -> Option<&'r LinkRule> {
    let exact = rules.clone().find(|rule| rule.status == Some(status));
    let within = || {
        let holds =
            |rule: &&LinkRule| rule.status.is_some_and(|bits| bits != 0 && status & bits == bits);
        rules.clone().filter(holds).max_by_key(|rule| rule.severity())
    };
    exact.or_else(within).or_else(|| rules.clone().find(|rule| rule.status.is_none()))
}

impl LinkRule {
    /// How much it matters.
    #[must_use]
    pub fn severity(&self) -> Severity {
        match self.grade {
            "fatal" => Severity::Critical,
            "link_fatal" => Severity::Error,
            _ if self.immediate != "IGNORE" => Severity::Error,
            _ => Severity::Warning,
        }
    }

    /// What is to be done.
    #[must_use]
    pub fn action(&self, error: &LinkError<'_>) -> Action {
        let second = self.second_masks.iter().flatten().any(|mask| mask.holds(error.info));
        let word = if second { self.second_action } else { self.immediate };
        match word {
            "IGNORE" => Action::None,
            _ => Action::ResetDevice,
        }
    }
}

/// What a set bit of one of Xid 74's seven registers says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LinkBit {
    /// Nothing is to be done.
    Harmless,
    /// A consequence of something else.
    Consequence,
    /// A weak signal.
    WeakSignal,
    /// Worth reporting where it comes again.
    IfAgain,
    /// A parity or ECC error; more than two on one link are to be reported.
    Parity,
    /// Possibly hardware: reseat and diagnose.
    Hardware,
    /// A consequence that needs the fabric to be reset.
    FabricReset,
}

/// What the set bits of Xid 74's registers say, the gravest last.
#[must_use]
pub fn xid_74_bits(registers: &[u32]) -> Vec<(usize, u32, LinkBit)> {
    let mut said: Vec<(usize, u32, LinkBit)> = registers
        .iter()
        .take(7)
        .enumerate()
        .flat_map(|(at, register)| {
            let set = (0..32).filter(move |bit| register >> bit & 1 == 1);
            set.filter_map(move |bit| Some((at, bit, bit_of(at, bit)?)))
        })
        .collect();
    said.sort_by_key(|(_, _, says)| *says);
    said
}

const fn bit_of(register: usize, bit: u32) -> Option<LinkBit> {
    use LinkBit::{Consequence, FabricReset, Hardware, Harmless, IfAgain, Parity, WeakSignal};
    Some(match (register, bit) {
        (0, 0 | 23 | 30) => Harmless,
        (0, 1 | 20) | (3, 16 | 17) => Consequence,
        (0, 4 | 5) | (2, 0 | 1 | 2 | 6) | (4, 18 | 19 | 21 | 22 | 24 | 25 | 27 | 28) => Parity,
        (0, 8 | 9 | 12 | 16 | 17 | 24 | 28) | (2, 13) => Hardware,
        (0, 21 | 22) => WeakSignal,
        (0, 27 | 29) | (2, 16..=19) => IfAgain,
        (3, 18) => FabricReset,
        (4, 20 | 23 | 26 | 29) => Harmless,
        _ => return None,
    })
}
