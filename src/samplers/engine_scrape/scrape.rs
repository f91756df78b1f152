//! The scraper's thread: which page is read now, which socket moves on, and
//! whom to ask whether he is an engine.

use std::cell::OnceCell;
use std::collections::HashSet;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::platform::clock::{self, MILLISECOND_NS, SECOND_NS};
use crate::platform::poll::{Bell, readable, wait_readable};
use crate::platform::thread::Stop;
use rustix::event::PollFd;

use super::super::{Context, Outlet, Sampler, Woken, cgroup};
use super::endpoint::Endpoint;
use super::fetch::{Failure, Fetch, Means, Progress};
use super::listeners::{Listener, listeners, own_sockets, owners, parent, sockets_in_use};
use super::page::Page;
use super::probes::{Ask, Asked, LOOK_NS, Probes};
use super::pushed::{Pushed, Whose};
use super::resolve::Resolver;
use super::settings::Plan;
use super::target::{Origin, Pace, Target};
use super::token::Token;

/// Bytes between the wire and a page, shared by all.
const SCRATCH_BYTES: usize = 32 * 1024;

/// How long a name's address may be missing before it is asked for again.
const RESOLVE_NS: u64 = 5 * SECOND_NS;

/// The least time between two searches for who owns a socket: it reads every
/// process's descriptors.
const OWNERS_NS: u64 = 10 * SECOND_NS;

/// Early ticks that a round has for each page on its way. Beyond, somebody
/// sends his page byte by byte, and is looked at once in a while only.
const EARLY_MAX: usize = 16;

/// That while.
const NAP_NS: u64 = 2 * MILLISECOND_NS;

/// How often listening sockets are listed where the number of sockets has not
/// moved: one that took another's place is found by then.
const LIST_NS: u64 = 60 * SECOND_NS;

/// The sampler.
#[derive(Debug)]
pub(super) struct EngineScrape {
    context: Context,
    plan: Plan,
    proc: PathBuf,
    token: Option<Token>,
    targets: Vec<Target>,
    probes: Probes,
    asking: Vec<Asking>,
    pushed: Pushed,
    resolver: Option<Resolver>,
    scratch: Box<[u8]>,
    pace: Pace,
    /// The caller's deadline, whose distance from the next is the period.
    due_ns: u64,
    /// Whether pages are due: a tick at the caller's deadline.
    round: bool,
    /// Early ticks in this round.
    early: usize,
    /// When ports are looked at; 0 as soon as can be.
    look_ns: u64,
    listening: Listening,
    owners_ns: u64,
    /// Rung when this thread is to end.
    bell: Option<Arc<Bell>>,
    resolve_ns: u64,
}

/// Who listens, as last seen.
#[derive(Debug, Default)]
struct Listening {
    all: Vec<Listener>,
    in_use: Option<[u64; 2]>,
    /// When they are listed again although nothing seems to have moved.
    list_ns: u64,
}

impl Listening {
    /// Takes the list out, made anew if need be.
    fn take(&mut self, proc: &Path, anew: bool, now_ns: u64) -> Vec<Listener> {
        let in_use = sockets_in_use(proc);
        let moved = in_use.is_none() || in_use != self.in_use;
        if moved || anew || now_ns >= self.list_ns {
            self.all = listeners(proc).unwrap_or_default();
            (self.in_use, self.list_ns) = (in_use, now_ns + LIST_NS);
        }
        std::mem::take(&mut self.all)
    }
}

/// A port that is being asked.
#[derive(Debug)]
struct Asking {
    ask: Ask,
    fetch: Fetch,
    page: Page,
}

impl EngineScrape {
    /// Nothing is read or asked before the first tick.
    pub(super) fn open(context: &Context, plan: Plan) -> Self {
        let now_ns = clock::monotonic_ns();
        let node = context.names.node();
        let target =
            |endpoint: &Endpoint| Target::new(endpoint.clone(), Origin::Configured, node, now_ns);
        let targets: Vec<Target> = plan.endpoints.iter().map(target).collect();
        let has_names = targets.iter().any(|target| target.address.is_none());
        Self {
            proc: context.host_root.join("proc"),
            token: plan.token_file.as_deref().map(Token::new),
            targets,
            probes: Probes::default(),
            asking: Vec::new(),
            pushed: Pushed::default(),
            resolver: has_names.then(Resolver::start).and_then(Result::ok),
            scratch: vec![0; SCRATCH_BYTES].into(),
            pace: Pace { period_ns: SECOND_NS, timeout_ns: plan.timeout_ns },
            due_ns: 0,
            round: true,
            early: 0,
            look_ns: 0,
            listening: Listening::default(),
            owners_ns: 0,
            bell: None,
            resolve_ns: 0,
            context: context.clone(),
            plan,
        }
    }

    /// Moves every page on whose socket allows it.
    fn drive(&mut self, outlet: &mut Outlet) {
        for target in &mut self.targets {
            let Some(fetch) = &mut target.fetch else { continue };
            let mut means = Means {
                now_ns: clock::monotonic_ns(),
                page: &mut target.page,
                scratch: &mut self.scratch,
                page_bytes_max: self.plan.page_bytes_max,
            };
            match fetch.advance(&mut means) {
                Progress::Waits | Progress::Goes => {}
                Progress::Done(answer) => target.done(answer, self.pace, outlet),
                Progress::Failed(why) => target.failed(why, self.pace, outlet),
            }
        }
    }

    /// Begins the pages that are due.
    fn begin(&mut self, now_ns: u64, outlet: &mut Outlet) {
        for target in &mut self.targets {
            if !target.is_due(self.round) {
                continue;
            }
            let Some(address) = target.address else {
                // The resolver's answer is what fails, unless there is none.
                if self.resolver.is_none() {
                    target.failed(Failure::Unresolved, self.pace, outlet);
                }
                continue;
            };
            let token = match target.origin {
                Origin::Configured => self.token.as_ref().and_then(Token::text),
                Origin::Found(_) => None,
            };
            let deadline_ns = now_ns + self.pace.timeout_ns;
            let input = std::mem::take(&mut target.input);
            match Fetch::start(address, &target.uri, token, deadline_ns, input) {
                Ok(fetch) => target.fetch = Some(fetch),
                Err(why) => target.failed(why, self.pace, outlet),
            }
        }
    }

    /// Asks for the addresses of names, and takes in what came.
    fn resolve(&mut self, now_ns: u64, outlet: &mut Outlet) {
        let Some(resolver) = &self.resolver else { return };
        for (who, address) in resolver.answers() {
            match (self.targets.get_mut(who), address) {
                (Some(target), Some(address)) => target.resolved(address),
                (Some(target), None) => target.failed(Failure::Unresolved, self.pace, outlet),
                (None, _) => {}
            }
        }
        if now_ns < self.resolve_ns {
            return;
        }
        self.resolve_ns = now_ns + RESOLVE_NS;
        // Those of the configuration stand first and never move.
        for (who, target) in self.targets.iter().enumerate() {
            if target.address.is_none() {
                resolver.ask(who, &target.endpoint.host, target.endpoint.port);
            }
        }
    }

    /// Leaves alone whoever reports himself.
    fn heed_pushed(&mut self, now_ns: u64, outlet: &mut Outlet) {
        self.pushed.look(&self.context.names, &self.proc);
        for target in &mut self.targets {
            let pushed = self.pushed.has(target.whose());
            target.pause(pushed, now_ns, outlet);
        }
    }

    /// Looks who listens and whose sockets they are, and asks a few of them.
    /// Whether it was time to.
    fn look(&mut self, now_ns: u64, outlet: &mut Outlet) -> bool {
        if now_ns < self.look_ns || !(self.round || self.look_ns == 0) {
            return false;
        }
        self.look_ns = now_ns + LOOK_NS;
        self.forget_lost(outlet);
        let all = self.listening.take(&self.proc, self.seeks_owner(), now_ns);
        self.find_owners(&all, now_ns, outlet);
        if self.plan.discover {
            self.ask_some(&all, now_ns);
        }
        self.listening.all = all;
        true
    }

    fn seeks_owner(&self) -> bool {
        self.targets.iter().any(|target| target.seeks_owner)
    }

    fn ask_some(&mut self, all: &[Listener], now_ns: u64) {
        let ours = OnceCell::new();
        let (targets, pushed) = (&self.targets, &self.pushed);
        let room = targets.len() + self.asking.len() < self.plan.engines_max;
        let is_left_alone = |listener: &Listener| {
            let port = listener.address.port();
            let endpoint = Endpoint::listening(listener.address, "");
            let whose = Whose { endpoint: &endpoint, own: true, process: 0, parent: 0 };
            !room
                || ours.get_or_init(own_sockets).contains(&listener.inode)
                || targets.iter().any(|target| target.own && target.endpoint.port == port)
                || pushed.has(whose)
        };
        for ask in self.probes.look(all, is_left_alone, now_ns) {
            self.ask(ask, now_ns);
        }
    }

    fn ask(&mut self, ask: Ask, now_ns: u64) {
        let uri = Endpoint::listening(ask.address, ask.path).uri();
        let deadline_ns = now_ns + self.pace.timeout_ns;
        match Fetch::start(ask.address, &uri, None, deadline_ns, Vec::new()) {
            Ok(fetch) => self.asking.push(Asking { ask, fetch, page: Page::default() }),
            Err(_) => self.probes.answered(&ask.listener, Asked::Unanswered, now_ns),
        }
    }

    /// Hears those who were asked.
    fn hear(&mut self, now_ns: u64) {
        let mut at = 0;
        while at < self.asking.len() {
            let asking = &mut self.asking[at];
            let mut means = Means {
                now_ns: clock::monotonic_ns(),
                page: &mut asking.page,
                scratch: &mut self.scratch,
                page_bytes_max: self.plan.page_bytes_max,
            };
            let asked = match asking.fetch.advance(&mut means) {
                Progress::Waits | Progress::Goes => {
                    at += 1;
                    continue;
                }
                Progress::Done(_) => match asking.page.end() {
                    Ok(_) => None,
                    Err(_) => Some(Asked::Answered),
                },
                Progress::Failed(Failure::NotHttp) => Some(Asked::Foreign),
                Progress::Failed(Failure::Connect(_) | Failure::Late | Failure::Cut) => {
                    Some(Asked::Unanswered)
                }
                Progress::Failed(_) => Some(Asked::Answered),
            };
            let ask = self.asking.swap_remove(at).ask;
            match asked {
                Some(asked) => self.probes.answered(&ask.listener, asked, now_ns),
                None => self.follow(ask, now_ns),
            }
        }
    }

    /// An engine was found.
    fn follow(&mut self, ask: Ask, now_ns: u64) {
        let own_port = |t: &Target| t.own && t.endpoint.port == ask.address.port();
        if self.targets.len() < self.plan.engines_max && !self.targets.iter().any(own_port) {
            let endpoint = Endpoint::listening(ask.address, ask.path);
            let origin = Origin::Found(ask.listener);
            let node = self.context.names.node();
            self.targets.push(Target::new(endpoint, origin, node, now_ns));
            // Whose it is decides whether it is pushed as well.
            self.look_ns = 0;
        }
    }

    /// Forgets pages that were found and are lost, or that the configuration
    /// turned out to list under a name.
    fn forget_lost(&mut self, outlet: &mut Outlet) {
        let listed = self.targets.iter().filter(|t| t.own && t.origin == Origin::Configured);
        let listed: HashSet<u16> = listed.map(|target| target.endpoint.port).collect();
        let probes = &mut self.probes;
        self.targets.retain_mut(|target| {
            let Origin::Found(listener) = target.origin else { return true };
            let is_lost = target.is_lost() || listed.contains(&target.endpoint.port);
            if is_lost {
                target.forget(outlet);
                probes.lost(&listener);
            }
            !is_lost
        });
    }

    /// Finds out which process listens where a page of this host is.
    fn find_owners(&mut self, all: &[Listener], now_ns: u64, outlet: &mut Outlet) {
        let listener_of = |target: &Target| {
            let address = target.address.filter(|_| target.own)?;
            let is_there = |listener: &&Listener| {
                let ip = listener.address.ip();
                listener.address.port() == address.port()
                    && (ip == address.ip() || ip.is_unspecified())
            };
            all.iter().find(is_there).map(|listener| listener.inode)
        };
        let seeking = self.targets.iter().filter(|target| target.seeks_owner);
        let inodes: HashSet<u64> = seeking.filter_map(listener_of).collect();
        if inodes.is_empty() || now_ns < self.owners_ns {
            return;
        }
        self.owners_ns = now_ns + OWNERS_NS;
        let owners = owners(&self.proc, &inodes);
        for target in self.targets.iter_mut().filter(|target| target.seeks_owner) {
            if let Some(inode) = listener_of(target) {
                let process = owners.get(&inode).copied().unwrap_or(0);
                let above = parent(&self.proc, process).unwrap_or(0);
                let home = cgroup::of_process_in(&self.proc, process).unwrap_or_default();
                target.owned_by(process, above, home, outlet);
            }
        }
    }

    /// Every page on its way.
    fn fetches(&self) -> impl Iterator<Item = &Fetch> {
        let pages = self.targets.iter().filter_map(|target| target.fetch.as_ref());
        pages.chain(self.asking.iter().map(|asking| &asking.fetch))
    }

    /// Waits until a socket moves, the bell rings, or `until_ns`.
    fn wait_sockets(&self, bell: &Bell, until_ns: u64) {
        let mut descriptors: Vec<PollFd<'_>> = self
            .fetches()
            .map(|fetch| PollFd::from_borrowed_fd(fetch.socket(), fetch.interest()))
            .chain([readable(bell.as_fd())])
            .collect();
        let limit_ns = until_ns.saturating_sub(clock::monotonic_ns());
        if wait_readable(&mut descriptors, limit_ns, |_| {}).is_err() {
            // Only a broken kernel says no; then we poll.
            clock::sleep_until(clock::monotonic_ns() + limit_ns.min(MILLISECOND_NS));
        }
    }
}

impl Sampler for EngineScrape {
    fn tick(&mut self, now_ns: u64, outlet: &mut Outlet) {
        if let Some(token) = &mut self.token {
            token.refresh(now_ns);
        }
        self.resolve(now_ns, outlet);
        self.drive(outlet);
        self.hear(now_ns);
        let looked = self.look(now_ns, outlet);
        if self.round || looked {
            // Before a page is begun whose engine reports itself.
            self.heed_pushed(now_ns, outlet);
        }
        self.begin(now_ns, outlet);
        self.round = false;
    }

    /// While pages are on their way, early ticks move them on.
    fn wait(&mut self, due_ns: u64, stop: &Stop) -> Woken {
        if self.due_ns != 0 && due_ns > self.due_ns {
            // Rounds that were missed make it too long, and the next right.
            self.pace.period_ns = due_ns - self.due_ns;
        }
        self.due_ns = due_ns;
        match self.fetches().map(|fetch| fetch.deadline_ns).min() {
            None => stop.sleep_until(due_ns),
            Some(late_ns) => {
                if self.bell.is_none() {
                    self.bell = Bell::new().map(Arc::new).ok();
                    self.bell.iter().for_each(|bell| stop.ring(Arc::clone(bell)));
                }
                let most = EARLY_MAX * (1 + self.fetches().count());
                match &self.bell {
                    Some(bell) if self.early < most => {
                        self.wait_sockets(bell, late_ns.min(due_ns));
                    }
                    _ => stop.sleep_until(clock::monotonic_ns() + NAP_NS),
                }
            }
        }
        self.round = clock::monotonic_ns() >= due_ns;
        self.early = if self.round { 0 } else { self.early + 1 };
        match self.round {
            true => Woken::Due,
            false => Woken::Early,
        }
    }
}
