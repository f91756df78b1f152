//! What this process sent and what the engines cannot have counted yet.
//!
//! An engine's own numbers are as old as its last sample. A request sent since
//! then is in nobody's numbers but ours, so we add it; once the engine's sample
//! is later than its dispatch, with the clock's error and a margin for being
//! admitted, the engine's numbers include it and ours stop. Nothing is counted
//! twice for longer than that, and nothing below zero.
//!
//! Each rank has a fixed ring of its last [`SLOTS`] dispatches. Adding one takes
//! a ticket and four stores; asking how many are unaccounted walks only those
//! that still are. No locks; memory for a rank's ring is taken at its first
//! dispatch.

use std::sync::OnceLock;

use crossbeam_utils::CachePadded;

use super::RankId;
use crate::platform::atomic::{AtomicU64, Ordering};
use crate::platform::clock::MILLISECOND_NS;

/// Dispatches of one rank that are told apart. When all are unaccounted, a
/// further one is only added to a number, and counts until a later sample
/// covers the newest such.
pub const SLOTS: usize = 1024;

/// Between a dispatch and its showing in an engine's numbers lie the network
/// and the engine's admission: this long at least, ns.
pub const ADMISSION_MARGIN_NS: u64 = 5 * MILLISECOND_NS;

/// Ranks looked at from where a rank should stand; when all are in use by
/// others, a dispatch to it is not counted in the ledger.
const PROBES: usize = 16;

/// All dispatches of this process, by rank.
#[derive(Debug)]
pub struct Ledger {
    /// Whose account each is, as [`mixed`] says; 0 was never used. Apart from
    /// the accounts, so that looking for a rank touches few cache lines.
    ranks: Box<[AtomicU64]>,
    accounts: Box<[CachePadded<Account>]>,
    unplaced: AtomicU64,
}

/// One rank's dispatches.
#[derive(Debug, Default)]
struct Account {
    /// Requests in flight, and [`CLOSED`] while the account changes hands.
    in_flight: AtomicU64,
    /// The next ticket; tickets count from 0.
    next: AtomicU64,
    /// All tickets below are finished or accounted for.
    settled: AtomicU64,
    /// Dispatches up to here are in the engine's numbers, ns.
    accounted_ns: AtomicU64,
    /// Dispatches without a slot that are in flight.
    slotless: AtomicU64,
    /// When the newest of those was sent, ns.
    slotless_ns: AtomicU64,
    slots: OnceLock<Box<[Slot]>>,
}

#[derive(Debug, Default)]
struct Slot {
    /// Twice the ticket plus one, and one more when it is open; 0 was never
    /// used.
    state: AtomicU64,
    dispatch_ns: AtomicU64,
    tokens: AtomicU64,
}

/// Where a dispatch stands in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    account: u32,
    /// [`SLOTLESS`] for a dispatch beyond the slots.
    ticket: u64,
}

/// What a rank has of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Owed {
    /// Requests in flight.
    pub in_flight: u32,
    /// Those that the engine's numbers cannot include yet.
    pub unaccounted: u32,
    /// Prompt tokens of those whose first token did not come yet.
    pub unaccounted_tokens: u64,
}

const CLOSED: u64 = 1 << 63;
const SLOTLESS: u64 = u64::MAX;

impl Ledger {
    /// A ledger for up to `ranks_max` ranks.
    #[must_use]
    pub fn new(ranks_max: usize) -> Self {
        let count = (2 * ranks_max.max(PROBES)).next_power_of_two();
        let accounts = (0..count).map(|_| CachePadded::default()).collect();
        let ranks = (0..count).map(|_| AtomicU64::new(0)).collect();
        Self { ranks, accounts, unplaced: AtomicU64::new(0) }
    }

    /// Notes a request sent to `rank` at `dispatch_ns`. Nothing when the ledger
    /// is full; that is counted.
    #[must_use]
    pub fn open(&self, rank: RankId, dispatch_ns: u64, tokens: u32) -> Option<Entry> {
        let Some((index, account)) = self.entered(rank) else {
            self.unplaced.fetch_add(1, Ordering::Relaxed);
            return None;
        };
        let ticket = account.open(dispatch_ns, tokens);
        Some(Entry { account: index as u32, ticket })
    }

    /// Notes that a request's prompt was computed.
    pub fn first_token(&self, entry: Entry) {
        let account = &self.accounts[entry.account as usize];
        if let Some(slot) = account.open_slot(entry.ticket) {
            slot.tokens.store(0, Ordering::Relaxed);
        }
    }

    /// Notes that a request ended, however it did. Once for each entry.
    pub fn close(&self, entry: Entry) {
        let account = &self.accounts[entry.account as usize];
        account.close(entry.ticket);
    }

    /// What is owed by `rank`, whose engine's numbers are of `sampled_ns`
    /// within `error_ns`, both of this host's clock.
    #[must_use]
    pub fn owed(&self, rank: RankId, sampled_ns: u64, error_ns: u64) -> Owed {
        let Some(account) = self.found(rank) else { return Owed::default() };
        let covered_ns = sampled_ns.saturating_sub(error_ns).saturating_sub(ADMISSION_MARGIN_NS);
        account.owed(covered_ns)
    }

    /// Dispatches that found no place in the ledger.
    #[must_use]
    pub fn unplaced(&self) -> u64 {
        self.unplaced.load(Ordering::Relaxed)
    }

    fn found(&self, rank: RankId) -> Option<&Account> {
        let key = mixed(rank);
        for probe in 0..PROBES {
            let index = self.at(key, probe);
            match self.ranks[index].load(Ordering::Acquire) {
                0 => return None,
                found if found == key => return Some(&self.accounts[index]),
                _ => {}
            }
        }
        None
    }

    /// The rank's account with one more in flight.
    fn entered(&self, rank: RankId) -> Option<(usize, &Account)> {
        let key = mixed(rank);
        for probe in 0..PROBES {
            let index = self.at(key, probe);
            let account = &self.accounts[index];
            if account.enter(&self.ranks[index], key) {
                return Some((index, account));
            }
        }
        // All are other ranks': one that has nothing in flight can move out.
        for probe in 0..PROBES {
            let index = self.at(key, probe);
            let account = &self.accounts[index];
            if account.take_over(&self.ranks[index], key) {
                return Some((index, account));
            }
        }
        None
    }

    fn at(&self, key: u64, probe: usize) -> usize {
        (key as usize).wrapping_add(probe) & (self.accounts.len() - 1)
    }
}

impl Account {
    /// Enters if this account is the rank's or nobody's.
    fn enter(&self, owner: &AtomicU64, key: u64) -> bool {
        let rank = owner.load(Ordering::Acquire);
        let ours = rank == key
            || rank == 0
                && match owner.compare_exchange(0, key, Ordering::AcqRel, Ordering::Acquire) {
                    Ok(_) => true,
                    Err(found) => found == key,
                };
        if !ours {
            return false;
        }
        // [entered] pairs with the exchange in `take_over`: whoever takes the
        // account over sees that somebody is inside, or we see that it closed.
        let before = self.in_flight.fetch_add(1, Ordering::AcqRel);
        if before & CLOSED == 0 && owner.load(Ordering::Acquire) == key {
            return true;
        }
        self.in_flight.fetch_sub(1, Ordering::AcqRel);
        false
    }

    fn take_over(&self, owner: &AtomicU64, key: u64) -> bool {
        if self
            .in_flight
            .compare_exchange(0, CLOSED | 1, Ordering::AcqRel, Ordering::Acquire)
            .is_err()
        {
            return false;
        }
        let next = self.next.load(Ordering::Relaxed);
        self.settled.store(next, Ordering::Relaxed);
        self.accounted_ns.store(0, Ordering::Relaxed);
        self.slotless.store(0, Ordering::Relaxed);
        self.slotless_ns.store(0, Ordering::Relaxed);
        owner.store(key, Ordering::Release);
        self.in_flight.fetch_and(!CLOSED, Ordering::AcqRel);
        true
    }

    fn open(&self, dispatch_ns: u64, tokens: u32) -> u64 {
        let slots = self.slots.get_or_init(|| (0..SLOTS).map(|_| Slot::default()).collect());
        if self.is_full(self.next.load(Ordering::Relaxed)) {
            // Perhaps nobody asked for long: what was closed makes room.
            self.walk(self.accounted_ns.load(Ordering::Acquire));
            if self.is_full(self.next.load(Ordering::Relaxed)) {
                return self.open_slotless(dispatch_ns);
            }
        }
        let ticket = self.next.fetch_add(1, Ordering::Relaxed);
        if self.is_full(ticket) {
            // Others took the last slots since we looked; this ticket stays
            // unused, and `is_old` passes over it.
            return self.open_slotless(dispatch_ns);
        }
        let slot = &slots[ticket as usize % SLOTS];
        slot.dispatch_ns.store(dispatch_ns, Ordering::Relaxed);
        slot.tokens.store(u64::from(tokens), Ordering::Relaxed);
        // [opened] pairs with the load in `walk`.
        slot.state.store(opened(ticket), Ordering::Release);
        ticket
    }

    fn open_slotless(&self, dispatch_ns: u64) -> u64 {
        self.slotless_ns.fetch_max(dispatch_ns, Ordering::Relaxed);
        self.slotless.fetch_add(1, Ordering::Release);
        SLOTLESS
    }

    fn is_full(&self, ticket: u64) -> bool {
        ticket.saturating_sub(self.settled.load(Ordering::Acquire)) >= SLOTS as u64
    }

    fn close(&self, ticket: u64) {
        if ticket == SLOTLESS {
            self.slotless.fetch_sub(1, Ordering::AcqRel);
        } else if let Some(slot) = self.open_slot(ticket) {
            let (release, relaxed) = (Ordering::Release, Ordering::Relaxed);
            // A later dispatch may have the slot by now; it keeps it.
            let _ = slot.state.compare_exchange(opened(ticket), closed(ticket), release, relaxed);
        }
        self.in_flight.fetch_sub(1, Ordering::AcqRel);
    }

    fn open_slot(&self, ticket: u64) -> Option<&Slot> {
        let slot = &self.slots.get()?[ticket as usize % SLOTS];
        (slot.state.load(Ordering::Acquire) == opened(ticket)).then_some(slot)
    }

    fn owed(&self, covered_ns: u64) -> Owed {
        let in_flight = self.in_flight.load(Ordering::Acquire) & !CLOSED;
        if in_flight == 0 {
            return Owed::default();
        }
        // Samples are only ever believed to cover more than before: an error
        // that grows between two samples takes nothing back.
        let before = self.accounted_ns.fetch_max(covered_ns, Ordering::AcqRel);
        let covered_ns = before.max(covered_ns);
        let mut owed = self.walk(covered_ns);
        owed.in_flight = u32::try_from(in_flight).unwrap_or(u32::MAX);
        if self.slotless_ns.load(Ordering::Relaxed) >= covered_ns {
            let slotless = self.slotless.load(Ordering::Acquire);
            owed.unaccounted += u32::try_from(slotless).unwrap_or(u32::MAX);
        }
        owed
    }

    /// Counts what is open and not covered, and moves `settled` past what
    /// needs no look any more.
    fn walk(&self, covered_ns: u64) -> Owed {
        let mut owed = Owed::default();
        let Some(slots) = self.slots.get() else { return owed };
        let next = self.next.load(Ordering::Acquire);
        let from = self.settled.load(Ordering::Acquire);
        let mut settled = from;
        for ticket in from..next {
            let slot = &slots[ticket as usize % SLOTS];
            // [opened] pairs with the store in `open`.
            let state = slot.state.load(Ordering::Acquire);
            if state == opened(ticket) && slot.dispatch_ns.load(Ordering::Relaxed) >= covered_ns {
                owed.unaccounted += 1;
                owed.unaccounted_tokens += slot.tokens.load(Ordering::Relaxed);
            } else if settled == ticket && (state >= closed(ticket) || self.is_old(ticket, next)) {
                settled = ticket + 1;
            }
        }
        if settled > from {
            self.settled.fetch_max(settled, Ordering::AcqRel);
        }
        owed
    }

    /// Whether a ticket that is not in its slot never will be: it was beyond
    /// the slots, and as many came since.
    const fn is_old(&self, ticket: u64, next: u64) -> bool {
        next - ticket > SLOTS as u64
    }
}

const fn opened(ticket: u64) -> u64 {
    2 * ticket + 2
}

const fn closed(ticket: u64) -> u64 {
    2 * ticket + 1
}

/// A rank as one word that is not 0. Instances are hashes already; the
/// multiplier keeps ranks of one instance apart.
const fn mixed(rank: RankId) -> u64 {
    let mixed = rank.instance ^ (rank.rank as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    if mixed == 0 { 1 } else { mixed }
}

#[cfg(test)]
mod tests;
