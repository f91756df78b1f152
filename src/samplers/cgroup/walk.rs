//! Which cgroups there are below a tree's root, by a bounded walk.
//!
//! A folder without subfolders is never opened: its link count says so, which
//! spares the long list of files that the kernel puts into every cgroup. So
//! a walk costs by the folders that hold others, not by those that there are.

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir};
use rustix::io::Errno;

/// How deep containers may lie: a pod of kind below a user's podman is at 11.
pub const DEPTH_MAX: usize = 16;

/// Folders that are opened in one walk of one tree.
pub const FOLDERS_MAX: usize = 2048;

/// Folders that are looked at in one walk of one tree, subfolders or not.
pub const ENTRIES_MAX: usize = 32 << 10;

/// The longest path of a cgroup, bytes from the tree's root.
pub(super) const PATH_BYTES_MAX: usize = 1024;

/// Room for the entries of one read of a folder.
const ENTRY_BYTES: usize = 32 << 10;

/// The buffers of a walk, kept from one to the next.
pub(super) struct Walk {
    /// Paths that wait to be opened, each ending in a zero byte.
    paths: Vec<u8>,
    waiting: Vec<Waiting>,
    /// The path of the entry at hand.
    path: Vec<u8>,
    entries: Box<[MaybeUninit<u8>]>,
}

#[derive(Clone, Copy)]
struct Waiting {
    start: usize,
    /// Its zero byte included.
    end: usize,
    depth: usize,
}

/// How a walk went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Walked {
    /// Folders that a limit kept us from opening or looking at.
    pub(super) refused: u32,
    /// Folders that could not be opened for want of rights.
    pub(super) denied: u32,
    /// Folders that could not be read otherwise.
    pub(super) failed: u32,
    /// Folders opened.
    pub(super) opened: u32,
}

impl Walked {
    fn count(&mut self, why: Errno) {
        match why {
            // It ended since it was listed.
            Errno::NOENT | Errno::NODEV => {}
            Errno::ACCESS | Errno::PERM => self.denied += 1,
            _ => self.failed += 1,
        }
    }
}

impl std::fmt::Debug for Walk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Walk").finish_non_exhaustive()
    }
}

impl Walk {
    pub(super) fn new() -> Self {
        Self {
            paths: Vec::new(),
            waiting: Vec::new(),
            path: Vec::new(),
            entries: vec![MaybeUninit::uninit(); ENTRY_BYTES].into_boxed_slice(),
        }
    }

    /// Tells `each` of every cgroup below `root`: its path from there without
    /// a slash at either end, and its inode.
    pub(super) fn run(&mut self, root: BorrowedFd<'_>, mut each: impl FnMut(&[u8], u64)) -> Walked {
        let mut walked = Walked::default();
        let mut looks_left = ENTRIES_MAX;
        self.paths.clear();
        self.waiting.clear();
        self.paths.extend_from_slice(b".\0");
        self.waiting.push(Waiting { start: 0, end: 2, depth: 0 });
        let mut at = 0;
        while let Some(&folder) = self.waiting.get(at) {
            at += 1;
            self.folder(root, folder, &mut looks_left, &mut walked, &mut each);
        }
        walked
    }

    fn folder(
        &mut self,
        root: BorrowedFd<'_>,
        folder: Waiting,
        looks_left: &mut usize,
        walked: &mut Walked,
        each: &mut impl FnMut(&[u8], u64),
    ) {
        let Self { paths, waiting, path, entries } = self;
        let opened = CStr::from_bytes_with_nul(&paths[folder.start..folder.end])
            .map_err(|_| Errno::INVAL)
            .and_then(|path| {
                let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                rustix::fs::openat(root, path, flags, Mode::empty())
            });
        let opened = match opened {
            Ok(opened) => opened,
            Err(why) => return walked.count(why),
        };
        walked.opened += 1;
        path.clear();
        if folder.depth > 0 {
            path.extend_from_slice(&paths[folder.start..folder.end - 1]);
            path.push(b'/');
        }
        let parent_bytes = path.len();
        let mut listing = RawDir::new(&opened, entries);
        while let Some(entry) = listing.next() {
            let entry = match entry {
                Ok(entry) => entry,
                Err(why) => return walked.count(why),
            };
            let name = entry.file_name();
            if !may_be_folder(entry.file_type()) || matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            if *looks_left == 0 || parent_bytes + name.count_bytes() > PATH_BYTES_MAX {
                walked.refused += 1;
                continue;
            }
            *looks_left -= 1;
            path.truncate(parent_bytes);
            path.extend_from_slice(name.to_bytes());
            let Some((inode, has_folders)) = look(opened.as_fd(), name) else { continue };
            each(path, inode);
            if !has_folders {
                continue;
            }
            if folder.depth + 1 >= DEPTH_MAX || waiting.len() >= FOLDERS_MAX {
                walked.refused += 1;
                continue;
            }
            let start = paths.len();
            paths.extend_from_slice(path);
            paths.push(0);
            waiting.push(Waiting { start, end: paths.len(), depth: folder.depth + 1 });
        }
    }
}

fn may_be_folder(kind: FileType) -> bool {
    matches!(kind, FileType::Directory | FileType::Unknown)
}

/// The inode of a folder and whether it may hold others; nothing if it is no
/// folder or gone.
fn look(parent: BorrowedFd<'_>, name: &CStr) -> Option<(u64, bool)> {
    let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
    // Its own two links and one of each subfolder; a file system that counts
    // otherwise says 1.
    is_folder.then_some((stat.st_ino, stat.st_nlink != 2))
}
