//! What an engine says beside its steps: its heartbeat, its names and its
//! details.

use crate::platform::atomic::{LoadOnly, Ordering, fence, spin_hint};
use crate::schema::{Door, Engine, EngineDetails};

use super::counts::{DoorCounts, add};
use super::ranks::AHEAD_NS_MAX;

/// How often a cell is copied again at once when its checksum does not fit.
const TRIES_MAX: usize = 4;

/// In how many rounds a heartbeat may not fit its checksum before it is passed
/// over; the next one tells as much.
const BEAT_ROUNDS_MAX: u32 = 8;

/// In how many rounds names may not fit their checksum before that version is
/// passed over: 1 s, far more than any writer needs.
const INFO_ROUNDS_MAX: u32 = 100;

const BEAT_WORD: usize = Door::HEARTBEAT_AT / 8;
const BEAT_WORDS: usize = Door::HEARTBEAT_BYTES / 8;
const INFO_WORD: usize = Door::INFO_AT / 8;
const INFO_BYTES_WORD: usize = Door::INFO_BYTES_AT / 8;

/// A sign of life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beat {
    /// When, by the host's `CLOCK_MONOTONIC`, ns.
    pub monotonic_ns: u64,
    /// [`crate::schema::Flag`] bits.
    pub flags: u32,
}

/// How far a door's heartbeat, names and details were read.
#[derive(Debug, Clone, Copy, Default)]
pub struct Signs {
    beat_seen: u64,
    beat_rounds: u32,
    info_seen: u32,
    info_rounds: u32,
    details_seen: u32,
    details_rounds: u32,
}

impl Signs {
    /// The heartbeat, if there is a new one that can be believed.
    pub fn beat(&mut self, words: LoadOnly<'_>, now_ns: u64, counts: &DoorCounts) -> Option<Beat> {
        if words.load(BEAT_WORD, Ordering::Acquire) == self.beat_seen {
            return None;
        }
        let mut beat = [0_u64; BEAT_WORDS];
        for _ in 0..TRIES_MAX {
            words.copy_out(BEAT_WORD, &mut beat);
            let bytes: &[u8] = bytemuck::cast_slice(&beat);
            let crc = (beat[BEAT_WORDS - 1] >> 32) as u32;
            if crc32fast::hash(&bytes[..Door::HEARTBEAT_BYTES - 4]) == crc {
                (self.beat_seen, self.beat_rounds) = (beat[0], 0);
                if beat[1] > now_ns + AHEAD_NS_MAX {
                    add(&counts.heartbeats_refused, 1);
                    return None;
                }
                add(&counts.heartbeats, 1);
                return Some(Beat { monotonic_ns: beat[1], flags: beat[3] as u32 });
            }
            fence(Ordering::Acquire);
            spin_hint();
        }
        self.beat_rounds += 1;
        if self.beat_rounds > BEAT_ROUNDS_MAX {
            (self.beat_seen, self.beat_rounds) = (beat[0], 0);
            add(&counts.heartbeats_refused, 1);
        }
        None
    }

    /// The names, if they changed and can be believed.
    pub fn info(&mut self, words: LoadOnly<'_>, counts: &DoorCounts) -> Option<Engine> {
        let head = words.load(INFO_WORD, Ordering::Acquire);
        let (version, length) = (head as u32, (head >> 32) as usize);
        if version == self.info_seen {
            return None;
        }
        if version.is_multiple_of(2) && length <= Door::INFO_BYTES_MAX {
            let mut buffer = [0_u64; Door::INFO_BYTES_MAX / 8];
            let part = &mut buffer[..length.div_ceil(8)];
            words.copy_out(INFO_BYTES_WORD, part);
            let crc = words.load(INFO_WORD + 1, Ordering::Acquire) as u32;
            let bytes: &[u8] = &bytemuck::cast_slice(part)[..length];
            if crc32fast::hash(bytes) == crc {
                (self.info_seen, self.info_rounds) = (version, 0);
                add(&counts.infos, 1);
                return Some(Door::read_info(bytes));
            }
        }
        self.info_rounds += 1;
        if self.info_rounds > INFO_ROUNDS_MAX {
            (self.info_seen, self.info_rounds) = (version, 0);
            add(&counts.infos_refused, 1);
        }
        None
    }

    /// The details of each rank, if they changed and can be believed; whose
    /// they are is not filled in. `buffer` is kept from one call to the next.
    pub fn details(
        &mut self,
        door: Door,
        words: LoadOnly<'_>,
        buffer: &mut Vec<u64>,
        counts: &DoorCounts,
    ) -> Option<Vec<EngineDetails>> {
        if door.details_at == 0 {
            return None;
        }
        let at = door.details_at as usize / 8;
        let head = words.load(at, Ordering::Acquire);
        let (version, length) = (head as u32, (head >> 32) as usize);
        if version == self.details_seen {
            return None;
        }
        let room = door.details_bytes as usize - Door::DETAILS_HEAD_BYTES;
        if version.is_multiple_of(2) && length <= room {
            buffer.resize(length.div_ceil(8), 0);
            words.copy_out(at + Door::DETAILS_HEAD_BYTES / 8, buffer);
            let crc = words.load(at + 1, Ordering::Acquire) as u32;
            let bytes: &[u8] = &bytemuck::cast_slice(buffer)[..length];
            if crc32fast::hash(bytes) == crc {
                (self.details_seen, self.details_rounds) = (version, 0);
                let (ranks, refused) = EngineDetails::read_all(bytes);
                add(&counts.details, 1);
                add(&counts.details_refused, refused);
                return Some(ranks);
            }
        }
        self.details_rounds += 1;
        if self.details_rounds > INFO_ROUNDS_MAX {
            (self.details_seen, self.details_rounds) = (version, 0);
            add(&counts.details_refused, 1);
        }
        None
    }
}
