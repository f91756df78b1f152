//! Which server to try next, and when.
//!
//! We choose, not the NATS client, because each connection is a session of
//! its own (see the room's head). Servers that failed least come first, ties
//! fall to chance; a server in lame duck mode is left alone for a while.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

use async_nats::ServerAddr;

use super::login::Login;
use super::settings::{SERVERS_MAX, ServerNamed, label};
use crate::platform::clock::SECOND_NS;

/// The delay before the first attempt after a loss grows from here.
const RECONNECT_DELAY_START: Duration = Duration::from_millis(50);

/// How long a server that said it goes is left alone.
const LAME_DUCK_NS: u64 = 60 * SECOND_NS;

/// The servers we know and how they did.
#[derive(Debug)]
pub(super) struct Servers {
    known: Vec<Known>,
    attempts: u32,
    delay_max: Duration,
    chance: Chance,
}

/// A server to dial.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) address: ServerAddr,
    pub(super) login: Login,
    /// What may be shown of it.
    pub(super) label: String,
}

#[derive(Debug)]
struct Known {
    target: Target,
    failures: u32,
    avoid_until_ns: u64,
    discovered: bool,
}

/// Random numbers that need not be secret.
#[derive(Debug)]
pub(super) struct Chance(u64);

impl Servers {
    pub(super) fn new(named: Vec<ServerNamed>, delay_max: Duration) -> Self {
        let known = named
            .into_iter()
            .map(|ServerNamed { address, login }| {
                Known::new(Target { label: label(&address), address, login }, false)
            })
            .collect();
        Self { known, attempts: 0, delay_max, chance: Chance::new() }
    }

    /// The server to dial at `now_ns`.
    pub(super) fn next(&mut self, now_ns: u64) -> Target {
        let start = self.chance.below(self.known.len() as u64) as usize;
        let count = self.known.len();
        let best = (0..count)
            .map(|at| (start + at) % count)
            .min_by_key(|at| {
                let known = &self.known[*at];
                (known.avoid_until_ns > now_ns, known.failures)
            })
            .expect("settings name at least one server");
        self.known[best].target.clone()
    }

    /// How long to wait before the next attempt: nothing before the first,
    /// then evenly spread up to a doubling bound. A refusal waits for an
    /// operator, so it is tried less often.
    pub(super) fn delay(&mut self, refused: bool) -> Duration {
        if refused {
            return self.delay_max + self.spread(self.delay_max);
        }
        match self.attempts {
            0 => Duration::ZERO,
            attempts => {
                let doubled = RECONNECT_DELAY_START.saturating_mul(1 << attempts.min(16));
                self.spread(doubled.min(self.delay_max))
            }
        }
    }

    /// An even choice between nothing and `up_to`.
    pub(super) fn spread(&mut self, up_to: Duration) -> Duration {
        let ns = u64::try_from(up_to.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(self.chance.below(ns.saturating_add(1)))
    }

    /// An attempt failed, or its connection was lost.
    pub(super) fn failed(&mut self, label: &str) {
        self.attempts = self.attempts.saturating_add(1);
        if let Some(known) = self.named(label) {
            known.failures = known.failures.saturating_add(1);
        }
    }

    /// A connection stands. A server that lets us in and drops us at once
    /// must not be dialled in a tight loop, so the delay falls back only when
    /// the connection has [held](Self::held).
    pub(super) fn entered(&mut self, label: &str, told: &[String]) {
        let Some(at) = self.known.iter().position(|known| known.target.label == label) else {
            return;
        };
        self.known[at].failures = 0;
        let login = self.known[at].target.login.clone();
        let secure = self.known[at].target.address.scheme() == "tls";
        self.discover(told, &login, secure);
    }

    /// The connection lasted.
    pub(super) const fn held(&mut self) {
        self.attempts = 0;
    }

    /// How many there are.
    pub(super) const fn count(&self) -> usize {
        self.known.len()
    }

    /// The server goes; whether there is another to go to.
    pub(super) fn leaves(&mut self, label: &str, now_ns: u64) -> bool {
        if let Some(known) = self.named(label) {
            known.avoid_until_ns = now_ns.saturating_add(LAME_DUCK_NS);
        }
        self.known.iter().any(|known| known.avoid_until_ns <= now_ns)
    }

    /// Takes the addresses that a server told in place of those told before.
    fn discover(&mut self, told: &[String], login: &Login, secure: bool) {
        if told.is_empty() {
            return;
        }
        self.known.retain(|known| {
            !known.discovered || told.iter().any(|url| known.target.label.ends_with(url))
        });
        for url in told {
            let scheme = if secure { "tls" } else { "nats" };
            let Ok(address) = format!("{scheme}://{url}").parse::<ServerAddr>() else { continue };
            let label = label(&address);
            if self.known.len() < SERVERS_MAX && self.named(&label).is_none() {
                let login = login.clone();
                self.known.push(Known::new(Target { label, address, login }, true));
            }
        }
    }

    fn named(&mut self, label: &str) -> Option<&mut Known> {
        self.known.iter_mut().find(|known| known.target.label == label)
    }
}

impl Known {
    const fn new(target: Target, discovered: bool) -> Self {
        Self { target, failures: 0, avoid_until_ns: 0, discovered }
    }
}

impl Chance {
    /// Starts differently in every process and thread.
    pub(super) fn new() -> Self {
        Self(RandomState::new().build_hasher().finish() | 1)
    }

    /// A number in `0..bound`; 0 when there is none.
    pub(super) const fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        if bound == 0 { 0 } else { self.0 % bound }
    }
}

#[cfg(test)]
mod tests {
    use super::super::settings::NatsSettings;
    use super::*;

    fn servers(urls: &[&str]) -> Servers {
        let settings = NatsSettings::with_urls(urls.iter().copied());
        Servers::new(settings.servers().unwrap(), Duration::from_secs(1))
    }

    #[test]
    fn a_server_that_failed_comes_after_one_that_did_not() {
        let mut servers = servers(&["a", "b"]);
        servers.failed("nats://a:4222");
        for _ in 0..32 {
            assert_eq!(servers.next(0).label, "nats://b:4222");
        }
        servers.failed("nats://b:4222");
        servers.failed("nats://b:4222");
        assert_eq!(servers.next(0).label, "nats://a:4222");
    }

    #[test]
    fn equals_are_chosen_by_chance() {
        let mut servers = servers(&["a", "b", "c"]);
        let chosen: std::collections::HashSet<_> =
            (0..200).map(|_| servers.next(0).label).collect();
        assert_eq!(chosen.len(), 3);
    }

    #[test]
    fn delays_are_spread_and_bounded() {
        let mut servers = servers(&["a"]);
        assert_eq!(servers.delay(false), Duration::ZERO);
        for _ in 0..100 {
            servers.failed("nats://a:4222");
            assert!(servers.delay(false) <= Duration::from_secs(1));
        }
        let longest = (0..200).map(|_| servers.delay(false)).max().unwrap();
        assert!(longest > Duration::from_millis(500), "{longest:?}");
        let shortest = (0..200).map(|_| servers.delay(false)).min().unwrap();
        assert!(shortest < Duration::from_millis(500), "{shortest:?}");
        assert!(servers.delay(true) >= Duration::from_secs(1));
        servers.held();
        assert_eq!(servers.delay(false), Duration::ZERO);
    }

    #[test]
    fn a_server_that_goes_is_left_alone_while_there_is_another() {
        let mut pair = servers(&["a", "b"]);
        assert!(pair.leaves("nats://a:4222", 5));
        pair.failed("nats://b:4222");
        assert_eq!(pair.next(6).label, "nats://b:4222");
        assert!(!pair.leaves("nats://b:4222", 6));
        assert!(!servers(&["a"]).leaves("nats://a:4222", 5));
    }

    #[test]
    fn told_addresses_come_and_go_but_configured_ones_stay() {
        let mut servers = servers(&["a"]);
        servers.entered("nats://a:4222", &["10.0.0.1:4222".into(), "10.0.0.2:4222".into()]);
        servers.entered("nats://a:4222", &["10.0.0.2:4222".into(), "bad url".into()]);
        let labels: Vec<_> = servers.known.iter().map(|known| known.target.label.clone()).collect();
        assert_eq!(labels, ["nats://a:4222", "nats://10.0.0.2:4222"]);
    }
}
