//! What a child tells its parent: records of one fixed size.
//!
//! The parent takes a child's bytes as hostile, since a library that went
//! wrong may have written anywhere: a record that makes no sense is refused,
//! and nothing in it is believed to be text.

use bytemuck::{Pod, Zeroable};

use super::library::{Kind, NoticeKind};
use crate::schema::{AbsentReason, DeviceState, FaultPhase, FaultRecord, MetricId, Severity};

/// Bytes of a record.
pub const RECORD_BYTES: usize = 128;

/// Most devices and parts of one child.
pub const DEVICES_MAX: usize = 256;

/// A longer text is cut.
pub const TEXT_BYTES_MAX: usize = BODY_BYTES;

/// A longer text of a notice is cut.
pub const NOTICE_BYTES_MAX: usize = BODY_BYTES - NOTICE_NUMBERS;

/// Most values in one record.
pub const VALUES_MAX: usize = BODY_BYTES / 10;

/// Most absent readings in one record.
pub const ABSENT_MAX: usize = BODY_BYTES / 4;

/// Most processes in one record.
pub const PROCESSES_MAX: usize = BODY_BYTES / 12;

const BODY_BYTES: usize = 112;

/// Bytes of a notice before its text.
const NOTICE_NUMBERS: usize = 40;

/// What a child says first; another version of it says something else.
const HELLO: u32 = 0x4545_4101;

/// Stands for the library as a whole in place of a device's number.
pub const LIBRARY: u32 = u32::MAX;

/// Bytes on the pipe, in this machine's order.
#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable)]
#[repr(C)]
struct Raw {
    kind: u8,
    length: u8,
    code: u16,
    number: u32,
    time: u64,
    body: [u8; BODY_BYTES],
}

/// Which text of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum Field {
    /// Its UUID.
    Uuid = 0,
    /// Its PCI address.
    Pci = 1,
    /// The device that it is a part of.
    Parent = 2,
    /// Its model.
    Model = 3,
    /// Its serial number.
    Serial = 4,
    /// Its driver's version.
    Driver = 5,
    /// Its firmware's version.
    Firmware = 6,
    /// Its InfoROM's version.
    Inforom = 7,
    /// The library's version.
    Library = 8,
}

impl Field {
    /// Every field.
    pub const ALL: [Self; 9] = [
        Self::Uuid,
        Self::Pci,
        Self::Parent,
        Self::Model,
        Self::Serial,
        Self::Driver,
        Self::Firmware,
        Self::Inforom,
        Self::Library,
    ];
}

/// Numbers of devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Numbers([u8; DEVICES_MAX / 8]);

impl Numbers {
    /// Adds `number`; what is out of range is left out.
    pub fn add(&mut self, number: usize) {
        if let Some(byte) = self.0.get_mut(number / 8) {
            *byte |= 1 << (number % 8);
        }
    }

    /// Whether `number` is among them.
    #[must_use]
    pub fn has(&self, number: usize) -> bool {
        self.0.get(number / 8).is_some_and(|byte| byte & (1 << (number % 8)) != 0)
    }

    /// The highest of them.
    #[must_use]
    pub fn highest(&self) -> Option<usize> {
        (0..DEVICES_MAX).rev().find(|number| self.has(*number))
    }
}

/// Up to `N` pairs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Few<T, const N: usize> {
    items: [T; N],
    length: usize,
}

impl<T: Copy, const N: usize> Few<T, N> {
    /// The first `N` of `items`.
    #[must_use]
    pub fn of(empty: T, items: &[T]) -> Self {
        let mut few = Self { items: [empty; N], length: items.len().min(N) };
        few.items[..few.length].copy_from_slice(&items[..few.length]);
        few
    }

    /// The pairs.
    #[must_use]
    pub fn items(&self) -> &[T] {
        &self.items[..self.length]
    }
}

/// A value of a metric.
pub type Value = (MetricId, f64);
/// Why a metric is absent.
pub type Absent = (MetricId, AbsentReason);
/// A process and the device memory it holds.
pub type Process = (u32, Option<u64>);

/// One record in words.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Message<'a> {
    /// The child is one of ours.
    Hello,
    /// The library is loaded and answers.
    Loaded,
    /// A device, which the child calls by this number from now on.
    Device(u32, Kind, &'a str),
    /// A text about a device.
    Text(u32, Field, &'a str),
    /// All texts about this device were told.
    Identified(u32),
    /// These devices are here; every other one is not.
    Listed(Numbers),
    /// Values of a device, read at this monotonic time.
    Values(u32, u64, Few<Value, VALUES_MAX>),
    /// What a device does not give from now on.
    Absent(u32, Few<Absent, ABSENT_MAX>),
    /// Processes that work on a device; true for the first of a list, which
    /// may be empty.
    Processes(u32, bool, Few<Process, PROCESSES_MAX>),
    /// The state of a device has become another.
    State(u32, DeviceState),
    /// A report of the driver about a device, or [`LIBRARY`].
    Notice(u32, Report<'a>),
    /// This call of the device's thread, or the [`LIBRARY`]'s, began at this
    /// monotonic time and has not returned.
    Busy(u32, u64, &'a str),
    /// The child's watch runs; sums over its calls.
    Beat(super::calls::Tally),
    /// The library is of no use, or (true) is another by now; the child ends.
    Ended(bool, &'a str),
}

/// A report of the driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report<'a> {
    /// What kind.
    pub kind: NoticeKind,
    /// How much it matters by itself.
    pub severity: Severity,
    /// The driver's number.
    pub code: u64,
    /// The report in parts.
    pub fault: Option<FaultRecord>,
    /// A sentence.
    pub text: &'a str,
}

/// A record that makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a record of no known kind, or with a number or text out of range")]
pub struct Nonsense;

/// The bytes of `message`.
#[must_use]
pub fn encode(message: &Message<'_>) -> [u8; RECORD_BYTES] {
    let mut raw = Raw::zeroed();
    match *message {
        Message::Hello => (raw.kind, raw.number) = (1, HELLO),
        Message::Loaded => raw.kind = 2,
        Message::Device(number, kind, name) => {
            (raw.kind, raw.number, raw.code) = (3, number, kind as u16);
            raw.write_text(0, name);
        }
        Message::Text(number, field, text) => {
            (raw.kind, raw.number, raw.code) = (4, number, field as u16);
            raw.write_text(0, text);
        }
        Message::Identified(number) => (raw.kind, raw.number) = (5, number),
        Message::Listed(numbers) => {
            raw.kind = 6;
            raw.body[..numbers.0.len()].copy_from_slice(&numbers.0);
        }
        Message::Values(number, time_ns, values) => {
            (raw.kind, raw.number, raw.time) = (7, number, time_ns);
            raw.write_items(values.items(), |(metric, value), at: &mut [u8; 10]| {
                at[..2].copy_from_slice(&(*metric as u16).to_ne_bytes());
                at[2..].copy_from_slice(&value.to_ne_bytes());
            });
        }
        Message::Absent(number, absent) => {
            (raw.kind, raw.number) = (8, number);
            raw.write_items(absent.items(), |(metric, reason), at: &mut [u8; 4]| {
                at[..2].copy_from_slice(&(*metric as u16).to_ne_bytes());
                at[2] = *reason as u8;
            });
        }
        Message::Processes(number, first, processes) => {
            (raw.kind, raw.number, raw.code) = (9, number, u16::from(first));
            raw.write_items(processes.items(), |(id, memory), at: &mut [u8; 12]| {
                at[..4].copy_from_slice(&id.to_ne_bytes());
                at[4..].copy_from_slice(&memory.unwrap_or(u64::MAX).to_ne_bytes());
            });
        }
        Message::State(number, state) => {
            (raw.kind, raw.number, raw.code) = (10, number, state as u16);
        }
        Message::Notice(number, report) => raw.write_report(number, &report),
        Message::Busy(number, since_ns, call) => {
            (raw.kind, raw.number, raw.time) = (12, number, since_ns);
            raw.write_text(0, call);
        }
        Message::Beat(tally) => {
            (raw.kind, raw.time) = (13, tally.calls);
            raw.body[..8].copy_from_slice(&tally.failed.to_ne_bytes());
            raw.body[8..16].copy_from_slice(&tally.spent_ns.to_ne_bytes());
        }
        Message::Ended(changed, why) => {
            (raw.kind, raw.code) = (14, u16::from(changed));
            raw.write_text(0, why);
        }
    }
    bytemuck::cast(raw)
}

/// What `record` says; `text` is where its text is kept.
///
/// # Errors
///
/// [`Nonsense`] unless every field that counts is in range.
pub fn decode<'a>(
    record: &[u8; RECORD_BYTES],
    text: &'a mut String,
) -> Result<Message<'a>, Nonsense> {
    let raw: Raw = bytemuck::pod_read_unaligned(record);
    let is_device = (raw.number as usize) < DEVICES_MAX;
    let is_any = is_device || raw.number == LIBRARY;
    let message = match raw.kind {
        1 if raw.number == HELLO => Message::Hello,
        2 => Message::Loaded,
        3 if is_device => {
            let kind = [Kind::Gpu, Kind::Npu].get(usize::from(raw.code)).ok_or(Nonsense)?;
            Message::Device(raw.number, *kind, some(raw.text(0, text)?)?)
        }
        4 if is_device => {
            let field = Field::ALL.get(usize::from(raw.code)).ok_or(Nonsense)?;
            Message::Text(raw.number, *field, raw.text(0, text)?)
        }
        5 if is_device => Message::Identified(raw.number),
        6 => Message::Listed(Numbers(*raw.body.first_chunk().ok_or(Nonsense)?)),
        7 if is_device => Message::Values(raw.number, raw.time, raw.values()?),
        8 if is_device => Message::Absent(raw.number, raw.absent()?),
        9 if is_device => {
            let first = raw.flag()?;
            Message::Processes(raw.number, first, raw.processes()?)
        }
        10 if is_device => {
            let code = u8::try_from(raw.code).map_err(|_| Nonsense)?;
            match DeviceState::from_number(code) {
                DeviceState::Unknown | DeviceState::Silent => return Err(Nonsense),
                state => Message::State(raw.number, state),
            }
        }
        11 if is_any => Message::Notice(raw.number, raw.report(text)?),
        12 if is_any => Message::Busy(raw.number, raw.time, some(raw.text(0, text)?)?),
        13 => Message::Beat(super::calls::Tally {
            calls: raw.time,
            failed: raw.u64_at(0)?,
            spent_ns: raw.u64_at(8)?,
        }),
        14 => {
            let changed = raw.flag()?;
            Message::Ended(changed, raw.text(0, text)?)
        }
        _ => return Err(Nonsense),
    };
    Ok(message)
}

impl Raw {
    fn write_text(&mut self, from: usize, text: &str) {
        let text = &text[..text.floor_char_boundary(BODY_BYTES - from)];
        self.body[from..from + text.len()].copy_from_slice(text.as_bytes());
        self.length = text.len() as u8;
    }

    fn write_items<T, const N: usize>(&mut self, items: &[T], write: impl Fn(&T, &mut [u8; N])) {
        self.length = items.len() as u8;
        let (places, _) = self.body.as_chunks_mut::<N>();
        for (item, place) in items.iter().zip(places) {
            write(item, place);
        }
    }

    fn write_report(&mut self, number: u32, report: &Report<'_>) {
        (self.kind, self.number, self.time) = (11, number, report.code);
        let has_fault = u16::from(report.fault.is_some());
        self.code = report.kind as u16 | (report.severity as u16) << 4 | has_fault << 8;
        let fault = report.fault.unwrap_or_default();
        let body = &mut self.body;
        body[0] = fault.phase as u8;
        body[1] = fault.severity;
        body[2] = u8::from(fault.replayed);
        let parts = [fault.node_type, fault.node_id, fault.sub_node_type, fault.sub_node_id];
        for (part, place) in parts.iter().zip(body[4..12].as_chunks_mut::<2>().0) {
            *place = part.to_ne_bytes();
        }
        body[16..24].copy_from_slice(&fault.serial.to_ne_bytes());
        body[24..32].copy_from_slice(&fault.raised_wall_ns.to_ne_bytes());
        self.write_text(NOTICE_NUMBERS, report.text);
    }

    fn text<'a>(&self, from: usize, text: &'a mut String) -> Result<&'a str, Nonsense> {
        let end = from + usize::from(self.length);
        let bytes = self.body.get(from..end).ok_or(Nonsense)?;
        text.clear();
        text.extend(bytes.iter().map(|&byte| printable(byte)));
        Ok(text)
    }

    fn flag(&self) -> Result<bool, Nonsense> {
        if self.code <= 1 { Ok(self.code == 1) } else { Err(Nonsense) }
    }

    fn u64_at(&self, at: usize) -> Result<u64, Nonsense> {
        let bytes = self.body.get(at..).and_then(<[u8]>::first_chunk).ok_or(Nonsense)?;
        Ok(u64::from_ne_bytes(*bytes))
    }

    fn items<T: Copy, const BYTES: usize, const N: usize>(
        &self,
        empty: T,
        read: impl Fn(&[u8; BYTES]) -> Result<T, Nonsense>,
    ) -> Result<Few<T, N>, Nonsense> {
        let length = usize::from(self.length);
        let (places, _) = self.body.as_chunks::<BYTES>();
        let places = places.get(..length).filter(|places| places.len() <= N).ok_or(Nonsense)?;
        let mut few = Few { items: [empty; N], length };
        for (item, place) in few.items.iter_mut().zip(places) {
            *item = read(place)?;
        }
        Ok(few)
    }

    fn values(&self) -> Result<Few<Value, VALUES_MAX>, Nonsense> {
        self.items((MetricId::AcceleratorTemperature, 0.0), |place: &[u8; 10]| {
            let [low, high, value @ ..] = *place;
            let value = f64::from_ne_bytes(value);
            let metric = metric(low, high)?;
            if value.is_finite() { Ok((metric, value)) } else { Err(Nonsense) }
        })
    }

    fn absent(&self) -> Result<Few<Absent, ABSENT_MAX>, Nonsense> {
        let empty = (MetricId::AcceleratorTemperature, AbsentReason::Unknown);
        self.items(empty, |place: &[u8; 4]| {
            let [low, high, reason, _] = *place;
            Ok((metric(low, high)?, AbsentReason::from_number(reason)))
        })
    }

    fn processes(&self) -> Result<Few<Process, PROCESSES_MAX>, Nonsense> {
        self.items((0, None), |place: &[u8; 12]| {
            let [a, b, c, d, memory @ ..] = *place;
            let memory = u64::from_ne_bytes(memory);
            Ok((u32::from_ne_bytes([a, b, c, d]), Some(memory).filter(|bytes| *bytes != u64::MAX)))
        })
    }

    fn report<'a>(&self, text: &'a mut String) -> Result<Report<'a>, Nonsense> {
        if self.code >> 9 != 0 {
            return Err(Nonsense);
        }
        let kind = NoticeKind::ALL.get(usize::from(self.code & 15)).ok_or(Nonsense)?;
        let severity = u8::try_from(self.code >> 4 & 15).map_err(|_| Nonsense)?;
        if severity > Severity::Critical as u8 {
            return Err(Nonsense);
        }
        let (parts, _) = self.body[4..12].as_chunks::<2>();
        let part = |at: usize| parts.get(at).map_or(0, |part| u16::from_ne_bytes(*part));
        let fault = FaultRecord {
            phase: FaultPhase::from_number(self.body[0]),
            severity: self.body[1],
            node_type: part(0),
            node_id: part(1),
            sub_node_type: part(2),
            sub_node_id: part(3),
            serial: self.u64_at(16)?,
            raised_wall_ns: self.u64_at(24)?,
            replayed: self.body[2] == 1,
        };
        Ok(Report {
            kind: *kind,
            severity: Severity::from_number(severity),
            code: self.time,
            fault: (self.code >> 8 == 1).then_some(fault),
            text: self.text(NOTICE_NUMBERS, text)?,
        })
    }
}

/// One of the metrics that a child of this frame may give.
fn metric(low: u8, high: u8) -> Result<MetricId, Nonsense> {
    let number = u16::from_ne_bytes([low, high]);
    let metric = MetricId::from_number(number).ok_or(Nonsense)?;
    let of = metric.row().device_kind;
    let is_ours =
        matches!(of, "accelerator" | "gpu" | "npu") && metric != MetricId::AcceleratorState;
    if is_ours { Ok(metric) } else { Err(Nonsense) }
}

fn some(text: &str) -> Result<&str, Nonsense> {
    if text.is_empty() { Err(Nonsense) } else { Ok(text) }
}

fn printable(byte: u8) -> char {
    if byte == b' ' || byte.is_ascii_graphic() { char::from(byte) } else { '_' }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::samplers::accelerator::calls::Tally;

    const TEMP: MetricId = MetricId::AcceleratorTemperature;

    fn all() -> Vec<Message<'static>> {
        let fault = FaultRecord {
            phase: FaultPhase::Raised,
            severity: 3,
            node_type: 0x78c,
            node_id: 1,
            sub_node_type: 2,
            sub_node_id: 3,
            serial: u64::MAX,
            raised_wall_ns: 1 << 60,
            replayed: true,
        };
        let report = Report {
            kind: NoticeKind::Fault,
            severity: Severity::Critical,
            code: 0x80E1_8005,
            fault: Some(fault),
            text: "HBM multi-bit ECC",
        };
        let mut numbers = Numbers::default();
        numbers.add(0);
        numbers.add(DEVICES_MAX - 1);
        let processes: Vec<_> = (0..PROCESSES_MAX as u32).map(|id| (id, Some(9))).collect();
        vec![
            Message::Hello,
            Message::Loaded,
            Message::Device(0, Kind::Gpu, "gpu0"),
            Message::Device(255, Kind::Npu, "npu15"),
            Message::Text(3, Field::Library, ""),
            Message::Text(3, Field::Model, "NVIDIA H100 80GB HBM3"),
            Message::Identified(3),
            Message::Listed(numbers),
            Message::Values(1, 9, Few::of((TEMP, 0.0), &[(TEMP, 41.0); VALUES_MAX])),
            Message::Values(1, 9, Few::of((TEMP, 0.0), &[])),
            Message::Absent(
                1,
                Few::of((TEMP, AbsentReason::Unknown), &[(TEMP, AbsentReason::NotSupported)]),
            ),
            Message::Processes(1, true, Few::of((0, None), &processes)),
            Message::Processes(1, false, Few::of((0, None), &[(7, None)])),
            Message::State(2, DeviceState::Resetting),
            Message::Notice(LIBRARY, Report { kind: NoticeKind::Lost, fault: None, ..report }),
            Message::Notice(5, report),
            Message::Busy(LIBRARY, 5, "nvmlInit_v2"),
            Message::Beat(Tally { calls: 1, failed: 2, spent_ns: 3 }),
            Message::Ended(true, "the library is another"),
        ]
    }

    #[test]
    fn every_message_comes_back_as_it_was() {
        for message in all() {
            assert_eq!(decode(&encode(&message), &mut String::new()), Ok(message));
        }
    }

    #[test]
    fn what_is_out_of_range_is_refused() {
        let value = encode(&Message::Values(0, 1, Few::of((TEMP, 0.0), &[(TEMP, 1.0)])));
        let state = encode(&Message::State(0, DeviceState::Gone));
        for (good, at, bytes, what) in [
            (value, 0, &[0][..], "no kind"),
            (value, 0, &[15], "a kind of the future"),
            (value, 1, &[12], "more values than fit"),
            (value, 4, &256_u32.to_ne_bytes(), "no such device"),
            (value, 16, &[0xff, 0xff], "no such metric"),
            (value, 16, &1_u16.to_ne_bytes(), "a metric of others"),
            (value, 16, &(MetricId::AcceleratorState as u16).to_ne_bytes(), "the parent's word"),
            (value, 18, &f64::NAN.to_ne_bytes(), "no number"),
            (value, 0, &[1], "another program's greeting"),
            (value, 0, &[3], "text that is not there"),
            (state, 2, &[5], "only the parent says that it is silent"),
            (state, 2, &[0, 1], "no such state"),
            (state, 0, &[12], "a call without a name"),
        ] {
            let mut bad = good;
            bad[at..at + bytes.len()].copy_from_slice(bytes);
            if what == "text that is not there" {
                bad[1] = 0;
            }
            assert_eq!(decode(&bad, &mut String::new()), Err(Nonsense), "{what}");
        }
    }

    #[test]
    fn a_long_text_is_cut_and_a_strange_one_made_printable() {
        let mut text = String::new();
        let long = "x".repeat(300);
        let told = decode(&encode(&Message::Ended(false, &long)), &mut text);
        assert_eq!(told, Ok(Message::Ended(false, &long[..TEXT_BYTES_MAX])));
        let strange = encode(&Message::Device(0, Kind::Gpu, "a\nb\u{1b}[0m é"));
        assert_eq!(decode(&strange, &mut text), Ok(Message::Device(0, Kind::Gpu, "a_b_[0m __")));
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused_or_mean_what_they_say(
            bytes in any::<[u8; RECORD_BYTES]>(),
            kind in 0_u8..16,
            length in 0_u8..120,
            number in 0_u32..300,
        ) {
            let mut bytes = bytes;
            (bytes[0], bytes[1]) = (kind, length);
            bytes[4..8].copy_from_slice(&number.to_ne_bytes());
            let (mut text, mut again) = (String::new(), String::new());
            if let Ok(message) = decode(&bytes, &mut text) {
                prop_assert_eq!(decode(&encode(&message), &mut again), Ok(message));
            }
        }
    }
}
