//! A recording that is sent again.

use super::say;
use crate::engine::{Resend, Sent};
use crate::platform::thread::Stop;
use crate::recorder::Moment;

/// Sends batches again and says at the end what became of them.
pub(super) struct Again {
    resend: Resend,
    urls: String,
}

impl Again {
    pub(super) fn start(urls: &str, prefix: &str, stop: &Stop) -> Result<Self, String> {
        let resend = Resend::start(urls, prefix, stop)?;
        Ok(Self { resend, urls: urls.split('@').next_back().unwrap_or(urls).to_owned() })
    }

    pub(super) fn send(&mut self, moment: &Moment<'_>, stop: &Stop) -> Result<(), String> {
        self.resend.send(moment, stop)
    }

    /// Returns how many batches did not get there.
    pub(super) fn end(self) -> u64 {
        let Sent { batches, lost } = self.resend.end();
        say(&format!("{batches} batches sent to {}, {lost} of them lost on the way", self.urls));
        lost
    }
}
