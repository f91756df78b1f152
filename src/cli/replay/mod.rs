//! `eagle-eye replay`: what was recorded, told, shown or sent again.

mod again;
mod info;
mod json;
mod span;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use clap::Args;

use super::{TROUBLE, USAGE, say, signals};
use crate::config::Plan;
use crate::platform::clock;
use crate::platform::thread::Stop;
use crate::recorder::{FOLDER, Moment, Play, Range, Recording, RecordingError, Tally, excerpt};
use again::Again;
use json::Lines;
use span::Instant;

/// The prefix of what is sent again, where no router looks by itself.
const PREFIX: &str = "eagle_eye_replay.v1";

#[derive(Debug, Args)]
#[command(after_help = "\
Instants are UTC (2026-11-24T09:25:03Z), seconds since 1970, or a way from the \
begin (+90s) or the end (-10m) of the recording; units are ms, s, m, h.")]
pub(super) struct Arguments {
    /// A recorder's folder, an agent's state folder, or an excerpt. Without
    /// it: what the agent of this user records.
    recording: Option<PathBuf>,

    /// Say what the recording holds; what happens without another wish.
    #[arg(long, group = "wish")]
    info: bool,

    /// Print every step, reading, event and verdict as a line of JSON.
    #[arg(long, group = "wish")]
    json: bool,

    /// Send it again to these NATS servers, joined by commas; each batch is
    /// marked as a replay and travels under a prefix of its own.
    #[arg(long, value_name = "URL", group = "wish", hide_env_values = true)]
    nats: Option<String>,

    /// Write it to a new file that explains itself, to keep or to hand on.
    #[arg(long, value_name = "FILE", group = "wish")]
    excerpt: Option<PathBuf>,

    /// From when on.
    #[arg(long, value_name = "INSTANT", allow_hyphen_values = true)]
    from: Option<Instant>,

    /// Up to when.
    #[arg(long, value_name = "INSTANT", allow_hyphen_values = true)]
    to: Option<Instant>,

    /// How many times as fast as it was recorded, or max. Without it: 1 with
    /// --nats, else max.
    #[arg(long, value_name = "N")]
    speed: Option<Speed>,

    /// What subjects begin with, with --nats.
    #[arg(long, value_name = "PREFIX", default_value = PREFIX, requires = "nats")]
    prefix: String,

    /// The largest excerpt, bytes; what is beyond is left out.
    #[arg(long, value_name = "N", default_value_t = 1 << 30, requires = "excerpt")]
    bytes: u64,
}

/// How fast it goes.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Speed {
    Max,
    Times(f64),
}

impl std::str::FromStr for Speed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "max" {
            return Ok(Self::Max);
        }
        let times: Option<f64> = text.parse().ok();
        times
            .filter(|times| (0.001..=1e6).contains(times))
            .map(Self::Times)
            .ok_or_else(|| "say max, or a number from 0.001 to 1000000".to_owned())
    }
}

/// Why it ended early.
#[derive(Debug)]
enum Ended {
    /// Whoever read has gone, as `head` does, or a signal came.
    Quietly,
    /// For this reason.
    Because(String),
}

impl From<RecordingError> for Ended {
    fn from(error: RecordingError) -> Self {
        Self::Because(error.to_string())
    }
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Quietly,
            _ => Self::Because(format!("it cannot be written: {error}")),
        }
    }
}

pub(super) fn main(arguments: &Arguments) -> u8 {
    if arguments.nats.is_some() && arguments.prefix == "eagle_eye.v1" {
        eprintln!(
            "eagle-eye: under {} routers would take what was for what is; name another --prefix",
            arguments.prefix
        );
        return USAGE;
    }
    match run(arguments) {
        Ok(code) => code,
        Err(Ended::Quietly) => 0,
        Err(Ended::Because(sentence)) => {
            eprintln!("eagle-eye: {sentence}");
            TROUBLE
        }
    }
}

fn run(arguments: &Arguments) -> Result<u8, Ended> {
    let usual = || Plan::default_plan().state_dir.join(FOLDER);
    let path = arguments.recording.clone().unwrap_or_else(usual);
    let recording = Recording::open(&path)?;
    let range = Instant::range(&recording, arguments.from, arguments.to)?;
    let stop = signals::stop_on_signal()?;
    if let Some(file) = &arguments.excerpt {
        return write_excerpt(&recording, range, file, arguments.bytes);
    }
    if let Some(urls) = &arguments.nats {
        let mut again = Again::start(urls, &arguments.prefix, &stop).map_err(Ended::Because)?;
        let mut pace = Pace::new(arguments.speed.unwrap_or(Speed::Times(1.0)), &stop);
        let tally = each(&recording, range, |moment| {
            pace.wait(moment)?;
            again.send(moment, &stop).map_err(Ended::Because)
        })?;
        let lost = again.end();
        warn(&tally);
        return Ok(if lost == 0 { 0 } else { TROUBLE });
    }
    if arguments.json {
        let mut lines = Lines::new(BufWriter::with_capacity(1 << 16, io::stdout().lock()));
        let mut pace = Pace::new(arguments.speed.unwrap_or(Speed::Max), &stop);
        let tally = each(&recording, range, |moment| {
            pace.wait(moment)?;
            Ok(lines.write(moment)?)
        })?;
        lines.end()?;
        warn(&tally);
        return Ok(0);
    }
    say(&info::text(&recording, range, &stop)?);
    Ok(0)
}

/// Plays to the end, and says what was passed over.
fn each(
    recording: &Recording,
    range: Range,
    mut take: impl FnMut(&Moment<'_>) -> Result<(), Ended>,
) -> Result<Tally, Ended> {
    let mut play: Play = recording.play(range);
    while let Some(moment) = play.next_moment()? {
        take(&moment)?;
    }
    Ok(play.tally())
}

fn warn(tally: &Tally) {
    for sentence in info::missing(tally) {
        eprintln!("eagle-eye: {sentence}");
    }
}

fn write_excerpt(
    recording: &Recording,
    range: Range,
    path: &std::path::Path,
    bytes_max: u64,
) -> Result<u8, Ended> {
    let failed =
        |error: io::Error| Ended::Because(format!("{} cannot be made: {error}", path.display()));
    let file = File::create_new(path).map_err(failed)?;
    let mut out = BufWriter::new(file);
    let made = excerpt(recording, range, bytes_max, &mut out)
        .map_err(|error| Ended::Because(error.to_string()))?;
    out.flush().map_err(failed)?;
    say(&format!("{}: {} bytes, {} batches", path.display(), made.bytes, made.batches));
    if made.cut {
        eprintln!(
            "eagle-eye: more was meant than --bytes {bytes_max} lets in; the rest is left out"
        );
        return Ok(TROUBLE);
    }
    Ok(0)
}

/// Holds back until it is time.
struct Pace<'a> {
    speed: Speed,
    stop: &'a Stop,
    /// A run, its instant at which it began to play, and ours.
    begun: Option<(u64, u64, u64)>,
}

impl<'a> Pace<'a> {
    const fn new(speed: Speed, stop: &'a Stop) -> Self {
        Self { speed, stop, begun: None }
    }

    fn wait(&mut self, moment: &Moment<'_>) -> Result<(), Ended> {
        if self.stop.is_raised() {
            return Err(Ended::Quietly);
        }
        let Speed::Times(times) = self.speed else { return Ok(()) };
        let at_ns = moment.at.monotonic_ns;
        let begun = self.begun.filter(|(run, ..)| *run == moment.run);
        let now_ns = clock::monotonic_ns();
        let (_, from_ns, since_ns) =
            *self.begun.insert(begun.unwrap_or((moment.run, at_ns, now_ns)));
        let played_ns = at_ns.saturating_sub(from_ns) as f64 / times;
        let due_ns = since_ns.saturating_add(played_ns as u64);
        if due_ns > now_ns {
            self.stop.sleep_until(due_ns);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_speed_is_max_or_a_number_that_makes_sense() {
        assert_eq!("max".parse(), Ok(Speed::Max));
        assert_eq!("2.5".parse(), Ok(Speed::Times(2.5)));
        for text in ["", "0", "-1", "nan", "inf", "fast"] {
            assert!(text.parse::<Speed>().is_err(), "{text}");
        }
    }
}
