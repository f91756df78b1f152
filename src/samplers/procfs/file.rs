//! A file that stays open: read with one call, reopened when it fails.
//!
//! Nothing here allocates after [`KeptFile::new`], unless a file outgrows the
//! buffer that all files share.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::retry_on_intr;

use super::report::Absence;

/// The longest file that is read; a longer one is absent as [`Absence::TooLong`].
///
/// `/proc/stat` of 4,096 CPUs and as many interrupts stays below it.
pub const FILE_BYTES_MAX: usize = 1 << 20;

/// An absent file is tried again after this many ticks.
pub const RETRY_TICKS: u64 = 60;

/// The buffer's size at first: room for all files of a small node.
pub(crate) const BUFFER_BYTES: usize = 32 << 10;

/// The longest text of [`Shape::Line`].
const LINE_BYTES_MAX: usize = 256;

/// How the kernel hands out what is in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// In one piece: a read that leaves room in the buffer has seen the end.
    Whole,
    /// In one piece of one short line, as a setting of the kernel, which clears
    /// as much memory as is asked for before it writes into it: asking for
    /// 32 KiB took a tenth of the tick's time.
    Line,
    /// Page by page: only an empty read is the end.
    Paged,
    /// As entries of a directory.
    Directory,
}

impl Shape {
    /// What is longer is not read.
    const fn bytes_max(self) -> usize {
        match self {
            Self::Line => LINE_BYTES_MAX,
            Self::Whole | Self::Paged | Self::Directory => FILE_BYTES_MAX,
        }
    }
}

/// A file that stays open.
#[derive(Debug)]
pub(crate) struct KeptFile {
    path: CString,
    shape: Shape,
    state: State,
}

#[derive(Debug)]
enum State {
    Open(OwnedFd),
    Absent { why: Absence, retry_tick: u64 },
}

impl KeptFile {
    /// The file at `path`, which the first use opens.
    pub(crate) fn new(path: &Path, shape: Shape) -> Self {
        // A path with a zero byte names no file; neither does the empty one.
        let path = CString::new(path.as_os_str().as_bytes()).unwrap_or_default();
        Self { path, shape, state: State::Absent { why: Absence::NotFound, retry_tick: 0 } }
    }

    /// The whole text, read into `buffer` at `tick`.
    ///
    /// The usual case stands here in full to be inlined: kernels forget their
    /// callers on the way out of a system call, so that each return after one
    /// costs as much as reading a line.
    #[inline]
    pub(crate) fn read<'b>(
        &mut self,
        tick: u64,
        buffer: &'b mut Vec<u8>,
    ) -> Result<&'b [u8], Absence> {
        let end = buffer.len().min(self.shape.bytes_max());
        if let State::Open(file) = &self.state
            && self.shape != Shape::Paged
            && let Ok(length) = rustix::io::pread(file, &mut buffer[..end], 0)
            && length < end
        {
            return Ok(&buffer[..length]);
        }
        self.read_in_full(tick, buffer)
    }

    /// The same in every case.
    ///
    /// A descriptor can go bad while its file is fine, so a kept one that
    /// fails is replaced at once; a fresh one that fails waits for
    /// [`RETRY_TICKS`].
    #[inline(never)]
    fn read_in_full<'b>(
        &mut self,
        tick: u64,
        buffer: &'b mut Vec<u8>,
    ) -> Result<&'b [u8], Absence> {
        let kept = matches!(self.state, State::Open(_));
        let mut length = self.attempt(tick, buffer);
        if kept && length.is_err() {
            length = self.attempt(tick, buffer);
        }
        match length {
            Ok(length) => Ok(&buffer[..length]),
            Err(why) => {
                self.leave(why, tick);
                Err(why)
            }
        }
    }

    /// The descriptor, opened if it is not and a try is due at `tick`.
    pub(crate) fn descriptor(&mut self, tick: u64) -> Result<BorrowedFd<'_>, Absence> {
        if let State::Absent { why, retry_tick } = self.state {
            if tick < retry_tick {
                return Err(why);
            }
            match open(&self.path, self.shape) {
                Ok(file) => self.state = State::Open(file),
                Err(why) => self.leave(why, tick),
            }
        }
        match &self.state {
            State::Open(file) => Ok(file.as_fd()),
            State::Absent { why, .. } => Err(*why),
        }
    }

    /// One read; a failure shuts the file, to be opened again at will.
    fn attempt(&mut self, tick: u64, buffer: &mut Vec<u8>) -> Result<usize, Absence> {
        let shape = self.shape;
        let length = read_all(self.descriptor(tick)?, shape, buffer);
        if let Err(why) = length {
            self.state = State::Absent { why, retry_tick: tick };
        }
        length
    }

    /// Leaves the file alone for a while, unless it is left alone already.
    fn leave(&mut self, why: Absence, tick: u64) {
        match self.state {
            State::Absent { retry_tick, .. } if retry_tick > tick => {}
            _ => self.state = State::Absent { why, retry_tick: tick.saturating_add(RETRY_TICKS) },
        }
    }
}

fn open(path: &CString, shape: Shape) -> Result<OwnedFd, Absence> {
    // NONBLOCK and NOCTTY: whatever stands at the path, opening returns.
    let mut flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    if shape == Shape::Directory {
        flags |= OFlags::DIRECTORY;
    }
    Ok(rustix::fs::open(path.as_c_str(), flags, Mode::empty())?)
}

/// Reads from the start to the end, growing `buffer` if need be.
#[inline]
fn read_all(file: BorrowedFd<'_>, shape: Shape, buffer: &mut Vec<u8>) -> Result<usize, Absence> {
    let bytes_max = shape.bytes_max();
    let mut length = 0;
    loop {
        if length >= bytes_max {
            return Err(Absence::TooLong);
        }
        if length == buffer.len() {
            buffer.resize((length * 2).clamp(BUFFER_BYTES, FILE_BYTES_MAX), 0);
        }
        let end = buffer.len().min(bytes_max);
        let space = &mut buffer[length..end];
        let read = retry_on_intr(|| rustix::io::pread(file, &mut *space, length as u64))?;
        length += read;
        if read == 0 || (shape != Shape::Paged && length < end) {
            return Ok(length);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn file_at(path: &Path) -> KeptFile {
        KeptFile::new(path, Shape::Whole)
    }

    #[test]
    fn a_kept_file_gives_what_stands_in_it_at_each_tick() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("load");
        let mut buffer = Vec::new();
        let mut file = file_at(&path);
        for (tick, text) in [(0, &b"one\n"[..]), (1, b"longer\n"), (2, b""), (3, b"x\n")] {
            fs::write(&path, text).unwrap();
            assert_eq!(file.read(tick, &mut buffer), Ok(text));
        }
    }

    #[test]
    fn a_missing_file_is_tried_again_after_the_named_ticks() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("late");
        let mut buffer = Vec::new();
        let mut file = file_at(&path);
        assert_eq!(file.read(5, &mut buffer), Err(Absence::NotFound));
        fs::write(&path, "here\n").unwrap();
        assert_eq!(file.read(4 + RETRY_TICKS, &mut buffer), Err(Absence::NotFound));
        assert_eq!(file.read(5 + RETRY_TICKS, &mut buffer), Ok(&b"here\n"[..]));
    }

    #[test]
    fn a_descriptor_that_goes_bad_is_replaced_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("load");
        fs::write(&path, "fine\n").unwrap();
        let mut buffer = Vec::new();
        let mut file = file_at(&path);
        let write_only = fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.state = State::Open(write_only.into());
        assert_eq!(file.read(1, &mut buffer), Ok(&b"fine\n"[..]));
    }

    #[test]
    fn what_cannot_be_read_says_why_and_waits() {
        let folder = tempfile::tempdir().unwrap();
        let mut buffer = Vec::new();
        let mut directory = file_at(folder.path());
        assert_eq!(directory.read(0, &mut buffer), Err(Absence::Failed));
        assert!(matches!(directory.state, State::Absent { retry_tick: RETRY_TICKS, .. }));
        for path in ["", "a\0b", "/dev/null/x"] {
            assert_eq!(file_at(Path::new(path)).read(0, &mut buffer), Err(Absence::NotFound));
        }
    }

    #[test]
    fn the_buffer_grows_to_the_named_limit_and_no_further() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("long");
        for shape in [Shape::Whole, Shape::Paged] {
            for (bytes, fits) in [
                (BUFFER_BYTES - 1, true),
                (BUFFER_BYTES, true),
                (5 * BUFFER_BYTES, true),
                (FILE_BYTES_MAX - 1, true),
                (FILE_BYTES_MAX, false),
                (FILE_BYTES_MAX + 1, false),
            ] {
                fs::write(&path, vec![b'x'; bytes]).unwrap();
                let mut buffer = Vec::new();
                let read = KeptFile::new(&path, shape).read(0, &mut buffer).map(<[u8]>::len);
                assert_eq!(read, if fits { Ok(bytes) } else { Err(Absence::TooLong) });
                assert!(buffer.len() <= FILE_BYTES_MAX);
            }
        }
    }

    #[test]
    fn no_more_is_asked_for_than_a_line_can_hold() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("line");
        for (bytes, fits) in [(LINE_BYTES_MAX - 1, true), (LINE_BYTES_MAX, false)] {
            fs::write(&path, vec![b'x'; bytes]).unwrap();
            let mut buffer = Vec::new();
            let read = KeptFile::new(&path, Shape::Line).read(0, &mut buffer).map(<[u8]>::len);
            assert_eq!(read, if fits { Ok(bytes) } else { Err(Absence::TooLong) });
        }
    }

    #[test]
    fn the_kernel_gives_paged_files_whole() {
        let mut buffer = vec![0; 64];
        for path in ["/proc/self/mounts", "/proc/self/maps"] {
            let text = KeptFile::new(Path::new(path), Shape::Paged)
                .read(0, &mut buffer)
                .expect("the kernel has this file")
                .to_vec();
            assert!(text.ends_with(b"\n"), "{path}");
        }
    }
}
