//! The tables behind a view, for those who show everything.

use super::View;
use crate::newest::{Names, StepTableView};

impl View {
    /// The table of newest steps that the view reads now: a local agent's, or
    /// the view's own over NATS. Another takes its place when the local agent
    /// comes back.
    #[must_use]
    pub fn steps(&self) -> StepTableView {
        StepTableView::clone(&self.shared.table.load())
    }

    /// Tells `names` every engine and device that the view has a name for.
    pub fn name_all(&self, names: &Names) {
        for newest in self.steps().iter() {
            if let Some(engine) = self.engine(newest.step.instance) {
                names.put_engine((*engine).clone());
            }
        }
        for (_, device) in self.devices() {
            names.put_device((*device).clone());
        }
    }
}
