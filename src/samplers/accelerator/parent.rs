//! The parent: keeps a child that reads, judges its silence, and replaces it
//! where that helps.
//!
//! A call that hangs costs its own thread of the child first: the other
//! devices are read on, and if the call returns, so is that one. Only when
//! others wait behind it (a library that locks) is the child killed, and
//! another one leaves the device out. Meanwhile a child of its own tries the
//! device now and then, so that it is read again once its driver answers.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use super::calls::Tally;
use super::facts::Facts;
use super::fleet::{Fleet, Place};
use super::hung::HungList;
use super::record::{LIBRARY, Message};
use super::serving::{Said, Serving};
use crate::platform::child::{Leaving, growing_pause_ns};
use crate::platform::clock::{self, MILLISECOND_NS, SECOND_NS};
use crate::platform::poll::Bell;
use crate::platform::thread::Stop;
use crate::samplers::{Outlet, Sampler, Woken};
use crate::schema::{DeviceState, EventKind, MetricId, Severity};

/// Most children that were killed and cannot end. With so many nothing is read
/// until one of them ends.
pub const STUCK_MAX: usize = 4;

/// Records that arrive close together are taken together.
const GATHER_NS: u64 = 10 * MILLISECOND_NS;

/// A device that hangs is tried first after so many deadlines.
const TRIAL_DEADLINES: u64 = 5;

/// The first and the longest pause before another child is started in place of
/// one that failed by itself.
const PAUSE_NS_MIN: u64 = SECOND_NS;
const PAUSE_NS_MAX: u64 = 60 * SECOND_NS;

/// What a parent does.
#[derive(Debug, Clone)]
pub struct ParentPlan {
    /// The sampler's name, which events and its own readings bear.
    pub name: &'static str,
    /// The program that becomes the child.
    pub program: PathBuf,
    /// Its arguments: the verb and what it needs; `--leave-out NAME` and
    /// `--only NAME` follow.
    pub arguments: Vec<OsString>,
    /// Where the host's `/proc` and `/sys` are found.
    pub host_root: PathBuf,
    /// A call that has not returned for so long hangs, ms.
    pub deadline_ms: u64,
    /// Whether the library is a stand-in.
    pub simulated: bool,
    /// The inventory that the journal kept.
    pub inventory: Option<Vec<u8>>,
}

/// Samples the accelerators of one vendor through a child.
#[derive(Debug)]
pub struct Accelerators {
    plan: ParentPlan,
    deadline_ns: u64,
    serving: Option<Serving>,
    trial: Option<Trial>,
    leaving: Leaving,
    hung: HungList,
    fleet: Fleet,
    node: Node,
    /// Sums over children that ended.
    before: Tally,
    pace: Pace,
    bell: Option<Arc<Bell>>,
    publish_at_ns: u64,
}

/// A child of its own for a device that hangs.
#[derive(Debug)]
struct Trial {
    serving: Serving,
    name: String,
}

/// When the next child may start, and what was said of children that failed.
#[derive(Debug, Default)]
struct Pace {
    start_at_ns: u64,
    failures: u32,
    said: Option<String>,
    said_stuck: bool,
    said_library: bool,
}

/// The node's own files.
#[derive(Debug)]
struct Node {
    host_root: PathBuf,
}

impl Accelerators {
    /// Reads by children that are the plan's program.
    #[must_use]
    pub fn new(plan: ParentPlan) -> Self {
        Self {
            deadline_ns: plan.deadline_ms.max(1) * MILLISECOND_NS,
            serving: None,
            trial: None,
            leaving: Leaving::default(),
            hung: HungList::default(),
            fleet: Fleet::remembering(plan.inventory.as_deref()),
            node: Node { host_root: plan.host_root.clone() },
            before: Tally::default(),
            pace: Pace::default(),
            bell: None,
            publish_at_ns: 0,
            plan,
        }
    }

    /// Takes what the child said, and judges what it did not say. Never waits.
    pub fn tick(&mut self, now_ns: u64, facts: &mut dyn Facts) {
        self.leaving.reap();
        self.judge_trial(now_ns);
        self.begin_trial(now_ns);
        if self.serving.is_none() {
            self.start(now_ns);
        }
        if let Some(serving) = self.serving.take() {
            self.hear(serving, now_ns, facts);
        }
        self.fleet.hand_over(facts);
        if now_ns >= self.publish_at_ns {
            self.publish_at_ns = now_ns.saturating_add(SECOND_NS / 2);
            self.fleet.publish(now_ns, self.plan.simulated, facts);
            self.put_own(now_ns, facts);
        }
    }

    /// The process that reads, if one does.
    #[must_use]
    pub fn reader_id(&self) -> Option<u32> {
        self.serving.as_ref().map(|serving| serving.child.id())
    }

    /// Devices that can be worked with.
    #[must_use]
    pub fn present(&self) -> usize {
        self.fleet.count(DeviceState::Present)
    }

    /// Calls of the library so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let mut tally = self.before;
        tally += self.serving.as_ref().map_or_else(Tally::default, |serving| serving.tally);
        tally
    }

    fn hear(&mut self, mut serving: Serving, now_ns: u64, facts: &mut dyn Facts) {
        let Self { fleet, hung, node, deadline_ns, .. } = self;
        // The watch speaks four times in a deadline.
        let said = serving.listen(*deadline_ns * 3 / 2, |message| {
            if let Some(name) = fleet.take(message, node, facts)? {
                hung.remove(&name);
            }
            Ok(())
        });
        if let Some((changed, why)) = serving.ended.take() {
            self.retire(serving);
            self.library_ended(changed, &why, now_ns, facts);
            return;
        }
        match said {
            Said::Later => self.judge(serving, facts),
            Said::Silence => self.replace(serving, "its process does not speak", now_ns, facts),
            Said::Ended => self.replace(serving, "its process ended", now_ns, facts),
            Said::Nonsense => {
                self.replace(serving, "its process said what makes no sense", now_ns, facts);
            }
        }
    }

    /// Looks for calls that do not return.
    fn judge(&mut self, serving: Serving, facts: &mut dyn Facts) {
        let now_ns = clock::monotonic_ns();
        let pause_ns = self.deadline_ns.saturating_mul(TRIAL_DEADLINES);
        // Only the one that began first hangs for sure: the others may wait
        // behind it, and the next child, without it, will tell.
        let hanging = serving.busy(now_ns, self.deadline_ns);
        let first = hanging
            .filter_map(|(number, busy)| Some((self.fleet.root_of(number).ok()?, busy)))
            .min_by_key(|(_, busy)| busy.since_ns);
        if let Some((name, busy)) = first
            && self.hung.add(&name, busy.since_ns, now_ns, pause_ns)
        {
            self.fleet.hang(&name, &busy.call, busy.since_ns, now_ns, facts);
        }
        self.judge_library(&serving, now_ns, facts);
        let roots = |least_ns| {
            let of = serving.busy(now_ns, least_ns).map(|(number, _)| match number {
                LIBRARY => String::new(),
                _ => self.fleet.root_of(number).unwrap_or_default(),
            });
            of.collect::<std::collections::BTreeSet<_>>().len()
        };
        let (hanging, waiting) = (roots(self.deadline_ns), roots(1));
        if hanging == 0 || waiting < 2 && !self.is_useless(&serving, now_ns) {
            // One that soon ends again has not worked.
            let lasts_ns = now_ns.saturating_sub(serving.begun_ns);
            if hanging == 0 && serving.is_loaded && lasts_ns > self.deadline_ns.saturating_mul(5) {
                self.works();
            }
            self.serving = Some(serving);
            return;
        }
        // Others wait behind the one that hangs.
        let is_device = self.hung.first().map(|hung| hung.is_left_out = true).is_some();
        self.retire(serving);
        if !is_device {
            self.pace.failed(now_ns);
            self.fleet.forget_readings(facts);
        }
    }

    /// Whether the library's own call hangs before any device is read.
    fn is_useless(&self, serving: &Serving, now_ns: u64) -> bool {
        serving.library_busy(now_ns, self.deadline_ns).is_some() && self.present() == 0
    }

    fn judge_library(&mut self, serving: &Serving, now_ns: u64, facts: &mut dyn Facts) {
        let Some(busy) = serving.library_busy(now_ns, self.deadline_ns) else { return };
        let about = busy.call.split_once(' ');
        if let Some((call, name)) = about.filter(|(_, name)| !self.fleet.is_present(name)) {
            let pause_ns = self.deadline_ns.saturating_mul(TRIAL_DEADLINES);
            if self.hung.add(name, busy.since_ns, now_ns, pause_ns) {
                self.fleet.hang(name, call, busy.since_ns, now_ns, facts);
            }
        } else if !self.pace.said_library {
            self.pace.said_library = true;
            let silent_ms = now_ns.saturating_sub(busy.since_ns) / MILLISECOND_NS;
            let text = format!(
                "{} has not returned for {silent_ms} ms; what needs the library is absent until \
                 it does",
                busy.call
            );
            self.fleet.say(EventKind::SourceHangs, Severity::Error, self.plan.name, text, 0);
        }
    }

    /// Starts a child, unless that has to wait.
    fn start(&mut self, now_ns: u64) {
        if now_ns < self.pace.start_at_ns {
            return;
        }
        if self.leaving.reap() >= STUCK_MAX {
            self.say_stuck();
            return;
        }
        self.hung.begin_child();
        let left_out: Vec<String> = self.hung.left_out().map(str::to_owned).collect();
        let mut arguments = self.plan.arguments.clone();
        for name in &left_out {
            arguments.extend(["--leave-out".into(), name.into()]);
        }
        self.fleet.begin_child(left_out);
        match Serving::start(&self.plan.program, &arguments) {
            Ok(serving) => self.serving = Some(serving),
            Err(error) => self.failed(&format!("its process cannot be started: {error}"), now_ns),
        }
    }

    /// Lets go of a child and counts what it did.
    fn retire(&mut self, serving: Serving) {
        self.before += serving.tally;
        self.leaving.kill(serving.child);
    }

    fn replace(&mut self, serving: Serving, why: &str, now_ns: u64, facts: &mut dyn Facts) {
        self.retire(serving);
        self.failed(why, now_ns);
        if self.pace.failures > 1 {
            self.fleet.forget_readings(facts);
        }
    }

    /// A child that failed by itself. The first may be anything; twice in a
    /// row is worth a word, once.
    fn failed(&mut self, why: &str, now_ns: u64) {
        self.pace.failed(now_ns);
        if self.pace.failures == 2 {
            let text = format!("{why}; it is started again after a pause");
            self.pace.said = Some(why.to_owned());
            self.fleet.say(EventKind::SourceHangs, Severity::Warning, self.plan.name, text, 0);
        }
    }

    fn library_ended(&mut self, changed: bool, why: &str, now_ns: u64, facts: &mut dyn Facts) {
        if changed {
            let text = format!("{why}; it is loaded anew");
            self.fleet.say(EventKind::DeviceNotice, Severity::Info, self.plan.name, text, 0);
            return;
        }
        self.pace.failed(now_ns);
        self.fleet.forget_readings(facts);
        if self.pace.said.as_deref() != Some(why) {
            self.pace.said = Some(why.to_owned());
            let text = format!("the library cannot be used: {why}; it is tried again and again");
            self.fleet.say(EventKind::DeviceNotice, Severity::Warning, self.plan.name, text, 0);
        }
    }

    /// The child works.
    fn works(&mut self) {
        let said = self.pace.said.take().is_some();
        if said || self.pace.said_stuck || self.pace.said_library {
            let text = "the library answers".to_owned();
            self.fleet.say(EventKind::SourceAnswers, Severity::Info, self.plan.name, text, 0);
        }
        self.pace = Pace::default();
    }

    fn say_stuck(&mut self) {
        if !self.pace.said_stuck {
            self.pace.said_stuck = true;
            let ids: Vec<_> = self.leaving.ids().map(|id| id.to_string()).collect();
            let text = format!(
                "{STUCK_MAX} processes were killed and cannot end, since a driver keeps their \
                 call (process {}); nothing is read until one does",
                ids.join(", ")
            );
            self.fleet.say(EventKind::SourceHangs, Severity::Critical, self.plan.name, text, 0);
        }
    }

    /// Tries a device that is due, unless children that cannot end leave no
    /// room.
    fn begin_trial(&mut self, now_ns: u64) {
        if self.trial.is_some() || self.leaving.reap() + 1 >= STUCK_MAX {
            return;
        }
        let Some(name) = self.hung.due(now_ns).map(str::to_owned) else { return };
        self.hung.again(&name, now_ns);
        let mut arguments = self.plan.arguments.clone();
        arguments.extend(["--only".into(), OsString::from(&name)]);
        if let Ok(serving) = Serving::start(&self.plan.program, &arguments) {
            self.trial = Some(Trial { serving, name });
        }
    }

    /// Looks whether the device that is tried answers; never waits for it.
    fn judge_trial(&mut self, now_ns: u64) {
        let Some(mut trial) = self.trial.take() else { return };
        let mut answers = false;
        let said = trial.serving.listen(self.deadline_ns * 3 / 2, |message| {
            answers |= matches!(message, Message::Values(..));
            Ok(())
        });
        let hangs = trial.serving.busy(clock::monotonic_ns(), self.deadline_ns).next().is_some();
        if !answers && !hangs && said == Said::Later && trial.serving.ended.is_none() {
            self.trial = Some(trial);
            return;
        }
        self.leaving.kill(trial.serving.child);
        if !answers {
            self.hung.again(&trial.name, now_ns);
        } else if self.hung.remove(&trial.name).is_some() {
            // The next child reads it with the others.
            if let Some(serving) = self.serving.take() {
                self.retire(serving);
            }
        }
    }

    /// How this sampler itself does.
    fn put_own(&mut self, now_ns: u64, facts: &mut dyn Facts) {
        let own = facts.device("sampler", self.plan.name);
        let (tally, stuck) = (self.tally(), self.leaving.reap());
        for (metric, value) in [
            (MetricId::DriverCalls, tally.calls as f64),
            (MetricId::DriverCallsFailed, tally.failed as f64),
            (MetricId::DriverCallTime, tally.spent_ns as f64 / 1e9),
            (MetricId::SourcesHanging, self.hung.len() as f64),
            (MetricId::ChildrenStuck, stuck as f64),
        ] {
            facts.put(own, metric, now_ns, value);
        }
    }
}

impl Sampler for Accelerators {
    fn tick(&mut self, now_ns: u64, outlet: &mut Outlet) {
        Self::tick(self, now_ns, outlet);
    }

    fn wait(&mut self, due_ns: u64, stop: &Stop) -> Woken {
        if self.bell.is_none()
            && let Ok(bell) = Bell::new()
        {
            let bell = Arc::new(bell);
            stop.ring(Arc::clone(&bell));
            self.bell = Some(bell);
        }
        let now_ns = clock::monotonic_ns();
        let left_ns = due_ns.saturating_sub(now_ns);
        let (Some(bell), Some(serving)) = (&self.bell, &self.serving) else {
            stop.sleep_until(due_ns.min(now_ns + self.deadline_ns / 4));
            return Woken::Early;
        };
        // Silence is to be seen in time even if the period is long.
        let says = serving.child.says_within(bell, left_ns.min(self.deadline_ns / 4));
        if says {
            stop.sleep_until(clock::monotonic_ns() + GATHER_NS);
        }
        if clock::monotonic_ns() >= due_ns { Woken::Due } else { Woken::Early }
    }
}

impl Place for Node {
    fn numa_node(&self, pci: &str) -> Option<u16> {
        if pci.is_empty() || pci.contains('/') {
            return None;
        }
        let path = self.host_root.join("sys/bus/pci/devices").join(pci).join("numa_node");
        std::fs::read_to_string(path).ok()?.trim().parse().ok()
    }

    fn home(&self, process: u32) -> (String, String) {
        let proc = self.host_root.join("proc");
        let home = crate::samplers::cgroup::of_process_in(&proc, process).unwrap_or_default();
        (home.container, home.pod)
    }
}

impl Pace {
    /// A child that failed is replaced at once the first time, and after a
    /// growing pause from then on.
    fn failed(&mut self, now_ns: u64) {
        let pause_ns = growing_pause_ns(self.failures, PAUSE_NS_MIN, PAUSE_NS_MAX);
        self.start_at_ns = now_ns.saturating_add(pause_ns);
        self.failures = self.failures.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_that_fail_are_started_at_a_growing_pause() {
        let mut pace = Pace::default();
        let mut pauses_s = Vec::new();
        for _ in 0..9 {
            pace.failed(SECOND_NS);
            pauses_s.push(pace.start_at_ns / SECOND_NS - 1);
        }
        assert_eq!(pauses_s, [0, 1, 2, 4, 8, 16, 32, 60, 60]);
    }
}
