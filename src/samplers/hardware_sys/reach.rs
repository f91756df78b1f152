//! How the child reaches below `/sys`: it says where it is before every call
//! that may hang, and leaves out what it was told to.
//!
//! Files are opened to block, on purpose: those of `/sys` do so whatever the
//! flags, and the guard against it is the parent's deadline. They are opened
//! anew each time: at a round every ten seconds that costs less than the page
//! of kernel memory that each open one would hold.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Access, AtFlags, CWD, Mode, OFlags, RawDir, accessat, openat, readlinkat};
use rustix::io::{Errno, read};

use super::record::{Message, RECORD_BYTES, TEXT_BYTES_MAX, encode};
use crate::platform::child::Parent;
use crate::samplers::procfs::{Absence, TickReport};

/// The kernel gives at most a page of an attribute.
const FILE_BYTES_MAX: usize = 4096;

/// Most entries of a folder; further ones are refused and counted.
const ENTRIES_MAX: usize = 4096;

/// A longer name is passed over.
const NAME_BYTES_MAX: usize = 64;

/// Most paths that are left out.
pub(super) const LEFT_OUT_MAX: usize = 64;

/// Where records go.
pub trait Tell {
    /// Puts a record among those that wait to be told.
    ///
    /// # Errors
    ///
    /// When nobody listens any more.
    fn put(&mut self, record: &[u8; RECORD_BYTES]) -> io::Result<()>;

    /// Tells all that waits.
    ///
    /// # Errors
    ///
    /// When nobody listens any more.
    fn tell(&mut self) -> io::Result<()>;
}

impl Tell for Parent<RECORD_BYTES> {
    fn put(&mut self, record: &[u8; RECORD_BYTES]) -> io::Result<()> {
        self.put(record)
    }

    fn tell(&mut self) -> io::Result<()> {
        self.tell()
    }
}

impl Tell for Vec<[u8; RECORD_BYTES]> {
    fn put(&mut self, record: &[u8; RECORD_BYTES]) -> io::Result<()> {
        self.push(*record);
        Ok(())
    }

    fn tell(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A way to `/sys`.
#[derive(Debug)]
pub(super) struct Reach<T> {
    root: OwnedFd,
    pub(super) parent: T,
    pub(super) report: TickReport,
    left_out: Vec<String>,
    buffer: Box<[u8; FILE_BYTES_MAX]>,
    gone: bool,
}

impl<T: Tell> Reach<T> {
    /// To the folder `sys`.
    pub(super) fn new(sys: &Path, parent: T) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self {
            root: openat(CWD, sys, flags, Mode::empty())?,
            parent,
            report: TickReport::default(),
            left_out: Vec::new(),
            buffer: Box::new([0; FILE_BYTES_MAX]),
            gone: false,
        })
    }

    /// Never reads at or below `path` again.
    pub(super) fn leave_out(&mut self, path: &str) {
        if self.left_out.len() < LEFT_OUT_MAX {
            self.left_out.push(path.to_owned());
        }
    }

    /// Whether the parent is gone.
    pub(super) const fn is_gone(&self) -> bool {
        self.gone
    }

    /// Says something, at the latest with the next path.
    pub(super) fn say(&mut self, message: &Message<'_>) {
        self.gone |= self.parent.put(&encode(message)).is_err();
    }

    /// Says all that waits.
    pub(super) fn tell(&mut self) {
        self.gone |= self.parent.tell().is_err();
    }

    /// The text of a file.
    pub(super) fn text(&mut self, path: &str) -> Result<&[u8], Absence> {
        self.begin(path)?;
        let length = read_whole(self.root.as_fd(), path, &mut *self.buffer)?;
        self.report.files += 1;
        Ok(&self.buffer[..length])
    }

    /// The text of the file at `path`, which is `file` within `folder`: saves
    /// the way through the links above it.
    pub(super) fn text_in(
        &mut self,
        folder: &OwnedFd,
        file: &str,
        path: &str,
    ) -> Result<&[u8], Absence> {
        self.begin(path)?;
        let length = read_whole(folder.as_fd(), file, &mut *self.buffer)?;
        self.report.files += 1;
        Ok(&self.buffer[..length])
    }

    /// The first line of a file, as a name; empty where there is none.
    pub(super) fn word(&mut self, path: &str) -> String {
        let text = self.text(path).unwrap_or_default();
        let line = text.split(|&byte| byte == b'\n').next().unwrap_or_default().trim_ascii();
        let cut = &line[..line.len().min(NAME_BYTES_MAX)];
        String::from_utf8_lossy(cut).into_owned()
    }

    /// The names in a folder that `wanted` takes, numbers in their order; none
    /// where there is no such folder.
    pub(super) fn names(&mut self, path: &str, wanted: impl Fn(&str) -> bool) -> Vec<String> {
        let mut names = Vec::new();
        let listed = match self.begin(path) {
            Ok(()) => self.list(path, |name| {
                if wanted(name) {
                    names.push(name.to_owned());
                }
            }),
            Err(why) => Err(why),
        };
        match listed {
            Ok(()) | Err(Absence::NotFound) => {}
            Err(why) => self.report.count(why, 1),
        }
        names.sort_by(|a, b| a.len().cmp(&b.len()).then_with(|| a.cmp(b)));
        names
    }

    /// Whether something stands at `path`. Asks no hardware.
    pub(super) fn has(&self, path: &str) -> bool {
        accessat(&self.root, path, Access::EXISTS, AtFlags::empty()).is_ok()
    }

    /// Whether something stands at `path` within `folder`.
    pub(super) fn has_in(folder: &OwnedFd, path: &str) -> bool {
        accessat(folder, path, Access::EXISTS, AtFlags::empty()).is_ok()
    }

    /// The last part of where a link leads; empty where there is none.
    pub(super) fn link(&self, path: &str) -> String {
        let Ok(link) = readlinkat(&self.root, path, Vec::new()) else { return String::new() };
        let link = link.to_string_lossy();
        link.rsplit('/').next().unwrap_or_default().chars().take(NAME_BYTES_MAX).collect()
    }

    /// A folder, to reach its files faster.
    pub(super) fn folder(&self, path: &str) -> Option<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        openat(&self.root, path, flags, Mode::empty()).ok()
    }

    /// Counts what could not be had.
    pub(super) fn absent(&mut self, why: Absence, times: u32) {
        self.report.count(why, times);
    }

    /// Says where it is from now on, unless that is left out.
    pub(super) fn begin(&mut self, path: &str) -> Result<(), Absence> {
        if self.gone || self.left_out.iter().any(|out| is_at_or_below(path, out)) {
            return Err(Absence::Failed);
        }
        if path.len() > TEXT_BYTES_MAX {
            // The parent could not name it, and so not leave it out.
            return Err(Absence::TooLong);
        }
        self.say(&Message::At(path));
        self.tell();
        Ok(())
    }

    fn list(&mut self, path: &str, mut take: impl FnMut(&str)) -> Result<(), Absence> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = openat(&self.root, path, flags, Mode::empty())?;
        let mut space = [const { std::mem::MaybeUninit::uninit() }; FILE_BYTES_MAX];
        let mut entries = RawDir::new(folder, &mut space);
        for _ in 0..ENTRIES_MAX {
            let Some(entry) = entries.next() else { return Ok(()) };
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            let plain = name.len() <= NAME_BYTES_MAX && name.iter().all(u8::is_ascii_graphic);
            if let Some(name) = std::str::from_utf8(name).ok().filter(|_| plain)
                && !matches!(name, "." | "..")
            {
                take(name);
            }
        }
        Err(Absence::DeviceRefused)
    }
}

/// Whether `path` is `place` or stands below it.
pub(super) fn is_at_or_below(path: &str, place: &str) -> bool {
    path.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn read_whole(folder: BorrowedFd<'_>, path: &str, buffer: &mut [u8]) -> Result<usize, Absence> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = openat(folder, path, flags, Mode::empty())?;
    let mut length = 0;
    while length < buffer.len() {
        match read(&file, &mut buffer[length..]) {
            Ok(0) => return Ok(length),
            Ok(bytes) => {
                length += bytes;
                // The kernel gives an attribute in one piece, so that what ends
                // a line and leaves room is all: it saves every second read.
                if buffer[length - 1] == b'\n' && length < buffer.len() {
                    return Ok(length);
                }
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Absence::TooLong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(sys: &Path) -> Reach<Vec<[u8; RECORD_BYTES]>> {
        Reach::new(sys, Vec::new()).unwrap()
    }

    #[test]
    fn a_file_is_read_and_where_it_stands_is_said_before() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("temp"), "45000\n").unwrap();
        let mut reach = reach(folder.path());
        assert_eq!(reach.text("temp"), Ok(&b"45000\n"[..]));
        assert_eq!(reach.text("none"), Err(Absence::NotFound));
        let said = [encode(&Message::At("temp")), encode(&Message::At("none"))];
        assert_eq!((reach.parent.as_slice(), reach.report.files), (&said[..], 1));
    }

    #[test]
    fn what_is_left_out_is_neither_read_nor_said() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("a")).unwrap();
        for file in ["a/x", "ab"] {
            std::fs::write(folder.path().join(file), "1\n").unwrap();
        }
        let mut reach = reach(folder.path());
        reach.leave_out("a");
        assert_eq!(reach.text("a/x"), Err(Absence::Failed));
        assert!(reach.names("a", |_| true).is_empty());
        assert!(reach.parent.is_empty());
        assert_eq!(reach.text("ab"), Ok(&b"1\n"[..]));
    }

    #[test]
    fn a_file_longer_than_the_kernel_makes_them_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for (bytes, fits) in [(FILE_BYTES_MAX - 1, true), (FILE_BYTES_MAX, false), (1 << 20, false)]
        {
            std::fs::write(folder.path().join("long"), vec![b'1'; bytes]).unwrap();
            let mut reach = reach(folder.path());
            let read = reach.text("long").map(<[u8]>::len);
            assert_eq!(read, if fits { Ok(bytes) } else { Err(Absence::TooLong) });
        }
    }

    #[test]
    fn names_are_plain_bounded_and_in_the_order_of_their_numbers() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["mc10", "mc2", "a b", "power", "é"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        let mut all = reach(folder.path());
        assert_eq!(all.names(".", |name| name.starts_with("mc")), ["mc2", "mc10"]);
        assert_eq!(all.names(".", |_| true), ["mc2", "mc10", "power"]);
        assert!(all.names("none", |_| true).is_empty());
        assert_eq!(all.report.absent_total(), 0, "what is not here is no trouble");
        for number in 0..ENTRIES_MAX {
            std::fs::write(folder.path().join(format!("f{number}")), "").unwrap();
        }
        assert!(all.names(".", |_| true).len() <= ENTRIES_MAX);
        assert_eq!(all.report.absent(Absence::DeviceRefused), 1);
    }

    #[test]
    fn nothing_is_read_once_the_parent_is_gone() {
        struct Deaf;
        impl Tell for Deaf {
            fn put(&mut self, _: &[u8; RECORD_BYTES]) -> io::Result<()> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn tell(&mut self) -> io::Result<()> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
        }
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("temp"), "45000\n").unwrap();
        let mut reach = Reach::new(folder.path(), Deaf).unwrap();
        let _ = reach.text("temp");
        assert!(reach.is_gone());
        assert_eq!(reach.text("temp"), Err(Absence::Failed));
    }
}
