//! What a server forbids.
//!
//! A forbidden message "succeeds" in the client; the server tells later, as
//! text. A subject that it named is then held back and tried again from time
//! to time, so that a permission given later heals the link by itself.

use crate::platform::clock::SECOND_NS;

/// The most forbidden subjects that are told apart; further ones are sent,
/// and refused by the server again.
pub(super) const REFUSALS_MAX: usize = 64;

/// How long a forbidden subject is held back before it is tried again.
const RETRY_NS: u64 = 10 * SECOND_NS;

/// A retry that the server has not refused for so long was allowed.
const SILENCE_NS: u64 = 2 * SECOND_NS;

/// The forbidden subjects of one connection.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    publishing: Vec<Refusal>,
    subscribing: bool,
}

/// What a server's error text means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said<'a> {
    PublishForbidden(&'a str),
    SubscribeForbidden(&'a str),
    LoginRefused,
    Other,
}

#[derive(Debug)]
struct Refusal {
    subject: String,
    retry_at_ns: u64,
    tried_at_ns: Option<u64>,
}

/// Reads a server's error text.
pub(super) fn said(text: &str) -> Said<'_> {
    let lower = text.to_ascii_lowercase();
    if lower.contains("permissions violation") {
        let subject = text.split('"').nth(1).unwrap_or_default();
        return if lower.contains("for publish") {
            Said::PublishForbidden(subject)
        } else {
            Said::SubscribeForbidden(subject)
        };
    }
    let login = ["authorization", "authentication", "revoked", "certificate"];
    if login.iter().any(|word| lower.contains(word)) { Said::LoginRefused } else { Said::Other }
}

impl Refusals {
    /// Whether anything is forbidden.
    pub(super) const fn any(&self) -> bool {
        self.subscribing || !self.publishing.is_empty()
    }

    /// The server forbade publishing to `subject`.
    pub(super) fn publish_forbidden(&mut self, subject: &str, now_ns: u64) {
        let retry_at_ns = now_ns.saturating_add(RETRY_NS);
        if let Some(known) = self.publishing.iter_mut().find(|known| known.subject == subject) {
            known.retry_at_ns = retry_at_ns;
            known.tried_at_ns = None;
        } else if self.publishing.len() < REFUSALS_MAX {
            let subject = subject.to_owned();
            self.publishing.push(Refusal { subject, retry_at_ns, tried_at_ns: None });
        }
    }

    /// The server forbade a subscription: only a new connection tries again.
    pub(super) const fn subscribe_forbidden(&mut self) {
        self.subscribing = true;
    }

    /// Whether a message for `subject` should be held back at `now_ns`.
    pub(super) fn holds_back(&mut self, subject: &str, now_ns: u64) -> bool {
        let Some(known) = self.publishing.iter_mut().find(|known| known.subject == subject) else {
            return false;
        };
        if known.tried_at_ns.is_some() {
            return false;
        }
        if known.retry_at_ns > now_ns {
            return true;
        }
        known.tried_at_ns = Some(now_ns);
        false
    }

    /// Forgets what turned out to be allowed again; whether that was the last.
    pub(super) fn healed(&mut self, now_ns: u64) -> bool {
        let before = self.any();
        self.publishing.retain(|known| {
            known.tried_at_ns.is_none_or(|tried| now_ns.saturating_sub(tried) < SILENCE_NS)
        });
        before && !self.any()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_errors_are_read() {
        let check = |text, expected| assert_eq!(said(text), expected, "{text}");
        check("Permissions Violation for Publish to \"a.b\"", Said::PublishForbidden("a.b"));
        check("nats: Permissions Violation for Publish to \"a\"", Said::PublishForbidden("a"));
        check(
            "Permissions Violation for Subscription to \"x.>\" using queue \"q\"",
            Said::SubscribeForbidden("x.>"),
        );
        check("Permissions Violation for Publish to", Said::PublishForbidden(""));
        check("User Authentication Expired", Said::LoginRefused);
        check("nats: authorization violation", Said::LoginRefused);
        check("Stale Connection", Said::Other);
        check("", Said::Other);
    }

    #[test]
    fn a_forbidden_subject_is_held_back_and_tried_again() {
        let mut refusals = Refusals::default();
        refusals.publish_forbidden("a", 0);
        assert!(refusals.any());
        assert!(refusals.holds_back("a", 1));
        assert!(!refusals.holds_back("b", 1));
        assert!(!refusals.healed(RETRY_NS));
        assert!(!refusals.holds_back("a", RETRY_NS), "one is sent to try");
        assert!(!refusals.healed(RETRY_NS + 1));
        refusals.publish_forbidden("a", RETRY_NS + 2);
        assert!(refusals.holds_back("a", RETRY_NS + 3), "refused again");
        assert!(!refusals.holds_back("a", 3 * RETRY_NS));
        assert!(refusals.healed(3 * RETRY_NS + SILENCE_NS));
        assert!(!refusals.any());
    }

    #[test]
    fn forbidden_subjects_have_a_limit() {
        let mut refusals = Refusals::default();
        for at in 0..REFUSALS_MAX + 10 {
            refusals.publish_forbidden(&at.to_string(), 0);
        }
        assert_eq!(refusals.publishing.len(), REFUSALS_MAX);
    }
}
