//! `libdcmi.so` as the frame sees it: which chips there are, who reads them,
//! and the faults that are told.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded, select};

use super::ask::Asking;
use super::code::{Class, Failure, remedy};
use super::faults::{Faults, Report, severity};
use super::identity;
use super::layout::{DieId, PcieInfo};
use super::raw::{Chip, Heard, Raw, heard};
use super::reader::ChipReader;
use super::symbol::{Generation, Symbol};
use super::value;
use crate::platform::atomic::{AtomicU64, Ordering};
use crate::samplers::accelerator::{
    Calls, Failure as Stopped, Found, Kind, Library, Notice, NoticeKind, Reader, Wanted,
};
use crate::schema::Severity;

/// The library, loaded and ready.
#[derive(Debug)]
pub struct Dcmi {
    raw: Raw,
    file: Option<FileMark>,
    faults: Mutex<Faults>,
    told: (Sender<Told>, Receiver<Told>),
    told_lost: AtomicU64,
    met: Mutex<Met>,
    subscription: Mutex<Subscription>,
}

/// What threads of chips leave for the one that tells.
#[derive(Debug)]
pub(super) enum Told {
    /// A fault.
    Report(Report),
    /// All that is open on the chip of this number was told.
    Looked(u16),
}

/// What was learnt of chips that need not be asked twice.
#[derive(Debug, Default)]
struct Met {
    chips: BTreeMap<Chip, Names>,
    /// The last list of chips, and how often another could not be had since.
    list: Vec<Place>,
    failures: u32,
    is_listed: bool,
}

/// Names of a chip that last as long as it does.
#[derive(Debug, Clone, Default)]
struct Names {
    uuid: String,
    pci: String,
}

/// Whether faults are told, or how often that was asked in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subscription {
    Asked(u32),
    Told,
    Refused,
}

/// A chip, and the driver's own number of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) chip: Chip,
    pub(super) logical: u16,
}

/// Versions of what all chips share.
#[derive(Debug, Clone, Default)]
pub(super) struct Versions {
    pub(super) driver: String,
    pub(super) library: String,
}

/// The file that was loaded, so that another in its place is seen.
#[derive(Debug, PartialEq, Eq)]
struct FileMark {
    path: PathBuf,
    device: u64,
    file: u64,
    changed_s: i64,
}

impl Dcmi {
    /// Loads the library by one of these names and has it begin, by whichever
    /// generation knows chips.
    ///
    /// # Errors
    ///
    /// [`Stopped::Library`], when there is none or it does not begin.
    pub fn open(names: &[String], calls: &Calls) -> Result<Self, Stopped> {
        let mut reasons = Vec::new();
        for name in names {
            match Self::open_one(name, calls) {
                Ok(found) => return Ok(found),
                Err(why) => reasons.push(why),
            }
        }
        reasons.dedup();
        Err(Stopped::Library(reasons.join("; ")))
    }

    fn open_one(name: &str, calls: &Calls) -> Result<Self, String> {
        let (mut begun, mut reasons) = (None, Vec::new());
        for generation in [Generation::First, Generation::Second] {
            let raw = calls.call("dlopen", || Raw::load(OsStr::new(name), generation))?;
            let init = match generation {
                Generation::First => "dcmi_init",
                Generation::Second => "dcmiv2_init",
            };
            match calls.call(init, || raw.init()) {
                Ok(()) => {
                    // The one that begins need not be the one that has chips.
                    let has_chips = calls
                        .call(list_name(generation), || raw.list())
                        .is_ok_and(|of| !of.is_empty());
                    if has_chips || begun.is_none() {
                        begun = Some(raw);
                    }
                    if has_chips {
                        break;
                    }
                }
                Err(failure) => reasons.push(format!("{init} of {name}: {}", sentence(failure))),
            }
        }
        begun.map(Self::new).ok_or_else(|| reasons.join("; "))
    }

    fn new(raw: Raw) -> Self {
        Self {
            raw,
            file: loaded_file().and_then(FileMark::of),
            faults: Mutex::default(),
            told: bounded(TOLD_MAX),
            told_lost: AtomicU64::new(0),
            met: Mutex::default(),
            subscription: Mutex::new(Subscription::Asked(0)),
        }
    }

    /// Asks a chip on its own thread.
    pub(super) fn asking<'a>(&'a self, place: Place, calls: &'a Calls) -> Asking<'a> {
        Asking { raw: &self.raw, chip: place.chip, calls, device: "" }
    }

    pub(super) fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves something for the thread that tells.
    pub(super) fn tell(&self, told: Told) {
        if self.told.0.try_send(told).is_err() {
            self.told_lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn versions(&self, calls: &Calls) -> Versions {
        let version = |of| {
            let room = calls.call("version", || self.raw.version(of));
            room.map(|room| value::text(room.bytes())).unwrap_or_default()
        };
        Versions { driver: version("driver"), library: version("dcmi") }
    }

    fn met(&self) -> MutexGuard<'_, Met> {
        self.met.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The chips that there are, without touching one that must not be.
    fn places(&self, calls: &Calls, wanted: &Wanted) -> Result<Vec<Place>, Failure> {
        let listed = calls.call(list_name(self.raw.generation()), || self.raw.list())?;
        let mut places = Vec::new();
        for number in listed {
            if self.raw.generation() == Generation::Second {
                let logical = u16::try_from(number).map_err(|_| Failure::Invalid)?;
                places.push(Place { chip: Chip::Number(number), logical });
                continue;
            }
            let on_card = calls.call("dcmi_get_device_id_in_card", || self.raw.chips_on(number))?;
            for place in 0..on_card {
                // The driver numbers chips in the order of cards and places: so
                // one that must not be asked for its number still has one.
                let logical = places.len() as u16;
                let chip = Chip::OnCard(number, place);
                let device = npu(logical);
                let asked = (!wanted.is_left_out(&device)).then(|| {
                    calls.call_about(&device, "dcmi_get_device_logic_id", || {
                        self.raw.logical(number, place)
                    })
                });
                let logical = asked.and_then(Result::ok).unwrap_or(logical);
                places.push(Place { chip, logical });
            }
        }
        places.truncate(CHIPS_MAX);
        Ok(places)
    }

    /// The chips, or those of the last list where no other can be had for a
    /// while: whoever cannot be listed may still be read.
    fn list(&self, calls: &Calls, wanted: &Wanted) -> Result<Vec<Place>, Stopped> {
        match self.places(calls, wanted) {
            Ok(places) => {
                let mut met = self.met();
                (met.failures, met.is_listed) = (0, true);
                met.chips.retain(|chip, _| places.iter().any(|place| place.chip == *chip));
                met.list.clone_from(&places);
                Ok(places)
            }
            Err(failure) => {
                calls.failed();
                let mut met = self.met();
                met.failures += 1;
                if met.is_listed && met.failures <= LIST_FAILURES_MAX {
                    return Ok(met.list.clone());
                }
                Err(Stopped::Library(format!("listing chips: {}", sentence(failure))))
            }
        }
    }

    /// The names of a chip, asked for until it gives them.
    fn names(&self, place: Place, calls: &Calls) -> Names {
        if let Some(names) = self.met().chips.get(&place.chip) {
            return names.clone();
        }
        let (die, pcie) = self.ask_names(place, calls);
        let is_away =
            |failure: &Failure| !matches!(failure.class(), Class::Permanent | Class::Permission);
        let is_final = !die.as_ref().is_err_and(is_away) && !pcie.as_ref().is_err_and(is_away);
        let names = Names {
            uuid: die.map(|die| identity::uuid(&die)).unwrap_or_default(),
            pci: pcie.map(|pcie| identity::pci(&pcie)).unwrap_or_default(),
        };
        if is_final {
            self.met().chips.insert(place.chip, names.clone());
        }
        names
    }

    fn ask_names(
        &self,
        place: Place,
        calls: &Calls,
    ) -> (Result<DieId, Failure>, Result<PcieInfo, Failure>) {
        let device = npu(place.logical);
        let ask = Asking { raw: &self.raw, chip: place.chip, calls, device: &device };
        (ask.pick(Symbol::DieId, COMPUTE_DIE), ask.out(Symbol::PcieInfo))
    }

    /// Asks to be told of faults, a few times; then the lists must do.
    fn subscribe(&self, calls: &Calls, tell: &mut dyn FnMut(Notice)) {
        let state = *self.subscription();
        let Subscription::Asked(times) = state else { return };
        let name = Symbol::SubscribeFaults.name(self.raw.generation());
        let answer = if self.raw.has(Symbol::SubscribeFaults) {
            calls.call(name, || self.raw.subscribe())
        } else {
            Err(Failure::NotInLibrary)
        };
        let next = match answer {
            Ok(()) => Subscription::Told,
            Err(failure) if times + 1 < SUBSCRIBE_TIMES && failure.class() != Class::Permanent => {
                Subscription::Asked(times + 1)
            }
            Err(failure) => {
                tell(Notice {
                    kind: NoticeKind::Notice,
                    severity: Severity::Info,
                    text: format!("faults are not told, but listed: {}", failure.says()),
                    ..Notice::default()
                });
                Subscription::Refused
            }
        };
        *self.subscription() = next;
        if next == Subscription::Told {
            self.faults().are_told(true);
        }
    }

    fn subscription(&self) -> MutexGuard<'_, Subscription> {
        self.subscription.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says how many reports nobody took in time.
    fn tell_lost(&self, heard: &Heard, tell: &mut dyn FnMut(Notice)) {
        let lost = heard.take_lost() + self.told_lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            tell(Notice {
                kind: NoticeKind::Lost,
                severity: Severity::Warning,
                code: lost,
                text: "fault reports came faster than they were taken".to_owned(),
                ..Notice::default()
            });
        }
    }
}

impl Library for Dcmi {
    fn devices(&self, calls: &Calls, wanted: &Wanted) -> Result<Vec<Found>, Stopped> {
        let mut found = Vec::new();
        for place in self.list(calls, wanted)? {
            let name = npu(place.logical);
            if wanted.is_left_out(&name) {
                continue;
            }
            let names = self.names(place, calls);
            found.push(Found {
                name,
                kind: Kind::Npu,
                parent: String::new(),
                uuid: names.uuid,
                pci: names.pci,
                handle: handle(place),
            });
        }
        Ok(found)
    }

    fn reader<'a>(&'a self, found: &Found) -> Box<dyn Reader + 'a> {
        Box::new(ChipReader {
            dcmi: self,
            place: place(self.raw.generation(), found.handle),
            rated_hz: None,
            core_ratio: None,
            has_looked: false,
            was_away: false,
            gives_all_uses: self.raw.has(Symbol::MultiUtilization),
        })
    }

    fn wait_events(
        &self,
        calls: &Calls,
        limit_ms: u32,
        tell: &mut dyn FnMut(Notice),
    ) -> Result<(), Stopped> {
        self.subscribe(calls, tell);
        let heard = heard();
        let first = calls.wait("fault events", limit_ms, || {
            select! {
                recv(heard.events()) -> event => {
                    let event = event.ok();
                    event.and_then(|event| self.faults().tell(&event)).map(Told::Report)
                }
                recv(self.told.1) -> report => report.ok(),
                default(Duration::from_millis(u64::from(limit_ms))) => None,
            }
        });
        if let Some(told) = first {
            tell(told.notice());
        }
        while let Ok(event) = heard.events().try_recv() {
            if let Some(report) = self.faults().tell(&event) {
                tell(notice(&report));
            }
        }
        for told in self.told.1.try_iter() {
            tell(told.notice());
        }
        self.tell_lost(heard, tell);
        Ok(())
    }

    fn has_changed(&self) -> bool {
        let now = |mark: &FileMark| FileMark::of(mark.path.clone());
        self.file.as_ref().is_some_and(|mark| now(mark).as_ref() != Some(mark))
    }
}

impl Told {
    fn notice(&self) -> Notice {
        match self {
            Self::Report(report) => notice(report),
            Self::Looked(chip) => {
                Notice { kind: NoticeKind::Looked, device: npu(*chip), ..Notice::default() }
            }
        }
    }
}

impl FileMark {
    fn of(path: PathBuf) -> Option<Self> {
        let about = fs::metadata(&path).ok()?;
        Some(Self { device: about.dev(), file: about.ino(), changed_s: about.mtime(), path })
    }
}

/// The library's file among those that this process has mapped.
fn loaded_file() -> Option<PathBuf> {
    let maps = fs::read("/proc/self/maps").ok()?;
    let lines = maps.split(|byte| *byte == b'\n');
    let paths =
        lines.filter_map(|line| line.iter().position(|byte| *byte == b'/').map(|at| &line[at..]));
    paths
        .map(|path| Path::new(OsStr::from_bytes(path)))
        .find(|path| {
            path.file_name().is_some_and(|name| name.as_bytes().starts_with(b"libdcmi.so"))
        })
        .map(Path::to_owned)
}

/// A report as the frame takes it.
fn notice(report: &Report) -> Notice {
    let name = if report.name.is_empty() { "no name" } else { &report.name };
    Notice {
        kind: NoticeKind::Fault,
        device: npu(report.chip),
        severity: severity(&report.record),
        code: u64::from(report.code),
        fault: Some(report.record),
        text: format!("{:#010X} {}: {name}", report.code, report.record.phase.name()),
    }
}

/// A failure, and what to do about it where that is known.
fn sentence(failure: Failure) -> String {
    let says = failure.says();
    match failure {
        Failure::Returned(code) => match remedy(code) {
            Some(remedy) => format!("{says}; {remedy}"),
            None => says,
        },
        _ => says,
    }
}

fn list_name(generation: Generation) -> &'static str {
    match generation {
        Generation::First => "dcmi_get_card_list",
        Generation::Second => "dcmiv2_get_device_list",
    }
}

fn npu(logical: u16) -> String {
    format!("npu{logical}")
}

/// Where a chip is, in one number.
fn handle(place: Place) -> u64 {
    let (high, low) = match place.chip {
        Chip::OnCard(card, on_card) => (card.cast_unsigned(), on_card.cast_unsigned() as u16),
        Chip::Number(number) => (number.cast_unsigned(), 0),
    };
    u64::from(high) << 32 | u64::from(low) << 16 | u64::from(place.logical)
}

fn place(generation: Generation, handle: u64) -> Place {
    let high = ((handle >> 32) as u32).cast_signed();
    let on_card = i32::from((handle >> 16) as u16);
    let chip = match generation {
        Generation::First => Chip::OnCard(high, on_card),
        Generation::Second => Chip::Number(high),
    };
    Place { chip, logical: handle as u16 }
}

/// Which die's number names a chip.
const COMPUTE_DIE: i32 = 0;
/// Most chips of a node.
const CHIPS_MAX: usize = 128;
/// Most reports that wait to be told; more are counted as lost.
const TOLD_MAX: usize = 1024;
/// How often in a row the list of chips may fail before the library is given
/// up.
const LIST_FAILURES_MAX: u32 = 3;
/// How often it is asked to tell of faults.
const SUBSCRIBE_TIMES: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_comes_back_from_its_handle() {
        for (generation, chip) in [
            (Generation::First, Chip::OnCard(7, 1)),
            (Generation::First, Chip::OnCard(0, 0)),
            (Generation::Second, Chip::Number(15)),
        ] {
            let at = Place { chip, logical: 9 };
            assert_eq!(place(generation, handle(at)), at);
        }
    }

    #[test]
    fn a_fault_in_words_fits_a_record() {
        let report = Report {
            chip: 3,
            code: 0x80E0_1801,
            record: crate::schema::FaultRecord::default(),
            name: "node type=HBM, multi bit ecc".to_owned(),
        };
        let notice = notice(&report);
        assert_eq!(notice.device, "npu3");
        assert_eq!(notice.text, "0x80E01801 unknown: node type=HBM, multi bit ecc");
        assert_eq!(notice.code, 0x80E0_1801);
    }
}
