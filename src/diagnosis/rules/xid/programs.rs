//! Whether a fault of a program is the program's, or its GPU's.
//!
//! One program on one GPU tells nothing. The same fault under several programs
//! on one GPU, in one part of the chip, speaks against the GPU; one program
//! that meets it on several GPUs at once speaks against the program.

use super::Told;
use crate::diagnosis::Conclusion;
use crate::diagnosis::lines::Sighting;
use crate::diagnosis::rules::line::{Recent, SECOND_NS, sentences};
use crate::diagnosis::tables::steps_of;
use crate::schema::{Action, Health, Severity};

/// Who met a fault of a program where, lately.
#[derive(Debug, Default)]
pub(super) struct Programs {
    met: Recent<Met>,
}

/// A program that met a code on a device.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Met {
    code: u64,
    device: String,
    place: Option<[u16; 3]>,
    program: String,
}

/// What the pattern says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum Blame {
    /// Nothing yet.
    #[default]
    Nobody,
    /// Several programs met it on this GPU, in this part of it.
    Device(usize),
    /// This program met it on several GPUs at once.
    Program(usize),
}

impl Programs {
    pub(super) fn blame(
        &mut self,
        device: &str,
        code: u64,
        seen: &Sighting<'_>,
        now_ns: u64,
        window_ns: u64,
    ) -> Blame {
        if !matches!(code, 13 | 31) || seen.process_name.is_empty() {
            return Blame::Nobody;
        }
        // An MMU fault has no place on the chip.
        let place = seen.xid().and_then(|xid| xid.place).map(|[gpc, tpc, _]| [gpc, tpc, 0]);
        let met =
            Met { code, device: device.to_owned(), place, program: seen.process_name.to_owned() };
        self.met.add(met.clone(), now_ns, window_ns);
        let at_once = |of: &&Met| of.code == code && of.program == met.program;
        let mut devices: Vec<&str> = self
            .met
            .within(now_ns, AT_ONCE_NS)
            .filter(at_once)
            .map(|of| of.device.as_str())
            .collect();
        devices.dedup();
        devices.sort_unstable();
        devices.dedup();
        if devices.len() > 1 {
            return Blame::Program(devices.len());
        }
        let here = |of: &&Met| of.code == code && of.device == met.device && of.place == place;
        let mut programs: Vec<&str> =
            self.met.within(now_ns, window_ns).filter(here).map(|of| of.program.as_str()).collect();
        programs.sort_unstable();
        programs.dedup();
        if programs.len() > 1 && (code == 31 || place.is_some()) {
            return Blame::Device(programs.len());
        }
        Blame::Nobody
    }
}

/// Lets the pattern weigh.
pub(super) fn weigh(conclusion: &mut Conclusion, blame: &Blame, of: &Told<'_>) {
    match blame {
        Blame::Nobody => {}
        Blame::Device(programs) => {
            conclusion.severity = Severity::Error;
            conclusion.action = Action::Investigate;
            conclusion.health = Health::Suspect;
            conclusion.confidence = 0.6;
            conclusion.cause = format!(
                "{programs} different programs met it in the same part of {}: the GPU is suspect, \
                 not the programs.",
                of.device
            );
            conclusion.steps = sentences(&steps_of("drain_device,many_apps,report,again_vendor"));
        }
        Blame::Program(devices) => {
            conclusion.confidence = 0.9;
            conclusion.cause = format!(
                "{} met it on {devices} GPUs at once: the program is at fault, not the GPUs.",
                of.seen.process_name
            );
        }
    }
}

/// What one job meets on several devices within this time is the job's.
const AT_ONCE_NS: u64 = 30 * SECOND_NS;
