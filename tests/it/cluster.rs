//! Two agents and a router over a cluster of three servers, of which one dies.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use eagle_eye::client::{Options, RankId, Ranks, View, ViewCore, ViewSettings};
use eagle_eye::engine::Agent;
use eagle_eye::platform::clock::{self, MILLISECOND_NS, SECOND_NS};
use eagle_eye::schema::{BatchView, Flag, Freshness};
use eagle_eye::transports::LinkState;
use eagle_eye::transports::nats::{NatsSettings, NatsSubscriber, SubscriberHooks};

use crate::engines::Engines;
use crate::road::agent;
use crate::server::{NatsServer, eventually, free_port};

/// The name under which servers list the router's connection.
const ROUTER: &str = "router under test";

struct Cluster {
    servers: Vec<NatsServer>,
    monitors: Vec<u16>,
}

impl Cluster {
    fn start() -> Self {
        let routes: Vec<u16> = (0..3).map(|_| free_port()).collect();
        let monitors: Vec<u16> = (0..3).map(|_| free_port()).collect();
        let all = routes.iter().map(|port| format!("\"nats://127.0.0.1:{port}\""));
        let all = all.collect::<Vec<_>>().join(", ");
        let server = |at: usize| {
            let (monitor, route) = (monitors[at], routes[at]);
            NatsServer::with(&format!(
                "server_name: s{at}\nhttp: \"127.0.0.1:{monitor}\"\n\
                 cluster {{ name: c, listen: \"127.0.0.1:{route}\", routes: [{all}] }}"
            ))
        };
        Self { servers: (0..3).map(server).collect(), monitors }
    }

    fn urls(&self) -> String {
        self.servers.iter().map(NatsServer::url).collect::<Vec<_>>().join(",")
    }

    /// The server that holds a connection of this name.
    fn holder(&self, name: &str) -> usize {
        let mut found = None;
        eventually("a server holds the connection", || {
            let named = format!("\"{name}\"");
            found = (0..3).find(|at| connections(self.monitors[*at]).contains(&named));
            found.is_some()
        });
        found.expect("it was found")
    }

    /// The server that an agent's stream goes to.
    fn of_agent(&self, agent: &Agent) -> usize {
        let mut found = None;
        eventually("the agent has a server", || {
            let state = agent.link().map(|link| link.state);
            if let Some(LinkState::Connected { server, .. }) = state {
                let port = |at: &usize| server.contains(&format!(":{}", self.servers[*at].port));
                found = (0..3).find(port);
            }
            found.is_some()
        });
        found.expect("it was found")
    }
}

/// What a server says of its connections; nothing from one that is dead.
fn connections(port: u16) -> String {
    let mut said = String::new();
    if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) {
        let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
        let _ = stream.write_all(b"GET /connz HTTP/1.0\r\n\r\n");
        let _ = stream.read_to_string(&mut said);
    }
    said
}

/// A view under eyes that know the truth: everybody's clock is this host's.
struct Watched {
    view: View,
    ranks: Ranks,
    last: HashMap<RankId, u64>,
}

impl Watched {
    fn over(urls: &str) -> Self {
        let mut options = Options::over_nats(urls.split(','));
        let settings = options.nats.take().expect("servers are given");
        options.nats = Some(NatsSettings { name: ROUTER.into(), ..settings });
        let view = View::connect(options).expect("a thread");
        Self { view, ranks: Ranks::default(), last: HashMap::new() }
    }

    /// Looks once, and holds what is shown against the truth.
    fn look(&mut self) {
        self.view.scan(&mut self.ranks);
        for rank in self.ranks.iter() {
            let before = self.last.insert(rank.id, rank.step.sequence).unwrap_or(0);
            assert!(rank.step.sequence >= before, "back from {before}: {rank:#?}");
            let off_ns = rank.sampled_ns.abs_diff(rank.step.monotonic_ns);
            assert!(off_ns <= rank.error_ns, "{off_ns} ns beside the truth: {rank:#?}");
            let silence_ns = self.ranks.at_ns.saturating_sub(rank.step.heartbeat_ns);
            let promise_ns = u64::from(rank.step.ttl_ms) * MILLISECOND_NS + rank.error_ns;
            let fresh = rank.freshness == Freshness::Fresh;
            assert!(!fresh || silence_ns <= promise_ns, "stale after {silence_ns} ns: {rank:#?}");
        }
    }

    /// Looks until every engine is fresh and beyond what it had written when
    /// this was called; returns how long that took.
    fn until_newer(&mut self, what: &str, all: &[&Engines]) -> Duration {
        let begun_ns = clock::monotonic_ns();
        let wanted: Vec<(u64, u64)> = all
            .iter()
            .flat_map(|engines| engines.instances.iter().copied().zip(engines.written()))
            .collect();
        let deadline_ns = begun_ns + 20 * SECOND_NS;
        loop {
            self.look();
            let newer = |(instance, written): &(u64, u64)| {
                self.ranks.iter().any(|rank| {
                    rank.id.instance == *instance
                        && rank.step.sequence > *written
                        && rank.freshness == Freshness::Fresh
                })
            };
            if wanted.iter().all(newer) {
                return Duration::from_nanos(clock::monotonic_ns() - begun_ns);
            }
            let counts = self.view.counts();
            assert!(clock::monotonic_ns() < deadline_ns, "{what}: {:#?} {counts:?}", self.ranks);
            clock::sleep_until(clock::monotonic_ns() + 2 * MILLISECOND_NS);
        }
    }
}

/// Another router, which also keeps its own books.
struct Ledger {
    books: Arc<Mutex<Books>>,
    _subscriber: NatsSubscriber,
}

struct Books {
    core: ViewCore,
    /// Of each rank: the first and the last sequence.
    spans: HashMap<u64, (u64, u64)>,
    /// Steps that raised the last sequence of their rank.
    raised: u64,
}

impl Books {
    fn enter(&mut self, bytes: &[u8], receipt_ns: u64) {
        let Ok(batch) = BatchView::verify(bytes) else { return };
        let _ = self.core.feed(bytes, receipt_ns);
        for step in batch.steps().filter(|step| !step.has(Flag::Goodbye)) {
            let span = self.spans.entry(step.instance).or_insert((step.sequence, 0));
            if step.sequence > span.1 {
                span.1 = step.sequence;
                self.raised += 1;
            }
        }
    }
}

impl Ledger {
    fn over(urls: &str) -> Self {
        let core = ViewCore::new(ViewSettings::default());
        let books = Arc::new(Mutex::new(Books { core, spans: HashMap::new(), raised: 0 }));
        let hear = Arc::clone(&books);
        let on_message = move |_: &str, bytes: Bytes, receipt_ns: u64| {
            hear.lock().expect("the books").enter(&bytes, receipt_ns);
        };
        let hooks = SubscriberHooks {
            on_message: Box::new(on_message),
            on_reply: Box::new(|_, _, _| {}),
            on_connected: Box::new(|_, _| {}),
            on_disconnected: Box::new(|| {}),
            on_lost: Box::new(|_, _| {}),
        };
        let settings = NatsSettings::with_urls(urls.split(','));
        let subjects = vec!["eagle_eye.v1.routing.*.*".to_owned()];
        let subscriber = NatsSubscriber::start(settings, subjects, hooks, None);
        Self { books, _subscriber: subscriber.expect("a subscriber") }
    }

    /// Whether the last step of every engine came.
    fn has(&self, all: &[&Engines]) -> bool {
        let books = self.books.lock().expect("the books");
        all.iter().all(|engines| {
            engines.instances.iter().zip(engines.written()).all(|(instance, written)| {
                books.spans.get(instance).is_some_and(|(_, last)| *last == written)
            })
        })
    }

    /// Between the first and the last step of each rank, every one came or is
    /// counted as lost.
    fn assert_balanced(&self) {
        let books = self.books.lock().expect("the books");
        let spans: u64 = books.spans.values().map(|(first, last)| last - first + 1).sum();
        let view = View::of(&books.core);
        let counts = view.counts();
        let lost: u64 = view.ranks().iter().map(|rank| rank.lost).sum();
        assert_eq!(lost, counts.steps_lost, "{counts:?}");
        assert_eq!(spans, books.raised + counts.steps_late + lost, "{counts:?}");
    }
}

#[test]
fn a_dead_server_of_three_costs_moments_and_shows_nothing_stale() {
    let mut cluster = Cluster::start();
    let urls = cluster.urls();
    let folders = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    let ledger = Ledger::over(&urls);
    let mut router = Watched::over(&urls);
    let agents = [0, 1].map(|at| agent(folders[at].path(), &format!("node{at}"), Some(&urls)));
    let sockets = folders.each_ref().map(|folder| folder.path().join("agent.sock"));
    let engines = [
        Engines::start(&sockets[0], "first", 4, 100).welcome(),
        Engines::start(&sockets[1], "second", 4, 100).welcome(),
    ];
    let all = [&engines[0], &engines[1]];
    router.until_newer("before", &all);

    let of_router = cluster.holder(ROUTER);
    cluster.servers[of_router].kill();
    let router_took = router.until_newer("without the router's server", &all);
    assert_ne!(cluster.holder(ROUTER), of_router);
    cluster.servers[of_router].restart();

    let of_agent = cluster.of_agent(&agents[0]);
    let generation = agents[0].link().expect("a link").generation;
    cluster.servers[of_agent].kill();
    let agent_took = router.until_newer("without an agent's server", &all);
    eprintln!("fresh again after {router_took:.0?} (router's), {agent_took:.0?} (agent's server)");
    let link = agents[0].link().expect("a link");
    assert!(link.is_connected() && link.generation > generation, "{link:?}");
    cluster.servers[of_agent].restart();
    router.until_newer("all three again", &all);

    // The last step of each engine comes, and the books balance.
    all.iter().for_each(|engines| engines.pause());
    let last: HashMap<u64, u64> =
        all.iter().flat_map(|e| e.instances.iter().copied().zip(e.written())).collect();
    eventually("the last steps", || {
        router.look();
        let is_last = |rank: &eagle_eye::client::RankState| {
            last.get(&rank.id.instance) == Some(&rank.step.sequence)
        };
        router.ranks.len() == last.len() && router.ranks.iter().all(is_last)
    });
    eventually("the last steps in the books", || ledger.has(&all));
    ledger.assert_balanced();
    let counts = router.view.counts();
    let lost: u64 = router.ranks.iter().map(|rank| rank.lost).sum();
    assert_eq!(lost, counts.steps_lost, "{counts:?}");
    assert_eq!((counts.steps_future, counts.steps_malformed, counts.restarts), (0, 0, 0));
    agents.into_iter().for_each(Agent::stop);
}
