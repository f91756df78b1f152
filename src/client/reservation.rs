//! A request in flight, as a value: dropping it ends it.

use std::sync::Arc;

use super::ledger::{Entry, Ledger};
use super::pick::Pick;

/// A request sent to a rank. While it lives it counts in this process's
/// picture of that rank; dropped, however that happens, it does not.
#[derive(Debug)]
#[must_use = "a reservation that is dropped at once counts for nothing"]
pub struct Reservation {
    ledger: Arc<Ledger>,
    entry: Option<Entry>,
    pick: Pick,
}

impl Reservation {
    pub(super) fn new(ledger: Arc<Ledger>, pick: Pick, prompt_tokens: u32) -> Self {
        let entry = ledger.open(pick.state.id, pick.at_ns, prompt_tokens);
        Self { ledger, entry, pick }
    }

    /// Where the request goes, and why.
    #[must_use]
    pub const fn pick(&self) -> &Pick {
        &self.pick
    }

    /// The first token came: its prompt is no work any more.
    pub fn first_token(&self) {
        if let Some(entry) = self.entry {
            self.ledger.first_token(entry);
        }
    }

    /// The request ended. Dropping says the same.
    pub fn finish(self) {}
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(entry) = self.entry.take() {
            self.ledger.close(entry);
        }
    }
}
