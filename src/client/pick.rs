//! Choosing a rank for a request.

use std::cell::Cell;

use thiserror::Error;

use super::brief::{Brief, Load, each_brief};
use super::ledger::Owed;
use super::policy::{Policy, Treat};
use super::shared::{Detail, NO_CELL, Shared};
use super::state::{RankId, RankState};
use crate::newest::Disturbed;

/// Prompt tokens that weigh like one request.
pub const TOKENS_PER_REQUEST: f64 = 1024.0;

/// Cells tried for each of the two choices before all are looked at.
const DRAWS_MAX: usize = 16;

/// What a request needs.
#[derive(Clone, Copy, Default)]
pub struct Ask<'a> {
    /// Hash of the model's name ([`crate::schema::name_hash`]); any if absent.
    pub model: Option<u64>,
    /// Tokens of its prompt, as well as the caller knows; 0 if he doesn't.
    pub prompt_tokens: u32,
    /// Which ranks can take it: a role, an adapter, not the one that just
    /// failed. All if absent.
    pub only: Option<&'a dyn Fn(&RankState) -> bool>,
}

/// How good a rank is for a request: less is better.
#[derive(Clone, Copy)]
pub enum Score<'a> {
    /// The least work: requests at the engine and on their way, and their
    /// prompt tokens where they are known.
    LeastWork,
    /// The least work of two chosen by chance: nearly as good, spreads the
    /// choices of many routers, and costs the same however many ranks there are.
    PowerOfTwo,
    /// As vLLM's own balancer: waiting requests weigh up to four times as much
    /// as the KV cache fills from half to full.
    KvAware,
    /// The caller's own; none leaves the rank out.
    Own(&'a dyn Fn(&RankState) -> Option<f64>),
}

/// A rank that was chosen, and why.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pick {
    /// The rank as it was when chosen.
    pub state: RankState,
    /// Its score with penalties.
    pub score: f64,
    /// Ranks that could have been chosen.
    pub considered: u32,
    /// Ranks that could not, by reason.
    pub excluded: Excluded,
    /// This host's `CLOCK_MONOTONIC` when chosen, ns.
    pub at_ns: u64,
}

/// No rank could be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("choosing an engine failed: none of {} ranks may take the request ({excluded})", excluded.total())]
pub struct NoPick {
    /// Why not, by reason.
    pub excluded: Excluded,
}

macro_rules! excluded {
    ($($(#[doc = $doc:literal])* $name:ident,)*) => {
        /// Ranks left out, each under the first reason that applied.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub struct Excluded {
            $($(#[doc = $doc])* pub $name: u32,)*
        }

        impl Excluded {
            /// All of them.
            #[must_use]
            pub const fn total(&self) -> u32 {
                0 $(+ self.$name)*
            }
        }

        impl std::fmt::Display for Excluded {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let mut first = true;
                $(if self.$name > 0 {
                    let comma = if first { "" } else { ", " };
                    write!(f, "{comma}{} {}", self.$name, stringify!($name).replace('_', " "))?;
                    first = false;
                })*
                if first { f.write_str("no ranks known") } else { Ok(()) }
            }
        }
    };
}

excluded! {
    /// They serve another model.
    other_model,
    /// The request's own condition said no.
    unfit,
    /// Said goodbye or silent for very long.
    gone,
    /// Silent.
    silent,
    /// Stale.
    stale,
    /// Asleep.
    asleep,
    /// Draining.
    draining,
    /// Not ready yet.
    warming,
    /// Degraded or failed hardware.
    ill,
    /// Nobody samples their hardware.
    unknown_health,
    /// Running or waiting unknown.
    unknown_load,
    /// The score had nothing to say, or said no number.
    unscored,
    /// They could not be read whole.
    disturbed,
}

/// What is kept while ranks go by.
struct Round<'a> {
    ask: &'a Ask<'a>,
    policy: &'a Policy,
    score: &'a Score<'a>,
    excluded: Excluded,
    considered: u32,
}

struct Best {
    state: RankState,
    score: f64,
    ties: u64,
}

pub(super) fn pick(
    shared: &Shared,
    now_ns: u64,
    ask: &Ask<'_>,
    policy: &Policy,
    score: &Score<'_>,
) -> Result<Pick, NoPick> {
    let mut round = Round { ask, policy, score, excluded: Excluded::default(), considered: 0 };
    let best = match score {
        Score::PowerOfTwo => {
            draw_two(shared, now_ns, &mut round).or_else(|| best_of_two(shared, now_ns, &mut round))
        }
        _ => best_of_briefs(shared, now_ns, &mut round)
            .or_else(|| best_of_all(shared, now_ns, &mut round)),
    };
    let Round { excluded, considered, .. } = round;
    match best {
        Some(mut best) => {
            if best.state.cell != NO_CELL
                && let Ok(Some(whole)) = shared.rank_in(best.state.cell, now_ns)
                && whole.id == best.state.id
            {
                best.state = whole;
            }
            Ok(Pick { state: best.state, score: best.score, considered, excluded, at_ns: now_ns })
        }
        None => Err(NoPick { excluded }),
    }
}

impl Round<'_> {
    /// Only the caller's own functions may ask for counters.
    const fn detail(&self) -> Detail {
        match (self.score, self.ask.only) {
            (Score::Own(_), _) | (_, Some(_)) => Detail::Whole,
            _ => Detail::Glance,
        }
    }

    /// A built-in score.
    fn built_in(&self, load: &Load, owed: &Owed) -> f64 {
        match self.score {
            Score::KvAware => kv_aware(load, owed),
            Score::LeastWork | Score::PowerOfTwo | Score::Own(_) => work_of(load, owed),
        }
    }

    /// The rank's score, or nothing when it is left out.
    fn judge(&mut self, state: &RankState) -> Option<f64> {
        if self.ask.model.is_some_and(|model| model != state.step.model) {
            self.excluded.other_model += 1;
            return None;
        }
        let penalty = self.policy.penalty(state, &mut self.excluded)?;
        if self.ask.only.is_some_and(|only| !only(state)) {
            self.excluded.unfit += 1;
            return None;
        }
        let score = match self.score {
            Score::Own(score) => score(state),
            _ => {
                let RankState { in_flight, unaccounted, unaccounted_tokens, .. } = *state;
                let owed = Owed { in_flight, unaccounted, unaccounted_tokens };
                let unknown = f64::from(in_flight);
                Some(Load::of(state).map_or(unknown, |load| self.built_in(&load, &owed)))
            }
        };
        let Some(score) = score.map(|score| score + penalty).filter(|score| !score.is_nan()) else {
            self.excluded.unscored += 1;
            return None;
        };
        self.considered += 1;
        Some(score)
    }
}

fn best_of_all(shared: &Shared, now_ns: u64, round: &mut Round<'_>) -> Option<Best> {
    let mut best: Option<Best> = None;
    let mut disturbed = 0;
    shared.each_rank(
        now_ns,
        round.detail(),
        |_| disturbed += 1,
        |state| {
            let Some(score) = round.judge(state) else { return };
            match &mut best {
                Some(best) if score > best.score => {}
                Some(best) if score == best.score => {
                    // The n-th of equals replaces the one before with chance
                    // 1/n, so that each is chosen equally often.
                    best.ties += 1;
                    if below(best.ties) == 0 {
                        best.state = *state;
                    }
                }
                _ => best = Some(Best { state: *state, score, ties: 1 }),
            }
        },
    );
    round.excluded.disturbed += disturbed;
    best
}

/// The best by a built-in score, where every rank stands in a cell of its own;
/// otherwise nothing, and nothing counted. Fresh ranks that take requests are
/// judged by what this thread keeps of them, the others in full.
fn best_of_briefs(shared: &Shared, now_ns: u64, round: &mut Round<'_>) -> Option<Best> {
    if round.detail() != Detail::Glance || round.policy.unknown_health != Treat::Include {
        return None;
    }
    let before = (round.excluded, round.considered);
    let mut best = BestCell::default();
    let health = shared.board.health.load();
    let went_through = each_brief(shared, |cell, brief| {
        let is_fresh = |brief: &&Brief| {
            let silence_ns = now_ns.saturating_sub(brief.alive_ns);
            silence_ns <= brief.ttl_ns.min(shared.patience.gone_ns)
                && !health.is_ill(brief.id.instance)
        };
        let Some(brief) = brief.filter(is_fresh) else {
            return match shared.rank_in(cell, now_ns) {
                Ok(Some(state)) => {
                    if let Some(score) = round.judge(&state) {
                        best.offer(cell, state.id, score);
                    }
                    true
                }
                Ok(None) => false,
                Err(Disturbed) => {
                    round.excluded.disturbed += 1;
                    true
                }
            };
        };
        if round.ask.model.is_some_and(|model| model != brief.model) {
            round.excluded.other_model += 1;
            return true;
        }
        round.considered += 1;
        // What we owe it only adds to that.
        if round.built_in(&brief.load, &Owed::default()) <= best.score {
            let owed = shared.ledger.owed(brief.id, brief.sampled_ns, brief.error_ns);
            best.offer(cell, brief.id, round.built_in(&brief.load, &owed));
        }
        true
    });
    let found =
        if went_through && best.ties > 0 { shared.rank_in(best.cell, now_ns) } else { Ok(None) };
    match found {
        Ok(Some(state)) if Some(state.id) == best.id => {
            Some(Best { state, score: best.score, ties: best.ties })
        }
        _ => {
            (round.excluded, round.considered) = before;
            None
        }
    }
}

/// The best cell so far.
struct BestCell {
    cell: u32,
    id: Option<RankId>,
    score: f64,
    ties: u64,
}

impl Default for BestCell {
    fn default() -> Self {
        Self { cell: NO_CELL, id: None, score: f64::INFINITY, ties: 0 }
    }
}

impl BestCell {
    fn offer(&mut self, cell: u32, id: RankId, score: f64) {
        if score < self.score {
            *self = Self { cell, id: Some(id), score, ties: 1 };
        } else if score == self.score {
            // As in `best_of_all`.
            self.ties += 1;
            if below(self.ties) == 0 {
                (self.cell, self.id) = (cell, Some(id));
            }
        }
    }
}

/// Two cells by chance. Nothing, and nothing counted, when two ranks were not
/// found soon, or when ranks stand in several cells.
fn draw_two(shared: &Shared, now_ns: u64, round: &mut Round<'_>) -> Option<Best> {
    let cells = shared.table.load().len() as u64;
    let before = (round.excluded, round.considered);
    let mut first: Option<Best> = None;
    for _ in 0..2 * DRAWS_MAX.min(cells as usize * 2) {
        let cell = below(cells) as u32;
        let Ok(Some(state)) = shared.rank_in(cell, now_ns) else { continue };
        if first.as_ref().is_some_and(|first| first.state.id == state.id) {
            continue;
        }
        let Some(score) = round.judge(&state) else { continue };
        match first {
            None => first = Some(Best { state, score, ties: 1 }),
            Some(first) if first.score <= score => return Some(first),
            Some(_) => return Some(Best { state, score, ties: 1 }),
        }
    }
    (round.excluded, round.considered) = before;
    None
}

/// Two of all eligible ranks by chance, the better of them.
fn best_of_two(shared: &Shared, now_ns: u64, round: &mut Round<'_>) -> Option<Best> {
    let mut two: [Option<Best>; 2] = [None, None];
    let (mut seen, mut disturbed) = (0, 0);
    shared.each_rank(
        now_ns,
        round.detail(),
        |_| disturbed += 1,
        |state| {
            let Some(score) = round.judge(state) else { return };
            seen += 1;
            let place = if seen <= 2 { seen - 1 } else { below(seen) };
            if let Some(place) = two.get_mut(place as usize) {
                *place = Some(Best { state: *state, score, ties: 1 });
            }
        },
    );
    round.excluded.disturbed += disturbed;
    let [first, second] = two;
    match (first, second) {
        (Some(first), Some(second)) if second.score < first.score => Some(second),
        // Which of two equals came first is chance already for three and more.
        (Some(first), Some(second)) if second.score == first.score && below(2) == 0 => Some(second),
        (first, _) => first,
    }
}

/// Requests there and on their way, and prompt tokens in units of
/// [`TOKENS_PER_REQUEST`].
fn work_of(load: &Load, owed: &Owed) -> f64 {
    let requests = load.requests + u64::from(owed.unaccounted);
    let tokens = load.tokens + owed.unaccounted_tokens;
    requests as f64 + tokens as f64 / TOKENS_PER_REQUEST
}

/// As vLLM's data-parallel balancer: waiting + running, and six times the
/// waiting for each share of the KV cache used beyond half.
fn kv_aware(load: &Load, owed: &Owed) -> f64 {
    let requests = load.requests + u64::from(owed.unaccounted);
    let waiting = f64::from(load.waiting) + f64::from(owed.unaccounted);
    let pressure = (f64::from(load.kv_usage).min(1.0) - 0.5).max(0.0);
    requests as f64 + waiting * 6.0 * pressure
}

thread_local! {
    static CHANCE: Cell<u64> = const { Cell::new(0) };
}

/// A number below `limit` by chance (xorshift64*, one state a thread, its seed
/// the kernel's). Not for secrets.
fn below(limit: u64) -> u64 {
    CHANCE.with(|chance| {
        let mut x = match chance.get() {
            0 => seed(),
            x => x,
        };
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        chance.set(x);
        let high = x.wrapping_mul(0x2545_f491_4f6c_dd1d);
        ((u128::from(high) * u128::from(limit)) >> 64) as u64
    })
}

/// Makes this thread's choices among equals repeatable.
#[cfg(test)]
pub(super) fn seed_chance(state: u64) {
    CHANCE.set(state);
}

fn seed() -> u64 {
    let mut bytes = [0; 8];
    let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::NONBLOCK);
    // A kernel without randomness yet: the thread's own address differs at
    // least from the next one's.
    let here = std::ptr::from_ref(&bytes).addr() as u64;
    u64::from_le_bytes(bytes) ^ here | 1
}

#[cfg(test)]
mod tests;
