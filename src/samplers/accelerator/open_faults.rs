//! The faults of one device that are open, across the children that told of
//! them: another child tells what is open anew, which is no news, and what it
//! does not tell ended while nobody looked.

use std::collections::BTreeMap;

use crate::schema::{FaultPhase, FaultRecord};

/// More of one device are told, but not remembered.
const OPEN_MAX: usize = 512;

/// A fault: its code, and the part of the device that it is about.
type Key = (u64, u16, u16, u16, u16);

/// Faults of one device that are open.
#[derive(Debug, Clone, Default)]
pub(super) struct OpenFaults(BTreeMap<Key, Open>);

#[derive(Debug, Clone, Copy)]
struct Open {
    record: FaultRecord,
    /// Whether the child that speaks now told of it.
    is_told: bool,
}

impl OpenFaults {
    /// Another child speaks from now on.
    pub(super) fn begin_child(&mut self) {
        self.0.values_mut().for_each(|open| open.is_told = false);
    }

    /// Takes a report; whether it is news.
    pub(super) fn take(&mut self, code: u64, record: FaultRecord) -> bool {
        match record.phase {
            FaultPhase::Raised => self.begin(code, record),
            FaultPhase::Cleared => {
                let whole = is_code_only(&record);
                self.0
                    .retain(|key, _| key.0 != code || (!whole && *key != self::key(code, &record)));
                true
            }
            _ => true,
        }
    }

    /// The child has told all that is open: what it did not tell is over.
    pub(super) fn over(&mut self) -> Vec<(u64, FaultRecord)> {
        let over: Vec<_> = self
            .0
            .iter()
            .filter(|(_, open)| !open.is_told)
            .map(|(key, open)| {
                let record =
                    FaultRecord { phase: FaultPhase::Cleared, replayed: false, ..open.record };
                (key.0, FaultRecord { serial: 0, raised_wall_ns: 0, ..record })
            })
            .collect();
        self.0.retain(|_, open| open.is_told);
        over
    }

    fn begin(&mut self, code: u64, record: FaultRecord) -> bool {
        let by_code = is_code_only(&record);
        let mut is_known = false;
        for (_, open) in self.0.iter_mut().filter(|(key, open)| {
            key.0 == code
                && (by_code || is_code_only(&open.record) || **key == self::key(code, &record))
        }) {
            (open.is_told, is_known) = (true, true);
        }
        if !is_known && self.0.len() < OPEN_MAX {
            self.0.insert(key(code, &record), Open { record, is_told: true });
        }
        !is_known
    }
}

/// Whether the driver gave the code and nothing else.
fn is_code_only(record: &FaultRecord) -> bool {
    record.severity == FaultRecord::SEVERITY_UNKNOWN
        && (record.node_id, record.sub_node_type, record.sub_node_id) == (0, 0, 0)
}

fn key(code: u64, of: &FaultRecord) -> Key {
    (code, of.node_type, of.node_id, of.sub_node_type, of.sub_node_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(phase: FaultPhase, node_id: u16, severity: u8) -> FaultRecord {
        FaultRecord { phase, node_id, severity, ..FaultRecord::default() }
    }

    const RAISED: FaultPhase = FaultPhase::Raised;
    const CLEARED: FaultPhase = FaultPhase::Cleared;

    #[test]
    fn another_child_repeats_what_is_open_and_leaves_out_what_is_over() {
        let mut open = OpenFaults::default();
        assert!(open.take(1, fault(RAISED, 0, 2)));
        assert!(open.take(1, fault(RAISED, 1, 2)));
        assert!(open.take(2, fault(RAISED, 0, 3)));
        open.begin_child();
        assert!(!open.take(1, fault(RAISED, 1, 2)));
        assert!(open.take(3, fault(RAISED, 0, 2)));
        let over: Vec<_> = open.over().iter().map(|(code, of)| (*code, of.node_id)).collect();
        assert_eq!(over, [(1, 0), (2, 0)]);
        assert!(open.over().is_empty());
        assert!(open.take(2, fault(RAISED, 0, 3)), "it begins again");
        assert!(open.take(2, fault(CLEARED, 0, 3)));
    }

    #[test]
    fn a_code_alone_stands_for_every_part() {
        let unknown = FaultRecord::SEVERITY_UNKNOWN;
        let mut open = OpenFaults::default();
        assert!(open.take(1, fault(RAISED, 3, 2)));
        open.begin_child();
        assert!(!open.take(1, fault(RAISED, 0, unknown)));
        assert!(open.over().is_empty());
        assert!(open.take(1, fault(CLEARED, 0, unknown)));
        assert!(open.take(1, fault(RAISED, 3, 2)));
        let mut open = OpenFaults::default();
        assert!(open.take(1, fault(RAISED, 0, unknown)));
        open.begin_child();
        assert!(!open.take(1, fault(RAISED, 3, 2)));
    }
}
