//! The child: loads the library, reads every device on a thread of its own,
//! and tells the parent on its standard streams until that is gone.
//!
//! The first thread calls nothing: it beats, and tells of every call that has
//! not returned. So a thread that hangs is seen from the next one.

use std::collections::BTreeSet;
use std::ffi::CStr;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::calls::{Calls, Tally};
use super::library::{Failure, Found, Group, Library, Notice, Wanted};
use super::record::{DEVICES_MAX, Field, LIBRARY, Message, Numbers, RECORD_BYTES, Report, encode};
use super::round::DeviceThread;
use crate::platform::atomic::{AtomicBool, Ordering};
use crate::platform::child::Parent;
use crate::platform::clock::{self, MILLISECOND_NS};
use crate::platform::poll::Bell;
use crate::platform::thread;

/// A wait for reports of the driver returns after so long, so that its thread
/// can be seen to live.
const EVENT_WAIT_MS: u32 = 1000;

/// The watch looks at calls this often, however long they may last.
const BEAT_NS_MAX: u64 = 500 * MILLISECOND_NS;

/// What a child does.
#[derive(Debug, Clone)]
pub struct ServePlan {
    /// What process lists call it; at most 15 bytes.
    pub name: &'static CStr,
    /// A call that has not returned for so long is late, ms.
    pub deadline_ms: u64,
    /// Between two looks for devices, ms.
    pub inventory_ms: u64,
    /// What each device's thread does.
    pub periods: Periods,
    /// Which devices are read.
    pub wanted: Wanted,
    /// Whether reports of the driver are waited for.
    pub events: bool,
}

/// How often each group is read; 0 is never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Periods {
    /// By [`Group`], ms.
    pub group_ms: [u64; Group::ALL.len()],
    /// [`super::Reader::identity`], ms.
    pub identity_ms: u64,
}

/// What all threads of a child share.
pub(super) struct Site {
    pub(super) plan: ServePlan,
    out: Mutex<Parent<RECORD_BYTES>>,
    watched: Mutex<Vec<(u32, Calls)>>,
    /// Names of devices, by their numbers.
    names: Mutex<Vec<String>>,
    ended: AtomicBool,
    bell: Bell,
}

/// Loads a library by `open` and reads it until the parent is gone or the
/// library is of no use.
///
/// # Errors
///
/// When the system refuses threads or descriptors.
pub fn serve<L, O>(plan: ServePlan, open: O) -> io::Result<()>
where
    L: Library + 'static,
    O: FnOnce(&Calls) -> Result<L, Failure> + Send + 'static,
{
    let _ = rustix::thread::set_name(plan.name);
    let late_ns = plan.deadline_ms * MILLISECOND_NS / 2;
    let beat_ns = (late_ns / 2).clamp(MILLISECOND_NS, BEAT_NS_MAX);
    let site = Arc::new(Site {
        plan,
        out: Mutex::new(Parent::new()?),
        watched: Mutex::default(),
        names: Mutex::default(),
        ended: AtomicBool::new(false),
        bell: Bell::new()?,
    });
    site.say(&[Message::Hello]);
    let beside = Arc::clone(&site);
    let _inventory = thread::spawn("ee-inventory", None, move || {
        if let Err(failure) = follow(&beside, open) {
            beside.fail(failure);
        }
    })?;
    while !Parent::<RECORD_BYTES>::is_gone_after(&site.bell, beat_ns) && !site.is_ended() {
        site.beat(late_ns);
    }
    Ok(())
}

/// Loads the library, and looks for devices again and again.
fn follow<L, O>(site: &Arc<Site>, open: O) -> Result<(), Failure>
where
    L: Library + 'static,
    O: FnOnce(&Calls) -> Result<L, Failure>,
{
    let calls = site.watch(LIBRARY);
    // Never dropped: a library's own end may hang, and the process's will do.
    let library: &'static L = Box::leak(Box::new(open(&calls)?));
    site.say(&[Message::Loaded]);
    if site.plan.events {
        let beside = Arc::clone(site);
        begin("ee-events", move || {
            if let Err(failure) = hear(&beside, library) {
                beside.fail(failure);
            }
        })?;
    }
    let mut devices: Vec<(Found, Arc<AtomicBool>)> = Vec::new();
    while !site.is_ended() {
        let found = library.devices(&calls, &site.plan.wanted)?;
        list(site, library, &mut devices, found)?;
        clock::sleep_until(clock::monotonic_ns() + site.plan.inventory_ms * MILLISECOND_NS);
        if library.has_changed() {
            site.end(true, "the library or the driver on disk is another by now");
        }
    }
    Ok(())
}

/// Tells which devices are here, and begins a thread for each new one.
fn list<L: Library + 'static>(
    site: &Arc<Site>,
    library: &'static L,
    devices: &mut Vec<(Found, Arc<AtomicBool>)>,
    found: Vec<Found>,
) -> Result<(), Failure> {
    let (mut here, mut seen) = (Numbers::default(), BTreeSet::new());
    let mut begun = Vec::new();
    for one in found {
        if site.plan.wanted.is_left_out(&one.name) || !seen.insert(one.name.clone()) {
            continue;
        }
        let known = devices.iter().position(|(known, _)| known == &one);
        let at = match known {
            Some(at) => at,
            None if devices.len() >= DEVICES_MAX => continue,
            None => {
                let number = devices.len() as u32;
                site.names().push(one.name.clone());
                site.say(&[
                    Message::Device(number, one.kind, &one.name),
                    Message::Text(number, Field::Uuid, &one.uuid),
                    Message::Text(number, Field::Pci, &one.pci),
                    Message::Text(number, Field::Parent, &one.parent),
                ]);
                devices.push((one, Arc::default()));
                begun.push(devices.len() - 1);
                devices.len() - 1
            }
        };
        here.add(at);
    }
    for (at, (_, is_here)) in devices.iter().enumerate() {
        is_here.store(here.has(at), Ordering::Relaxed);
    }
    site.say(&[Message::Listed(here)]);
    for at in begun {
        let (found, is_here) = devices[at].clone();
        let site = Arc::clone(site);
        begin(&format!("ee-{}", found.name), move || {
            let thread = DeviceThread::new(&site, at as u32, &found, is_here);
            if let Err(failure) = thread.run(library) {
                site.fail(failure);
            }
        })?;
    }
    Ok(())
}

/// Tells what the driver reports.
fn hear(site: &Arc<Site>, library: &dyn Library) -> Result<(), Failure> {
    let calls = site.watch(LIBRARY);
    while !site.is_ended() {
        let begun_ns = clock::monotonic_ns();
        library.wait_events(&calls, EVENT_WAIT_MS, &mut |notice| site.notice(&notice))?;
        // A library that answers at once and with nothing must not spin.
        clock::sleep_until(begun_ns + MILLISECOND_NS);
    }
    Ok(())
}

/// Begins a thread that ends with its process.
fn begin(name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
    match thread::spawn(name, None, run) {
        Ok(_) => Ok(()),
        Err(error) => Err(Failure::Library(format!("no thread can be had: {error}"))),
    }
}

impl Site {
    /// Tells the parent; ends when that is gone.
    pub(super) fn say(&self, messages: &[Message<'_>]) {
        let mut out = self.out();
        let put = |out: &mut Parent<RECORD_BYTES>| -> io::Result<()> {
            messages.iter().try_for_each(|message| out.put(&encode(message)))?;
            out.tell()
        };
        if put(&mut out).is_err() {
            self.ended.store(true, Ordering::Release);
            self.bell.ring();
        }
    }

    /// Calls that are watched under this number.
    pub(super) fn watch(&self, number: u32) -> Calls {
        let calls = Calls::default();
        self.watched().push((number, calls.clone()));
        calls
    }

    pub(super) fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    fn fail(&self, failure: Failure) {
        match failure {
            Failure::Library(why) => self.end(false, &why),
            Failure::Device(state) => self.end(false, &format!("the library is {}", state.name())),
        }
    }

    /// The first word counts.
    fn end(&self, changed: bool, why: &str) {
        if !self.ended.swap(true, Ordering::AcqRel) {
            self.say(&[Message::Ended(changed, why)]);
        }
        self.bell.ring();
    }

    fn beat(&self, late_ns: u64) {
        let watched = self.watched().clone();
        let now_ns = clock::monotonic_ns();
        let (mut tally, mut text) = (Tally::default(), String::new());
        for (number, calls) in &watched {
            tally += calls.tally();
            let Some(running) = calls.running() else { continue };
            let since_ns = running.begun_ns.saturating_add(running.allowed_ns);
            if now_ns < since_ns.saturating_add(late_ns) {
                continue;
            }
            text.clear();
            text.push_str(running.name);
            if !running.device.is_empty() {
                text.push(' ');
                text.push_str(&running.device);
            }
            self.say(&[Message::Busy(*number, since_ns, &text)]);
        }
        self.say(&[Message::Beat(tally)]);
    }

    fn notice(&self, notice: &Notice) {
        let report = Report {
            kind: notice.kind,
            severity: notice.severity,
            code: notice.code,
            fault: notice.fault,
            text: &notice.text,
        };
        // The newest of a name is the one that is here.
        let number = self.names().iter().rposition(|name| *name == notice.device);
        self.say(&[Message::Notice(number.map_or(LIBRARY, |number| number as u32), report)]);
    }

    fn out(&self) -> MutexGuard<'_, Parent<RECORD_BYTES>> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn names(&self) -> MutexGuard<'_, Vec<String>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watched(&self) -> MutexGuard<'_, Vec<(u32, Calls)>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
