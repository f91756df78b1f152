//! The engine door: engines hand in memory into which they write their steps,
//! readers are handed the newest values.
//!
//! One thread owns the socket, every connection, every mapped door and the
//! bell. While steps come thick it looks at each door's head a few thousand
//! times a second, which costs one load per idle door. Where they come less
//! often than every second look, and after a quiet spell, it says that it
//! sleeps and waits on descriptors, and an engine's next step rings: that
//! costs both sides less than looking in vain.
//!
//! Nothing that an engine says is believed before it was copied out and
//! checked, nothing that it does delays another by more than a bounded round,
//! and nobody at the door is ever waited for.

mod bell;
mod counts;
mod engines;
mod push;
mod ranks;
mod settings;
mod signs;
mod slots;
mod views;

use super::{Context, Entry, Need, Opened, Settings};

pub use counts::{DoorContext, DoorCounts};
pub use ranks::{RANKS_MAX, Rank, Ranks, Refused};
pub use signs::{Beat, Signs};
pub use slots::{ROUND_SLOTS_MAX, Scratch, Slots};

/// The engine door.
pub static ENTRY: Entry = Entry {
    name: "engine_push",
    summary: "Takes steps from engines that push them, and hands the newest values to local readers.",
    source: "the Unix socket agent.sock in the run directory, and memory that engines pass over it",
    period_ms: 250,
    steps: true,
    metrics: &[],
    settings: settings::SETTINGS,
    open,
    needs,
};

/// The socket's name in the run directory.
pub const SOCKET_NAME: &str = "agent.sock";

/// Connects as an engine would and greets nobody: an agent that runs is not
/// disturbed by it.
fn needs(context: &Context, settings: &Settings) -> Vec<Need> {
    let path = context.run_dir.join(SOCKET_NAME);
    let what = path.display().to_string();
    if let Err(sentence) = settings::Plan::from_settings(settings) {
        return vec![Need::trouble(what, sentence, "correct the setting")];
    }
    vec![match std::os::unix::net::UnixStream::connect(&path) {
        // A socket of whole messages is there, and a stream does not fit it.
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::PROTOTYPE.raw_os_error()) => {
            Need::fine(what, "an agent answers there")
        }
        Ok(_) => Need::trouble(
            what,
            "something that is no agent listens there",
            "stop it, or choose another run_dir",
        ),
        Err(error) => match error.kind() {
            std::io::ErrorKind::PermissionDenied => Need::trouble(
                what,
                format!("this user may not call there: {error}"),
                "add the user to the group of samplers.engine_push.socket_group",
            ),
            _ => Need::limited(
                what,
                format!("no agent answers there: {error}"),
                "start one with `eagle-eye run`",
            ),
        },
    }]
}

fn open(context: &Context, settings: &Settings) -> Opened {
    let plan = match settings::Plan::from_settings(settings) {
        Ok(plan) => plan,
        Err(sentence) => return Opened::Failed(sentence),
    };
    match push::EnginePush::open(context, plan) {
        Ok(sampler) => Opened::Ready(Box::new(sampler)),
        Err(sentence) => Opened::Failed(sentence),
    }
}
