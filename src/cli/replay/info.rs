//! What a recording holds, in words.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::{Ended, each};
use crate::cli::watch::text::{bytes, span};
use crate::platform::clock::MILLISECOND_NS;
use crate::platform::thread::Stop;
use crate::recorder::{Range, Recording, Tally, What};
use crate::schema::utc_text;

/// What was counted.
#[derive(Debug, Default)]
struct Held {
    span: Option<(u64, u64)>,
    nodes: BTreeSet<String>,
    engines: BTreeSet<String>,
    devices: BTreeSet<String>,
    events: BTreeMap<&'static str, u64>,
    batches: u64,
    bytes: u64,
    steps: u64,
    readings: u64,
    verdicts: u64,
    ticks: u64,
}

/// What of a recording is meant, in words.
pub(super) fn text(recording: &Recording, range: Range, stop: &Stop) -> Result<String, Ended> {
    let mut held = Held::default();
    let tally = each(recording, range, |moment| {
        if stop.is_raised() {
            return Err(Ended::Quietly);
        }
        let wall_ns = moment.at.wall_ns;
        let (begin, end) = held.span.unwrap_or((wall_ns, wall_ns));
        held.span = Some((begin.min(wall_ns), end.max(wall_ns)));
        held.ticks += u64::from(moment.what == What::Tick);
        let Some(batch) = moment.batch() else { return Ok(()) };
        held.nodes.extend(batch.node_name().map(str::to_owned));
        held.engines.extend(batch.engines().map(|engine| engine.name));
        held.devices.extend(batch.devices().map(|device| device.name));
        if moment.what == What::Batch {
            held.batches += 1;
            held.bytes += moment.bytes().len() as u64;
            held.steps += batch.steps().len() as u64;
            held.readings += batch.readings().len() as u64;
            held.verdicts += batch.verdicts().count() as u64;
            for event in batch.events() {
                *held.events.entry(event.kind.name()).or_default() += 1;
            }
        }
        Ok(())
    })?;
    Ok(words(&held, &tally))
}

fn words(held: &Held, tally: &Tally) -> String {
    let mut text = String::new();
    let mut line = |name: &str, says: String| {
        let _ = writeln!(text, "{name:<10} {says}");
    };
    if let Some((begin, end)) = held.span {
        let length = span(end.saturating_sub(begin) / MILLISECOND_NS);
        line("from", utc_text(begin));
        line("to", format!("{} ({})", utc_text(end), length.trim()));
    }
    let list = |names: &BTreeSet<String>| {
        let shown: Vec<&str> = names.iter().take(12).map(String::as_str).collect();
        let more = names.len().saturating_sub(shown.len());
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        format!("{} {}{more}", names.len(), shown.join(", "))
    };
    line("nodes", list(&held.nodes));
    line("engines", list(&held.engines));
    line("devices", list(&held.devices));
    line("batches", format!("{} ({})", held.batches, bytes(held.bytes as f64).trim()));
    line("steps", held.steps.to_string());
    line("readings", held.readings.to_string());
    let kinds: Vec<String> = held.events.iter().map(|(kind, n)| format!("{kind} {n}")).collect();
    let events: u64 = held.events.values().sum();
    line("events", format!("{events} {}", kinds.join(", ")));
    line("verdicts", held.verdicts.to_string());
    line("ticks", held.ticks.to_string());
    line("segments", format!("{} of {} runs", tally.segments, tally.runs));
    for sentence in missing(tally) {
        line("missing", sentence);
    }
    text.lines().map(|line| shown(line.trim_end())).collect::<Vec<_>>().join("\n")
}

/// What is not in a recording although it was offered, or cannot be read.
pub(super) fn missing(tally: &Tally) -> Vec<String> {
    let Tally { lost, damaged, damaged_bytes, torn_bytes, unknown, refused, unreadable, .. } =
        *tally;
    let mut all = Vec::new();
    let mut say = |count: u64, sentence: String| {
        if count > 0 {
            all.push(sentence);
        }
    };
    say(lost, format!("{lost} batches were lost while it was recorded"));
    say(damaged, format!("{damaged} damaged stretches, {damaged_bytes} bytes, were passed over"));
    say(torn_bytes, format!("{torn_bytes} bytes at the ends of segments were not whole"));
    say(unknown, format!("{unknown} frames are of a later version"));
    say(refused, format!("{refused} frames hold no batch"));
    say(unreadable, format!("{unreadable} files are no segments of this version"));
    all
}

/// Names come from outside: nothing in them reaches the terminal as a command.
fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
