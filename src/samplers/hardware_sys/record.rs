//! What parent and child tell each other: records of one fixed size.
//!
//! The parent takes a child's bytes as hostile, since a child that went wrong
//! in the kernel's hands may say anything: a record that makes no sense is
//! refused, and nothing in it is believed to be text.

use bytemuck::{Pod, Zeroable};

use super::kind::Kind;
use crate::samplers::procfs::Absence;
use crate::schema::MetricId;

/// Bytes of a record.
pub const RECORD_BYTES: usize = 128;

/// A longer path or name is cut.
pub const TEXT_BYTES_MAX: usize = 112;

/// What a child says first: another program started in its place says
/// something else.
const HELLO: u32 = 0x4545_5301;

/// Bytes on the pipe, in this machine's order.
#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable)]
#[repr(C)]
struct Raw {
    kind: u8,
    length: u8,
    code: u16,
    number: u32,
    value: f64,
    text: [u8; TEXT_BYTES_MAX],
}

/// One record in words.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Message<'a> {
    /// The child is one of ours.
    Hello,
    /// The child begins to read this path below `/sys`.
    At(&'a str),
    /// A device, which the child calls by a number until it says another of
    /// the same number.
    Device(u32, Kind, &'a str),
    /// A value of the device of this number.
    Value(u32, MetricId, f64),
    /// So many values could not be had.
    Absent(Absence, u32),
    /// The round with this number is over.
    Done(u32),
    /// To the child: never read what stands at or below this path.
    LeaveOut(&'a str),
    /// To the child: read everything; find the devices anew if told so.
    Round(u32, bool),
    /// To the child: read this path only.
    Try(&'a str),
}

/// A record that makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a record of no known kind, or with a number or text out of range")]
pub struct Nonsense;

/// The bytes of `message`.
#[must_use]
pub fn encode(message: &Message<'_>) -> [u8; RECORD_BYTES] {
    let mut raw = Raw::zeroed();
    let text = match *message {
        Message::Hello => {
            (raw.kind, raw.number) = (1, HELLO);
            ""
        }
        Message::At(path) => {
            raw.kind = 2;
            path
        }
        Message::Device(number, kind, name) => {
            (raw.kind, raw.number, raw.code) = (3, number, kind as u16);
            name
        }
        Message::Value(number, metric, value) => {
            (raw.kind, raw.number, raw.code, raw.value) = (4, number, metric as u16, value);
            ""
        }
        Message::Absent(why, times) => {
            (raw.kind, raw.number, raw.code) = (5, times, why as u16);
            ""
        }
        Message::Done(round) => {
            (raw.kind, raw.number) = (6, round);
            ""
        }
        Message::LeaveOut(path) => {
            raw.kind = 7;
            path
        }
        Message::Round(round, anew) => {
            (raw.kind, raw.number, raw.code) = (8, round, u16::from(anew));
            ""
        }
        Message::Try(path) => {
            raw.kind = 9;
            path
        }
    };
    let text = &text[..text.floor_char_boundary(TEXT_BYTES_MAX)];
    raw.text[..text.len()].copy_from_slice(text.as_bytes());
    raw.length = text.len() as u8;
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
    let bytes = raw.text.get(..usize::from(raw.length)).ok_or(Nonsense)?;
    text.clear();
    text.extend(bytes.iter().map(|&byte| printable(byte)));
    let message = match raw.kind {
        1 if raw.number == HELLO => Message::Hello,
        2 => Message::At(text),
        3 if !text.is_empty() => {
            let kind = Kind::ALL.get(usize::from(raw.code)).ok_or(Nonsense)?;
            Message::Device(raw.number, *kind, text)
        }
        4 if raw.value.is_finite() => {
            let metric = MetricId::from_number(raw.code).ok_or(Nonsense)?;
            Message::Value(raw.number, metric, raw.value)
        }
        5 => {
            let why = Absence::ALL.get(usize::from(raw.code)).ok_or(Nonsense)?;
            Message::Absent(*why, raw.number)
        }
        6 => Message::Done(raw.number),
        7 if !text.is_empty() => Message::LeaveOut(text),
        8 if raw.code <= 1 => Message::Round(raw.number, raw.code == 1),
        9 if !text.is_empty() => Message::Try(text),
        _ => return Err(Nonsense),
    };
    Ok(message)
}

fn printable(byte: u8) -> char {
    if byte == b' ' || byte.is_ascii_graphic() { char::from(byte) } else { '_' }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [Message<'_>; 10] = [
        Message::Hello,
        Message::At("class/hwmon/hwmon0/temp1_input"),
        Message::At(""),
        Message::Device(3, Kind::Dimm, "mc0/dimm3 CPU_SrcID#0_MC#0_Chan#0_DIMM#0"),
        Message::Value(3, MetricId::DimmErrorsCorrected, 7.0),
        Message::Absent(Absence::Denied, 4),
        Message::Done(9),
        Message::LeaveOut("class/net"),
        Message::Round(9, true),
        Message::Try("class/thermal/thermal_zone0/temp"),
    ];

    #[test]
    fn every_message_comes_back_as_it_was() {
        for message in ALL {
            assert_eq!(decode(&encode(&message), &mut String::new()), Ok(message));
        }
    }

    #[test]
    fn a_long_text_is_cut_and_a_strange_one_made_printable() {
        let long = "x".repeat(200);
        let mut text = String::new();
        assert_eq!(
            decode(&encode(&Message::At(&long)), &mut text),
            Ok(Message::At(&long[..TEXT_BYTES_MAX]))
        );
        assert_eq!(
            decode(&encode(&Message::Device(0, Kind::Sensor, "a\nb\u{1b}[0m é")), &mut text),
            Ok(Message::Device(0, Kind::Sensor, "a_b_[0m __"))
        );
    }

    #[test]
    fn what_is_out_of_range_is_refused() {
        let good = encode(&Message::Value(0, MetricId::Sensor, 1.0));
        for (at, bytes, what) in [
            (0, &[0][..], "no kind"),
            (0, &[10], "a kind of the future"),
            (1, &[113], "more text than fits"),
            (2, &[0xff, 0xff], "no such metric"),
            (8, &f64::NAN.to_ne_bytes(), "no number"),
            (8, &f64::INFINITY.to_ne_bytes(), "no number"),
            (0, &[1], "another program's greeting"),
            (0, &[3], "a device without a name"),
        ] {
            let mut bad = good;
            bad[at..at + bytes.len()].copy_from_slice(bytes);
            assert_eq!(decode(&bad, &mut String::new()), Err(Nonsense), "{what}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused_or_mean_what_they_say(bytes in any::<[u8; RECORD_BYTES]>(), kind in 0_u8..12, length in 0_u8..120) {
            let mut bytes = bytes;
            (bytes[0], bytes[1]) = (kind, length);
            let (mut text, mut again) = (String::new(), String::new());
            if let Ok(message) = decode(&bytes, &mut text) {
                prop_assert_eq!(decode(&encode(&message), &mut again), Ok(message));
            }
        }
    }
}
