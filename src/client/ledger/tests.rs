use super::*;
use proptest::prelude::*;
use std::collections::HashMap;

const MS: u64 = MILLISECOND_NS;

fn rank(rank: u16) -> RankId {
    RankId { instance: 9, rank }
}

#[test]
fn a_dispatch_counts_until_the_engines_sample_is_later() {
    let ledger = Ledger::new(4);
    let entry = ledger.open(rank(0), 100 * MS, 512).unwrap();
    let owed = |sampled_ms, error_ms| ledger.owed(rank(0), sampled_ms * MS, error_ms * MS);
    let open = Owed { in_flight: 1, unaccounted: 1, unaccounted_tokens: 512 };
    assert_eq!(owed(90, 0), open);
    assert_eq!(owed(104, 0), open, "not admitted yet");
    assert_eq!(owed(120, 16), open, "perhaps sampled before");
    assert_eq!(owed(120, 1), Owed { in_flight: 1, ..Owed::default() });
    assert_eq!(owed(120, 16), Owed { in_flight: 1, ..Owed::default() }, "covered once is covered");
    ledger.close(entry);
    assert_eq!(owed(0, 0), Owed::default());
    assert_eq!(ledger.owed(rank(1), 0, 0), Owed::default(), "another rank");
}

#[test]
fn the_first_token_takes_the_prompt_off() {
    let ledger = Ledger::new(4);
    let entry = ledger.open(rank(0), 100 * MS, 512).unwrap();
    ledger.first_token(entry);
    let expected = Owed { in_flight: 1, unaccounted: 1, unaccounted_tokens: 0 };
    assert_eq!(ledger.owed(rank(0), 0, 0), expected);
}

#[test]
fn more_dispatches_than_slots_are_still_counted_and_given_back() {
    let ledger = Ledger::new(4);
    let many = SLOTS as u32 + 10;
    let entries: Vec<Entry> =
        (0..many).map(|n| ledger.open(rank(0), u64::from(n) * MS, 1).unwrap()).collect();
    let owed = ledger.owed(rank(0), 0, 0);
    assert_eq!((owed.in_flight, owed.unaccounted, owed.unaccounted_tokens), (many, many, 1024));
    let covered = ledger.owed(rank(0), u64::from(many) * MS + ADMISSION_MARGIN_NS, 0);
    assert_eq!((covered.in_flight, covered.unaccounted), (many, 0));
    let later = u64::from(2 * many) * MS;
    let last = ledger.open(rank(0), later, 1).unwrap();
    assert_eq!(ledger.owed(rank(0), 0, 0).unaccounted, 1);
    entries.into_iter().chain([last]).for_each(|entry| ledger.close(entry));
    assert_eq!(ledger.owed(rank(0), 0, 0), Owed::default());
}

#[test]
fn slots_closed_while_nobody_asks_make_room() {
    let ledger = Ledger::new(4);
    for n in 0..5 * SLOTS as u64 {
        ledger.close(ledger.open(rank(0), n, 1).unwrap());
    }
    let entry = ledger.open(rank(0), 1, 7).unwrap();
    assert_eq!(ledger.owed(rank(0), 0, 0).unaccounted_tokens, 7, "it has a slot");
    ledger.close(entry);
}

#[test]
fn a_rank_with_nothing_in_flight_makes_room_for_another() {
    let ledger = Ledger::new(1);
    for n in 0..1_000 {
        let entry = ledger.open(rank(n), 5, 3).expect("every other rank is empty");
        assert_eq!(ledger.owed(rank(n), 0, 0).unaccounted_tokens, 3);
        ledger.close(entry);
    }
    let held: Vec<Entry> = (0..1_000).map_while(|n| ledger.open(rank(n), 0, 0)).collect();
    assert!(held.len() < 1_000, "as many as places at most");
    assert_eq!(ledger.unplaced(), 1);
    held.into_iter().for_each(|entry| ledger.close(entry));
    assert!((0..1_000).all(|n| ledger.owed(rank(n), 0, 0) == Owed::default()));
}

#[test]
fn many_threads_leave_nothing_behind() {
    let ledger = Ledger::new(2);
    let rounds = if cfg!(miri) { 20 } else { 5_000 };
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let ledger = &ledger;
            scope.spawn(move || {
                for n in 0..rounds {
                    let rank = rank(((thread + n) % 40) as u16);
                    let entry = ledger.open(rank, n, 1);
                    let owed = ledger.owed(rank, n / 2, 0);
                    assert!(owed.in_flight <= 64, "never below zero: {owed:?}");
                    if let Some(entry) = entry {
                        ledger.first_token(entry);
                        ledger.close(entry);
                    }
                }
            });
        }
    });
    for n in 0..40 {
        assert_eq!(ledger.owed(rank(n), 0, 0), Owed::default());
    }
}

/// One thing that happens to a rank.
#[derive(Debug, Clone)]
enum Act {
    Open { after_ns: u64, tokens: u32 },
    FirstToken { which: usize },
    Close { which: usize },
    Sample { at_ns: u64, error_ns: u64 },
}

fn act() -> impl Strategy<Value = (u16, Act)> {
    let act = prop_oneof![
        5 => (0..20 * MS, 0..100_u32).prop_map(|(after_ns, tokens)| Act::Open { after_ns, tokens }),
        1 => any::<usize>().prop_map(|which| Act::FirstToken { which }),
        3 => any::<usize>().prop_map(|which| Act::Close { which }),
        2 => (0..500 * MS, 0..50 * MS)
            .prop_map(|(at_ns, error_ns)| Act::Sample { at_ns, error_ns }),
    ];
    (0..3_u16, act)
}

/// The plain model: every dispatch in a list.
#[derive(Default)]
struct Model {
    open: Vec<(Entry, u64, u64)>,
    covered_ns: u64,
}

proptest! {
    #[test]
    fn the_ledger_says_what_a_plain_list_says(acts in prop::collection::vec(act(), 1..400)) {
        let ledger = Ledger::new(4);
        let mut models: HashMap<u16, Model> = HashMap::new();
        let mut now = 0;
        for (which_rank, act) in acts {
            let model = models.entry(which_rank).or_default();
            match act {
                Act::Open { after_ns, tokens } => {
                    now += after_ns;
                    let entry = ledger.open(rank(which_rank), now, tokens).unwrap();
                    model.open.push((entry, now, u64::from(tokens)));
                }
                Act::FirstToken { which } if !model.open.is_empty() => {
                    let at = which % model.open.len();
                    model.open[at].2 = 0;
                    ledger.first_token(model.open[at].0);
                }
                Act::Close { which } if !model.open.is_empty() => {
                    let (entry, ..) = model.open.swap_remove(which % model.open.len());
                    ledger.close(entry);
                }
                Act::FirstToken { .. } | Act::Close { .. } => {}
                Act::Sample { at_ns, error_ns } => {
                    let owed = ledger.owed(rank(which_rank), at_ns, error_ns);
                    let covered_ns =
                        at_ns.saturating_sub(error_ns).saturating_sub(ADMISSION_MARGIN_NS);
                    if !model.open.is_empty() {
                        model.covered_ns = model.covered_ns.max(covered_ns);
                    }
                    let still = model.open.iter().filter(|open| open.1 >= model.covered_ns);
                    prop_assert_eq!(owed.in_flight as usize, model.open.len());
                    prop_assert_eq!(owed.unaccounted as usize, still.clone().count());
                    prop_assert_eq!(owed.unaccounted_tokens, still.map(|open| open.2).sum::<u64>());
                }
            }
        }
    }
}
