//! Loads `libdcmi.so` and calls its functions: the one place of this sampler
//! where the compiler cannot check what happens.
//!
//! A function is called by the prototype of the public header, and what it
//! fills in is a [`Room`], several times as large as any struct of the header
//! and zeroed, so that a library whose structs are larger than ours writes into
//! memory that is there. No value is made of what it wrote but numbers.

#![expect(unsafe_code, reason = "calling a vendor's library, which is loaded at run time")]

use std::ffi::{CString, OsStr, c_int, c_uint, c_void};
use std::mem::ManuallyDrop;
use std::sync::OnceLock;

use bytemuck::{Pod, Zeroable};
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use super::code::Failure;
use super::layout::{EventFilter, FaultEvent, Process};
use super::symbol::{Generation, SYMBOLS, Shape, Symbol};
use crate::platform::atomic::{AtomicU64, Ordering};

/// Memory that a function fills in.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(16))]
pub(super) struct Room([u64; ROOM_BYTES / 8]);

const ROOM_BYTES: usize = 4096;

impl Room {
    /// A room of zeroes.
    #[must_use]
    pub(super) fn zeroed() -> Self {
        Zeroable::zeroed()
    }

    /// Zeroes, then ones from `at` on: what no function fills in stays the mark
    /// of no value.
    #[must_use]
    pub(super) fn marked_from(at: usize) -> Self {
        let mut room = Self::zeroed();
        bytemuck::bytes_of_mut(&mut room)[at..].fill(0xFF);
        room
    }

    /// What was filled in, read as a struct or number.
    #[must_use]
    pub(super) fn value<T: Pod>(&self) -> T {
        const { assert!(size_of::<T>() <= ROOM_BYTES / 2) };
        bytemuck::pod_read_unaligned(&self.bytes()[..size_of::<T>()])
    }

    /// What was filled in, as bytes.
    #[must_use]
    pub(super) fn bytes(&self) -> &[u8] {
        bytemuck::bytes_of(self)
    }

    fn start(&mut self) -> *mut c_void {
        std::ptr::from_mut(self).cast()
    }
}

/// A chip as its generation names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Chip {
    /// By card and place on the card.
    OnCard(i32, i32),
    /// By its one number.
    Number(i32),
}

/// Stands for every chip in a subscription.
const EVERY_CHIP: c_int = -1;

/// A function by the prototypes of either generation.
#[derive(Clone, Copy)]
enum Either<A, B> {
    First(A),
    Second(B),
}

type Out = Either<
    unsafe extern "C" fn(c_int, c_int, *mut c_void) -> c_int,
    unsafe extern "C" fn(c_int, *mut c_void) -> c_int,
>;
type Pick = Either<
    unsafe extern "C" fn(c_int, c_int, c_int, *mut c_void) -> c_int,
    unsafe extern "C" fn(c_int, c_int, *mut c_void) -> c_int,
>;
type List = Either<
    unsafe extern "C" fn(c_int, c_int, *mut c_void, *mut c_int) -> c_int,
    unsafe extern "C" fn(c_int, *mut c_void, *mut c_int) -> c_int,
>;
type Codes = Either<
    unsafe extern "C" fn(c_int, c_int, *mut c_int, *mut c_void, c_uint) -> c_int,
    unsafe extern "C" fn(c_int, *mut c_int, *mut c_void, c_uint) -> c_int,
>;
type Events = Either<
    unsafe extern "C" fn(c_int, c_int, *mut FaultEvent, c_int, *mut c_int) -> c_int,
    unsafe extern "C" fn(c_int, *mut FaultEvent, c_int, *mut c_int) -> c_int,
>;
type Gate = Either<
    unsafe extern "C" fn(c_int, c_int, c_uint, c_uint, *mut c_void, *mut c_uint) -> c_int,
    unsafe extern "C" fn(c_int, c_uint, c_uint, *mut c_void, *mut c_uint) -> c_int,
>;
type Text = Either<
    unsafe extern "C" fn(c_int, c_int, c_uint, *mut c_void, c_int) -> c_int,
    unsafe extern "C" fn(c_int, c_uint, *mut c_void, c_int) -> c_int,
>;
type Told = extern "C" fn(*const FaultEvent);
type Subscribe = Either<
    unsafe extern "C" fn(c_int, c_int, EventFilter, Told) -> c_int,
    unsafe extern "C" fn(c_int, EventFilter, Told) -> c_int,
>;

/// A function that was found.
#[derive(Clone, Copy)]
enum Function {
    Out(Out),
    Pick(Pick),
    List(List),
    Codes(Codes),
    Events(Events),
    Gate(Gate),
    Text(Text),
    Subscribe(Subscribe),
}

/// A library that is loaded and was told to begin.
pub(super) struct Raw {
    /// Never unloaded: it may call back at any time.
    library: ManuallyDrop<libloading::Library>,
    generation: Generation,
    functions: Vec<Option<Function>>,
}

/// Calls the function that `$symbol` has, if it has the shape `$shape`, with
/// the numbers of `$chip` before the arguments. Every argument that is a
/// pointer must come from a [`Room`] or a variable of the caller.
macro_rules! call {
    ($raw:ident, $shape:ident, $symbol:expr, $chip:expr, $($argument:expr),*) => {
        match ($raw.function($symbol)?, $chip) {
            (Function::$shape(Either::First(function)), Chip::OnCard(card, place)) => {
                // SAFETY: the function was looked up under a name whose
                // prototype in the public header is this type; every pointer is
                // to memory that lives until it returns and is larger than what
                // the header says it fills in.
                unsafe { function(card, place, $($argument),*) }
            }
            (Function::$shape(Either::Second(function)), Chip::Number(number)) => {
                // SAFETY: as above, of the second generation's prototype.
                unsafe { function(number, $($argument),*) }
            }
            _ => return Err(Failure::NotInLibrary),
        }
    };
}

impl Raw {
    /// Loads the library called `name` and finds the functions of one
    /// generation in it. Nothing but its own start-up code runs.
    ///
    /// # Errors
    ///
    /// Why the dynamic linker refuses.
    pub(super) fn load(name: &OsStr, generation: Generation) -> Result<Self, String> {
        // SAFETY: the file is the driver's own library, named by the operator
        // or found where the driver puts it; what its initialisers do is its
        // vendor's word, and this process is a child that may die of it.
        let library = unsafe { libloading::Library::new(name) }.map_err(|why| why.to_string())?;
        let mut raw = Self {
            library: ManuallyDrop::new(library),
            generation,
            functions: Vec::with_capacity(SYMBOLS.len()),
        };
        raw.functions = SYMBOLS.iter().map(|symbol| raw.look_up(*symbol)).collect();
        Ok(raw)
    }

    /// Which generation's functions are called.
    pub(super) fn generation(&self) -> Generation {
        self.generation
    }

    /// Whether the library has that function.
    #[must_use]
    pub(super) fn has(&self, symbol: Symbol) -> bool {
        self.function(symbol).is_ok()
    }

    /// Tells the library to begin; before anything else is called.
    ///
    /// # Errors
    ///
    /// What it answers.
    pub(super) fn init(&self) -> Result<(), Failure> {
        let name = match self.generation {
            Generation::First => "dcmi_init",
            Generation::Second => "dcmiv2_init",
        };
        type Init = unsafe extern "C" fn() -> c_int;
        let init: Init = self.address(name).ok_or(Failure::NotInLibrary)?;
        // SAFETY: by the public header it takes nothing and may be called at
        // any time; the caller calls it once.
        answer(unsafe { init() })
    }

    /// A version of the whole library: `dcmi` or `driver`.
    ///
    /// # Errors
    ///
    /// What it answers.
    pub(super) fn version(&self, of: &str) -> Result<Room, Failure> {
        type Version = unsafe extern "C" fn(*mut c_void, c_uint) -> c_int;
        let prefix = self.prefix();
        let version: Version =
            self.address(&format!("{prefix}_get_{of}_version")).ok_or(Failure::NotInLibrary)?;
        let mut room = Room::zeroed();
        // SAFETY: by the public header it fills in a text of at most so many
        // bytes as the second argument says, and the room has more.
        answer(unsafe { version(room.start(), VERSION_BYTES) })?;
        Ok(room)
    }

    /// The cards of the first generation, or the chips of the second.
    ///
    /// # Errors
    ///
    /// What it answers, or that it answers nonsense.
    pub(super) fn list(&self) -> Result<Vec<i32>, Failure> {
        type Listing = unsafe extern "C" fn(*mut c_int, *mut c_int, c_int) -> c_int;
        let name = match self.generation {
            Generation::First => "dcmi_get_card_list",
            Generation::Second => "dcmiv2_get_device_list",
        };
        let list: Listing = self.address(name).ok_or(Failure::NotInLibrary)?;
        // Two rooms, each large enough for the list: the two generations have
        // the list and its length the other way round.
        let (mut first, mut second) = (Room::zeroed(), Room::zeroed());
        let (one, two) = (first.start().cast(), second.start().cast());
        // SAFETY: by the public header it fills in a number and a list of at
        // most so many as the third argument says; either room holds that.
        answer(unsafe { list(one, two, LIST_MAX) })?;
        let (count, list) = match self.generation {
            Generation::First => (first, second),
            Generation::Second => (second, first),
        };
        let count = usize::try_from(count.value::<i32>()).map_err(|_| Failure::Invalid)?;
        let list: [i32; LIST_MAX as usize] = list.value();
        Ok(list.get(..count).ok_or(Failure::Invalid)?.to_vec())
    }

    /// How many chips a card of the first generation has, less its controllers.
    ///
    /// # Errors
    ///
    /// What it answers, or that it answers nonsense.
    pub(super) fn chips_on(&self, card: i32) -> Result<i32, Failure> {
        type Layout = unsafe extern "C" fn(c_int, *mut c_int, *mut c_int, *mut c_int) -> c_int;
        let layout: Layout =
            self.address("dcmi_get_device_id_in_card").ok_or(Failure::NotInLibrary)?;
        let (mut chips, mut controller, mut processor) = (0, 0, 0);
        // SAFETY: by the public header it fills in three numbers, which live
        // until it returns.
        answer(unsafe { layout(card, &raw mut chips, &raw mut controller, &raw mut processor) })?;
        if (0..=CHIPS_OF_CARD_MAX).contains(&chips) { Ok(chips) } else { Err(Failure::Invalid) }
    }

    /// The driver's own number of a chip of the first generation.
    ///
    /// # Errors
    ///
    /// What it answers, or that it answers nonsense.
    pub(super) fn logical(&self, card: i32, place: i32) -> Result<u16, Failure> {
        type Logical = unsafe extern "C" fn(*mut c_int, c_int, c_int) -> c_int;
        let logical: Logical =
            self.address("dcmi_get_device_logic_id").ok_or(Failure::NotInLibrary)?;
        let mut number = -1;
        // SAFETY: by the public header it fills in one number, which lives
        // until it returns.
        answer(unsafe { logical(&raw mut number, card, place) })?;
        u16::try_from(number).map_err(|_| Failure::Invalid)
    }

    /// Calls a function that fills in `room`.
    ///
    /// # Errors
    ///
    /// What it answers.
    pub(super) fn out(&self, symbol: Symbol, chip: Chip, room: &mut Room) -> Result<(), Failure> {
        answer(call!(self, Out, symbol, chip, room.start()))
    }

    /// Calls a function that fills in `room` with the thing that `which` picks.
    ///
    /// # Errors
    ///
    /// What it answers.
    pub(super) fn pick(
        &self,
        symbol: Symbol,
        chip: Chip,
        which: i32,
        room: &mut Room,
    ) -> Result<(), Failure> {
        answer(call!(self, Pick, symbol, chip, which, room.start()))
    }

    /// Calls a function that fills in `room` with what two commands stand for.
    ///
    /// # Errors
    ///
    /// What it answers.
    pub(super) fn gate(
        &self,
        chip: Chip,
        (main, sub): (u32, u32),
        bytes: usize,
        room: &mut Room,
    ) -> Result<(), Failure> {
        let mut size = c_uint::try_from(bytes).map_err(|_| Failure::Invalid)?;
        answer(call!(self, Gate, Symbol::Info, chip, main, sub, room.start(), &raw mut size))
    }

    /// A text about the thing that `which` picks.
    ///
    /// # Errors
    ///
    /// What it answers.
    pub(super) fn text(&self, symbol: Symbol, chip: Chip, which: u32) -> Result<Room, Failure> {
        let mut room = Room::zeroed();
        answer(call!(self, Text, symbol, chip, which, room.start(), VERSION_BYTES as c_int))?;
        Ok(room)
    }

    /// The codes of open faults.
    ///
    /// # Errors
    ///
    /// What it answers.
    pub(super) fn codes(&self, chip: Chip) -> Result<Vec<u32>, Failure> {
        let mut room = Room::zeroed();
        let mut count = 0;
        let list = room.start();
        answer(call!(self, Codes, Symbol::ErrorCodes, chip, &raw mut count, list, CODES_MAX))?;
        let codes: [u32; CODES_MAX as usize] = room.value();
        Ok(codes[..length(count, codes.len())].to_vec())
    }

    /// The processes that work on a chip.
    ///
    /// # Errors
    ///
    /// What it answers.
    pub(super) fn processes(&self, chip: Chip) -> Result<Vec<Process>, Failure> {
        let mut room = Room::zeroed();
        let mut count = PROCESSES_MAX;
        answer(call!(self, List, Symbol::Processes, chip, room.start(), &raw mut count))?;
        let all: [Process; PROCESSES_MAX as usize] = room.value();
        Ok(all[..length(count, all.len())].to_vec())
    }

    /// The open faults, as events.
    ///
    /// # Errors
    ///
    /// What it answers.
    pub(super) fn current_faults(&self, chip: Chip) -> Result<Vec<FaultEvent>, Failure> {
        // Twice the room that the library is told of, as everywhere.
        let mut events = vec![FaultEvent::zeroed(); 2 * EVENTS_MAX as usize];
        let mut count = 0;
        let list = events.as_mut_ptr();
        let symbol = Symbol::CurrentFaults;
        answer(call!(self, Events, symbol, chip, list, EVENTS_MAX, &raw mut count))?;
        events.truncate(length(count, EVENTS_MAX as usize));
        Ok(events)
    }

    /// Has every fault of every chip told to [`heard`]. By the public pages
    /// this may succeed once per process.
    ///
    /// # Errors
    ///
    /// What it answers.
    pub(super) fn subscribe(&self) -> Result<(), Failure> {
        let chip = match self.generation {
            Generation::First => Chip::OnCard(EVERY_CHIP, EVERY_CHIP),
            Generation::Second => Chip::Number(EVERY_CHIP),
        };
        let filter = EventFilter::zeroed();
        answer(call!(self, Subscribe, Symbol::SubscribeFaults, chip, filter, told as Told))
    }

    fn prefix(&self) -> &'static str {
        match self.generation {
            Generation::First => "dcmi",
            Generation::Second => "dcmiv2",
        }
    }

    fn function(&self, symbol: Symbol) -> Result<Function, Failure> {
        self.functions.get(symbol as usize).copied().flatten().ok_or(Failure::NotInLibrary)
    }

    fn look_up(&self, symbol: Symbol) -> Option<Function> {
        let name = symbol.name(self.generation);
        Some(match symbol.shape() {
            Shape::Out => Function::Out(self.either(name)?),
            Shape::Pick => Function::Pick(self.either(name)?),
            Shape::List => Function::List(self.either(name)?),
            Shape::Codes => Function::Codes(self.either(name)?),
            Shape::Events => Function::Events(self.either(name)?),
            Shape::Gate => Function::Gate(self.either(name)?),
            Shape::Text => Function::Text(self.either(name)?),
            Shape::Subscribe => Function::Subscribe(self.either(name)?),
        })
    }

    fn either<A: Copy, B: Copy>(&self, name: &str) -> Option<Either<A, B>> {
        match self.generation {
            Generation::First => self.address(name).map(Either::First),
            Generation::Second => self.address(name).map(Either::Second),
        }
    }

    /// The address of a function, seen as `F`, a pointer to a function.
    fn address<F: Copy>(&self, name: &str) -> Option<F> {
        if name.is_empty() {
            return None;
        }
        let name = CString::new(name).ok()?;
        // SAFETY: each caller's `F` is the prototype that the public header
        // gives to this name, and the library is never unloaded.
        let symbol = unsafe { self.library.get::<F>(name.as_bytes_with_nul()) };
        symbol.ok().map(|symbol| *symbol)
    }
}

impl std::fmt::Debug for Raw {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let found = self.functions.iter().flatten().count();
        out.debug_struct("Raw")
            .field("generation", &self.generation)
            .field("functions", &found)
            .finish()
    }
}

/// What the library told since the last look, and what of it was lost.
#[derive(Debug)]
pub(super) struct Heard {
    sender: Sender<FaultEvent>,
    receiver: Receiver<FaultEvent>,
    lost: AtomicU64,
}

impl Heard {
    /// Events in the order in which they came.
    #[must_use]
    pub(super) fn events(&self) -> &Receiver<FaultEvent> {
        &self.receiver
    }

    /// How many were lost since the last call, since nobody took them.
    #[must_use]
    pub(super) fn take_lost(&self) -> u64 {
        self.lost.swap(0, Ordering::Relaxed)
    }
}

/// Where the library's own thread leaves events. One for the process, as the
/// subscription is.
pub(super) fn heard() -> &'static Heard {
    static HEARD: OnceLock<Heard> = OnceLock::new();
    HEARD.get_or_init(|| {
        let (sender, receiver) = bounded(HEARD_MAX);
        Heard { sender, receiver, lost: AtomicU64::new(0) }
    })
}

/// Called on a thread of the library's: copies and returns.
extern "C" fn told(event: *const FaultEvent) {
    if event.is_null() {
        return;
    }
    // SAFETY: by the public header the library passes a pointer to an event
    // that lives until this returns; any bytes are an event.
    let event = unsafe { event.read_unaligned() };
    let heard = heard();
    if let Err(TrySendError::Full(_)) = heard.sender.try_send(event) {
        heard.lost.fetch_add(1, Ordering::Relaxed);
    }
}

fn answer(code: c_int) -> Result<(), Failure> {
    if code == 0 { Ok(()) } else { Err(Failure::Returned(code)) }
}

/// A length from the library, within the room.
fn length(count: c_int, most: usize) -> usize {
    usize::try_from(count).unwrap_or(0).min(most)
}

/// Most cards, or chips, that are listed.
const LIST_MAX: c_int = 64;
/// Most chips of a card.
const CHIPS_OF_CARD_MAX: i32 = 16;
/// Bytes of a version or text that the library is told it may fill in.
const VERSION_BYTES: c_uint = 256;
/// Most open codes that the library lists.
const CODES_MAX: c_uint = 128;
/// Most processes that are asked for.
const PROCESSES_MAX: c_int = 64;
/// Most open faults that are asked for.
const EVENTS_MAX: c_int = 128;
/// Most events that wait to be taken; more are counted as lost.
const HEARD_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_copied_and_what_does_not_fit_is_counted() {
        let mut event = FaultEvent::zeroed();
        for number in 0..HEARD_MAX as u32 + 3 {
            event.event = number;
            told(&raw const event);
        }
        told(std::ptr::null());
        assert_eq!(heard().take_lost(), 3);
        assert_eq!(heard().take_lost(), 0);
        let kept: Vec<u32> = heard().events().try_iter().map(|event| event.event).collect();
        assert_eq!(kept.len(), HEARD_MAX);
        assert_eq!((kept[0], kept[HEARD_MAX - 1]), (0, HEARD_MAX as u32 - 1));
    }

    #[test]
    fn a_room_keeps_the_mark_of_no_value_where_nothing_was_filled_in() {
        let mut room = Room::marked_from(28);
        bytemuck::bytes_of_mut(&mut room)[..28].fill(1);
        let ecc: super::super::layout::EccInfo = room.value();
        assert_eq!(ecc.isolated_uncorrected, 0x0101_0101);
        assert_eq!(ecc.isolate_next_corrected, u32::MAX);
    }

    #[test]
    fn a_length_stays_within_the_room() {
        assert_eq!(length(-1, 4), 0);
        assert_eq!(length(3, 4), 3);
        assert_eq!(length(i32::MAX, 4), 4);
    }

    #[test]
    fn a_library_that_is_not_there_is_said_by_the_linker() {
        let none = Raw::load(OsStr::new("/nonexistent/libdcmi.so"), Generation::First);
        assert!(none.expect_err("no such file").contains("/nonexistent/libdcmi.so"));
    }
}
