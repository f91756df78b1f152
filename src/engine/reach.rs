//! Whether the configured NATS servers can be reached, and what they let an
//! agent and its readers do.

use bytes::Bytes;

use super::compat;
use super::road;
use super::subjects;
use crate::config::NatsPlan;
use crate::schema::{TRIAL_MESSAGE, subject_token};
use crate::transports::nats::{self, Wanted, look_at_servers};

pub use crate::transports::nats::{JetStream as StreamState, Seen as ServerSeen, Unseen};

/// The last token of subjects that are only tried; no model has this name.
const TRIED: &str = "eagle_eye_doctor";

/// What one configured server is to this node.
#[derive(Debug)]
pub struct Server {
    /// Its address, without secrets.
    pub label: String,
    /// What was seen of it, or why nothing was.
    pub seen: Result<nats::Seen, Unseen>,
    /// What it was asked to allow, and whether it does; empty where it could
    /// not be asked.
    pub rights: Vec<Right>,
    /// The stream that was looked for.
    pub stream: String,
}

/// One thing that a server may allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Right {
    /// `publish` or `subscribe`.
    pub act: &'static str,
    /// Where.
    pub subject: String,
    /// Whether an agent needs it; if not, only who watches or routes does.
    pub of_agent: bool,
    /// Whether the server allows it.
    pub allowed: bool,
}

/// Looks at every server of `plan` at once, within about four seconds.
/// Subscribers of this node's subjects see a [`TRIAL_MESSAGE`], which they
/// pass over, those of the compatibility subject an object without anything in
/// it; nothing is kept in a stream.
///
/// # Errors
///
/// A sentence, when the settings cannot be: it holds no secret.
pub fn nats_reach(plan: &NatsPlan, node: &str) -> Result<Vec<Server>, String> {
    let settings = road::settings(plan, node)?;
    let asked = asked(&plan.prefix, &plan.compat_subject, node);
    let of = |act| {
        let rights = asked.iter().filter(move |right: &&Right| right.act == act);
        rights.map(|right| right.subject.clone()).collect()
    };
    let stream = road::stream(&plan.prefix).name;
    let wanted = Wanted {
        publish: of("publish"),
        subscribe: of("subscribe"),
        message: Bytes::from_static(&TRIAL_MESSAGE),
        messages: vec![(plan.compat_subject.clone(), Bytes::from_static(compat::TRIAL))],
        stream: stream.clone(),
    };
    let servers = look_at_servers(&settings, &wanted).map_err(|error| error.to_string())?;
    let server = |server: nats::Server| Server {
        rights: server.seen.as_ref().map_or_else(|_| Vec::new(), |seen| answered(&asked, seen)),
        label: server.label,
        seen: server.seen,
        stream: stream.clone(),
    };
    Ok(servers.into_iter().map(server).collect())
}

/// What an agent of this node does, and then what its readers do.
fn asked(prefix: &str, compat: &str, node: &str) -> Vec<Right> {
    let node = subject_token(node);
    let right = |act, subject, of_agent| Right { act, subject, of_agent, allowed: false };
    let mut asked = vec![
        right("publish", format!("{prefix}.routing.{node}.{TRIED}"), true),
        right("publish", format!("{prefix}.health.{node}"), true),
        right("publish", format!("{prefix}.events.{node}"), true),
        right("subscribe", subjects::snapshot(prefix), true),
        right("publish", subjects::snapshot(prefix), false),
        right("subscribe", format!("{prefix}.routing.*.{TRIED}"), false),
    ];
    if !compat.is_empty() {
        asked.insert(3, right("publish", compat.to_owned(), true));
    }
    asked
}

fn answered(asked: &[Right], seen: &nats::Seen) -> Vec<Right> {
    let allowed = |right: &Right| {
        let forbidden = match right.act {
            "publish" => &seen.publish_forbidden,
            _ => &seen.subscribe_forbidden,
        };
        !forbidden.contains(&right.subject)
    };
    if !seen.judged {
        return Vec::new();
    }
    asked.iter().map(|right| Right { allowed: allowed(right), ..right.clone() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_forbids_is_not_allowed_and_what_it_did_not_judge_is_not_said() {
        let asked = asked("p", "compat", "n.1");
        let mut seen = nats::Seen {
            judged: true,
            publish_forbidden: vec!["p.health.n_1".into(), "compat".into(), "p.snapshot".into()],
            ..nats::Seen::default()
        };
        let rights = answered(&asked, &seen);
        let forbidden: Vec<_> =
            rights.iter().filter(|r| !r.allowed).map(|r| (r.act, &*r.subject)).collect();
        assert_eq!(
            forbidden,
            [("publish", "p.health.n_1"), ("publish", "compat"), ("publish", "p.snapshot")]
        );
        seen.judged = false;
        assert!(answered(&asked, &seen).is_empty());
    }
}
