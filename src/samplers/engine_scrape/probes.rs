//! Which listening ports are asked whether they are an engine, and when.
//!
//! Asking costs a process that is no engine one connection and one line it may
//! not understand, so it is done sparingly: a few ports a round, each a few
//! times with growing pauses, and no more once the answer was clear. Ports
//! that speak something else by everybody's custom are never asked. A port
//! whose socket is another one than before is a new port: something restarted.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::platform::clock::SECOND_NS;

use super::endpoint::PATH;
use super::listeners::Listener;

/// How often listening ports are looked at.
pub(super) const LOOK_NS: u64 = 5 * SECOND_NS;

/// Most ports that are asked in one look.
pub(super) const ROUND_MAX: usize = 4;

/// Where engines have their pages; TensorRT-LLM's server has the second.
const PATHS: [&str; 2] = [PATH, "/prometheus/metrics"];

/// Pauses after a port that did not answer: an engine that loads its weights
/// listens for many minutes before it does.
const UNANSWERED_PAUSES_NS: [u64; 5] =
    [10 * SECOND_NS, 30 * SECOND_NS, 120 * SECOND_NS, 300 * SECOND_NS, 900 * SECOND_NS];

/// Pauses after an answer that was no engine's page.
const ANSWERED_PAUSES_NS: [u64; 3] = [10 * SECOND_NS, 60 * SECOND_NS, 600 * SECOND_NS];

/// Never asked: below 1024 only 80; above, what speaks no HTTP, speaks it only
/// encrypted, or is somebody's control port.
const NEVER: &[u16] = &[
    1433, 1521, 1883, 2049, 2181, 2379, 2380, 3306, 3389, 4222, 5432, 5672, 5900, 6379, 6380, 6443,
    6222, 7000, 7001, 8883, 9042, 9092, 9093, 9094, 9418, 9753, 10250, 10257, 10259, 11211, 15672,
    26379, 27017, 27018, 50051, 61616,
];

/// Asked first: where engines listen unless told otherwise.
const USUAL: &[u16] = &[8000, 30000, 8080, 8002, 8001, 3000, 23333, 1025, 1027, 8081];

/// What came of asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// No connection, or no answer in time.
    Unanswered,
    /// An answer, but no engine's page.
    Answered,
    /// What answered does not speak HTTP.
    Foreign,
}

/// The ports that were seen.
#[derive(Debug, Default)]
pub(super) struct Probes {
    ports: HashMap<SocketAddr, Port>,
}

#[derive(Debug, Clone, Copy)]
struct Port {
    inode: u64,
    asked: usize,
    last: Option<Asked>,
    /// When it is asked again; never, where nothing stands here.
    next_ns: Option<u64>,
}

/// One port to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ask {
    pub(super) listener: Listener,
    pub(super) address: SocketAddr,
    pub(super) path: &'static str,
}

impl Probes {
    /// Takes in who listens now; returns whom to ask, and counts that as asked.
    pub(super) fn look(
        &mut self,
        listeners: &[Listener],
        is_left_alone: impl Fn(&Listener) -> bool,
        now_ns: u64,
    ) -> Vec<Ask> {
        let here: HashSet<SocketAddr> = listeners.iter().map(|l| l.address).collect();
        self.ports.retain(|address, _| here.contains(address));
        let mut due = Vec::new();
        for listener in listeners {
            let fresh = Port { inode: listener.inode, asked: 0, last: None, next_ns: Some(now_ns) };
            let port = self.ports.entry(listener.address).or_insert(fresh);
            if port.inode != listener.inode {
                *port = fresh;
            }
            let is_due = port.next_ns.is_some_and(|next_ns| next_ns <= now_ns);
            if is_due && may_ask(listener.address.port()) && !is_left_alone(listener) {
                due.push((*listener, *port));
            }
        }
        due.sort_by_key(|(listener, port)| {
            let number = listener.address.port();
            let usual = USUAL.iter().position(|usual| *usual == number);
            (port.asked, usual.unwrap_or(USUAL.len()), number)
        });
        due.truncate(ROUND_MAX);
        let mut asks = Vec::new();
        for (listener, port) in due {
            if let Some(port) = self.ports.get_mut(&listener.address) {
                port.asked += 1;
                port.next_ns = None;
            }
            asks.push(ask(listener, &port));
        }
        asks
    }

    /// Takes in what came of asking.
    pub(super) fn answered(&mut self, listener: &Listener, asked: Asked, now_ns: u64) {
        let Some(port) = self.ports.get_mut(&listener.address) else { return };
        if port.inode != listener.inode {
            return;
        }
        let pauses = match asked {
            Asked::Unanswered => &UNANSWERED_PAUSES_NS[..],
            Asked::Answered => &ANSWERED_PAUSES_NS[..],
            Asked::Foreign => &[],
        };
        port.last = Some(asked);
        port.next_ns = pauses.get(port.asked.saturating_sub(1)).map(|pause| now_ns + pause);
    }

    /// Takes in that what was found there is there no more: it may be asked
    /// again as if it were new.
    pub(super) fn lost(&mut self, listener: &Listener) {
        self.ports.remove(&listener.address);
    }
}

fn may_ask(port: u16) -> bool {
    (port == 80 || port >= 1024) && !NEVER.contains(&port)
}

fn ask(listener: Listener, port: &Port) -> Ask {
    let odd = port.asked % 2 == 1;
    let ip = match listener.address.ip() {
        ip if !ip.is_unspecified() => ip,
        // Bound to all of IPv6 is bound to all of IPv4, unless it says not.
        IpAddr::V6(_) if odd && port.last == Some(Asked::Unanswered) => {
            IpAddr::V6(Ipv6Addr::LOCALHOST)
        }
        _ => IpAddr::V4(Ipv4Addr::LOCALHOST),
    };
    let second = odd && port.last == Some(Asked::Answered);
    let path = PATHS[usize::from(second)];
    Ask { listener, address: SocketAddr::new(ip, listener.address.port()), path }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(address: &str, inode: u64) -> Listener {
        Listener { address: address.parse().unwrap(), inode }
    }

    fn asked(asks: &[Ask]) -> Vec<(String, &'static str)> {
        asks.iter().map(|ask| (ask.address.to_string(), ask.path)).collect()
    }

    #[test]
    fn a_few_are_asked_in_a_round_the_usual_ones_first() {
        let mut probes = Probes::default();
        let ports = [22, 80, 443, 3306, 5432, 9999, 8000, 4000, 4001, 9753];
        let all: Vec<_> = ports.iter().map(|p| listener(&format!("0.0.0.0:{p}"), 1)).collect();
        let first = asked(&probes.look(&all, |_| false, 0));
        let address = |port: u16| (format!("127.0.0.1:{port}"), "/metrics");
        assert_eq!(first, [8000, 80, 4000, 4001].map(address));
        assert_eq!(asked(&probes.look(&all, |_| false, 0)), [address(9999)]);
        assert!(probes.look(&all, |_| false, u64::MAX).is_empty(), "they are being asked");
    }

    #[test]
    fn pauses_grow_and_end_and_a_new_socket_begins_anew() {
        for (answer, times) in [(Asked::Unanswered, 6), (Asked::Answered, 4), (Asked::Foreign, 1)] {
            let mut probes = Probes::default();
            let port = listener("127.0.0.1:9000", 1);
            let (mut now_ns, mut count, mut pause_ns) = (0, 0, 0);
            while let Some(ask) = probes.look(&[port], |_| false, now_ns).first().copied() {
                probes.answered(&ask.listener, answer, now_ns);
                count += 1;
                let before_ns = now_ns;
                while count < times && probes.ports[&port.address].next_ns > Some(now_ns) {
                    now_ns += SECOND_NS;
                }
                assert!(count >= times || now_ns - before_ns > pause_ns, "{answer:?}");
                pause_ns = now_ns - before_ns;
            }
            assert_eq!(count, times, "{answer:?}");
            assert!(probes.look(&[port], |_| false, u64::MAX).is_empty());
            assert_eq!(probes.look(&[listener("127.0.0.1:9000", 2)], |_| false, 0).len(), 1);
        }
    }

    #[test]
    fn the_second_ask_tries_the_other_path_or_the_other_loopback() {
        let mut probes = Probes::default();
        let all = [listener("[::]:9000", 1), listener("10.0.0.7:9001", 2)];
        let asks = probes.look(&all, |_| false, 0);
        assert_eq!(
            asked(&asks),
            [("127.0.0.1:9000".to_owned(), "/metrics"), ("10.0.0.7:9001".to_owned(), "/metrics"),]
        );
        probes.answered(&all[0], Asked::Unanswered, 0);
        probes.answered(&all[1], Asked::Answered, 0);
        assert_eq!(
            asked(&probes.look(&all, |_| false, 11 * SECOND_NS)),
            [
                ("[::1]:9000".to_owned(), "/metrics"),
                ("10.0.0.7:9001".to_owned(), "/prometheus/metrics"),
            ]
        );
    }

    #[test]
    fn a_port_that_is_left_alone_or_gone_is_not_asked() {
        let mut probes = Probes::default();
        let port = listener("127.0.0.1:9000", 1);
        assert!(probes.look(&[port], |_| true, 0).is_empty());
        assert!(probes.look(&[], |_| false, 0).is_empty());
        assert!(probes.ports.is_empty());
        assert_eq!(probes.look(&[port], |_| false, 0).len(), 1);
    }
}
