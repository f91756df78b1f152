//! The steps in an engine's memory: a pure reader over words that may change
//! under it at any time.

use crate::platform::atomic::{LoadOnly, Ordering, fence, spin_hint};
use crate::schema::{Door, STEP_BYTES, StepCore};

use super::counts::{DoorCounts, add};

/// Most slots read of one door in a round, so that an engine gone mad delays
/// the others by no more than a fraction of a millisecond.
pub const ROUND_SLOTS_MAX: u64 = 1024;

/// How often a slot is copied again at once when its checksum does not fit.
const TRIES_MAX: usize = 4;

/// In how many rounds a slot may be unfinished before it is passed over. A
/// finished slot shows late only where the writer's stores are not ordered,
/// and then for less than one round.
const TORN_ROUNDS_MAX: u32 = 8;

const HEAD_WORD: usize = Door::HEAD_AT / 8;
const SLOT_HEADER_WORDS: usize = Door::SLOT_HEADER_BYTES / 8;
const STEP_WORDS: usize = STEP_BYTES / 8;

/// The largest slot that [`Door::check`] lets in.
const SLOT_BYTES_MAX: usize = 4096;

/// Where a slot is copied to: one for all doors of a thread.
#[derive(Debug)]
pub struct Scratch(Box<[u64; SLOT_BYTES_MAX / 8]>);

impl Default for Scratch {
    fn default() -> Self {
        Self(Box::new([0; SLOT_BYTES_MAX / 8]))
    }
}

/// How far a door was read.
#[derive(Debug, Clone, Copy)]
pub struct Slots {
    door: Door,
    /// Whether a slot is left for the next round.
    pending: bool,
    torn_rounds: u32,
    /// The last sequence that was dealt with.
    taken: u64,
    /// The head at which there is nothing to do.
    rest: u64,
    /// The head when the door was opened.
    opened_at: u64,
}

/// What came of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Copied {
    Whole,
    Overwritten,
    Torn,
}

impl Slots {
    /// Begins with the oldest slot that still stands in the memory; slots that
    /// were overwritten before are nobody's loss. `words` here and later are
    /// those whose size [`Door::check`] was told.
    #[must_use]
    pub fn open(door: Door, words: LoadOnly<'_>) -> Self {
        let head = words.load(HEAD_WORD, Ordering::Acquire);
        let taken = head.saturating_sub(u64::from(door.slot_count));
        Self { door, pending: taken < head, torn_rounds: 0, taken, rest: taken, opened_at: head }
    }

    /// The places of the door.
    #[must_use]
    pub const fn door(&self) -> Door {
        self.door
    }

    /// Whether there is something to read: one load.
    #[must_use]
    pub fn waits(&self, words: LoadOnly<'_>) -> bool {
        words.load(HEAD_WORD, Ordering::Relaxed) != self.rest || self.pending
    }

    /// The head when the door was opened: later slots are no history.
    #[must_use]
    pub const fn opened_at(&self) -> u64 {
        self.opened_at
    }

    /// Whether what was there when the door was opened has been read.
    #[must_use]
    pub const fn caught_up(&self) -> bool {
        self.taken >= self.opened_at
    }

    /// Reads what is there, up to [`ROUND_SLOTS_MAX`]. Every step whose
    /// checksum fits goes to `take` with its slot's sequence; what it says is not yet believed.
    pub fn read(
        &mut self,
        words: LoadOnly<'_>,
        scratch: &mut Scratch,
        counts: &DoorCounts,
        mut take: impl FnMut(u64, &StepCore),
    ) {
        let head = words.load(HEAD_WORD, Ordering::Acquire);
        self.rest = head;
        self.pending = false;
        if head < self.taken {
            add(&counts.heads_reversed, 1);
            return;
        }
        let lapped = (head - self.taken).saturating_sub(u64::from(self.door.slot_count));
        self.taken += lapped;
        add(&counts.slots, lapped);
        add(&counts.overwritten, lapped);
        let end = head.min(self.taken.saturating_add(ROUND_SLOTS_MAX));
        while self.taken < end {
            match self.copy(words, self.taken + 1, scratch) {
                Copied::Whole => {
                    let step = &scratch.0[SLOT_HEADER_WORDS..SLOT_HEADER_WORDS + STEP_WORDS];
                    take(self.taken + 1, bytemuck::from_bytes(bytemuck::cast_slice(step)));
                }
                Copied::Overwritten => add(&counts.overwritten, 1),
                Copied::Torn if self.torn_rounds < TORN_ROUNDS_MAX => {
                    self.torn_rounds += 1;
                    break;
                }
                Copied::Torn => add(&counts.torn, 1),
            }
            self.torn_rounds = 0;
            self.taken += 1;
            add(&counts.slots, 1);
        }
        self.pending = self.taken < head;
    }

    /// Copies the slot of `sequence`.
    fn copy(&self, words: LoadOnly<'_>, sequence: u64, scratch: &mut Scratch) -> Copied {
        let at = self.door.slot_at(sequence) / 8;
        let room = self.door.slot_bytes as usize - Door::SLOT_HEADER_BYTES;
        for _ in 0..TRIES_MAX {
            words.copy_out(at, &mut scratch.0[..SLOT_HEADER_WORDS]);
            let (found, second) = (scratch.0[0], scratch.0[1]);
            if found > sequence {
                return Copied::Overwritten;
            }
            let (length, crc) = (second as u32 as usize, (second >> 32) as u32);
            // Later layouts may be longer; they begin as this one.
            if found == sequence && (STEP_BYTES..=room).contains(&length) {
                let end = SLOT_HEADER_WORDS + length.div_ceil(8);
                words.copy_out(at + SLOT_HEADER_WORDS, &mut scratch.0[SLOT_HEADER_WORDS..end]);
                let bytes: &[u8] = bytemuck::cast_slice(&scratch.0[SLOT_HEADER_WORDS..end]);
                if crc32fast::hash(&bytes[..length]) == crc {
                    return Copied::Whole;
                }
            }
            fence(Ordering::Acquire);
            spin_hint();
        }
        // Once the writer has come round to this slot, the step is gone even
        // though the slot's own sequence may not say so yet.
        let head = words.load(HEAD_WORD, Ordering::Acquire);
        let lapped = head.wrapping_sub(sequence) >= u64::from(self.door.slot_count);
        if lapped { Copied::Overwritten } else { Copied::Torn }
    }
}

#[cfg(test)]
mod tests {
    use super::super::ranks::Ranks;
    use super::super::signs::Signs;
    use super::*;
    use crate::platform::atomic::AtomicU64;
    use bytemuck::Zeroable;
    use proptest::prelude::*;

    const NOW_NS: u64 = 1 << 40;

    struct Image {
        door: Door,
        words: Vec<AtomicU64>,
    }

    impl Image {
        fn new(slot_count: u32) -> Self {
            Self::of(Door::new(slot_count).unwrap())
        }

        fn detailed(slot_count: u32) -> Self {
            Self::of(Door::new(slot_count).unwrap().with_details(256).unwrap())
        }

        fn of(door: Door) -> Self {
            let words = (0..door.bytes / 8).map(|_| AtomicU64::new(0)).collect();
            Self { door, words }
        }

        fn words(&self) -> LoadOnly<'_> {
            LoadOnly::new(&self.words)
        }

        fn store(&self, at: usize, values: &[u64]) {
            for (word, value) in self.words[at..].iter().zip(values) {
                word.store(*value, Ordering::Relaxed);
            }
        }

        fn slot(&self, sequence: u64) -> Vec<u64> {
            let step = StepCore {
                instance: 1,
                incarnation: 2,
                producers: 1,
                sequence,
                ..StepCore::zeroed()
            };
            let step: &[u64] = bytemuck::cast_slice(std::slice::from_ref(&step));
            let crc = u64::from(crc32fast::hash(bytemuck::cast_slice(step)));
            [&[sequence, crc << 32 | STEP_BYTES as u64], step].concat()
        }

        fn write(&self, sequence: u64) {
            self.store(self.door.slot_at(sequence) / 8, &self.slot(sequence));
            self.head(sequence);
        }

        fn head(&self, sequence: u64) {
            self.words[HEAD_WORD].store(sequence, Ordering::Relaxed);
        }
    }

    #[derive(Default)]
    struct Seen {
        counts: DoorCounts,
        scratch: Scratch,
        sequences: Vec<u64>,
    }

    impl Seen {
        fn read(&mut self, slots: &mut Slots, image: &Image) {
            let sequences = &mut self.sequences;
            slots.read(image.words(), &mut self.scratch, &self.counts, |slot, step| {
                assert_eq!(slot, step.sequence);
                sequences.push(slot);
            });
        }

        fn count(&self, name: &str) -> u64 {
            let mut found = None;
            self.counts.each(|known, value| found = found.or((known == name).then_some(value)));
            found.expect("a count of this name")
        }
    }

    #[test]
    fn steps_come_in_order_and_once() {
        let (image, mut seen) = (Image::new(8), Seen::default());
        let mut slots = Slots::open(image.door, image.words());
        assert!(!slots.waits(image.words()));
        for sequence in 1..=20 {
            image.write(sequence);
            assert!(slots.waits(image.words()));
            if sequence % 3 == 0 {
                seen.read(&mut slots, &image);
                assert!(!slots.waits(image.words()));
            }
        }
        assert_eq!(seen.sequences, (1..=18).collect::<Vec<_>>());
    }

    #[test]
    fn a_reader_that_was_lapped_jumps_ahead_and_counts_the_gap() {
        let (image, mut seen) = (Image::new(4), Seen::default());
        let mut slots = Slots::open(image.door, image.words());
        (1..=10).for_each(|sequence| image.write(sequence));
        seen.read(&mut slots, &image);
        assert_eq!(seen.sequences, [7, 8, 9, 10]);
        assert_eq!((seen.count("overwritten"), seen.count("slots")), (6, 6 + 4));
    }

    #[test]
    fn a_door_opened_late_begins_with_what_is_there_and_has_lost_nothing() {
        let (image, mut seen) = (Image::new(4), Seen::default());
        (1..=10).for_each(|sequence| image.write(sequence));
        let mut slots = Slots::open(image.door, image.words());
        assert!(slots.waits(image.words()) && !slots.caught_up());
        seen.read(&mut slots, &image);
        assert!(slots.caught_up());
        assert_eq!((seen.sequences.len(), seen.count("overwritten")), (4, 0));
    }

    #[test]
    fn a_torn_slot_is_retried_and_taken_once_it_is_whole() {
        let (image, mut seen) = (Image::new(4), Seen::default());
        let mut slots = Slots::open(image.door, image.words());
        let whole = image.slot(1);
        let at = image.door.slot_at(1) / 8;
        image.store(at, &whole[..20]);
        image.words[at + 7].store(99, Ordering::Relaxed);
        image.head(1);
        seen.read(&mut slots, &image);
        assert!(seen.sequences.is_empty() && slots.waits(image.words()));
        image.store(at, &whole);
        seen.read(&mut slots, &image);
        assert_eq!((&seen.sequences[..], seen.count("torn")), (&[1][..], 0));
    }

    #[test]
    fn a_slot_that_never_becomes_whole_is_passed_over_and_counted() {
        let (image, mut seen) = (Image::new(4), Seen::default());
        let mut slots = Slots::open(image.door, image.words());
        image.write(1);
        image.write(2);
        image.words[image.door.slot_at(1) / 8 + 9].store(5, Ordering::Relaxed);
        for _ in 0..=TORN_ROUNDS_MAX {
            assert!(slots.waits(image.words()));
            seen.read(&mut slots, &image);
        }
        assert_eq!((&seen.sequences[..], seen.count("torn")), (&[2][..], 1));
    }

    #[test]
    fn a_slot_written_again_while_it_is_read_counts_as_overwritten() {
        let (image, mut seen) = (Image::new(2), Seen::default());
        let mut slots = Slots::open(image.door, image.words());
        image.write(1);
        image.write(2);
        image.store(image.door.slot_at(3) / 8, &image.slot(3)[..9]);
        seen.read(&mut slots, &image);
        assert_eq!((&seen.sequences[..], seen.count("overwritten")), (&[2][..], 1));
    }

    #[test]
    fn a_longer_step_of_a_later_layout_is_read_as_far_as_it_is_known() {
        let mut image = Image::new(4);
        image.door.slot_bytes = 272;
        image.door = Door { slot_count: 2, slot_bytes: 400, ..image.door };
        let mut seen = Seen::default();
        let mut slots = Slots::open(image.door, image.words());
        let mut slot = image.slot(1);
        slot.extend([7, 8, 9]);
        let length = 8 * (slot.len() - SLOT_HEADER_WORDS) - 3;
        let bytes: &[u8] = bytemuck::cast_slice(&slot[SLOT_HEADER_WORDS..]);
        let crc = u64::from(crc32fast::hash(&bytes[..length]));
        slot[1] = crc << 32 | length as u64;
        image.store(image.door.slot_at(1) / 8, &slot);
        image.head(1);
        seen.read(&mut slots, &image);
        assert_eq!(seen.sequences, [1]);
    }

    #[test]
    fn a_head_that_lies_ends_the_round_and_never_the_reader() {
        let (image, mut seen) = (Image::new(4), Seen::default());
        let mut slots = Slots::open(image.door, image.words());
        for head in [u64::MAX, 3, 0, u64::MAX, u64::MAX - 1, 1 << 63] {
            image.head(head);
            for _ in 0..100 {
                seen.read(&mut slots, &image);
            }
            assert!(!slots.waits(image.words()), "busy for ever at {head}");
        }
        assert!(seen.sequences.is_empty() && seen.count("heads_reversed") > 0);
        assert_eq!(seen.count("slots"), seen.count("overwritten") + seen.count("torn"));
    }

    #[test]
    fn one_round_reads_no_more_than_its_bound() {
        let (image, mut seen) = (Image::new(4096), Seen::default());
        let mut slots = Slots::open(image.door, image.words());
        (1..=4096).for_each(|sequence| image.write(sequence));
        seen.read(&mut slots, &image);
        assert_eq!(seen.sequences.len() as u64, ROUND_SLOTS_MAX);
        assert!(slots.waits(image.words()));
    }

    #[derive(Debug, Clone)]
    enum Act {
        Word(usize, u64),
        Head(u64),
        Step(u64),
        Read,
    }

    fn acts() -> impl Strategy<Value = Vec<Act>> {
        let words = Image::detailed(4).words.len();
        let act = prop_oneof![
            3 => (0..words, any::<u64>()).prop_map(|(at, word)| Act::Word(at, word)),
            1 => (0_usize..64, any::<u64>()).prop_map(|(at, word)| Act::Word(at, word)),
            1 => (0_u64..40).prop_map(Act::Head),
            1 => any::<u64>().prop_map(Act::Head),
            6 => (1_u64..40).prop_map(Act::Step),
            6 => Just(Act::Read),
        ];
        prop::collection::vec(act, 1..200)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 4 } else { 256 }, ..Default::default() })]

        #[test]
        fn memory_that_says_anything_at_any_time_is_survived_and_accounted_for(acts in acts()) {
            let image = Image::detailed(4);
            let mut slots = Slots::open(image.door, image.words());
            let (counts, mut scratch) = (DoorCounts::default(), Scratch::default());
            let (mut ranks, mut signs) = (Ranks::new(1, 2), Signs::default());
            let (mut taken, mut last) = (0, 0);
            for act in acts {
                match act {
                    Act::Word(at, word) => image.words[at].store(word, Ordering::Relaxed),
                    Act::Head(head) => image.head(head),
                    Act::Step(sequence) => image.write(sequence),
                    Act::Read => {
                        slots.read(image.words(), &mut scratch, &counts, |_, step| {
                            taken += 1;
                            if let Ok((rank, _)) = ranks.admit(step, NOW_NS) {
                                assert!(rank.newest.step.sequence > last, "went back");
                                last = rank.newest.step.sequence;
                            }
                        });
                        signs.beat(image.words(), NOW_NS, &counts);
                        signs.info(image.words(), &counts);
                        signs.details(image.door, image.words(), &mut Vec::new(), &counts);
                    }
                }
            }
            let [slots, overwritten, torn] =
                [&counts.slots, &counts.overwritten, &counts.torn].map(|c| c.load(Ordering::Relaxed));
            prop_assert_eq!(slots, overwritten.wrapping_add(torn).wrapping_add(taken));
        }
    }
}
