//! The child: reads what the parent asks for and says what it found, until
//! the parent is gone.

use std::ffi::CStr;
use std::io;
use std::path::Path;

use super::discover::discover;
use super::plan::Plan;
use super::reach::{Reach, Tell};
use super::record::{Message, decode};
use crate::platform::child::Parent;
use crate::samplers::procfs::{Absence, TickReport};

/// What process lists call the child.
pub(super) const CHILD_NAME: &CStr = c"ee-hardware_sys";

/// Reads below `host_root`, and says what it reads to the parent on the
/// standard streams until that is gone.
///
/// # Errors
///
/// When there is no `/sys` below `host_root`.
pub fn answer_parent(host_root: &Path) -> io::Result<()> {
    let _ = rustix::thread::set_name(CHILD_NAME);
    let mut reading = Reading::new(&host_root.join("sys"), Parent::new()?)?;
    let mut text = String::new();
    while let Some(record) = reading.reach.parent.request() {
        match decode(&record, &mut text) {
            Ok(Message::LeaveOut(path)) => reading.reach.leave_out(path),
            Ok(Message::Round(round, anew)) => reading.round(round, anew),
            Ok(Message::Try(path)) => reading.attempt(path),
            Ok(_) | Err(_) => return Err(io::ErrorKind::InvalidData.into()),
        }
        if reading.reach.is_gone() {
            break;
        }
    }
    Ok(())
}

/// What reads, wherever it says so.
#[derive(Debug)]
pub struct Reading<T> {
    reach: Reach<T>,
    plan: Option<Plan>,
}

impl<T: Tell> Reading<T> {
    /// Reads below `sys` and tells `parent`, whom it greets.
    ///
    /// # Errors
    ///
    /// When there is no such folder.
    pub fn new(sys: &Path, parent: T) -> io::Result<Self> {
        let mut reach = Reach::new(sys, parent)?;
        reach.say(&Message::Hello);
        reach.tell();
        Ok(Self { reach, plan: None })
    }

    /// Reads everything once; finds the devices anew if told so.
    pub fn round(&mut self, round: u32, anew: bool) {
        let reach = &mut self.reach;
        reach.report = TickReport::default();
        let mut plan = match self.plan.take() {
            Some(plan) if !anew => plan,
            _ => {
                let plan = discover(reach);
                plan.declare(reach);
                plan
            }
        };
        plan.read(reach);
        self.plan = Some(plan);
        self.end(round);
    }

    /// Tries a single file or folder.
    fn attempt(&mut self, path: &str) {
        if self.reach.text(path).is_err() {
            self.reach.names(path, |_| false);
        }
        self.end(0);
    }

    /// Who is told.
    pub const fn parent(&mut self) -> &mut T {
        &mut self.reach.parent
    }

    fn end(&mut self, round: u32) {
        let report = self.reach.report;
        for why in Absence::ALL {
            if report.absent(why) > 0 {
                self.reach.say(&Message::Absent(why, report.absent(why)));
            }
        }
        self.reach.say(&Message::Done(round));
        self.reach.tell();
    }
}
