//! The configured NATS servers: reached, let in, allowed, keeping.

use super::report::Section;
use crate::config::{NatsPlan, Plan};
use crate::engine::samplers::Need;
use crate::engine::{self, Server, StreamState, Unseen};
use crate::schema::subject_token;

const LOGIN: &str = "give nats.user and nats.password, nats.token, nats.nkey_file or \
                     nats.credentials_file as the server's operator says, secrets best by \
                     EAGLE_EYE_NATS_… variables";

/// Keys are longer.
const NAME_BYTES_MAX: usize = 48;

const REACH: &str = "start the server, correct nats.urls, or open the way to it (firewall, network \
                     policy)";

pub(super) fn look(plan: &Plan) -> Vec<Section> {
    let needs = match &plan.nats {
        None => vec![Need {
            remedy: "set nats.urls, or --nats, to reach routers on other hosts".to_owned(),
            ..Need::not_here("servers", "none is configured; everything works on this host")
        }],
        Some(nats) => of_servers(nats, &plan.node),
    };
    vec![Section::new("nats", "NATS", needs)]
}

fn of_servers(nats: &NatsPlan, node: &str) -> Vec<Need> {
    match engine::nats_reach(nats, node) {
        Ok(servers) => {
            let any = servers.iter().any(|server| server.seen.is_ok());
            let allowing = allowing(&nats.prefix, &subject_token(node));
            servers.iter().flat_map(|server| of_server(server, any, &allowing)).collect()
        }
        Err(sentence) => vec![Need::trouble("settings", sentence, "correct the setting")],
    }
}

/// What an agent must be allowed, in a server's own terms.
fn allowing(prefix: &str, node: &str) -> String {
    format!(
        "at the server, allow this user to publish to {prefix}.*.{node} and {prefix}.*.{node}.>, \
         to subscribe to {prefix}.snapshot, and set allow_responses"
    )
}

fn of_server(server: &Server, another: bool, allowing: &str) -> Vec<Need> {
    let label = &server.label;
    let seen = match &server.seen {
        Ok(seen) => seen,
        Err(Unseen::Refused(why)) => return vec![Need::trouble(label, why, LOGIN)],
        Err(Unseen::Unreachable(why)) if another => {
            return vec![Need::limited(label, format!("{why}; another one answers"), REACH)];
        }
        Err(Unseen::Unreachable(why)) => return vec![Need::trouble(label, why, REACH)],
    };
    let trip = seen.round_trip_ns.map_or_else(
        || "takes no time of a round trip".to_owned(),
        |ns| format!("answers in {:.2} ms", ns as f64 / 1e6),
    );
    // A server without a name of its own is called by its key.
    let named = |name: &&String| name.len() < NAME_BYTES_MAX;
    let name = Some(&seen.name).filter(named).map_or_else(String::new, |name| format!(" ({name})"));
    let reached = format!("{trip}; nats-server {}{name}", seen.version);
    let mut needs = vec![Need::fine(label, reached)];
    if let Some(warning) = &seen.warning {
        needs.push(Need::limited("version", warning, "renew the server"));
    }
    needs.extend(rights(server, allowing));
    needs.push(stream(&seen.jetstream, &server.stream));
    needs
}

fn rights(server: &Server, allowing: &str) -> Vec<Need> {
    if server.rights.is_empty() {
        let says = "the server did not say in time what it allows";
        return vec![Need::limited("rights", says, "look again when it is less busy")];
    }
    let mut needs = Vec::new();
    for right in server.rights.iter().filter(|right| !right.allowed) {
        let what = format!("{} {}", right.act, right.subject);
        needs.push(if right.of_agent {
            Need::trouble(what, "the server forbids it to this user", allowing)
        } else {
            let remedy = "an agent does not need it; allow it to the users of routers and `watch`";
            Need::limited(what, "the server forbids it to this user", remedy)
        });
    }
    if needs.is_empty() {
        let count = server.rights.len();
        needs.push(Need::fine("rights", format!("all {count} that were tried are given")));
    }
    needs
}

fn stream(state: &StreamState, name: &str) -> Need {
    let what = format!("stream {name}");
    match state {
        StreamState::Ready => Need::fine(what, "JetStream has it: events come at least once"),
        StreamState::Absent => {
            Need::fine(what, "JetStream works; an agent makes the stream when it starts")
        }
        StreamState::CreationForbidden => Need::trouble(
            what,
            "it is not there, and this user may not make it: events are not kept",
            "make it yourself, or allow this user to publish to $JS.API.STREAM.CREATE.*",
        ),
        StreamState::LookForbidden => Need::limited(
            what,
            "this user may not ask about it; it is taken to be there",
            "allow publishing to $JS.API.STREAM.INFO.* to have it checked",
        ),
        StreamState::Off => Need::limited(
            what,
            "this server or account has no JetStream: events are sent once and kept nowhere",
            "enable JetStream there, with sync_interval: always, to have them at least once",
        ),
        StreamState::Unasked => {
            Need::limited(what, "the server did not answer about it in time", "look again")
        }
        StreamState::Unknown(why) => {
            Need::limited(what, why, "look at the server's log and its cluster")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::samplers::NeedState;

    #[test]
    fn one_server_of_several_that_answers_is_enough() {
        let server = || Server {
            label: "nats://a:1".to_owned(),
            seen: Err(Unseen::Unreachable("cannot reach nats://a:1: no".to_owned())),
            rights: Vec::new(),
            stream: String::new(),
        };
        assert_eq!(of_server(&server(), false, "")[0].state, NeedState::Trouble);
        assert_eq!(of_server(&server(), true, "")[0].state, NeedState::Limited);
    }

    #[test]
    fn an_old_server_is_warned_of() {
        let seen = engine::ServerSeen {
            version: "2.11.13".to_owned(),
            warning: Some("NATS server 2.11.13 can be crashed before login".to_owned()),
            ..Default::default()
        };
        let server = Server {
            label: "nats://a:1".to_owned(),
            seen: Ok(seen),
            rights: Vec::new(),
            stream: "S".to_owned(),
        };
        let needs = of_server(&server, false, "");
        let version = needs.iter().find(|need| need.what == "version").expect("a warning");
        assert_eq!(version.state, NeedState::Limited);
        assert!(version.says.contains("2.11.13"), "{}", version.says);
    }

    #[test]
    fn every_state_of_the_stream_that_is_not_fine_has_a_remedy() {
        for state in [
            StreamState::Ready,
            StreamState::Absent,
            StreamState::CreationForbidden,
            StreamState::LookForbidden,
            StreamState::Off,
            StreamState::Unasked,
            StreamState::Unknown("why".to_owned()),
        ] {
            let need = stream(&state, "S");
            assert_eq!(need.state == NeedState::Fine, need.remedy.is_empty(), "{need:?}");
        }
    }
}
