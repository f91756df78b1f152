//! The engine's end: writes steps.

use std::io;
use std::sync::Arc;

use crate::platform::atomic::{AtomicU64, Ordering};
use crate::platform::clock;
use crate::schema::{
    Door, Engine, EngineDetails, Flag, STEP_BYTES, STEP_LAYOUT, StepCore, bounded_name, name_hash,
};

use super::TTL_MS_DEFAULT;
use super::bell::{BellPlace, Ringing};
use super::line::Line;
use super::memory::{DoorMemory, store};

/// Writes an engine's steps where its agent reads them. One thread has it.
#[derive(Debug)]
pub struct DoorWriter {
    memory: Arc<DoorMemory>,
    door: Door,
    engine: Engine,
    /// The last slot's sequence.
    sequence: u64,
    /// Each rank and producer with its last step.
    ranks: Vec<StepCore>,
    place: Arc<BellPlace>,
    ringing: Ringing,
}

impl DoorWriter {
    /// Makes the memory of `engine` with `slots` slots, a power of two up to
    /// [`Door::SLOTS_MAX`]. An engine without an incarnation gets the wall
    /// clock's ns: later is larger.
    ///
    /// # Errors
    ///
    /// `InvalidInput` when `slots` is no such number; otherwise when memory or
    /// descriptors run out.
    pub fn create(engine: &Engine, slots: u32) -> io::Result<Self> {
        let door = Door::new(slots).and_then(|door| door.with_details(Door::DETAILS_BYTES));
        let door = door.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let mut engine = engine.clone();
        engine.instance = name_hash(bounded_name(&engine.name));
        engine.model_hash = name_hash(bounded_name(&engine.model));
        if engine.incarnation == 0 {
            engine.incarnation = clock::wall_ns();
        }
        let memory = Arc::new(DoorMemory::new(&door, &engine)?);
        memory.beat(Flag::Heartbeat.bit());
        let place = Arc::<BellPlace>::default();
        let ringing = Ringing::new(Arc::clone(&place));
        Ok(Self { memory, door, engine, sequence: 0, ranks: Vec::new(), place, ringing })
    }

    /// What finds an agent at `path` and keeps it; see [`Line::maintain`].
    #[must_use]
    pub fn line(&self, path: &std::path::Path) -> Line {
        Line::new(path, Arc::clone(&self.memory), Arc::clone(&self.place))
    }

    /// The engine as its steps name it.
    #[must_use]
    pub const fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Slots written so far.
    #[must_use]
    pub const fn written(&self) -> u64 {
        self.sequence
    }

    /// Writes a step. Identity, sequence, layout and sign of life are filled
    /// in; so are the times where `monotonic_ns` is 0, and what must not be 0.
    ///
    /// Stores to memory and two reads of the clock; allocates only for a new
    /// rank, and makes a system call only when the agent said that it sleeps.
    /// Returns whether it did.
    pub fn write(&mut self, step: &StepCore) -> bool {
        let last = self.rank(step.rank, step.producer);
        let mut stamped = StepCore {
            instance: self.engine.instance,
            incarnation: self.engine.incarnation,
            model: self.engine.model_hash,
            producers: step.producers.max(step.producer.saturating_add(1)),
            layout: STEP_LAYOUT,
            sequence: self.ranks[last].sequence + 1,
            ttl_ms: if step.ttl_ms == 0 { TTL_MS_DEFAULT } else { step.ttl_ms },
            ..*step
        };
        if stamped.monotonic_ns == 0 {
            stamped.monotonic_ns = clock::monotonic_ns();
            stamped.wall_ns = clock::wall_ns();
        }
        stamped.heartbeat_ns = stamped.monotonic_ns;
        self.ranks[last] = stamped;
        self.store(&stamped);
        self.ringing.ring()
    }

    /// Says that the engine lives, and what it is up to ([`Flag`] bits). The
    /// line does so by itself.
    pub fn heartbeat(&self, flags: u32) {
        self.memory.beat(flags);
    }

    /// Replaces what a router needs to know, such as an endpoint found late.
    /// Name and model stay, since steps refer to them.
    pub fn set_info(&mut self, engine: &Engine) {
        let (old, mut new) = (&self.engine, engine.clone());
        (new.name, new.instance) = (old.name.clone(), old.instance);
        (new.model, new.model_hash) = (old.model.clone(), old.model_hash);
        new.incarnation = old.incarnation;
        self.memory.write_info(&new);
        self.engine = new;
    }

    /// Replaces what is said beside the steps, of all ranks together; about
    /// once a second is often enough. Whose details they are is known from the
    /// door. Entries beyond [`Door::DETAILS_BYTES`] are left out. Allocates.
    pub fn write_details(&self, ranks: &[EngineDetails]) {
        self.memory.write_details(ranks);
    }

    /// Says goodbye for every rank. Steps written before can still be read as
    /// long as the line stands; dropping the line hangs up.
    pub fn goodbye(&mut self) {
        for mut last in std::mem::take(&mut self.ranks) {
            last.raise(Flag::Goodbye);
            last.sequence += 1;
            last.monotonic_ns = clock::monotonic_ns();
            last.wall_ns = clock::wall_ns();
            last.heartbeat_ns = last.monotonic_ns;
            self.store(&last);
            self.ranks.push(last);
        }
        self.memory.beat(Flag::Goodbye.bit());
        self.ringing.ring();
    }

    fn rank(&mut self, rank: u16, producer: u16) -> usize {
        let known = |last: &StepCore| (last.rank, last.producer) == (rank, producer);
        if let Some(at) = self.ranks.iter().position(known) {
            return at;
        }
        self.ranks.push(StepCore { rank, producer, ..bytemuck::Zeroable::zeroed() });
        self.ranks.len() - 1
    }

    fn store(&mut self, step: &StepCore) {
        self.sequence += 1;
        let step: &[u64] = bytemuck::cast_slice(std::slice::from_ref(step));
        let crc = u64::from(crc32fast::hash(bytemuck::cast_slice(step)));
        let at = self.door.slot_at(self.sequence) / 8;
        let words: &[AtomicU64] = self.memory.words();
        store(words, at, &[self.sequence, crc << 32 | STEP_BYTES as u64]);
        store(words, at + Door::SLOT_HEADER_BYTES / 8, step);
        // [slot finished] pairs with the reader's load of the head.
        words[Door::HEAD_AT / 8].store(self.sequence, Ordering::Release);
    }
}
