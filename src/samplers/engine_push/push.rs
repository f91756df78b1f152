//! The door's thread: sockets, and when to look, nap and sleep.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use crate::platform::clock::{self, MILLISECOND_NS, SECOND_NS};
use crate::platform::poll::Watch;
use crate::platform::socket::{Connection, Listener, Received};
use crate::platform::thread::Stop;
use crate::schema::{Greeting, GreetingKind};

use super::super::{Context, Outlet, Sampler, Woken};
use super::bell::AgentBell;
use super::counts::{DoorCounts, add};
use super::engines::{Arrival, Engines};
use super::settings::Plan;
use super::views::Views;

/// How often sockets, heartbeats and names are looked at, and the longest
/// sleep while anyone is connected: it finds writers that cannot ring.
const CONTROL_NS: u64 = 25 * MILLISECOND_NS;

/// How soon sockets are looked at again while something happens there: a flood
/// of callers costs no more than this lets it, and steps are read meanwhile.
const CONTROL_BUSY_NS: u64 = MILLISECOND_NS;

/// How long doors are looked at with the flag raised, before the sleep. A
/// writer that stores its step and looks at the flag without a fence between
/// may have looked too early; a processor's store buffer drains within this,
/// and a timer that short would cost more than looking does.
const WATCHFUL_NS: u64 = 1500;

/// Pause after a wait that the kernel refused.
const REFUSED_NS: u64 = MILLISECOND_NS;

/// Share of the newest gap between steps in their mean.
const GAP_WEIGHT: u64 = 8;

/// Callers accepted in one round, so that a flood delays no step for longer.
const ACCEPTS_MAX: usize = 64;

/// Callers that have not greeted yet; beyond, the one who waited longest is
/// closed. An honest caller greets at once.
const GUESTS_MAX: usize = 64;

/// How long a caller may take to greet.
const GREETING_NS_MAX: u64 = 2 * SECOND_NS;

/// Pause in accepting after descriptors ran out.
const ACCEPT_PAUSE_NS: u64 = 100 * MILLISECOND_NS;

/// Messages that an engine or reader may send without being asked; a later
/// build may have more to say than this one understands.
const CHATTER_MAX: u32 = 64;

/// Messages read of one connection in one round.
const MESSAGES_ROUND_MAX: usize = 4;

/// Callers that the kernel keeps waiting for us.
const BACKLOG: i32 = 1024;

const MESSAGE_BYTES_MAX: usize = 1024;

const LISTENER_ID: u64 = 1;
const BELL_ID: u64 = 2;
const FIRST_ID: u64 = 3;

/// The sampler.
#[derive(Debug)]
pub(super) struct EnginePush {
    listener: Listener,
    bell: AgentBell,
    watch: Watch,
    ready: Vec<u64>,
    guests: Vec<Guest>,
    engines: Engines,
    views: Views,
    plan: Plan,
    context: Context,
    counts: Arc<DoorCounts>,
    id_next: u64,
    /// When sockets and signs of life are due.
    control_ns: u64,
    /// When the last step came.
    flowed_ns: u64,
    /// Mean time between reads that found steps, the latest counting most.
    gap_ns: u64,
    /// Until when sockets are left alone, and so not slept on.
    calm_ns: u64,
    nap_ns: u64,
    /// Until when nobody is accepted; 0 while all are.
    accept_ns: u64,
}

#[derive(Debug)]
struct Guest {
    id: u64,
    connection: Connection,
    since_ns: u64,
}

impl EnginePush {
    /// Listens.
    ///
    /// # Errors
    ///
    /// A sentence with what failed and what to do.
    pub(super) fn open(context: &Context, plan: Plan) -> Result<Self, String> {
        let path = context.run_dir.join(super::SOCKET_NAME);
        let failed = |error: std::io::Error| {
            let what_to_do = match error.kind() {
                std::io::ErrorKind::AddrInUse => "another agent answers there; stop it",
                _ => "choose another run directory or give us the right to write there",
            };
            format!("listening on {} failed: {error}; {what_to_do}", path.display())
        };
        std::fs::create_dir_all(&context.run_dir).map_err(failed)?;
        let listener = Listener::bind_with_mode(&path, BACKLOG, plan.mode).map_err(failed)?;
        if let Some(group) = plan.group {
            std::os::unix::fs::chown(&path, None, Some(group)).map_err(failed)?;
        }
        let bell = AgentBell::new().map_err(failed)?;
        let watch = Watch::new().map_err(failed)?;
        watch.add(listener.as_fd(), LISTENER_ID).map_err(failed)?;
        watch.add(bell.as_fd(), BELL_ID).map_err(failed)?;
        let counts = Arc::clone(&context.door.counts);
        Ok(Self {
            listener,
            bell,
            watch,
            ready: Vec::with_capacity(Watch::READY_MAX),
            guests: Vec::new(),
            engines: Engines::new(plan.slots_max, Arc::clone(&counts)),
            views: Views::new(Arc::clone(&counts)),
            plan,
            context: context.clone(),
            counts,
            id_next: FIRST_ID,
            control_ns: 0,
            flowed_ns: 0,
            gap_ns: u64::MAX,
            calm_ns: 0,
            nap_ns: 0,
            accept_ns: 0,
        })
    }

    fn control(&mut self, now_ns: u64, outlet: &mut Outlet) {
        if self.ready.is_empty() {
            self.look_at_descriptors(0);
        }
        let mut ready = std::mem::take(&mut self.ready);
        self.control_ns = now_ns + CONTROL_NS;
        if ready.iter().any(|id| *id != BELL_ID) {
            self.calm_ns = now_ns + CONTROL_BUSY_NS;
            self.control_ns = self.calm_ns;
        }
        for id in ready.drain(..) {
            match id {
                LISTENER_ID => self.accept(now_ns, outlet),
                BELL_ID => self.bell.silence(),
                id => self.visit(id, outlet),
            }
        }
        self.ready = ready;
        self.dismiss_late_guests(now_ns);
        if self.accept_ns != 0 && now_ns >= self.accept_ns {
            self.accept_ns = 0;
            let _ = self.watch.add(self.listener.as_fd(), LISTENER_ID);
        }
        self.engines.look_around(now_ns, outlet);
        self.views.serve(now_ns, &self.context.names, self.context.door.news.as_ref());
    }

    fn look_at_descriptors(&mut self, limit_ns: u64) {
        if self.watch.wait(limit_ns, &mut self.ready).is_err() {
            // Only a broken kernel says no; then we poll.
            clock::sleep_until(clock::monotonic_ns() + limit_ns.min(REFUSED_NS));
        }
    }

    fn accept(&mut self, now_ns: u64, outlet: &mut Outlet) {
        for _ in 0..ACCEPTS_MAX {
            match self.listener.accept() {
                Ok(Some(connection)) => self.receive_guest(connection, now_ns, outlet),
                Ok(None) => return,
                Err(_) => {
                    // The caller stays in the queue, and would be told of at
                    // every look.
                    add(&self.counts.accepts_failed, 1);
                    self.accept_ns = now_ns + ACCEPT_PAUSE_NS;
                    let _ = self.watch.remove(self.listener.as_fd());
                    return;
                }
            }
        }
    }

    fn receive_guest(&mut self, connection: Connection, now_ns: u64, outlet: &mut Outlet) {
        if !self.plan.users.is_empty() {
            let user = connection.peer().ok().map(|peer| peer.user);
            if !user.is_some_and(|user| self.plan.users.contains(&user)) {
                add(&self.counts.users_refused, 1);
                refuse(&connection, "samplers.engine_push.allow_users does not list your user");
                return;
            }
        }
        let id = self.id_next;
        self.id_next += 1;
        if self.watch.add(connection.as_fd(), id).is_err() {
            add(&self.counts.accepts_failed, 1);
            return;
        }
        if self.guests.len() >= GUESTS_MAX {
            add(&self.counts.guests_evicted, 1);
            self.guests.remove(0);
        }
        self.guests.push(Guest { id, connection, since_ns: now_ns });
        self.visit(id, outlet);
    }

    fn dismiss_late_guests(&mut self, now_ns: u64) {
        let counts = &self.counts;
        self.guests.retain(|guest| {
            let late = now_ns.saturating_sub(guest.since_ns) > GREETING_NS_MAX;
            if late {
                add(&counts.greetings_late, 1);
            }
            !late
        });
    }

    /// Hears what a connection has to say.
    fn visit(&mut self, id: u64, outlet: &mut Outlet) {
        if let Some(at) = self.guests.iter().position(|guest| guest.id == id) {
            return self.hear_greeting(at, outlet);
        }
        let is_engine = self.engines.connection(id).is_some();
        let found = match is_engine {
            true => self.engines.connection(id),
            false => self.views.connection(id),
        };
        let Some((connection, chatter)) = found else { return };
        let mut buffer = [0; MESSAGE_BYTES_MAX];
        let mut stays = true;
        for _ in 0..MESSAGES_ROUND_MAX {
            match connection.receive(&mut buffer) {
                Ok(Received::Nothing) => break,
                Ok(Received::Message(..) | Received::Oversized) => {
                    add(&self.counts.chatter, 1);
                    *chatter += 1;
                    stays = *chatter <= CHATTER_MAX;
                }
                Ok(Received::HungUp) | Err(_) => stays = false,
            }
            if !stays {
                break;
            }
        }
        if stays {
            return;
        }
        match is_engine {
            true => self.engines.close(id, outlet),
            false => self.views.close(id),
        }
    }

    fn hear_greeting(&mut self, at: usize, outlet: &mut Outlet) {
        let mut buffer = [0; MESSAGE_BYTES_MAX];
        let received = self.guests[at].connection.receive(&mut buffer);
        if matches!(received, Ok(Received::Nothing)) {
            return;
        }
        let guest = self.guests.remove(at);
        let refusal = match received {
            Ok(Received::Message(length, descriptors)) => {
                match (Greeting::read(&buffer[..length]), descriptors.len()) {
                    (Some(GreetingKind::Engine), 1) => {
                        return self.admit_engine(guest, descriptors, outlet);
                    }
                    (Some(GreetingKind::View), _) => return self.admit_view(guest),
                    (Some(GreetingKind::Engine), _) => {
                        "an engine's greeting brings one descriptor, of its memory"
                    }
                    _ => "that was no greeting of an engine or a reader of layout 1",
                }
            }
            Ok(Received::Oversized) => "that was longer than a greeting",
            Ok(Received::Nothing | Received::HungUp) | Err(_) => return,
        };
        add(&self.counts.greetings_refused, 1);
        refuse(&guest.connection, refusal);
    }

    fn admit_engine(&mut self, guest: Guest, memory: Vec<OwnedFd>, outlet: &mut Outlet) {
        let Some(memory) = memory.into_iter().next() else { return };
        if self.engines.len() >= self.plan.engines_max {
            add(&self.counts.engines_refused, 1);
            let most = self.plan.engines_max;
            let why = format!("{most} engines are here, and engines_max allows no more");
            return refuse(&guest.connection, &why);
        }
        let checked = match self.engines.check(&memory) {
            Ok(checked) => checked,
            Err(why) => {
                add(&self.counts.doors_refused, 1);
                return refuse(&guest.connection, &why);
            }
        };
        let welcome = [Greeting::new(GreetingKind::WelcomeEngine)];
        let sent = guest.connection.send(bytemuck::cast_slice(&welcome), &self.bell.descriptors());
        if sent.is_err() {
            return;
        }
        // 0 where the engine lives in a process namespace that we cannot see.
        let process = guest.connection.peer().map_or(0, |peer| peer.process);
        let arrival = Arrival { id: guest.id, connection: guest.connection, process };
        self.engines.open(arrival, checked, outlet);
    }

    fn admit_view(&mut self, guest: Guest) {
        let tables = self.context.steps.descriptor().zip(self.context.readings.descriptor());
        let why = match tables {
            _ if self.views.len() >= self.plan.views_max => {
                format!("{} readers are here, and views_max allows no more", self.views.len())
            }
            None => "this agent keeps its newest values to itself".to_owned(),
            Some((steps, readings)) => {
                let welcome = [Greeting::new(GreetingKind::WelcomeView)];
                let welcome = bytemuck::cast_slice(&welcome);
                if guest.connection.send(welcome, &[steps, readings]).is_ok() {
                    self.views.open(guest.id, guest.connection);
                }
                return;
            }
        };
        add(&self.counts.views_refused, 1);
        refuse(&guest.connection, &why);
    }

    /// Naps while steps flow. Returns whether there is something to do.
    fn nap(&mut self, now_ns: u64, due_ns: u64) -> bool {
        self.nap_ns += self.plan.poll_ns;
        if self.nap_ns <= now_ns {
            self.nap_ns = now_ns + self.plan.poll_ns;
        }
        clock::sleep_until(self.nap_ns.min(due_ns).min(self.control_ns));
        self.engines.moved() || clock::monotonic_ns() >= self.control_ns
    }

    /// Notes that a read found steps.
    fn flowed(&mut self, now_ns: u64) {
        // A pause longer than the quiet spell says nothing of the flow after.
        let gap_ns = now_ns.saturating_sub(self.flowed_ns).min(self.plan.quiet_ns);
        let mean_ns = self.gap_ns.min(self.plan.quiet_ns);
        self.gap_ns = mean_ns - mean_ns / GAP_WEIGHT + gap_ns / GAP_WEIGHT;
        self.flowed_ns = now_ns;
    }

    /// Whether looking every now and then costs less than being rung for each
    /// step: a nap takes about as long as a ring, on both sides.
    fn flows(&self, now_ns: u64) -> bool {
        let quiet = now_ns.saturating_sub(self.flowed_ns) >= self.plan.quiet_ns;
        !quiet && self.gap_ns < 2 * self.plan.poll_ns
    }

    /// Whether a step comes while we look.
    fn moves_within(&self, limit_ns: u64) -> bool {
        let until_ns = clock::monotonic_ns() + limit_ns;
        loop {
            if self.engines.moved() {
                return true;
            }
            if clock::monotonic_ns() >= until_ns {
                return false;
            }
            std::hint::spin_loop();
        }
    }

    /// Sleeps until rung, called, or due. Returns whether there is something
    /// to do.
    fn sleep(&mut self, now_ns: u64, due_ns: u64) -> bool {
        add(&self.counts.sleeps, 1);
        self.bell.raise();
        if !self.moves_within(WATCHFUL_NS) {
            let anyone = self.engines.len() + self.views.len() > 0;
            let until_ns = if anyone { due_ns.min(self.control_ns) } else { due_ns };
            self.look_at_descriptors(until_ns.saturating_sub(now_ns));
        }
        self.bell.lower();
        // Silenced before the next look: a ring after that look is for a step
        // that it may have missed.
        if let Some(at) = self.ready.iter().position(|id| *id == BELL_ID) {
            self.ready.swap_remove(at);
            self.bell.silence();
        }
        !self.ready.is_empty() || self.engines.moved() || clock::monotonic_ns() >= self.control_ns
    }
}

impl Sampler for EnginePush {
    fn tick(&mut self, now_ns: u64, outlet: &mut Outlet) {
        if self.engines.read(outlet) {
            self.flowed(now_ns);
        }
        if !self.ready.is_empty() || now_ns >= self.control_ns {
            self.control(now_ns, outlet);
        }
    }

    fn wait(&mut self, due_ns: u64, stop: &Stop) -> Woken {
        loop {
            let now_ns = clock::monotonic_ns();
            if now_ns >= due_ns || stop.is_raised() {
                return Woken::Due;
            }
            let work = match self.flows(now_ns) || now_ns < self.calm_ns {
                true => self.nap(now_ns, due_ns),
                false => self.sleep(now_ns, due_ns),
            };
            if work {
                return Woken::Early;
            }
        }
    }
}

/// Says no, and why. Whether the caller hears it is his affair.
fn refuse(connection: &Connection, why: &str) {
    let mut message = bytemuck::bytes_of(&Greeting::new(GreetingKind::Refused)).to_vec();
    message.extend_from_slice(why.as_bytes());
    let _ = connection.send(&message, &[]);
}
