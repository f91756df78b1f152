//! What was said of an address before the inventory came, or after a restart,
//! belongs to the device that stands there.

use crate::diagnosis::known::Known;
use crate::diagnosis::{Subject, verdict_id};
use crate::schema::{Device, VerdictState};

use super::{Case, Verdicts, links};

/// Rules on lines that name a device by its address until its name is known.
const BY_ADDRESS: [&str; 2] = ["xid", "pcie_aer"];

impl Verdicts {
    /// A device has a name: verdicts under its address go over to it. What
    /// stood under the address is over and points to what goes on.
    pub(in crate::diagnosis) fn named(
        &mut self,
        known: &Known,
        device: &Device,
        wall_ns: u64,
        now_ns: u64,
    ) {
        let Some(address) = device.accelerator.as_ref().filter(|of| of.parent.is_empty()) else {
            return;
        };
        let address = without_function(&address.pci);
        if address.is_empty() || device.name.is_empty() {
            return;
        }
        let stands_there = |case: &Case| {
            let of = &case.verdict;
            case.is_open()
                && BY_ADDRESS.contains(&of.rule.as_str())
                && of.subject != device.name
                && without_function(&of.subject).eq_ignore_ascii_case(address)
        };
        let ids: Vec<u64> =
            self.cases.iter().filter(|(_, case)| stands_there(case)).map(|(id, _)| *id).collect();
        for id in ids {
            self.hand_over(known, &device.name, id, wall_ns, now_ns);
        }
    }

    fn hand_over(&mut self, known: &Known, name: &str, id: u64, wall_ns: u64, now_ns: u64) {
        let Some(old) = self.cases.get_mut(&id) else { return };
        let new_id = verdict_id(&known.node, &old.verdict.rule, name, &old.key);
        let mut moved = old.clone();
        old.verdict.caused_by = new_id;
        old.resolve(wall_ns, now_ns);
        if let Some(action) = self.driver.remove(&moved.verdict.subject) {
            self.driver.insert(name.to_owned(), action);
        }
        self.tell(id);
        for case in self.cases.values_mut().filter(|case| case.verdict.caused_by == id) {
            case.verdict.caused_by = new_id;
        }
        if let Some(known) = self.cases.get_mut(&new_id).filter(|case| case.is_open()) {
            known.count(moved.verdict.count);
            known.verdict.since_wall_ns =
                known.verdict.since_wall_ns.min(moved.verdict.since_wall_ns);
            known.touched_ns = known.touched_ns.max(moved.touched_ns);
            return;
        }
        let past = self.cases.get(&new_id).map(|case| case.verdict.revision);
        let revision = past.or_else(|| self.past.remove(&new_id)).unwrap_or(0);
        let verdict = &mut moved.verdict;
        let address = std::mem::replace(&mut verdict.subject, name.to_owned());
        verdict.id = new_id;
        verdict.revision = revision.saturating_add(1);
        verdict.state = VerdictState::Open;
        verdict.wall_ns = wall_ns;
        for text in [&mut verdict.text, &mut verdict.cause] {
            *text = text.replace(&address, name);
        }
        verdict.impact = links::impact(known, Subject::device(name));
        (moved.untold, moved.urgent, moved.told_ns) = (false, false, now_ns);
        self.cases.insert(new_id, moved);
        self.tell(new_id);
    }
}

fn without_function(address: &str) -> &str {
    address.split('.').next().unwrap_or_default()
}
