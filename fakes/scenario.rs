//! What a stand-in plays: a text of one statement a line, read anew whenever
//! the file changes. It lies beside the library, as `<library>.scenario`.
//!
//! ```text
//! devices 4                              how many there are
//! driver 580.95.05                       any other first word is a text of the library
//! text gpu0 serial 1652                  a text of a device; `*` is every device
//! set gpu1 temperature 91                a number
//! wave * power 300 650 40000             a number between two, with a period in ms
//! count gpu2 ecc_uncorrected 0.5         a number that grows, a second
//! answer gpu1 nvmlDeviceGetSerial 3      a call answers with a code; `*` is every call
//! garbage gpu1 nvmlDeviceGetMemoryInfo_v2   a call fills its answer with nonsense
//! hang gpu1 nvmlDeviceGetTemperature sleep  a call does not return while the line stands:
//!                                        sleep, spin, lock (others wait too) or write=PATH
//! crash gpu1 nvmlDeviceGetFanSpeed_v2    a call ends the process
//! process gpu0 4711 1073741824           a process and its memory, bytes
//! gone gpu3                              the device is lost
//! part gpu0 2                            the device has so many instances
//! event gpu0 8 79                        a report of this kind and number, told once
//! missing nvmlDeviceGetFanSpeed_v2       no such function (where the file is written)
//! ```
//!
//! Any statement but `event` may end in `from MS`, `to MS` or both, and `event`
//! in `at MS`: ms since the file was last written. Lines that make no sense say
//! nothing; of several the last one counts. What else a stand-in can say stands
//! in its own file.

#![allow(dead_code, reason = "no stand-in needs all of it")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

/// How often the file is looked at, at most.
const LOOK: Duration = Duration::from_millis(50);

/// The loaded scenario.
pub struct Scenario {
    path: PathBuf,
    written: SystemTime,
    looked: SystemTime,
    loaded: SystemTime,
    lines: Vec<Line>,
    /// When the newest report that was told happened.
    told: SystemTime,
    told_at_once: usize,
}

struct Line {
    words: Vec<String>,
    from_ms: u64,
    to_ms: u64,
    at_ms: Option<u64>,
}

/// How a call hangs.
enum Hang {
    Sleep,
    Spin,
    Lock,
    Write(PathBuf),
}

/// A report.
pub struct Report {
    pub device: String,
    pub kind: u64,
    pub code: u64,
    /// The whole line.
    pub words: Vec<String>,
}

static SCENARIO: OnceLock<Mutex<Scenario>> = OnceLock::new();

/// What a call that locks the whole library holds.
static LIBRARY: Mutex<()> = Mutex::new(());

/// The scenario beside this library, as it stands now.
pub fn scenario() -> MutexGuard<'static, Scenario> {
    let scenario = SCENARIO.get_or_init(|| Mutex::new(Scenario::load()));
    let mut scenario = scenario.lock().unwrap_or_else(PoisonError::into_inner);
    scenario.look();
    scenario
}

/// Begins a call of this name about a device: hangs or crashes where the
/// scenario wants it, and answers with the code that it wants.
pub fn enter(device: &str, call: &str) -> Option<i32> {
    loop {
        let hang = scenario().hang(device, call);
        match hang {
            None => break,
            Some(Hang::Sleep) => std::thread::sleep(Duration::from_millis(10)),
            Some(Hang::Spin) => {
                let begun = std::time::Instant::now();
                while begun.elapsed() < Duration::from_millis(10) {
                    std::hint::spin_loop();
                }
            }
            Some(Hang::Lock) => {
                let _library = LIBRARY.lock().unwrap_or_else(PoisonError::into_inner);
                while matches!(scenario().hang(device, call), Some(Hang::Lock)) {
                    std::thread::sleep(Duration::from_millis(10));
                }
            }
            Some(Hang::Write(path)) => {
                if fs::write(path, b"x").is_err() {
                    std::thread::sleep(Duration::from_millis(10));
                }
            }
        }
    }
    drop(LIBRARY.lock().unwrap_or_else(PoisonError::into_inner));
    let scenario = scenario();
    if scenario.find("crash", device, call).is_some() {
        std::process::abort();
    }
    scenario.find("answer", device, call).and_then(|line| line.words.get(3)?.parse().ok())
}

/// The path from which this library was loaded.
fn own_path() -> PathBuf {
    let here = own_path as *const () as usize;
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let is_here = |line: &&str| {
        let range = line.split(' ').next().and_then(|range| range.split_once('-'));
        let number = |text| usize::from_str_radix(text, 16).unwrap_or(0);
        range.is_some_and(|(from, to)| (number(from)..number(to)).contains(&here))
    };
    let line = maps.lines().find(is_here).unwrap_or_default();
    line.find('/').map_or_else(PathBuf::new, |at| PathBuf::from(&line[at..]))
}

impl Scenario {
    fn load() -> Self {
        let mut path = own_path().into_os_string();
        path.push(".scenario");
        let now = SystemTime::now();
        let mut scenario = Self {
            path: path.into(),
            written: SystemTime::UNIX_EPOCH,
            looked: SystemTime::UNIX_EPOCH,
            loaded: now,
            lines: Vec::new(),
            told: now,
            told_at_once: 0,
        };
        scenario.look();
        scenario
    }

    fn look(&mut self) {
        let now = SystemTime::now();
        if now.duration_since(self.looked).is_ok_and(|since| since < LOOK) {
            return;
        }
        self.looked = now;
        let Ok(written) = fs::metadata(&self.path).and_then(|of| of.modified()) else { return };
        if written != self.written {
            self.written = written;
            self.lines = read(&self.path);
        }
    }

    /// Ms since the file was written.
    pub fn now_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(self.written).unwrap_or_default();
        since.as_millis() as u64
    }

    fn is_now(&self, line: &Line) -> bool {
        let now_ms = self.now_ms();
        (line.from_ms..line.to_ms).contains(&now_ms)
    }

    /// The last line `what device third`, now.
    fn find(&self, what: &str, device: &str, third: &str) -> Option<&Line> {
        self.lines.iter().rev().find(|line| {
            let word = |at: usize| line.words.get(at).map_or("", String::as_str);
            word(0) == what
                && (word(1) == device || word(1) == "*")
                && (word(2) == third || word(2) == "*")
                && self.is_now(line)
        })
    }

    fn hang(&self, device: &str, call: &str) -> Option<Hang> {
        let line = self.find("hang", device, call)?;
        Some(match line.words.get(3).map_or("", String::as_str) {
            "spin" => Hang::Spin,
            "lock" => Hang::Lock,
            how => how.strip_prefix("write=").map_or(Hang::Sleep, |path| Hang::Write(path.into())),
        })
    }

    /// A text of the library.
    pub fn word(&self, key: &str, default: &str) -> String {
        let of = self.lines.iter().rev().find(|line| {
            line.words.first().is_some_and(|first| first == key) && self.is_now(line)
        });
        of.and_then(|line| line.words.get(1).cloned()).unwrap_or_else(|| default.to_owned())
    }

    /// How many devices there are.
    pub fn devices(&self) -> usize {
        self.word("devices", "1").parse().unwrap_or(1)
    }

    /// A text of a device.
    pub fn text(&self, device: &str, key: &str, default: &str) -> String {
        let line = self.find("text", device, key);
        line.map_or_else(|| default.to_owned(), |line| line.words[3..].join(" "))
    }

    /// A number of a device.
    pub fn number(&self, device: &str, key: &str, default: f64) -> f64 {
        let number = |line: &Line, at: usize| line.words.get(at)?.parse::<f64>().ok();
        if let Some(line) = self.find("set", device, key) {
            return number(line, 3).unwrap_or(default);
        }
        if let Some(line) = self.find("count", device, key) {
            let seconds = self.now_ms() as f64 / 1e3;
            return default + (number(line, 3).unwrap_or(0.0) * seconds).floor();
        }
        let Some(line) = self.find("wave", device, key) else { return default };
        let (low, high) = (number(line, 3).unwrap_or(0.0), number(line, 4).unwrap_or(0.0));
        let period_ms = number(line, 5).unwrap_or(60_000.0).max(1.0);
        // Devices do not move in step.
        let shift = device.bytes().fold(0_u32, |sum, byte| sum * 31 % 997 + u32::from(byte));
        let turn = self.now_ms() as f64 / period_ms + f64::from(shift % 97) / 97.0;
        low + (high - low) * (0.5 - 0.5 * (turn * std::f64::consts::TAU).cos())
    }

    /// Whether a call fills its answer with nonsense.
    pub fn is_garbage(&self, device: &str, call: &str) -> bool {
        self.find("garbage", device, call).is_some()
    }

    /// Whether the device is lost.
    pub fn is_gone(&self, device: &str) -> bool {
        self.find("gone", device, "").is_some()
    }

    /// How many instances a device has.
    pub fn parts(&self, device: &str) -> u32 {
        let of = self.lines.iter().rev().find(|line| {
            let word = |at: usize| line.words.get(at).map_or("", String::as_str);
            word(0) == "part" && (word(1) == device || word(1) == "*") && self.is_now(line)
        });
        of.and_then(|line| line.words.get(2)?.parse().ok()).unwrap_or(0)
    }

    /// Processes that work on a device, with their memory in bytes.
    pub fn processes(&self, device: &str) -> Vec<(u32, u64)> {
        let of = self.lines.iter().filter(|line| {
            let word = |at: usize| line.words.get(at).map_or("", String::as_str);
            word(0) == "process" && word(1) == device && self.is_now(line)
        });
        let number = |line: &Line, at: usize| line.words.get(at)?.parse::<u64>().ok();
        of.filter_map(|line| Some((number(line, 2)? as u32, number(line, 3).unwrap_or(0)))).collect()
    }

    /// The words of every line `what device`, now.
    pub fn statements(&self, what: &str, device: &str) -> Vec<Vec<String>> {
        let of = self.lines.iter().filter(|line| {
            let word = |at: usize| line.words.get(at).map_or("", String::as_str);
            word(0) == what && (word(1) == device || word(1) == "*") && self.is_now(line)
        });
        of.map(|line| line.words.clone()).collect()
    }

    /// The next report that was not told, and is not older than this process.
    pub fn report(&mut self) -> Option<Report> {
        let now_ms = self.now_ms();
        let mut due: Vec<(SystemTime, Report)> = Vec::new();
        for line in self.lines.iter().filter(|line| line.words.first().is_some_and(|w| w == "event")) {
            let at_ms = line.at_ms.unwrap_or(0);
            let at = self.written + Duration::from_millis(at_ms);
            if at_ms > now_ms || at < self.told || at < self.loaded {
                continue;
            }
            let number = |at: usize| whole(line.words.get(at)?);
            let (Some(kind), Some(code)) = (number(2), number(3)) else { continue };
            let (device, words) = (line.words[1].clone(), line.words.clone());
            due.push((at, Report { device, kind, code, words }));
        }
        due.sort_by_key(|(at, _)| *at);
        let skip = due.iter().take_while(|(at, _)| *at == self.told).count().min(self.told_at_once);
        let (at, report) = due.into_iter().nth(skip)?;
        self.told_at_once = if at == self.told { self.told_at_once + 1 } else { 1 };
        self.told = at;
        Some(report)
    }
}

/// A whole number, decimal or with `0x` before it.
pub fn whole(word: &str) -> Option<u64> {
    match word.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => word.parse().ok(),
    }
}

fn read(path: &Path) -> Vec<Line> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().filter_map(line).collect()
}

fn line(text: &str) -> Option<Line> {
    let text = text.split('#').next().unwrap_or_default();
    let mut words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    let mut take = |key: &str| {
        let at = words.iter().position(|word| word == key).filter(|at| *at > 1)?;
        let number = words.get(at + 1)?.parse().ok()?;
        words.drain(at..at + 2);
        Some(number)
    };
    let (from_ms, to_ms, at_ms) = (take("from").unwrap_or(0), take("to"), take("at"));
    if words.is_empty() {
        return None;
    }
    if words[0] == "gone" {
        words.push(String::new());
    }
    Some(Line { words, from_ms, to_ms: to_ms.unwrap_or(u64::MAX), at_ms })
}
