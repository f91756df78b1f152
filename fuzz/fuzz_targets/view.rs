//! Everything a view can be told, in any order: it never panics, keeps its
//! bounds, never goes back within an incarnation while that lives, dates
//! nobody after the receipt, and counts every step under one reason.

#![no_main]

use std::collections::HashMap;

use bytemuck::Zeroable;
use eagle_eye::client::{Ask, Policy, RankId, Ranks, Score, View, ViewCore, ViewSettings};
use eagle_eye::schema::{BATCH_HEADER_BYTES, BatchHead, HotKind, StepCore, write_header};
use libfuzzer_sys::fuzz_target;

const RANKS_MAX: usize = 8;
const SENDERS_MAX: usize = 4;

fuzz_target!(|bytes: &[u8]| {
    run(bytes);
});

/// A view and what must stay true of it.
struct Watched {
    core: ViewCore,
    view: View,
    now_ns: u64,
    last: HashMap<RankId, ((u64, u64), u64)>,
    ranks: Ranks,
    message: Vec<u8>,
}

fn run(mut input: &[u8]) {
    let settings =
        ViewSettings { ranks_max: RANKS_MAX, senders_max: SENDERS_MAX, ..ViewSettings::default() };
    let core = ViewCore::new(settings);
    let view = View::of(&core);
    let (last, ranks) = (HashMap::new(), Ranks::default());
    // A subscriber that never reads must not make the view grow.
    let _news = (view.changes(), view.events(), view.verdicts());
    let mut watched =
        Watched { core, view, now_ns: 10_000_000_000, last, ranks, message: Vec::new() };
    while let Some((act, rest)) = input.split_first() {
        input = watched.act(*act, rest);
        watched.check();
    }
}

impl Watched {
    /// Does one thing; returns the input behind its operands.
    fn act<'a>(&mut self, act: u8, input: &'a [u8]) -> &'a [u8] {
        let (operands, rest) = input.split_at(input.len().min(12));
        let number = |at: usize| u64::from(operands.get(at).copied().unwrap_or(0));
        self.now_ns += number(0) * number(1) * 100_000;
        match act % 8 {
            // Bytes as they come.
            0 => {
                let (bytes, rest) = rest.split_at(rest.len().min(number(2) as usize * 8));
                let _ = self.core.feed(bytes, self.now_ns);
                return rest;
            }
            1 => {
                let (bytes, rest) = rest.split_at(rest.len().min(number(2) as usize * 8));
                let _ = self.core.reply(bytes, self.now_ns, self.now_ns - number(3) * 100_000);
                return rest;
            }
            // A message that could be, as it is or with one byte of it changed.
            2 | 3 => {
                self.write_message(operands);
                let _ = self.core.feed(&self.message, self.now_ns);
            }
            4 => {
                self.write_message(operands);
                if let Some(byte) = self.message.get_mut(number(10) as usize * 2) {
                    *byte ^= number(11) as u8;
                }
                let _ = self.core.feed(&self.message, self.now_ns);
            }
            5 => {
                self.write_message(operands);
                let sent_ns = self.now_ns.saturating_sub(number(10) * 1_000_000);
                let _ = self.core.reply(&self.message, self.now_ns, sent_ns);
            }
            6 => self.core.tick(self.now_ns),
            _ if number(2) & 1 == 0 => self.core.connected(self.now_ns),
            _ => self.core.disconnected(),
        }
        rest
    }

    fn write_message(&mut self, operands: &[u8]) {
        let number = |at: usize| u64::from(operands.get(at).copied().unwrap_or(0));
        let at_ns = (self.now_ns / 2 + number(6) * 10_000_000).wrapping_sub(number(7) << 56);
        let producers = (number(4) % 4) as u16;
        let steps = [0, 1].map(|step| StepCore {
            instance: number(2) % 12,
            incarnation: number(3) % 3,
            producer: (number(4) / 4 % 4) as u16,
            producers,
            sequence: number(5) + step,
            monotonic_ns: at_ns,
            heartbeat_ns: at_ns.wrapping_add(number(8) * 1_000_000),
            flags: number(8) as u32,
            present: u64::MAX,
            ..StepCore::zeroed()
        });
        let head = BatchHead {
            node: number(9) % 6,
            publish_monotonic_ns: at_ns,
            flags: number(9) as u32 >> 4,
            ..BatchHead::zeroed()
        };
        self.message.resize(BATCH_HEADER_BYTES, 0);
        self.message.extend_from_slice(bytemuck::cast_slice(&steps));
        write_header(&mut self.message, HotKind::Steps, &head, 2);
    }

    fn check(&mut self) {
        self.view.scan_at(self.now_ns, &mut self.ranks);
        assert!(self.ranks.len() <= RANKS_MAX, "more ranks than the limit");
        assert_eq!(self.ranks.missed, 0, "nobody writes meanwhile");
        for state in self.ranks.iter() {
            assert_ne!(state.id.instance, 0, "a rank without an engine");
            assert!(state.alive_ns <= self.now_ns, "alive after the receipt");
            assert!(state.sampled_ns <= state.alive_ns, "sampled after the last sign of life");
            if state.step.producers > 1 {
                continue;
            }
            let place = (state.step.incarnation, state.step.sequence);
            let before = self.last.insert(state.id, (place, state.alive_ns));
            // Back only to what lives, when the other fell silent.
            let onward = |(before, alive_ns)| before <= place || alive_ns < state.alive_ns;
            assert!(before.is_none_or(onward), "went back: {before:?} {place:?}");
        }
        // Whoever was forgotten may begin anew.
        let ranks = &self.ranks;
        self.last.retain(|id, _| ranks.iter().any(|state| state.id == *id));
        let counts = self.view.counts();
        let refused = counts.steps_future + counts.steps_malformed + counts.steps_beyond_ranks;
        let kept = counts.steps_stored + counts.steps_old + counts.steps_late;
        assert_eq!(counts.steps, refused + kept + counts.steps_ignored, "a step uncounted");
        for score in [Score::LeastWork, Score::PowerOfTwo, Score::KvAware] {
            let ask = Ask::default();
            if let Ok(pick) = self.view.pick_at(self.now_ns, &ask, &Policy::lenient(), &score) {
                assert!(pick.score.is_finite());
                assert!(pick.considered >= 1);
            }
        }
    }
}
