//! Any order of appends, turns, crashes and restarts.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Act {
    Append(usize),
    Turn,
    /// The process ends without a word: what it had in memory is gone.
    Crash,
    Close,
    Sync,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        8 => (0_usize..60_000).prop_map(Act::Append),
        3 => Just(Act::Turn),
        1 => Just(Act::Crash),
        1 => Just(Act::Close),
        1 => Just(Act::Sync),
    ];
    prop::collection::vec(act, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(
        std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(48)
    ))]

    #[test]
    fn what_was_handed_to_the_kernel_is_played_whatever_happens_after(acts in acts()) {
        for backend in ways() {
            let dir = tempfile::tempdir().unwrap();
            let limits = Limits { bytes: 64 << 20, ..small() };
            let (mut current, mut counts) = writer(dir.path(), limits, backend);
            let (mut second, mut given, mut sure) = (0, 0_u64, Vec::new());
            let mut open: Vec<u64> = Vec::new();
            for act in &acts {
                second += 1;
                match act {
                    Act::Append(size) => {
                        given += 1;
                        current.append(at(second), FrameKind::Batch, &batch(given, *size));
                        open.push(given);
                    }
                    Act::Turn => {
                        current.turn(at(second));
                        current.settle();
                        sure.append(&mut open);
                    }
                    Act::Sync => current.sync_soon(),
                    Act::Crash => {
                        drop(current);
                        open.clear();
                        (current, counts) = writer(dir.path(), limits, backend);
                    }
                    Act::Close => {
                        current.close(at(second));
                        sure.append(&mut open);
                        (current, counts) = writer(dir.path(), limits, backend);
                    }
                }
                let counts = counts.snapshot();
                prop_assert_eq!((counts.lost_disk, counts.failures), (0, 0));
            }
            current.close(at(second + 1));
            sure.append(&mut open);
            let (found, tally) = batches(dir.path());
            prop_assert!(found.is_sorted() && sure.iter().all(|n| found.contains(n)));
            prop_assert_eq!((tally.damaged, tally.torn_bytes, tally.refused), (0, 0, 0));
        }
    }
}
