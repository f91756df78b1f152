//! The memory that writer and line share: heartbeat and names by either, slots
//! by the writer only.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Mutex, PoisonError};

use crate::platform::atomic::{AtomicU64, Ordering, fence};
use crate::platform::clock;
use crate::platform::memory::SharedMemory;
use crate::schema::{Door, Engine, EngineDetails, Flag};

const BEAT_WORD: usize = Door::HEARTBEAT_AT / 8;
const INFO_WORD: usize = Door::INFO_AT / 8;
const INFO_BYTES_WORD: usize = Door::INFO_BYTES_AT / 8;

#[derive(Debug)]
pub(super) struct DoorMemory {
    memory: SharedMemory,
    door: Door,
    /// Also keeps two threads from writing heartbeat, names or details at once.
    beats: Mutex<Beats>,
}

#[derive(Debug, Default)]
struct Beats {
    count: u64,
    /// Whether goodbye was said: nothing follows it.
    gone: bool,
}

impl DoorMemory {
    pub(super) fn new(door: &Door, engine: &Engine) -> io::Result<Self> {
        let memory = SharedMemory::new("eagle-eye-door", door.bytes as usize, false)?;
        let made = Self { memory, door: *door, beats: Mutex::default() };
        made.write_info(engine);
        let header = [door.header(engine.instance, engine.incarnation)];
        store(made.words(), 0, bytemuck::cast_slice(&header));
        Ok(made)
    }

    pub(super) fn words(&self) -> &[AtomicU64] {
        self.memory.words()
    }

    pub(super) fn write_info(&self, engine: &Engine) {
        self.replace(INFO_WORD, INFO_BYTES_WORD, Door::write_info(engine));
    }

    /// Replaces the details, where the door has room for any.
    pub(super) fn write_details(&self, details: &[EngineDetails]) {
        let room = self.door.details_bytes as usize;
        if let Some(room) = room.checked_sub(Door::DETAILS_HEAD_BYTES) {
            let at = self.door.details_at as usize / 8;
            let bytes = EngineDetails::write_all(details, room);
            self.replace(at, at + Door::DETAILS_HEAD_BYTES / 8, bytes);
        }
    }

    /// Stores bytes so that a reader sees the version odd while they change.
    fn replace(&self, head_at: usize, bytes_at: usize, mut bytes: Vec<u8>) {
        let _one_at_a_time = self.beats.lock().unwrap_or_else(PoisonError::into_inner);
        let (length, crc) = (bytes.len() as u64, crc32fast::hash(&bytes));
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        let head = &self.words()[head_at];
        let version = head.load(Ordering::Relaxed) as u32;
        head.store(u64::from(version.wrapping_add(1)), Ordering::Relaxed);
        fence(Ordering::Release);
        for (at, eight) in bytes.as_chunks::<8>().0.iter().enumerate() {
            let word = u64::from_le_bytes(*eight);
            self.words()[bytes_at + at].store(word, Ordering::Relaxed);
        }
        self.words()[head_at + 1].store(u64::from(crc), Ordering::Relaxed);
        let version = u64::from(version.wrapping_add(2));
        head.store(length << 32 | version, Ordering::Release);
    }

    pub(super) fn beat(&self, flags: u32) {
        let mut beats = self.beats.lock().unwrap_or_else(PoisonError::into_inner);
        if beats.gone {
            return;
        }
        beats.gone = flags & Flag::Goodbye.bit() != 0;
        beats.count += 1;
        let mut beat = [beats.count, clock::monotonic_ns(), clock::wall_ns(), u64::from(flags)];
        let bytes: &[u8] = bytemuck::cast_slice(&beat);
        let crc = crc32fast::hash(&bytes[..Door::HEARTBEAT_BYTES - 4]);
        beat[3] |= u64::from(crc) << 32;
        store(self.words(), BEAT_WORD, &beat);
    }
}

impl AsFd for DoorMemory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.memory.as_fd()
    }
}

/// Stores words; a reader that sees some of them sees by the checksum that it
/// did not see all.
pub(super) fn store(words: &[AtomicU64], at: usize, values: &[u64]) {
    for (word, value) in words[at..at + values.len()].iter().zip(values) {
        word.store(*value, Ordering::Relaxed);
    }
}
