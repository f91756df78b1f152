//! The engines at the door: their memory, their ranks, and who owns which.
//!
//! Several front ends of one engine come as several doors of one instance,
//! each with its own incarnation, and divide producers among them. So it is
//! not a door that a later one replaces but a rank of one producer: whoever
//! writes it under the latest incarnation owns it, and what others write of it
//! is refused as superseded.

use std::collections::{HashMap, VecDeque};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use crate::newest::RankKey;
use crate::platform::atomic::Ordering;
use crate::platform::clock::{self, MILLISECOND_NS, SECOND_NS};
use crate::platform::memory::SharedView;
use crate::platform::socket::Connection;
use crate::schema::{Door, DoorHeader, Engine, EngineDetails, EventKind, Flag, Severity};

use super::super::{Outlet, cgroup};
use super::counts::{DoorCounts, add};
use super::ranks::Ranks;
use super::signs::Signs;
use super::slots::{Scratch, Slots};

/// How long the newest values of a rank stay after its engine left, so that
/// readers who look seldom see that it left.
pub(super) const GONE_NS: u64 = 60 * SECOND_NS;

/// Most ranks that are kept after their engines left; beyond, the earliest is
/// forgotten at once.
const GONE_MAX: usize = 4096;

/// In how many rounds a door is emptied once its engine is gone: enough for a
/// full ring and a slot that never becomes whole.
const LAST_ROUNDS: usize = 16;

/// How often a door's details are looked at: an honest writer renews them
/// about once a second.
const DETAILS_NS: u64 = SECOND_NS / 4;

/// Owner of a rank whose engine left.
const NOBODY: u64 = 0;

/// Every open door.
#[derive(Debug)]
pub(super) struct Engines {
    doors: Vec<OpenDoor>,
    owners: HashMap<RankKey, Owner>,
    /// Ranks whose engines left, the earliest first, with when they are
    /// forgotten.
    gone: VecDeque<(u64, RankKey)>,
    /// Ranks taken from a door in this round.
    usurped: Vec<(u64, RankKey)>,
    scratch: Scratch,
    /// Where details are copied to.
    details: Vec<u64>,
    slots_max: u32,
    counts: Arc<DoorCounts>,
}

/// What a look at an idle door touches, and the rest behind a pointer.
#[derive(Debug)]
struct OpenDoor {
    view: SharedView,
    slots: Slots,
    about: Box<About>,
}

#[derive(Debug)]
struct About {
    id: u64,
    connection: Connection,
    engine: Engine,
    ranks: Ranks,
    signs: Signs,
    details_due_ns: u64,
    said_goodbye: bool,
    chatter: u32,
}

/// Whose a rank is.
#[derive(Debug, Clone, Copy)]
struct Owner {
    /// The door's, or [`NOBODY`].
    id: u64,
    incarnation: u64,
    forget_ns: u64,
}

/// What an engine brings.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) id: u64,
    pub(super) connection: Connection,
    pub(super) process: u32,
}

impl Engines {
    pub(super) fn new(slots_max: u32, counts: Arc<DoorCounts>) -> Self {
        Self {
            doors: Vec::new(),
            owners: HashMap::new(),
            gone: VecDeque::new(),
            usurped: Vec::new(),
            scratch: Scratch::default(),
            details: Vec::new(),
            slots_max,
            counts,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.doors.len()
    }

    /// Maps and checks an engine's memory.
    ///
    /// # Errors
    ///
    /// A sentence for the engine.
    pub(super) fn check(&self, memory: &OwnedFd) -> Result<Checked, String> {
        const SLOT_BYTES_MAX: usize = 4096;
        let least = Door::SLOTS_AT + Door::SLOT_BYTES;
        let most =
            Door::SLOTS_AT + SLOT_BYTES_MAX * self.slots_max as usize + Door::DETAILS_BYTES_MAX;
        let view = SharedView::map(memory.as_fd(), least, most).map_err(|e| e.to_string())?;
        let mut header = [0_u64; size_of::<DoorHeader>() / 8];
        view.words().copy_out(0, &mut header);
        let header: DoorHeader = bytemuck::cast(header);
        let door = Door::check(&header, view.words().len() * 8).map_err(|e| e.to_string())?;
        if door.slot_count > self.slots_max {
            return Err(format!(
                "the door has {} slots, samplers.engine_push.slots_max allows {}",
                door.slot_count, self.slots_max
            ));
        }
        // Read before the welcome is sent: what an engine writes once it is
        // welcome is no history.
        let slots = Slots::open(door, view.words());
        Ok(Checked { view, header, slots })
    }

    /// Opens a checked door.
    pub(super) fn open(&mut self, arrival: Arrival, checked: Checked, outlet: &mut Outlet) {
        let Checked { view, header, slots } = checked;
        let mut signs = Signs::default();
        let told = signs.info(view.words(), &self.counts).unwrap_or_default();
        let home = cgroup::of_peer(arrival.process).unwrap_or_default();
        let home = [home.container, home.pod];
        let engine = self.identify(&header, told, arrival.process, home);
        let (instance, incarnation) = (header.instance, header.incarnation);
        let about = About {
            id: arrival.id,
            connection: arrival.connection,
            engine,
            ranks: Ranks::new(instance, incarnation),
            signs,
            details_due_ns: 0,
            said_goodbye: false,
            chatter: 0,
        };
        self.announce(&about.engine, outlet);
        self.doors.push(OpenDoor { view, slots, about: Box::new(about) });
        self.name(instance, outlet);
        add(&self.counts.engines_opened, 1);
        self.counts.engines.store(self.doors.len() as u64, Ordering::Relaxed);
    }

    /// Whether any door has something to read: one load each.
    pub(super) fn moved(&self) -> bool {
        self.doors.iter().any(|door| door.slots.waits(door.view.words()))
    }

    /// Reads every door that has something, each up to a bound. Returns
    /// whether one had.
    pub(super) fn read(&mut self, outlet: &mut Outlet) -> bool {
        let mut any = false;
        for at in 0..self.doors.len() {
            if self.doors[at].slots.waits(self.doors[at].view.words()) {
                self.read_door(at, outlet);
                any = true;
            }
        }
        any
    }

    /// Reads what engines say beside their steps, and forgets who left long
    /// ago.
    pub(super) fn look_around(&mut self, now_ns: u64, outlet: &mut Outlet) {
        for at in 0..self.doors.len() {
            self.read_signs(at, now_ns, outlet);
            if now_ns >= self.doors[at].about.details_due_ns {
                self.read_details(at, now_ns, outlet);
            }
        }
        while self.gone.front().is_some_and(|(forget_ns, _)| *forget_ns <= now_ns) {
            self.forget_first(outlet);
        }
    }

    /// The connection of a door, and how many messages came over it that
    /// nobody expected.
    pub(super) fn connection(&mut self, id: u64) -> Option<(&Connection, &mut u32)> {
        let about = self.doors.iter_mut().map(|door| &mut door.about).find(|a| a.id == id)?;
        Some((&about.connection, &mut about.chatter))
    }

    /// Closes a door whose engine hung up, once everything in it was read.
    pub(super) fn close(&mut self, id: u64, outlet: &mut Outlet) {
        let Some(at) = self.doors.iter().position(|door| door.about.id == id) else { return };
        for _ in 0..LAST_ROUNDS {
            if !self.doors[at].slots.waits(self.doors[at].view.words()) {
                break;
            }
            self.read_door(at, outlet);
        }
        let now_ns = clock::monotonic_ns();
        self.read_signs(at, now_ns, outlet);
        let mut about = self.doors.swap_remove(at).about;
        add(&self.counts.engines_gone, 1);
        self.counts.engines.store(self.doors.len() as u64, Ordering::Relaxed);
        let owned = self.bid_farewell(&mut about, now_ns, outlet);
        let engine = &about.engine;
        outlet.forget_engine(engine.instance, engine.incarnation);
        let others = self.name(engine.instance, outlet);
        // Whoever was superseded was said to have restarted.
        if owned || !others {
            let (severity, how) = match about.said_goodbye {
                true => (Severity::Info, "said goodbye"),
                false => (Severity::Warning, "hung up without a goodbye"),
            };
            let rest = if others { "; other front ends of it remain" } else { "" };
            let text = format!("{} {how}, process {}{rest}", engine.name, engine.process);
            outlet.event(EventKind::EngineGone, severity, &engine.name, text);
        }
    }

    fn read_door(&mut self, at: usize, outlet: &mut Outlet) {
        let now_ns = clock::monotonic_ns();
        let OpenDoor { view, slots, about } = &mut self.doors[at];
        let (owners, usurped, counts) = (&mut self.owners, &mut self.usurped, &*self.counts);
        let (opened_at, was_history) = (slots.opened_at(), !slots.caught_up());
        let id = about.id;
        let ranks = &mut about.ranks;
        slots.read(view.words(), &mut self.scratch, counts, |slot, step| {
            let (rank, first) = match ranks.admit(step, now_ns) {
                Ok(admitted) => admitted,
                Err(refused) => return refused.count(counts),
            };
            if first {
                rank.superseded = !claim(owners, usurped, id, step.incarnation, RankKey::of(step));
            }
            if rank.superseded {
                add(&counts.superseded, 1);
            } else if slot <= opened_at {
                add(&counts.history, 1);
            } else {
                add(&counts.steps, 1);
                rank.pushed_ns = now_ns;
                outlet.step(&rank.newest);
            }
        });
        if was_history && slots.caught_up() {
            // What an earlier agent told already is not told again, except
            // how things stand.
            for rank in ranks.iter_mut().filter(|rank| rank.pushed_ns == 0 && !rank.superseded) {
                rank.pushed_ns = now_ns;
                outlet.step(&rank.newest);
            }
        }
        about.said_goodbye |= ranks.iter().any(|rank| rank.newest.step.has(Flag::Goodbye));
        if !self.usurped.is_empty() {
            self.dethrone(at, outlet);
        }
    }

    /// Tells the doors whose ranks another took.
    fn dethrone(&mut self, by: usize, outlet: &mut Outlet) {
        let new = self.doors[by].about.engine.clone();
        let mut restarted = None;
        for (id, key) in std::mem::take(&mut self.usurped) {
            let Some(old) = self.doors.iter_mut().find(|door| door.about.id == id) else {
                continue;
            };
            if let Some(rank) = old.about.ranks.rank_mut(&key) {
                rank.superseded = true;
            }
            if old.about.engine.incarnation != new.incarnation {
                restarted = Some(old.about.engine.process);
            }
        }
        if let Some(process) = restarted {
            let text = format!("process {} took over from process {process}", new.process);
            outlet.event(EventKind::EngineRestarted, Severity::Warning, &new.name, text);
        }
    }

    fn read_signs(&mut self, at: usize, now_ns: u64, outlet: &mut Outlet) {
        let OpenDoor { view, about, .. } = &mut self.doors[at];
        if let Some(beat) = about.signs.beat(view.words(), now_ns, &self.counts) {
            let goodbye = beat.flags & Flag::Goodbye.bit() != 0;
            about.said_goodbye |= goodbye;
            for rank in about.ranks.iter_mut().filter(|rank| !rank.superseded) {
                let had_gone = rank.newest.step.has(Flag::Goodbye);
                if !rank.beat(beat.monotonic_ns, beat.flags, now_ns) {
                    continue;
                }
                let ttl_ns = u64::from(rank.newest.step.ttl_ms) * MILLISECOND_NS;
                let due = now_ns.saturating_sub(rank.pushed_ns) >= ttl_ns / 3;
                if due || (goodbye && !had_gone) {
                    rank.pushed_ns = now_ns;
                    outlet.step(&rank.newest);
                } else {
                    outlet.step_newest(&rank.newest);
                }
            }
        }
        if let Some(told) = about.signs.info(view.words(), &self.counts) {
            let header = DoorHeader {
                instance: about.engine.instance,
                incarnation: about.engine.incarnation,
                ..bytemuck::Zeroable::zeroed()
            };
            let process = about.engine.process;
            // Where it runs was found out when it came.
            let home = [about.engine.container.clone(), about.engine.pod.clone()];
            let engine = self.identify(&header, told, process, home);
            let instance = engine.instance;
            self.doors[at].about.engine = engine;
            self.name(instance, outlet);
        }
    }

    /// Reads a door's details, which are those of the front end that writes
    /// its steps: until there is one they wait.
    fn read_details(&mut self, at: usize, now_ns: u64, outlet: &mut Outlet) {
        let OpenDoor { view, slots, about } = &mut self.doors[at];
        let Some(producer) = about.ranks.iter().next().map(|rank| rank.newest.step.producer) else {
            return;
        };
        about.details_due_ns = now_ns + DETAILS_NS;
        let (signs, buffer) = (&mut about.signs, &mut self.details);
        let said = signs.details(slots.door(), view.words(), buffer, &self.counts);
        let (instance, incarnation) = (about.engine.instance, about.engine.incarnation);
        for details in said.into_iter().flatten() {
            outlet.details(EngineDetails { instance, incarnation, producer, ..details });
        }
    }

    /// What the engine says of itself, as far as it may. Its process, and the
    /// container and pod that are its home, are the kernel's word.
    fn identify(
        &self,
        header: &DoorHeader,
        told: Engine,
        process: u32,
        home: [String; 2],
    ) -> Engine {
        let mut engine = told;
        for text in
            [&mut engine.model, &mut engine.endpoint, &mut engine.engine, &mut engine.source]
        {
            // These go to terminals and pages.
            if text.chars().any(char::is_control) {
                text.clear();
            }
        }
        let is_its_own =
            engine.instance == header.instance && !engine.name.chars().any(char::is_control);
        if !is_its_own && !engine.name.is_empty() {
            add(&self.counts.infos_refused, 1);
        }
        if !is_its_own || engine.name.is_empty() {
            engine.name = format!("engine-{process}");
        }
        if engine.source.is_empty() {
            engine.source.push_str("plugin");
        }
        engine.instance = header.instance;
        engine.incarnation = header.incarnation;
        engine.process = process;
        [engine.container, engine.pod] = home;
        engine.ranks = engine.ranks.max(1);
        engine
    }

    /// Names an instance as its latest door does. Returns whether it has one.
    fn name(&self, instance: u64, outlet: &mut Outlet) -> bool {
        let doors = self.doors.iter().map(|door| &door.about.engine);
        let latest = doors
            .filter(|engine| engine.instance == instance)
            .max_by_key(|engine| engine.incarnation);
        match latest {
            Some(engine) => outlet.engine(engine.clone()),
            None => return false,
        }
        true
    }

    fn announce(&self, engine: &Engine, outlet: &mut Outlet) {
        let is_here = self.doors.iter().any(|d| d.about.engine.instance == engine.instance);
        if is_here {
            // Another front end, or a restart: its first step will tell.
            return;
        }
        let left = self.owners.iter().find(|(key, _)| key.instance == engine.instance);
        match left {
            Some((_, owner)) if owner.incarnation != engine.incarnation => {
                let text = format!(
                    "{} is back under a new incarnation, process {}",
                    engine.name, engine.process
                );
                outlet.event(EventKind::EngineRestarted, Severity::Warning, &engine.name, text);
            }
            _ => {
                let text = format!("{} reports, process {}", engine.name, engine.process);
                outlet.event(EventKind::EngineAppeared, Severity::Info, &engine.name, text);
            }
        }
    }

    /// Says of every rank that its engine is gone. Returns whether it had any.
    fn bid_farewell(&mut self, about: &mut About, now_ns: u64, outlet: &mut Outlet) -> bool {
        let mut owned = false;
        for rank in about.ranks.iter_mut().filter(|rank| !rank.superseded) {
            owned = true;
            if !rank.newest.step.has(Flag::Goodbye) {
                rank.newest.step.raise(Flag::Goodbye);
                rank.newest.heard_ns = now_ns;
                outlet.step(&rank.newest);
            }
            let key = RankKey::of(&rank.newest.step);
            let forget_ns = now_ns + GONE_NS;
            let owner = Owner { id: NOBODY, incarnation: about.engine.incarnation, forget_ns };
            self.owners.insert(key, owner);
            self.gone.push_back((forget_ns, key));
        }
        while self.gone.len() > GONE_MAX {
            self.forget_first(outlet);
        }
        owned
    }

    fn forget_first(&mut self, outlet: &mut Outlet) {
        let Some((forget_ns, key)) = self.gone.pop_front() else { return };
        // It may have come back, and left again.
        let is_gone = |owner: &Owner| owner.id == NOBODY && owner.forget_ns == forget_ns;
        if self.owners.get(&key).is_some_and(is_gone) {
            self.owners.remove(&key);
            outlet.forget_rank(&key);
        }
    }
}

/// A door that may be opened.
#[derive(Debug)]
pub(super) struct Checked {
    view: SharedView,
    header: DoorHeader,
    slots: Slots,
}

/// Whether a door gets the rank that it began to write.
fn claim(
    owners: &mut HashMap<RankKey, Owner>,
    usurped: &mut Vec<(u64, RankKey)>,
    id: u64,
    incarnation: u64,
    key: RankKey,
) -> bool {
    if let Some(owner) = owners.get(&key).filter(|owner| owner.id != NOBODY) {
        if owner.incarnation > incarnation {
            return false;
        }
        usurped.push((owner.id, key));
    }
    owners.insert(key, Owner { id, incarnation, forget_ns: 0 });
    true
}
