//! The kernel's tracing files: where they are, and reading and writing them,
//! bounded.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use super::format::{FORMAT_BYTES_MAX, Layout};
use super::watched::Watched;

/// Where tracefs is mounted, below the host's root; the second on kernels
/// before 4.1, and where debugfs mounts it by itself.
const PLACES: [&str; 2] = ["sys/kernel/tracing", "sys/kernel/debug/tracing"];

/// The mounted tracefs.
#[derive(Debug, Clone)]
pub(super) struct Tracefs {
    pub(super) root: PathBuf,
}

/// Why tracing cannot be had: what was seen, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) says: String,
    pub(super) remedy: String,
}

impl Tracefs {
    /// The tracefs of the node under `host_root`, in which an instance of our
    /// own can be made. Changes nothing.
    ///
    /// # Errors
    ///
    /// When it is not mounted, or may not be used.
    pub(super) fn find(host_root: &Path) -> Result<Self, Refused> {
        let first = host_root.join(PLACES[0]);
        let mut refused = None;
        for place in PLACES {
            let root = host_root.join(place);
            match access(root.join("instances"), Access::WRITE_OK | Access::EXEC_OK) {
                Ok(()) => return Self { root }.readable(),
                Err(error) if error != rustix::io::Errno::NOENT => {
                    refused.get_or_insert((root, io::Error::from(error)));
                }
                Err(_) => {}
            }
        }
        Err(match refused {
            Some((root, error)) => not_permitted(&root, &error),
            None => Refused {
                says: format!("tracefs is not mounted at {}", first.display()),
                remedy: format!(
                    "on the node: mount -t tracefs nodev {}; in a container, mount the node's \
                     there too, writable",
                    first.display()
                ),
            },
        })
    }

    fn readable(self) -> Result<Self, Refused> {
        match self.layout(None) {
            Ok(_) => Ok(self),
            Err(error) => Err(not_permitted(&self.root, &error)),
        }
    }

    /// The layout of pages: those of an instance, where it says so itself.
    pub(super) fn layout(&self, instance: Option<&Path>) -> io::Result<Layout> {
        let own = instance.map(|path| read(&path.join("events/header_page"), FORMAT_BYTES_MAX));
        let text = match own {
            Some(Ok(text)) => text,
            _ => read(&self.root.join("events/header_page"), FORMAT_BYTES_MAX)?,
        };
        Layout::parse(&text).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, "header_page describes no page that we read")
        })
    }

    /// The number that the kernel gave an event; nothing where it has none of
    /// that name. It changes when the driver is loaded again.
    pub(super) fn id(&self, watched: &Watched) -> Option<u16> {
        let text = read(&self.event(watched).join("id"), 32).ok()?;
        std::str::from_utf8(&text).ok()?.trim().parse().ok()
    }

    /// The folder of an event.
    pub(super) fn event(&self, watched: &Watched) -> PathBuf {
        self.root.join("events").join(watched.group).join(watched.name)
    }
}

fn not_permitted(root: &Path, error: &io::Error) -> Refused {
    Refused {
        says: format!("{} cannot be used: {error}", root.display()),
        remedy: "run as root, mount it writable, and leave kernel lockdown below confidentiality"
            .to_owned(),
    }
}

/// At most `limit` bytes of a file, with room for all of them at each read:
/// `header_page` gives what fits the first and then ends.
pub(super) fn read(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let (mut bytes, mut held) = (vec![0; limit], 0);
    loop {
        match file.read(&mut bytes[held..]) {
            Ok(0) => break,
            Ok(length) => held += length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(held);
    Ok(bytes)
}

/// Writes a setting in one call, and makes no file that is not there.
pub(super) fn write(path: &Path, value: &str) -> io::Result<()> {
    let told = |error: io::Error| {
        io::Error::new(error.kind(), format!("cannot write {value} to {}: {error}", path.display()))
    };
    let mut file = File::options().write(true).open(path).map_err(told)?;
    file.write_all(value.as_bytes()).map_err(told)
}
