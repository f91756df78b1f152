//! An engine's memory that says anything and changes between any two reads.
//!
//! The input is a program: its first byte is the ring's size, then each
//! operation is one byte and what it takes. What is accepted must have a
//! fitting checksum and a rising sequence, and every slot must be accounted
//! for.

#![no_main]

use libfuzzer_sys::fuzz_target;

use eagle_eye::platform::atomic::{AtomicU64, LoadOnly, Ordering};
use eagle_eye::samplers::engine_push::{DoorCounts, Ranks, Scratch, Signs, Slots};
use eagle_eye::schema::{Door, DoorHeader, StepCore};

const INSTANCE: u64 = 1;
const INCARNATION: u64 = 2;
const NOW_NS: u64 = 1 << 40;

struct Program<'a>(&'a [u8]);

impl Program<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    fn word(&mut self) -> u64 {
        let mut word = [0; 8];
        for byte in &mut word {
            *byte = self.byte().unwrap_or(0);
        }
        u64::from_le_bytes(word)
    }
}

fuzz_target!(|input: &[u8]| {
    let mut program = Program(input);
    let Some(first) = program.byte() else { return };
    let made = Door::new(1 << (first % 6)).expect("a power of two up to 32");
    let made = made.with_details(256).expect("room for details");
    let memory: Vec<AtomicU64> = (0..made.bytes / 8).map(|_| AtomicU64::new(0)).collect();
    let store = |at: usize, word: u64| memory[at % memory.len()].store(word, Ordering::Relaxed);
    let words = LoadOnly::new(&memory);

    let mut header: DoorHeader = made.header(INSTANCE, INCARNATION);
    if first & 0x80 != 0 {
        // A header of the input's making must be refused or be harmless.
        bytemuck::bytes_of_mut(&mut header)[8 + usize::from(first % 24)] =
            program.byte().unwrap_or(0);
    }
    let Ok(door) = Door::check(&header, made.bytes as usize) else { return };

    let mut slots = Slots::open(door, words);
    let (counts, mut scratch) = (DoorCounts::default(), Scratch::default());
    let (mut ranks, mut signs) = (Ranks::new(INSTANCE, INCARNATION), Signs::default());
    let mut details = Vec::new();
    let (mut taken, mut last) = (0_u64, std::collections::HashMap::new());
    while let Some(operation) = program.byte() {
        match operation % 6 {
            0 => store(program.word() as usize, program.word()),
            1 => store(Door::HEAD_AT / 8, program.word()),
            2 => {
                // A step as an honest engine writes it, except for its values.
                let slot = u64::from(program.byte().unwrap_or(0));
                let mut step: StepCore = bytemuck::Zeroable::zeroed();
                (step.instance, step.incarnation) = (INSTANCE, INCARNATION);
                (step.rank, step.producers) = (u16::from(operation) / 64, 1);
                step.sequence = u64::from(program.byte().unwrap_or(0));
                step.kv_usage = f32::from_bits(program.word() as u32);
                step.present = program.word();
                let step: &[u64] = bytemuck::cast_slice(std::slice::from_ref(&step));
                let crc = u64::from(crc32fast::hash(bytemuck::cast_slice(step)));
                let at = door.slot_at(slot) / 8;
                store(at, slot);
                store(at + 1, crc << 32 | 256);
                step.iter().enumerate().for_each(|(n, word)| store(at + 2 + n, *word));
                store(Door::HEAD_AT / 8, slot);
            }
            3 => store(Door::HEARTBEAT_AT / 8 + usize::from(operation) % 4, program.word()),
            4 if operation & 0x80 != 0 => {
                let at = door.details_at as usize / 8 + usize::from(operation) % 32;
                store(at, program.word());
            }
            4 => store(Door::INFO_AT / 8 + usize::from(operation) % 32, program.word()),
            _ => {
                slots.read(words, &mut scratch, &counts, |slot, step| {
                    taken += 1;
                    check(words, &door, slot, step);
                    if let Ok((rank, first)) = ranks.admit(step, NOW_NS) {
                        let key = (step.rank, step.producer);
                        let before = last.insert(key, step.sequence);
                        assert_eq!(before.is_none(), first);
                        assert!(before.is_none_or(|before| before < step.sequence), "went back");
                        assert!(rank.newest.step.heartbeat_ns >= step.monotonic_ns);
                    }
                });
                if let Some(beat) = signs.beat(words, NOW_NS, &counts) {
                    ranks.iter_mut().for_each(|rank| {
                        rank.beat(beat.monotonic_ns, beat.flags, NOW_NS);
                    });
                }
                if let Some(engine) = signs.info(words, &counts) {
                    assert!(engine.name.len() <= eagle_eye::schema::NAME_BYTES_MAX);
                }
                signs.details(door, words, &mut details, &counts);
            }
        }
    }
    let [slots, overwritten, torn] =
        [&counts.slots, &counts.overwritten, &counts.torn].map(|c| c.load(Ordering::Relaxed));
    assert_eq!(slots, overwritten.wrapping_add(torn).wrapping_add(taken));
});

/// What was handed out stands in the memory with a checksum that fits: nothing
/// else writes here while a read runs.
fn check(words: LoadOnly<'_>, door: &Door, slot: u64, step: &StepCore) {
    let mut copy = vec![0_u64; door.slot_bytes as usize / 8];
    words.copy_out(door.slot_at(slot) / 8, &mut copy);
    let (length, crc) = (copy[1] as u32 as usize, (copy[1] >> 32) as u32);
    let bytes: &[u8] = bytemuck::cast_slice(&copy[2..]);
    assert_eq!(crc32fast::hash(&bytes[..length]), crc);
    assert_eq!(&bytes[..256], bytemuck::bytes_of(step));
}
