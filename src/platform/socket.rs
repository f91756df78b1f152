//! Unix sockets that keep message borders and pass descriptors.

#![expect(
    unsafe_code,
    reason = "asks for a peer whose process id may be 0, which rustix cannot say"
)]

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, chmod, fchmod};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
    accept_with, bind, connect, listen, recvmsg, sendmsg, socket_with,
};

/// Most descriptors in one message.
pub const DESCRIPTORS_MAX: usize = 4;

/// A listening socket, non-blocking; its file is removed when it is dropped.
#[derive(Debug)]
pub struct Listener {
    descriptor: OwnedFd,
    path: std::path::PathBuf,
}

/// One end of a connection, non-blocking; each `send` arrives as one `receive`.
#[derive(Debug)]
pub struct Connection {
    descriptor: OwnedFd,
}

/// Who is at the other end, by the kernel's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Process id in our own namespace; 0 where it cannot be seen.
    pub process: u32,
    /// User id.
    pub user: u32,
    /// Group id.
    pub group: u32,
}

/// What [`Connection::receive`] found.
#[derive(Debug)]
pub enum Received {
    /// A message of this many bytes, with descriptors.
    Message(usize, Vec<OwnedFd>),
    /// Nothing now.
    Nothing,
    /// A message longer than the buffer; it is gone.
    Oversized,
    /// The other end is gone.
    HungUp,
}

impl Listener {
    /// Listens at `path`. A file left there by a process that died is
    /// replaced; one at which somebody answers is not.
    ///
    /// # Errors
    ///
    /// `AddrInUse` when somebody answers there; otherwise what the system
    /// says of the path.
    pub fn bind(path: &Path, backlog: i32) -> io::Result<Self> {
        Self::bind_with_mode(path, backlog, 0o777)
    }

    /// As [`Listener::bind`], where the path's `mode` says who may call; there
    /// is no instant at which anyone else could.
    ///
    /// # Errors
    ///
    /// As [`Listener::bind`].
    pub fn bind_with_mode(path: &Path, backlog: i32, mode: u32) -> io::Result<Self> {
        let address = SocketAddrUnix::new(path)?;
        let descriptor = new_socket()?;
        // The path is made with the socket's own mode, less the umask.
        fchmod(&descriptor, Mode::from_raw_mode(mode))?;
        match bind(&descriptor, &address) {
            Err(rustix::io::Errno::ADDRINUSE) => {
                if Connection::connect(path).is_ok() {
                    return Err(io::ErrorKind::AddrInUse.into());
                }
                std::fs::remove_file(path)?;
                bind(&descriptor, &address)?;
            }
            other => other?,
        }
        // What the umask took away.
        chmod(path, Mode::from_raw_mode(mode))?;
        listen(&descriptor, backlog)?;
        Ok(Self { descriptor, path: path.to_owned() })
    }

    /// The next caller, or nothing now.
    ///
    /// # Errors
    ///
    /// When descriptors run out.
    pub fn accept(&self) -> io::Result<Option<Connection>> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        match accept_with(&self.descriptor, flags) {
            Ok(descriptor) => Ok(Some(Connection { descriptor })),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::CONNABORTED) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Connection {
    /// Calls whoever listens at `path`.
    ///
    /// # Errors
    ///
    /// When nobody does, or we may not.
    pub fn connect(path: &Path) -> io::Result<Self> {
        let descriptor = new_socket()?;
        connect(&descriptor, &SocketAddrUnix::new(path)?)?;
        Ok(Self { descriptor })
    }

    /// Who is at the other end.
    ///
    /// # Errors
    ///
    /// When the kernel does not say.
    pub fn peer(&self) -> io::Result<Peer> {
        // The kernel says 0 for a process in a namespace that we cannot see,
        // as from an agent's container into another's; rustix's type for it
        // has no 0.
        let mut credentials = libc::ucred { pid: 0, uid: 0, gid: 0 };
        let mut bytes = size_of::<libc::ucred>() as libc::socklen_t;
        // SAFETY: the kernel writes no more than `bytes` bytes, which is the
        // size of `credentials`, and any bytes are a valid `ucred`.
        let result = unsafe {
            libc::getsockopt(
                self.descriptor.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERCRED,
                (&raw mut credentials).cast(),
                &raw mut bytes,
            )
        };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Peer {
            process: credentials.pid.unsigned_abs(),
            user: credentials.uid,
            group: credentials.gid,
        })
    }

    /// Sends one message, with descriptors. Never blocks.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when the other end does not read; `BrokenPipe` when it is
    /// gone.
    pub fn send(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let fits = descriptors.is_empty()
            || descriptors.len() <= DESCRIPTORS_MAX
                && control.push(SendAncillaryMessage::ScmRights(descriptors));
        if !fits {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        sendmsg(&self.descriptor, &[IoSlice::new(bytes)], &mut control, flags)?;
        Ok(())
    }

    /// The next message, into `buffer`. Never blocks. Descriptors beyond
    /// [`DESCRIPTORS_MAX`] are closed by the kernel.
    ///
    /// # Errors
    ///
    /// What the system says, other than that nothing is here or that the
    /// other end is gone.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<Received> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
        let mut parts = [IoSliceMut::new(buffer)];
        let received = match recvmsg(&self.descriptor, &mut parts, &mut control, flags) {
            Ok(received) => received,
            Err(rustix::io::Errno::AGAIN) => return Ok(Received::Nothing),
            Err(rustix::io::Errno::CONNRESET) => return Ok(Received::HungUp),
            Err(error) => return Err(error.into()),
        };
        let mut descriptors = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(passed) = message {
                descriptors.extend(passed);
            }
        }
        if received.bytes == 0 {
            return Ok(Received::HungUp);
        }
        if received.flags.contains(ReturnFlags::TRUNC) {
            return Ok(Received::Oversized);
        }
        Ok(Received::Message(received.bytes, descriptors))
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

fn new_socket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    Ok(socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?)
}

#[cfg(all(test, not(miri)))]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    fn pair() -> (tempfile::TempDir, Connection, Connection) {
        let dir = tempfile::tempdir().expect("a folder for the socket");
        let listener = Listener::bind(&dir.path().join("s"), 4).expect("the path is free");
        let caller = Connection::connect(&dir.path().join("s")).expect("somebody listens");
        let answerer = listener.accept().expect("accepting works").expect("somebody called");
        (dir, caller, answerer)
    }

    #[test]
    fn messages_keep_their_borders_and_bring_descriptors() {
        let (_dir, caller, answerer) = pair();
        let file = std::fs::File::open("/proc/self/stat").unwrap();
        caller.send(b"one", &[file.as_fd()]).unwrap();
        caller.send(b"two", &[]).unwrap();
        let mut buffer = [0; 16];
        let Received::Message(3, passed) = answerer.receive(&mut buffer).unwrap() else {
            panic!("expected three bytes")
        };
        assert_eq!((passed.len(), &buffer[..3]), (1, &b"one"[..]));
        assert!(matches!(answerer.receive(&mut buffer).unwrap(), Received::Message(3, _)));
        assert!(matches!(answerer.receive(&mut buffer).unwrap(), Received::Nothing));
        assert_eq!(answerer.peer().unwrap().process, std::process::id());
    }

    #[test]
    fn a_message_too_long_and_a_hang_up_are_told_apart() {
        let (_dir, caller, answerer) = pair();
        caller.send(&[1; 100], &[]).unwrap();
        drop(caller);
        let mut buffer = [0; 16];
        assert!(matches!(answerer.receive(&mut buffer).unwrap(), Received::Oversized));
        assert!(matches!(answerer.receive(&mut buffer).unwrap(), Received::HungUp));
    }

    #[test]
    fn the_mode_says_who_may_call() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let _listener = Listener::bind_with_mode(&path, 4, 0o620).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o620);
    }

    #[test]
    fn a_path_left_by_the_dead_is_taken_over_and_one_in_use_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let mut first = Listener::bind(&path, 4).unwrap();
        let refused = Listener::bind(&path, 4).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AddrInUse);
        // A process that was killed leaves the file behind.
        first.path = dir.path().join("elsewhere");
        drop(first);
        assert!(path.exists());
        assert!(Listener::bind(&path, 4).is_ok());
    }
}
