//! Appends frames to segments. Time comes with each call.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::{Advice, fadvise};
use rustix::rand::{GetRandomFlags, getrandom};

use super::counts::{Counts, add};
use super::folder::{Folder, remedy};
use super::frame::{FrameKind, PAYLOAD_BYTES_MAX, encode, frame_bytes};
use super::header::SegmentHeader;
use super::scan::Scan;
use super::write_by::{BUFFER_BYTES, Hand, WriteBy};
use super::{At, Known, Limits};
use crate::platform::atomic::Ordering;
use crate::platform::clock::{MILLISECOND_NS, SECOND_NS};
use crate::platform::write_ring::{Done, WriteBuffer};

/// How long bytes wait in memory for company, at most: what a recorder that
/// is killed takes with it.
pub const FLUSH_NS: u64 = 250 * MILLISECOND_NS;

/// The least time between two syncs of the segment that is being written.
pub const SYNC_NS: u64 = 5 * SECOND_NS;

/// A tick is recorded at least this often.
const TICK_NS: u64 = SECOND_NS;

/// How long a disk that failed is left alone.
const RETRY_NS: u64 = 2 * SECOND_NS;

/// Appends frames to segments in a folder; see the room for what survives.
pub struct Writer {
    path: PathBuf,
    limits: Limits,
    known: Known,
    backend: Hand,
    folder: Option<Folder>,
    segment: Option<Segment>,
    buffer: Option<WriteBuffer>,
    counts: Arc<Counts>,
    run: u64,
    at: At,
    tick_ns: u64,
    look_ns: u64,
    retry_ns: u64,
    sync_ns: u64,
    sync_wanted: bool,
    flushed_ns: u64,
    /// Batches in buffers that the backend has.
    under_way: u64,
    /// Lost batches that a frame has told of.
    lost_told: u64,
}

/// The segment that is being written.
#[derive(Debug)]
struct Segment {
    file: Arc<File>,
    number: u64,
    salt: u64,
    begun: At,
    /// Where the buffer's bytes will stand.
    place: u64,
    /// Where they will end.
    end: u64,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Writer {
    /// A writer into a folder, which is made when the first frame comes.
    #[must_use]
    pub fn new(
        folder: PathBuf,
        limits: Limits,
        backend: Option<WriteBy>,
        known: Known,
        counts: Arc<Counts>,
        at: At,
    ) -> Self {
        let (backend, refused) = Hand::open(backend);
        counts.tell(|told| {
            told.backend = Some(backend.kind());
            told.refused = refused.map(|error| error.to_string());
        });
        Self {
            path: folder,
            limits,
            known,
            backend,
            folder: None,
            segment: None,
            buffer: None,
            counts,
            // Two lives may begin at the same instant of a clock that jumps.
            run: random().unwrap_or(at.wall_ns),
            at,
            tick_ns: 0,
            look_ns: at.monotonic_ns,
            retry_ns: 0,
            sync_ns: 0,
            sync_wanted: false,
            flushed_ns: 0,
            under_way: 0,
            lost_told: 0,
        }
    }

    /// Appends a frame; when it cannot be, it is counted as lost.
    pub fn append(&mut self, at: At, kind: FrameKind, payload: &[u8]) {
        self.advance(at);
        let batches = u64::from(matches!(kind, FrameKind::Batch));
        if payload.len() > PAYLOAD_BYTES_MAX || !self.ready(frame_bytes(payload.len())) {
            add(&self.counts.lost_disk, batches);
            return;
        }
        self.tell_lost();
        self.put(kind, payload);
    }

    /// Appends a frame that says how much time passed.
    pub fn tick(&mut self, at: At) {
        self.tick_ns = at.monotonic_ns;
        self.append(at, FrameKind::Tick, &[]);
    }

    /// Asks for what was appended to be durable soon.
    pub const fn sync_soon(&mut self) {
        self.sync_wanted = true;
    }

    /// Hands over what waits, ticks, and looks after the disk. To be called
    /// every [`FLUSH_NS`].
    pub fn turn(&mut self, at: At) {
        self.advance(at);
        if self.at.monotonic_ns.saturating_sub(self.tick_ns) >= TICK_NS {
            self.tick(at);
        }
        let since_ns = self.at.monotonic_ns.saturating_sub(self.flushed_ns);
        if since_ns >= FLUSH_NS || self.sync_wanted {
            self.flush();
        }
        if self.sync_wanted && self.at.monotonic_ns >= self.sync_ns {
            self.sync();
        }
        self.reap(false);
        if self.at.monotonic_ns.saturating_sub(self.look_ns) >= SECOND_NS {
            self.look_ns = self.at.monotonic_ns;
            self.look();
        }
    }

    /// Writes what waits and makes it durable.
    pub fn close(mut self, at: At) {
        self.tick(at);
        self.finish();
        self.reap(true);
    }

    /// Waits for all that the backend has under way.
    #[cfg(test)]
    pub(super) fn settle(&mut self) {
        self.reap(true);
    }

    /// Writes on into another file, as if the segment's disk had changed.
    #[cfg(test)]
    pub(super) fn replace_file(&mut self, file: File) {
        if let Some(segment) = &mut self.segment {
            segment.file = Arc::new(file);
        }
    }

    /// Time never goes back within a recording.
    const fn advance(&mut self, at: At) {
        if at.monotonic_ns > self.at.monotonic_ns {
            self.at = at;
        }
    }

    /// Whether a frame of so many bytes can be put, in a new segment where the
    /// old one is full or old.
    fn ready(&mut self, bytes: usize) -> bool {
        if let Some(segment) = &self.segment {
            let full = segment.end + bytes as u64 > self.limits.segment_bytes();
            let age_ns = self.at.monotonic_ns.saturating_sub(segment.begun.monotonic_ns);
            if full || age_ns > self.limits.segment_ns() {
                self.finish();
            }
        }
        if self.segment.is_none() && self.at.monotonic_ns >= self.retry_ns {
            match self.begin() {
                Ok(()) => self.counts.tell(|told| told.trouble = None),
                Err(sentence) => self.fail(sentence),
            }
        }
        self.segment.is_some()
    }

    /// Begins a segment with what is known.
    fn begin(&mut self) -> Result<(), String> {
        // What was being encoded while the last one failed belongs nowhere.
        self.drop_buffer();
        let mut folder = match self.folder.take() {
            Some(folder) => folder,
            None => self.open()?,
        };
        make_room(&mut folder, self.limits)?;
        let salt = random().map_err(|error| format!("the system has no random bytes: {error}"))?;
        let (kept, file) = folder.create(self.at.wall_ns)?;
        self.folder = Some(folder);
        let file = Arc::new(file);
        let number = kept.number;
        self.segment = Some(Segment { file, number, salt, begun: self.at, place: 0, end: 0 });
        let header = SegmentHeader { salt, number, run: self.run, at: self.at };
        header.encode(0, self.extend(SegmentHeader::BYTES));
        // Half of a segment stays for what it is begun for.
        let mut room = self.limits.segment_bytes() / 2;
        for batch in (self.known)() {
            let bytes = frame_bytes(batch.len()) as u64;
            if batch.len() <= PAYLOAD_BYTES_MAX && bytes <= room {
                room -= bytes;
                self.put(FrameKind::Known, &batch);
            }
        }
        Ok(())
    }

    /// Opens the folder, and cuts off what a crash left half written.
    fn open(&mut self) -> Result<Folder, String> {
        let mut folder = Folder::open(&self.path)?;
        // What cannot be read stays as it is, and hinders nothing.
        if let Some(file) = folder.newest()
            && let Ok(Some((whole, torn))) = cut(&Arc::new(file))
        {
            add(&self.counts.torn_bytes, torn);
            if let Some(newest) = folder.kept.back_mut() {
                newest.bytes = whole;
            }
        }
        Ok(folder)
    }

    fn tell_lost(&mut self) {
        let (full, disk) = self.counts.lost();
        let untold = (full + disk).saturating_sub(self.lost_told);
        let room = self.segment.as_ref().is_some_and(|segment| {
            segment.end + frame_bytes(8) as u64 <= self.limits.segment_bytes()
        });
        if untold > 0 && room {
            self.lost_told += untold;
            self.put(FrameKind::Lost, &untold.to_le_bytes());
        }
    }

    /// Encodes a frame behind the others. There is a segment.
    fn put(&mut self, kind: FrameKind, payload: &[u8]) {
        let Some(segment) = &self.segment else { return };
        let (salt, at) = (segment.salt, self.at);
        let bytes = frame_bytes(payload.len());
        // A buffer that has no room is handed over first, which moves nothing.
        let place = segment.end;
        encode(self.extend(bytes), (salt, place), at, kind, payload);
        if let (FrameKind::Batch, Some(buffer)) = (kind, &mut self.buffer) {
            buffer.tag += 1;
        }
    }

    /// The next so many bytes of the segment.
    fn extend(&mut self, bytes: usize) -> &mut [u8] {
        if self.buffer.as_ref().is_some_and(|buffer| buffer.room() < bytes) {
            self.flush();
        }
        if let Some(segment) = &mut self.segment {
            segment.end += bytes as u64;
        }
        if self.buffer.is_none() {
            self.buffer = Some(self.free_buffer());
        }
        self.buffer.as_mut().expect("it was just filled in").extend(bytes)
    }

    fn free_buffer(&mut self) -> WriteBuffer {
        loop {
            if let Some(buffer) = self.backend.buffer() {
                return buffer;
            }
            match self.backend.done(true) {
                Some(done) => self.take(done),
                // Every buffer is lost in a ring that died.
                None => return WriteBuffer::new(BUFFER_BYTES),
            }
        }
    }

    /// Hands the buffer over.
    fn flush(&mut self) {
        let Some(segment) = &mut self.segment else { return };
        let Some(buffer) = self.buffer.take() else { return };
        self.flushed_ns = self.at.monotonic_ns;
        self.under_way += buffer.tag;
        let written = self.backend.write(&segment.file, segment.place, buffer);
        segment.place = segment.end;
        if let Some(folder) = &mut self.folder
            && let Some(kept) = folder.kept.back_mut()
        {
            kept.bytes = segment.end;
            kept.end_wall_ns = self.at.wall_ns;
        }
        self.show();
        if let Err(error) = written {
            self.broken(&error);
        }
    }

    /// Everything that the ring had is as good as lost.
    fn broken(&mut self, error: &io::Error) {
        add(&self.counts.lost_disk, std::mem::take(&mut self.under_way));
        let kind = self.backend.kind();
        self.counts.tell(|told| {
            told.backend = Some(kind);
            told.refused = Some(error.to_string());
        });
        self.fail(format!("io_uring failed, pwrite goes on: {error}"));
        self.retry_ns = 0;
    }

    fn sync(&mut self) {
        let Some(segment) = &self.segment else { return };
        self.sync_wanted = false;
        self.sync_ns = self.at.monotonic_ns + SYNC_NS;
        if let Err(error) = self.backend.sync(&segment.file) {
            self.broken(&error);
        }
    }

    /// Ends the segment: the rest is written, and all of it synced.
    fn finish(&mut self) {
        self.flush();
        self.sync();
        self.reap(false);
        self.segment = None;
    }

    fn reap(&mut self, wait: bool) {
        while let Some(done) = self.backend.done(wait) {
            self.take(done);
        }
    }

    fn take(&mut self, done: Done) {
        let Done { file, buffer, result } = done;
        let current = self.segment.as_ref().is_some_and(|at| Arc::ptr_eq(&at.file, &file));
        let ok = result.is_ok();
        if let Err(error) = result {
            let says = format!("cannot record into {}: {error}", self.path.display());
            let full = error.kind() == io::ErrorKind::StorageFull;
            if current || self.segment.is_none() {
                self.fail(format!("{says}{}", remedy(&error)));
            } else {
                add(&self.counts.failures, 1);
            }
            if full && let Some(folder) = &mut self.folder {
                folder.remove_oldest();
            }
        }
        match buffer {
            Some(buffer) => {
                self.under_way = self.under_way.saturating_sub(buffer.tag);
                let count = if ok { &self.counts.written } else { &self.counts.lost_disk };
                add(count, buffer.tag);
                if ok {
                    add(&self.counts.written_bytes, buffer.bytes().len() as u64);
                }
                self.backend.give_back(buffer);
            }
            None if ok => {
                add(&self.counts.syncs, 1);
                if !current {
                    // Nobody reads it soon; the page cache is the engines'.
                    let _ = fadvise(&*file, 0, None, Advice::DontNeed);
                }
            }
            None => {}
        }
    }

    /// Gives the segment up and leaves the disk alone for a while.
    fn fail(&mut self, sentence: String) {
        add(&self.counts.failures, 1);
        self.counts.tell(|told| told.trouble = Some(sentence));
        self.segment = None;
        self.drop_buffer();
        self.retry_ns = self.at.monotonic_ns + RETRY_NS;
    }

    fn drop_buffer(&mut self) {
        if let Some(buffer) = self.buffer.take() {
            add(&self.counts.lost_disk, buffer.tag);
            self.backend.give_back(buffer);
        }
    }

    /// Whether the segment is still there, and whether others are too old.
    fn look(&mut self) {
        let (Some(folder), Some(segment)) = (&mut self.folder, &self.segment) else { return };
        if !folder.is_in_place(&segment.file, segment.number) {
            self.folder = None;
            self.fail(format!("{} was removed; it is made anew", self.path.display()));
            self.retry_ns = 0;
            return;
        }
        let old_ns = self.at.wall_ns.saturating_sub(self.limits.age_ns);
        while folder.kept.front().is_some_and(|oldest| oldest.end_wall_ns < old_ns) {
            if !folder.remove_oldest() {
                break;
            }
        }
        self.show();
    }

    fn show(&self) {
        let Some(folder) = &self.folder else { return };
        self.counts.held_bytes.store(folder.bytes(), Ordering::Relaxed);
        self.counts.held_segments.store(folder.kept.len() as u64, Ordering::Relaxed);
        let since_wall_ns = folder.kept.front().map_or(0, |oldest| oldest.begun_wall_ns);
        self.counts.since_wall_ns.store(since_wall_ns, Ordering::Relaxed);
    }
}

/// Cuts a segment off behind its last whole frame, if more stands there: where
/// that was, and how many bytes went.
fn cut(file: &Arc<File>) -> io::Result<Option<(u64, u64)>> {
    let mut scan = Scan::of_file(Arc::clone(file))?;
    while scan.next()?.is_some() {}
    let (whole, torn) = scan.whole();
    // What a later version wrote is not ours to cut.
    if torn == 0 || scan.passed().later_layout.is_some() {
        return Ok(None);
    }
    file.set_len(whole)?;
    Ok(Some((whole, torn)))
}

/// Removes the oldest segments until another one fits.
fn make_room(folder: &mut Folder, limits: Limits) -> Result<(), String> {
    while folder.bytes() + limits.segment_bytes() > limits.bytes && folder.remove_oldest() {}
    let Some(free_bytes) = folder.free_bytes() else { return Ok(()) };
    // Where others need the disk, a new segment takes an old one's place.
    if free_bytes >= limits.free_bytes || folder.remove_oldest() {
        return Ok(());
    }
    Err(format!(
        "nothing is recorded, since the disk has only {} MiB free and others shall have {}; make \
         room",
        free_bytes >> 20,
        limits.free_bytes >> 20
    ))
}

fn random() -> io::Result<u64> {
    let mut bytes = [0; 8];
    let drawn = getrandom(&mut bytes, GetRandomFlags::NONBLOCK)?;
    if drawn != bytes.len() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(u64::from_le_bytes(bytes))
}
