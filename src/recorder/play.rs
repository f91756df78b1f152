//! Plays a recording back, in the order in which it was recorded.

use super::At;
use super::frame::FrameKind;
use super::header::SegmentHeader;
use super::recording::{Range, Recording, RecordingError, Tally};
use super::scan::{Found, Scan};
use crate::schema::BatchView;

/// What was recorded at one instant.
#[derive(Debug, Clone, Copy)]
pub struct Moment<'a> {
    /// When. It never goes back within a run.
    pub at: At,
    /// The recorder's life; a monotonic clock means nothing beyond it.
    pub run: u64,
    /// What.
    pub what: What,
    payload: &'a [u8],
}

/// What a moment holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Another run begins: what was judged before is over.
    Run,
    /// Something is missing here. Where a segment begins, what was known then
    /// follows.
    Gap,
    /// A batch that says what was known before the first moment.
    Known,
    /// A batch.
    Batch,
    /// Time passed.
    Tick,
    /// The recorder lost so many batches before this.
    Lost(u64),
}

impl<'a> Moment<'a> {
    /// The batch, of [`What::Known`] and [`What::Batch`].
    #[must_use]
    pub fn batch(&self) -> Option<BatchView<'a>> {
        BatchView::verify(self.payload).ok()
    }

    /// The batch's bytes as they were on the wire; else empty.
    #[must_use]
    pub const fn bytes(&self) -> &'a [u8] {
        self.payload
    }
}

/// A recording while it is played. Whatever stands in the files, the same
/// files give the same moments, and none takes more memory than another.
#[derive(Debug)]
pub struct Play {
    recording: Recording,
    range: Range,
    piece: usize,
    scan: Option<Scan>,
    at: At,
    segment: Option<SegmentHeader>,
    /// Whether what is known at the begin of a segment is news.
    known_wanted: bool,
    /// Whether damage came since the last segment began.
    damaged: bool,
    tally: Tally,
}

impl Play {
    pub(super) fn new(recording: Recording, range: Range) -> Self {
        let piece = recording.first(range.from_wall_ns);
        Self {
            recording,
            range,
            piece,
            scan: None,
            at: At::default(),
            segment: None,
            known_wanted: false,
            damaged: false,
            tally: Tally::default(),
        }
    }

    /// What was passed over and lost so far.
    #[must_use]
    pub const fn tally(&self) -> Tally {
        self.tally
    }

    /// The next moment; nothing at the end.
    ///
    /// # Errors
    ///
    /// When the disk fails. Damage is no error: it is passed over, counted,
    /// and shows as a [`What::Gap`].
    pub fn next_moment(&mut self) -> Result<Option<Moment<'_>>, RecordingError> {
        loop {
            if !self.open()? {
                return Ok(None);
            }
            let Some(scan) = &mut self.scan else { return Ok(None) };
            let found = scan.next().map_err(|source| self.recording.failed(source))?;
            let (what, payload) = match found {
                None => {
                    self.leave();
                    continue;
                }
                Some(Found::Damage) => {
                    self.damaged = true;
                    (self.segment.is_some().then_some(What::Gap), 0..0)
                }
                Some(Found::Segment(header)) => (self.enter(header), 0..0),
                Some(Found::Frame(kind, at, payload)) => {
                    if self.range.to_wall_ns.is_some_and(|to| at.wall_ns > to) {
                        self.leave();
                        self.piece = usize::MAX;
                        continue;
                    }
                    self.advance(at);
                    (self.frame(kind, payload.clone()), payload)
                }
            };
            let Some(what) = what else { continue };
            let run = self.segment.map_or(0, |segment| segment.run);
            let holds = matches!(what, What::Known | What::Batch);
            let payload = if holds { payload } else { 0..0 };
            let payload = self.scan.as_ref().map_or(&[][..], |scan| scan.bytes(payload));
            return Ok(Some(Moment { at: self.at, run, what, payload }));
        }
    }

    /// Time goes on; within a run it never goes back, whatever a file says.
    fn advance(&mut self, at: At) {
        let monotonic_ns = at.monotonic_ns.max(self.at.monotonic_ns);
        self.at = At { monotonic_ns, ..at };
    }

    /// Sees to it that a file is open; false at the end.
    fn open(&mut self) -> Result<bool, RecordingError> {
        while self.scan.is_none() {
            if self.piece >= self.recording.pieces() {
                return Ok(false);
            }
            let piece = self.piece;
            self.piece += 1;
            self.scan =
                self.recording.scan(piece).map_err(|source| self.recording.failed(source))?;
        }
        Ok(true)
    }

    /// Counts what the file that ends here had.
    fn leave(&mut self) {
        let Some(scan) = self.scan.take() else { return };
        let passed = scan.passed();
        self.tally.damaged += passed.damaged;
        self.tally.damaged_bytes += passed.damaged_bytes;
        self.tally.unknown += passed.unknown;
        let (whole, torn) = scan.whole();
        if whole == 0 {
            self.tally.unreadable += 1;
        } else if self.piece != usize::MAX {
            self.tally.torn_bytes += torn;
        }
    }

    /// A segment begins; what that is, where it does not just go on.
    fn enter(&mut self, header: SegmentHeader) -> Option<What> {
        self.tally.segments += 1;
        let last = self.segment.replace(header);
        let damaged = std::mem::take(&mut self.damaged);
        let run_goes_on = last.is_some_and(|last| last.run == header.run);
        let goes_on = run_goes_on
            && !damaged
            && last.is_some_and(|last| last.number.checked_add(1) == Some(header.number));
        self.known_wanted = !goes_on;
        if !run_goes_on {
            self.tally.runs += 1;
            self.at = header.at;
            return Some(What::Run);
        }
        self.advance(header.at);
        (!goes_on).then_some(What::Gap)
    }

    /// What a frame is to whoever plays; nothing where he has it or did not
    /// ask for it.
    fn frame(&mut self, kind: FrameKind, payload: std::ops::Range<usize>) -> Option<What> {
        let before = self.range.from_wall_ns.is_some_and(|from| self.at.wall_ns < from);
        let payload = self.scan.as_ref().map_or(&[][..], |scan| scan.bytes(payload));
        match kind {
            FrameKind::Tick => (!before).then_some(What::Tick),
            FrameKind::Lost => {
                let lost = payload.first_chunk().map(|lost| u64::from_le_bytes(*lost))?;
                self.tally.lost = self.tally.lost.saturating_add(lost);
                (!before).then_some(What::Lost(lost))
            }
            FrameKind::Known | FrameKind::Batch => {
                let Ok(batch) = BatchView::verify(payload) else {
                    self.tally.refused += 1;
                    return None;
                };
                match kind {
                    FrameKind::Known => self.known_wanted.then_some(What::Known),
                    _ if !before => Some(What::Batch),
                    _ => names(&batch).then_some(What::Known),
                }
            }
        }
    }
}

/// Whether a batch says what numbers in others stand for.
fn names(batch: &BatchView<'_>) -> bool {
    batch.engines().next().is_some()
        || batch.devices().next().is_some()
        || batch.details().next().is_some()
}
