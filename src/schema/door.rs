//! The memory that an engine shares with its agent, and the words with which
//! both meet: layouts in bytes, so that any language can write them.
//!
//! An engine creates a `memfd` of [`Door::bytes`], sealed against shrinking
//! and growing, and passes its descriptor over the agent's socket:
//!
//! ```text
//!    0  header      64 B   DoorHeader, written once
//!   64  head         8 B   sequence of the last finished slot, 0 = none
//!  128  heartbeat   32 B   sequence, monotonic ns, wall ns: u64; flags, crc: u32
//!  192  info         12 B   version (odd while being written), length, crc: u32
//!  256  info bytes        tag: u16, length: u16, value; … up to 3,840 B
//! 4096  slots             slot i holds sequence s where (s − 1) mod count = i
//!       slot         16 B   sequence: u64, length: u32, crc: u32
//!              +16 256 B   a StepCore
//! ```
//!
//! The agent's bell is a page of the agent's memory, which engines map to read:
//!
//! ```text
//!    0  magic        8 B   "EEBELL01"
//!   64  sleeping     4 B   1 while the agent sleeps or is about to
//! ```
//!
//! Checksums are CRC-32 (the zlib one) of the bytes they guard: of the
//! heartbeat's first 28 bytes, of the info bytes, of a slot's step. A writer
//! may be any process and its memory may change under the reader: nothing
//! here is believed before it was copied out and checked.

use bytemuck::{Pod, Zeroable};
use thiserror::Error;

use super::step::STEP_BYTES;
use super::{Engine, name_hash};

/// The first 64 bytes of an engine's shared memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct DoorHeader {
    /// [`Door::MAGIC`].
    pub magic: [u8; 8],
    /// Version of this layout, 1.
    pub layout: u32,
    /// Size of the whole memory.
    pub total_bytes: u32,
    /// Where the slots begin.
    pub slots_at: u32,
    /// Distance between slots; at least [`Door::SLOT_BYTES`].
    pub slot_bytes: u32,
    /// How many slots; a power of two up to [`Door::SLOTS_MAX`].
    pub slot_count: u32,
    /// Where the details begin, behind the slots; 0 where there are none.
    pub details_at: u32,
    /// Hash of the engine's name.
    pub instance: u64,
    /// Differs after every restart; larger is later on one host.
    pub incarnation: u64,
    /// Size of the details with their head; 0 where there are none.
    pub details_bytes: u32,
    /// Zero.
    pub reserve_end: [u32; 3],
}

const _: () = assert!(size_of::<DoorHeader>() == 64);

/// The places in an engine's shared memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Door {
    /// How many slots.
    pub slot_count: u32,
    /// Distance between slots.
    pub slot_bytes: u32,
    /// Size of the whole memory.
    pub bytes: u32,
}

/// Why an engine's shared memory is not a door.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DoorError {
    /// The first bytes are not [`Door::MAGIC`].
    #[error("the memory does not begin with the door's magic bytes")]
    Magic,
    /// A layout that this build does not read.
    #[error("the door's layout is {0}, this build reads 1")]
    Layout(u32),
    /// Sizes or places that contradict each other.
    #[error("the door's sizes contradict each other or the memory's size")]
    Sizes,
}

impl Door {
    /// The first eight bytes.
    pub const MAGIC: [u8; 8] = *b"EEDOOR01";
    /// The layout described here.
    pub const LAYOUT: u32 = 1;
    /// Where the sequence of the last finished slot stands.
    pub const HEAD_AT: usize = 64;
    /// Where the heartbeat stands.
    pub const HEARTBEAT_AT: usize = 128;
    /// Size of the heartbeat with its checksum.
    pub const HEARTBEAT_BYTES: usize = 32;
    /// Where the info's version, length and checksum stand.
    pub const INFO_AT: usize = 192;
    /// Where the info bytes begin.
    pub const INFO_BYTES_AT: usize = 256;
    /// Most info bytes.
    pub const INFO_BYTES_MAX: usize = 3840;
    /// Where the slots begin.
    pub const SLOTS_AT: usize = 4096;
    /// A slot's header.
    pub const SLOT_HEADER_BYTES: usize = 16;
    /// Size of a slot.
    pub const SLOT_BYTES: usize = Self::SLOT_HEADER_BYTES + STEP_BYTES;
    /// Most slots; 4,096 steps are 4 s at 1 kHz.
    pub const SLOTS_MAX: u32 = 4096;

    /// Size of the details' head.
    pub const DETAILS_HEAD_BYTES: usize = 16;
    /// Size of the details, head included, where a writer has no reason for
    /// another.
    pub const DETAILS_BYTES: usize = 65536;
    /// Largest size of the details.
    pub const DETAILS_BYTES_MAX: usize = 262_144;

    /// The first eight bytes of the bell.
    pub const BELL_MAGIC: [u8; 8] = *b"EEBELL01";
    /// Where the bell says that the agent sleeps.
    pub const BELL_SLEEPING_AT: usize = 64;
    /// Size of the bell's memory.
    pub const BELL_BYTES: usize = 4096;

    /// The places of a new door with `slot_count` slots.
    ///
    /// # Errors
    ///
    /// When `slot_count` is not a power of two up to [`Door::SLOTS_MAX`].
    pub fn new(slot_count: u32) -> Result<Self, DoorError> {
        let slot_bytes = Self::SLOT_BYTES as u32;
        let bytes = Self::SLOTS_AT as u64 + u64::from(slot_bytes) * u64::from(slot_count);
        let fits = slot_count.is_power_of_two() && slot_count <= Self::SLOTS_MAX;
        if !fits {
            return Err(DoorError::Sizes);
        }
        Ok(Self {
            slot_count,
            slot_bytes,
            bytes: u32::try_from(bytes).map_err(|_| DoorError::Sizes)?,
        })
    }

    /// The header to write for an engine.
    #[must_use]
    pub fn header(&self, instance: u64, incarnation: u64) -> DoorHeader {
        DoorHeader {
            magic: Self::MAGIC,
            layout: Self::LAYOUT,
            total_bytes: self.bytes,
            slots_at: Self::SLOTS_AT as u32,
            slot_bytes: self.slot_bytes,
            slot_count: self.slot_count,
            details_at: 0,
            instance,
            incarnation,
            details_bytes: 0,
            reserve_end: [0; 3],
        }
    }

    /// Checks a copied-out header against the true size of the memory.
    ///
    /// # Errors
    ///
    /// When the memory is no door, of another layout, or when any slot would
    /// lie outside of it.
    pub fn check(header: &DoorHeader, memory_bytes: usize) -> Result<Self, DoorError> {
        if header.magic != Self::MAGIC {
            return Err(DoorError::Magic);
        }
        if header.layout != Self::LAYOUT {
            return Err(DoorError::Layout(header.layout));
        }
        let end = u64::from(header.slots_at)
            + u64::from(header.slot_bytes) * u64::from(header.slot_count);
        let fits = header.slots_at as usize == Self::SLOTS_AT
            && header.slot_bytes as usize >= Self::SLOT_BYTES
            && header.slot_bytes <= 4096
            && header.slot_bytes.is_multiple_of(8)
            && header.slot_count.is_power_of_two()
            && header.slot_count <= Self::SLOTS_MAX
            && end <= u64::from(header.total_bytes)
            && header.total_bytes as usize <= memory_bytes;
        if !fits {
            return Err(DoorError::Sizes);
        }
        Ok(Self {
            slot_count: header.slot_count,
            slot_bytes: header.slot_bytes,
            bytes: header.total_bytes,
        })
    }

    /// Where the slot of `sequence` begins; sequences count from 1.
    #[must_use]
    pub const fn slot_at(&self, sequence: u64) -> usize {
        let index = sequence.wrapping_sub(1) & (self.slot_count as u64 - 1);
        Self::SLOTS_AT + index as usize * self.slot_bytes as usize
    }

    /// The info bytes that say `engine`'s names.
    #[must_use]
    pub fn write_info(engine: &Engine) -> Vec<u8> {
        let ranks = engine.ranks.to_le_bytes();
        let fields: [(u16, &[u8]); 6] = [
            (1, engine.name.as_bytes()),
            (2, engine.model.as_bytes()),
            (3, engine.endpoint.as_bytes()),
            (4, engine.engine.as_bytes()),
            (5, engine.source.as_bytes()),
            (6, &ranks),
        ];
        let mut bytes = Vec::new();
        for (tag, value) in fields {
            let value = &value[..value.len().min(super::NAME_BYTES_MAX)];
            bytes.extend_from_slice(&tag.to_le_bytes());
            bytes.extend_from_slice(&(value.len() as u16).to_le_bytes());
            bytes.extend_from_slice(value);
        }
        bytes
    }

    /// Reads info bytes; unknown tags are passed over, and what is cut short,
    /// too long or not UTF-8 stays empty.
    #[must_use]
    pub fn read_info(mut bytes: &[u8]) -> Engine {
        let mut engine = Engine { ranks: 1, ..Engine::default() };
        while let Some((head, rest)) = bytes.split_first_chunk::<4>() {
            let tag = u16::from_le_bytes([head[0], head[1]]);
            let length = usize::from(u16::from_le_bytes([head[2], head[3]]));
            let Some((value, rest)) = rest.split_at_checked(length) else { break };
            bytes = rest;
            let text = || match std::str::from_utf8(value) {
                Ok(text) if length <= super::NAME_BYTES_MAX => text.to_owned(),
                _ => String::new(),
            };
            match tag {
                1 => engine.name = text(),
                2 => engine.model = text(),
                3 => engine.endpoint = text(),
                4 => engine.engine = text(),
                5 => engine.source = text(),
                6 if length == 2 => engine.ranks = u16::from_le_bytes([value[0], value[1]]),
                _ => {}
            }
        }
        engine.instance = name_hash(&engine.name);
        engine.model_hash = name_hash(&engine.model);
        engine
    }
}

/// The first message in each direction on the agent's socket. 16 bytes; a
/// refusal is followed by a sentence in UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Greeting {
    /// [`Greeting::MAGIC`].
    pub magic: [u8; 4],
    /// A [`GreetingKind`].
    pub kind: u16,
    /// Version of this layout, 1.
    pub layout: u16,
    /// Zero.
    pub reserve: u64,
}

/// What a [`Greeting`] says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum GreetingKind {
    /// An engine to its agent, with the descriptor of its door.
    Engine = 1,
    /// A reader to its agent: asks for the newest values, then for names and
    /// events as batches.
    View = 2,
    /// The agent to an engine, with the bell's memory and its eventfd.
    WelcomeEngine = 3,
    /// The agent to a reader, with the memory of newest steps and readings.
    WelcomeView = 4,
    /// The agent says no, and why.
    Refused = 5,
}

impl Greeting {
    /// The first four bytes.
    pub const MAGIC: [u8; 4] = *b"EEHI";
    /// Size of a greeting.
    pub const BYTES: usize = 16;

    /// A greeting of this kind.
    #[must_use]
    pub const fn new(kind: GreetingKind) -> Self {
        Self { magic: Self::MAGIC, kind: kind as u16, layout: 1, reserve: 0 }
    }

    /// What a message's first bytes say, or nothing if they are no greeting
    /// of this layout.
    #[must_use]
    pub fn read(message: &[u8]) -> Option<GreetingKind> {
        let greeting: Self = bytemuck::pod_read_unaligned(message.get(..Self::BYTES)?);
        if greeting.magic != Self::MAGIC || greeting.layout != 1 {
            return None;
        }
        match greeting.kind {
            1 => Some(GreetingKind::Engine),
            2 => Some(GreetingKind::View),
            3 => Some(GreetingKind::WelcomeEngine),
            4 => Some(GreetingKind::WelcomeView),
            5 => Some(GreetingKind::Refused),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn info_survives_the_trip_and_ignores_what_it_does_not_know() {
        let engine = Engine {
            endpoint: "http://127.0.0.1:8000".into(),
            engine: "vllm 0.32.0".into(),
            source: "plugin".into(),
            ranks: 4,
            ..Engine::named("one", "org/model")
        };
        let mut bytes = Door::write_info(&engine);
        bytes.splice(0..0, [99, 0, 2, 0, 1, 2]);
        assert_eq!(Door::read_info(&bytes), engine);
    }

    #[test]
    fn info_cut_anywhere_is_read_without_a_panic() {
        let bytes = Door::write_info(&Engine::named("one", "org/model"));
        for end in 0..bytes.len() {
            let _ = Door::read_info(&bytes[..end]);
        }
    }

    #[test]
    fn a_door_whose_slots_leave_the_memory_is_refused() {
        let door = Door::new(64).unwrap();
        let good = door.header(1, 2);
        assert_eq!(Door::check(&good, door.bytes as usize), Ok(door));
        for bad in [
            DoorHeader { magic: *b"EEDOOR99", ..good },
            DoorHeader { layout: 2, ..good },
            DoorHeader { slot_count: 63, ..good },
            DoorHeader { slot_count: 0, ..good },
            DoorHeader { slot_count: 128, ..good },
            DoorHeader { slot_bytes: 8, ..good },
            DoorHeader { slot_bytes: u32::MAX, ..good },
            DoorHeader { slots_at: 0, ..good },
            DoorHeader { total_bytes: u32::MAX, ..good },
        ] {
            assert!(Door::check(&bad, door.bytes as usize).is_err(), "{bad:?}");
        }
    }
}
