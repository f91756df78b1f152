//! The tables behind a view, for those who show everything.

use std::collections::HashSet;

use super::View;
use crate::newest::{Names, StepTableView};
use crate::schema::EngineDetails;

impl View {
    /// The table of newest steps that the view reads now: a local agent's, or
    /// the view's own over NATS. Another takes its place when the local agent
    /// comes back.
    #[must_use]
    pub fn steps(&self) -> StepTableView {
        StepTableView::clone(&self.shared.table.load())
    }

    /// Tells `names` every engine and device that the view has a name for, and
    /// what the engines say beside their steps.
    pub fn name_all(&self, names: &Names) {
        let instances: HashSet<u64> = self.steps().iter().map(|n| n.step.instance).collect();
        for instance in instances {
            if let Some(engine) = self.engine(instance) {
                names.put_engine((*engine).clone());
            }
            for details in self.shared.board.details.of(instance).iter().flat_map(|of| of.iter()) {
                names.details().put(EngineDetails::clone(details));
            }
        }
        for (_, device) in self.devices() {
            names.put_device((*device).clone());
        }
    }
}
