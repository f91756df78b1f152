//! `eagle-eye diagnose`: what a log or a recording says, explained.
//!
//! A log of any size and content is read as a stream within bounded memory,
//! through the rules that judge a node live. What it says is told with cause,
//! evidence and steps; nothing from it reaches a terminal unescaped.

mod judge;
mod json;
mod progress;
mod recorded;
mod story;
mod stream;
mod text;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::Args;

use super::table::{columns, takes_colours};
use super::{TROUBLE, USAGE, say};
use crate::engine::rule_file;
use crate::platform::clock;
pub use judge::{About, Judge};
use progress::Progress;
pub use recorded::judge as judge_recording;
pub use story::{Story, Told};
pub use stream::each_line;

#[derive(Debug, Args)]
#[command(after_help = "\
Read are: dmesg with either form of time (dmesg, dmesg -T, dmesg --raw, --decode, --time-format \
iso), journalctl -k in its short forms, /var/log/kern.log and syslog, and dumps of /dev/kmsg. \
Only the kernel's own lines count, not what programs wrote. Without the model of the devices \
and the driver's version codes have their general meaning; --device-model and --driver make it \
exact. Exit codes: 0 no trouble found, 1 trouble found, 2 the log cannot be read.

Examples:
  eagle-eye diagnose --log /var/log/kern.log
  dmesg | eagle-eye diagnose --log -
  journalctl -k -b -1 | eagle-eye diagnose --log - --device-model 'NVIDIA H100'
  eagle-eye diagnose --recording /var/lib/eagle-eye
  eagle-eye diagnose --recording incident.rec --rules rules.toml")]
pub(super) struct Arguments {
    /// The log: a file, or - for the standard input.
    #[arg(long, value_name = "FILE", required_unless_present = "recording")]
    log: Option<PathBuf>,

    /// Instead of a log, what an agent recorded: its state folder, or an
    /// excerpt. It is judged anew, by the rules of this version.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["log", "device_model", "driver", "node"])]
    recording: Option<PathBuf>,

    /// With --recording: a file with thresholds, severities and rules of your
    /// own, as `diagnosis.rules` names it.
    #[arg(long, value_name = "FILE", requires = "recording")]
    rules: Option<PathBuf>,

    /// Print JSON instead of text.
    #[arg(long)]
    json: bool,

    /// The devices' model, as nvidia-smi names it: meanings depend on it.
    #[arg(long, value_name = "MODEL", default_value = "", hide_default_value = true)]
    device_model: String,

    /// The driver's version, where the log does not say it.
    #[arg(long, value_name = "VERSION", default_value = "", hide_default_value = true)]
    driver: String,

    /// The node's name in what is told.
    #[arg(long, value_name = "NAME", default_value = "this node")]
    node: String,
}

pub(super) fn main(arguments: &Arguments) -> u8 {
    let told = match (&arguments.recording, &arguments.log) {
        (Some(recording), _) => of_recording(recording, arguments.rules.as_deref()),
        (None, Some(log)) => of_log(log, arguments),
        (None, None) => Err("name a log with --log or a recording with --recording".to_owned()),
    };
    let (source, story) = match told {
        Ok(told) => told,
        Err(sentence) => {
            eprintln!("eagle-eye: {sentence}");
            return USAGE;
        }
    };
    if arguments.json {
        say(&story.to_json(&source));
    } else {
        let look = text::Look { columns: columns(), colours: takes_colours() };
        say(&text::text(&story, &source, look));
    }
    if story.has_trouble() { TROUBLE } else { 0 }
}

fn of_log(log: &Path, arguments: &Arguments) -> Result<(String, Story), String> {
    let about = About {
        node: arguments.node.clone(),
        device_model: arguments.device_model.clone(),
        driver: arguments.driver.clone(),
        now_ns: clock::wall_ns(),
    };
    let source = name(log);
    match open(log).and_then(|(reader, bytes)| read(reader, bytes, &about)) {
        Ok(story) => Ok((source, story)),
        Err(error) => Err(format!("{source} cannot be read: {error}")),
    }
}

fn of_recording(path: &Path, rules: Option<&Path>) -> Result<(String, Story), String> {
    let plan = rules.map(rule_file::read).transpose()?.unwrap_or_default();
    let story = judge_recording(path, &plan).map_err(|error| error.to_string())?;
    Ok((name(path), story))
}

impl Story {
    /// In words for people, of a log with this name.
    #[must_use]
    pub fn to_text(&self, source: &str, columns: usize) -> String {
        text::text(self, source, text::Look { columns, colours: false })
    }

    /// As JSON, of a log with this name.
    #[must_use]
    pub fn to_json(&self, source: &str) -> String {
        json::json(self, source)
    }
}

fn name(path: &Path) -> String {
    match path.to_str() {
        Some("-") => "the standard input".to_owned(),
        _ => path.display().to_string(),
    }
}

/// The log, and its size where that is known.
fn open(path: &Path) -> io::Result<(Box<dyn Read>, Option<u64>)> {
    if path == Path::new("-") {
        return Ok((Box::new(io::stdin().lock()), None));
    }
    let file = File::open(path)?;
    let about = file.metadata()?;
    if about.is_dir() {
        return Err(io::Error::other("it is a folder; name a file in it"));
    }
    let bytes = about.is_file().then_some(about.len());
    Ok((Box::new(file), bytes))
}

fn read(reader: Box<dyn Read>, bytes: Option<u64>, about: &About) -> io::Result<Story> {
    let mut judge = Judge::new(about);
    let mut progress = Progress::new(bytes);
    let read = each_line(reader, |line, read| {
        judge.line(line);
        progress.at(read);
    });
    progress.end();
    Ok(judge.end(read?))
}
