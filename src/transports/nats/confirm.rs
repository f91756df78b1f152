//! How much of what was sent the server has certainly seen.
//!
//! The client shows no acknowledgements, but every answer to one of its pings
//! proves that the server read all that went before the ping. The bytes that
//! come in tell of such answers.

use std::time::Duration;

/// Looks per ping interval, and how far back an answer proves: its ping is at
/// most an interval old, plus the look in which it was noticed. More looks
/// would prove sooner, and each wakes a node that is at rest.
const LOOKS: usize = 1;
const PROVEN_BACK: usize = LOOKS + 1;

/// What is proven to have arrived, as a running count of records.
#[derive(Debug, Default)]
pub(super) struct Confirmed {
    proven: u64,
    /// The counts at the last looks, newest first.
    looks: [u64; PROVEN_BACK],
    in_bytes: u64,
    in_messages: u64,
}

impl Confirmed {
    /// Everything before this connection is settled.
    pub(super) fn starting_at(sent: u64) -> Self {
        Self { proven: sent, looks: [sent; PROVEN_BACK], in_bytes: 0, in_messages: 0 }
    }

    /// How often to look.
    pub(super) fn tick(ping_interval: Duration) -> Duration {
        ping_interval / LOOKS as u32
    }

    /// Notes what was sent and received until now. Bytes that came with a
    /// message prove nothing: only an answer to a ping does.
    pub(super) fn look(&mut self, sent: u64, in_bytes: u64, in_messages: u64) {
        if in_bytes != self.in_bytes && in_messages == self.in_messages {
            self.proven = self.proven.max(self.looks[PROVEN_BACK - 1]);
        }
        (self.in_bytes, self.in_messages) = (in_bytes, in_messages);
        self.looks.rotate_right(1);
        self.looks[0] = sent;
    }

    /// At most how much of `sent` did not arrive.
    pub(super) const fn missing(&self, sent: u64) -> u64 {
        sent.saturating_sub(self.proven)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_proves_what_went_an_interval_before() {
        let mut confirmed = Confirmed::starting_at(100);
        for (at, sent) in [110, 120, 130, 140].into_iter().enumerate() {
            confirmed.look(sent, 50, at as u64);
        }
        assert_eq!(confirmed.missing(140), 40, "no answer, nothing proven");
        confirmed.look(150, 56, 3);
        assert_eq!(confirmed.missing(150), 20, "130 is proven");
        confirmed.look(160, 62, 4);
        assert_eq!(confirmed.missing(160), 30, "a message proves nothing");
        confirmed.look(170, 62, 4);
        assert_eq!(confirmed.missing(170), 40, "silence proves nothing");
        confirmed.look(180, 68, 4);
        assert_eq!(confirmed.missing(180), 20, "160 is proven");
    }
}
