//! The agent of this host: whether one runs and answers, how it says it is,
//! and which engines it sees.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::http::{self, Answer};
use super::report::Section;
use super::work::{Looked, Paper};
use crate::client::{Options, RankState, View};
use crate::config::Plan;
use crate::engine::SOCKET_NAME;
use crate::engine::samplers::Need;
use crate::platform::clock::{self, MILLISECOND_NS, SECOND_NS};
use crate::platform::place::run_folders;
use crate::schema::{Engine, Freshness};
use crate::web::{LossCount, SamplerState, Status};

/// How long an agent may take to answer, and to name its engines.
const ANSWER_NS: u64 = 1500 * MILLISECOND_NS;
const NAMES_NS: u64 = SECOND_NS / 2;

/// Between two questions to an agent, to see what grows.
const BETWEEN_NS: u64 = 400 * MILLISECOND_NS;

/// Engines that are told of; the rest is a number.
const ENGINES_MAX: usize = 32;

/// What an agent's HTTP server tells that a support file should hold.
const PAPERS: [&str; 5] = ["/v1/status", "/v1/events", "/v1/routing", "/v1/host", "/v1/devices"];

pub(super) fn look(plan: &Plan) -> Looked {
    let (socket, view) = meet(plan);
    let mut needs = vec![at_socket(&socket, view.is_some())];
    let mut papers = Vec::new();
    match plan.listen {
        Some(address) => {
            needs.extend(over_http(address, view.is_some()));
            papers = ask_for_papers(address);
        }
        None => needs.push(Need::not_here("HTTP", "switched off by listen = \"off\"")),
    }
    let engines = match &view {
        Some(view) => engines(view),
        None => vec![no_engine("no agent runs that could see any", "")],
    };
    let sections =
        vec![Section::new("agent", "Agent", needs), Section::new("engines", "Engines", engines)];
    Looked { sections, papers }
}

/// Calls where the environment says, else where an agent of this configuration
/// has its socket; where that is the usual place, where another user's may be
/// too.
fn meet(plan: &Plan) -> (PathBuf, Option<View>) {
    let folders = run_folders();
    let mut places = vec![plan.run_dir.clone()];
    if folders.contains(&plan.run_dir) {
        places.extend(folders.into_iter().filter(|folder| *folder != plan.run_dir));
    }
    let named = std::env::var_os("EAGLE_EYE_SOCKET").map(PathBuf::from);
    let usual = places.iter().map(|folder| folder.join(SOCKET_NAME));
    let sockets: Vec<PathBuf> = named.into_iter().chain(usual).collect();
    let called = sockets.iter().find_map(|socket| Some((socket.clone(), Some(call(socket)?))));
    called.unwrap_or_else(|| (sockets[0].clone(), None))
}

fn call(socket: &Path) -> Option<View> {
    if !socket.exists() {
        return None;
    }
    let options = Options { socket: Some(socket.to_owned()), ..Options::default() };
    let view = View::connect(options).ok()?;
    wait(ANSWER_NS, || view.is_connected()).then_some(view)
}

fn at_socket(socket: &Path, answers: bool) -> Need {
    let what = "local door";
    let shown = socket.display();
    if answers {
        return Need::fine(what, format!("an agent answers at {shown}"));
    }
    if socket.exists() {
        return Need::limited(
            what,
            format!("no agent answers at {shown}, which is there"),
            "if none runs, start `eagle-eye run`: it takes the path over; if one does, it hangs \
             or does not let this user in",
        );
    }
    Need {
        remedy: "start one with `eagle-eye run`, or give its --config here too".to_owned(),
        ..Need::not_here(what, format!("no agent runs: there is no {shown}"))
    }
}

fn over_http(address: SocketAddr, runs: bool) -> Vec<Need> {
    let what = format!("HTTP {address}");
    let alive = match http::ask(address, "/healthz") {
        Ok(answer) => answer,
        Err(why) if runs => {
            let says = format!("the agent does not answer there: {why}");
            let remedy = "give the doctor the agent's own --config or --listen; if it is the \
                          same, the agent's log tells why HTTP failed";
            return vec![Need::limited(what, says, remedy)];
        }
        Err(_) => return vec![Need::not_here(what, "nobody answers")],
    };
    let Some(status) = status(address).filter(|_| alive.status == 200) else {
        let remedy = "stop it, or choose another address with --listen";
        return vec![Need::trouble(what, "somebody who is no agent answers there", remedy)];
    };
    clock::sleep_until(clock::monotonic_ns() + BETWEEN_NS);
    let later = self::status(address).unwrap_or_else(|| status.clone());
    let mut needs = vec![Need::fine(what, format!("alive for {}", span(&later)))];
    needs.extend(of_status(&status, &later));
    needs
}

fn status(address: SocketAddr) -> Option<Status> {
    let Answer { body, .. } = http::ask(address, "/v1/status").ok()?;
    serde_json::from_str(&body).ok()
}

fn span(status: &Status) -> String {
    crate::cli::watch::text::span(status.up_ms)
}

/// What the agent says of itself; `before` is what it said a moment ago.
fn of_status(before: &Status, status: &Status) -> Vec<Need> {
    let mut needs = vec![match &status.ready {
        Ok(()) => Need::fine("readiness", "everything that was asked for works"),
        Err(why) => Need::trouble("readiness", why, "see its log; then look here again"),
    }];
    if status.version != env!("CARGO_PKG_VERSION") {
        let says = format!("the agent is {}, this is another version", status.version);
        needs.push(Need::limited("version", says, "restart the agent after an update"));
    }
    for sampler in &status.samplers {
        let what = format!("sampler {}", sampler.name);
        match sampler.state {
            SamplerState::Failed => {
                needs.push(Need::trouble(what, &sampler.sentence, "mend it, restart the agent"));
            }
            SamplerState::Stalled => needs.push(Need::trouble(
                what,
                "it missed two periods: its source hangs",
                "see below for processes in uninterruptible sleep, and the kernel's log",
            )),
            SamplerState::Ready | SamplerState::NotHere | SamplerState::Off => {}
        }
    }
    needs.extend(status.losses.iter().map(|loss| of_loss(before, loss)));
    needs
}

/// A loss that goes on is told apart from one that is over: before the first
/// connection to NATS there always is one.
fn of_loss(before: &Status, loss: &LossCount) -> Need {
    let same = |known: &&LossCount| (&known.place, &known.reason) == (&loss.place, &loss.reason);
    let known = before.losses.iter().find(same).map_or(0, |known| known.count);
    let what = format!("loss at {}", loss.place);
    let says = format!("{} since its start: {}", loss.count, loss.reason);
    match loss.count.saturating_sub(known) {
        0 => Need::fine(what, format!("{says}; none while this looked")),
        more => Need::limited(
            what,
            format!("{says}; {more} more while this looked"),
            "what takes there is too slow, or away, for what comes: see its limits in \
             `eagle-eye list settings`, and NATS below",
        ),
    }
}

fn ask_for_papers(address: SocketAddr) -> Vec<Paper> {
    let paper = |path: &&str| {
        let answer = http::ask(address, path).ok().filter(|answer| answer.status == 200)?;
        let name = format!("agent/{}.json", path.rsplit('/').next()?);
        Some(Paper { name, text: answer.body })
    };
    PAPERS.iter().filter_map(paper).collect()
}

/// Every engine with its ranks, the least fresh first.
fn engines(view: &View) -> Vec<Need> {
    wait(NAMES_NS, || view.ranks().iter().all(|rank| view.engine(rank.id.instance).is_some()));
    let mut ranks: Vec<RankState> = view.ranks().to_vec();
    if ranks.is_empty() {
        let says = "no engine reports to this agent";
        let remedy = "link `eagle_eye` into the engine (README, \"If you write an inference \
                      engine\"), let an engine's metrics page be read where that is configured, \
                      or try `eagle-eye simulate`";
        return vec![no_engine(says, remedy)];
    }
    ranks.sort_by_key(|rank| (rank.id.instance, rank.id.rank));
    let mut needs: Vec<Need> = ranks
        .chunk_by(|a, b| a.id.instance == b.id.instance)
        .map(|ranks| engine(view.engine(ranks[0].id.instance).as_deref(), ranks))
        .collect();
    needs.sort_by(|a, b| (b.state as u8, &a.what).cmp(&(a.state as u8, &b.what)));
    let more = needs.len().saturating_sub(ENGINES_MAX);
    needs.truncate(ENGINES_MAX);
    if more > 0 {
        needs.push(Need::fine("others", format!("{more} more, see `eagle-eye watch --once`")));
    }
    needs
}

fn no_engine(says: &str, remedy: &str) -> Need {
    Need { remedy: remedy.to_owned(), ..Need::not_here("engines", says) }
}

fn engine(engine: Option<&Engine>, ranks: &[RankState]) -> Need {
    let worst = ranks.iter().map(|rank| rank.freshness).max().unwrap_or(Freshness::Gone);
    let name = engine.map_or("(not named yet)", |engine| &engine.name);
    let kind = engine.map_or("", |engine| &engine.engine);
    let source = engine.map_or("", |engine| &engine.source);
    let count = match ranks.len() {
        1 => "1 rank".to_owned(),
        many => format!("{many} ranks"),
    };
    let mut parts = vec![kind, source, &count, worst.name()];
    parts.retain(|part| !part.is_empty());
    // A simulated engine is of a simulated kind.
    parts.dedup();
    let says = parts.join(", ");
    match worst {
        Freshness::Fresh => Need::fine(name, says),
        Freshness::Gone => Need::not_here(name, says),
        Freshness::Stale | Freshness::Silent => {
            let remedy = "see whether its process lives and steps; a long prefill also looks so";
            Need::limited(name, says, remedy)
        }
    }
}

fn wait(limit_ns: u64, done: impl Fn() -> bool) -> bool {
    let deadline_ns = clock::monotonic_ns() + limit_ns;
    while !done() {
        if clock::monotonic_ns() >= deadline_ns {
            return false;
        }
        clock::sleep_until(clock::monotonic_ns() + 5 * MILLISECOND_NS);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::samplers::NeedState;
    use crate::web::SamplerStatus;

    #[test]
    fn what_an_agent_says_of_itself_is_told_with_what_to_do() {
        let sampler = |name: &str, state, sentence: &str| SamplerStatus {
            name: name.to_owned(),
            state,
            sentence: sentence.to_owned(),
            period_ms: 100,
            tick_age_ms: None,
        };
        let status = Status {
            node: "n".to_owned(),
            version: "0.0.1".to_owned(),
            up_ms: 1,
            ready: Err("kmsg: failed, no".to_owned()),
            samplers: vec![
                sampler("kmsg", SamplerState::Failed, "no"),
                sampler("procfs", SamplerState::Stalled, ""),
                sampler("own", SamplerState::Ready, ""),
                sampler("ktrace", SamplerState::NotHere, "none"),
            ],
            nats: None,
            simulated: false,
            losses: vec![LossCount { place: "ring".into(), reason: "full".into(), count: 3 }],
        };
        let before = Status { losses: Vec::new(), ..status.clone() };
        let needs = of_status(&before, &status);
        let said: Vec<_> = needs.iter().map(|need| (&*need.what, need.state)).collect();
        assert_eq!(
            said,
            [
                ("readiness", NeedState::Trouble),
                ("version", NeedState::Limited),
                ("sampler kmsg", NeedState::Trouble),
                ("sampler procfs", NeedState::Trouble),
                ("loss at ring", NeedState::Limited),
            ]
        );
        assert!(needs.iter().all(|need| !need.remedy.is_empty()));
        let same = of_status(&status, &status);
        assert_eq!(
            same.last().map(|need| need.state),
            Some(NeedState::Fine),
            "a loss that is over"
        );
    }
}
