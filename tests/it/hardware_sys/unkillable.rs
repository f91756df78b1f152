//! A folder that keeps whoever looks into it in the kernel, so that not even
//! SIGKILL ends him: a file system in user space that takes every request and
//! answers none.

use std::fs::File;
use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::JoinHandle;

use eagle_eye::platform::thread;

/// The kernel refuses to hand its requests into less.
const REQUEST_BYTES_MAX: usize = 1 << 18;

/// Such a folder, until it is dropped.
pub(crate) struct Unkillable {
    place: PathBuf,
    server: Option<JoinHandle<()>>,
}

impl Unkillable {
    /// Mounts one at `place`; none where this process may not, or the kernel
    /// has no such file systems.
    pub(crate) fn mount(place: &Path) -> Option<Self> {
        let mut device = File::options().read(true).write(true).open("/dev/fuse").ok()?;
        std::fs::create_dir_all(place).expect("the folder is ours");
        let mounted = Command::new("mount")
            .args(["-i", "-t", "fuse", "-o", "fd=0,rootmode=40000,user_id=0,group_id=0", "ee"])
            .arg(place)
            .stdin(Stdio::from(device.try_clone().expect("a descriptor")))
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        if !mounted {
            return None;
        }
        greet(&mut device);
        let server = thread::spawn("unkillable", None, move || {
            let mut request = vec![0; REQUEST_BYTES_MAX];
            while device.read(&mut request).is_ok_and(|bytes| bytes > 0) {}
        });
        Some(Self { place: place.to_owned(), server: Some(server.expect("a thread")) })
    }
}

impl Drop for Unkillable {
    fn drop(&mut self) {
        // By force ends the requests, lazily ends the mount.
        for how in ["-f", "-l"] {
            let _ = Command::new("umount").arg(how).arg(&self.place).stderr(Stdio::null()).status();
        }
        if let Some(server) = self.server.take() {
            let _ = server.join();
        }
    }
}

/// Answers the first request, which asks for the protocol's version.
fn greet(device: &mut File) {
    let mut request = vec![0; REQUEST_BYTES_MAX];
    let bytes = device.read(&mut request).expect("the kernel greets");
    assert!(bytes >= 40, "a whole request");
    // After the length, an error of none and the request's number: version
    // 7.31, no read-ahead, no flags, one request in the background, congested
    // at one, writes of 64 KiB, times in ns, and nothing else.
    let mut answer = Vec::with_capacity(80);
    answer.extend(80_u32.to_ne_bytes());
    answer.extend(0_u32.to_ne_bytes());
    answer.extend(&request[8..16]);
    for word in [7_u32, 31, 0, 0, 0x0001_0001, 1 << 16, 1] {
        answer.extend(word.to_ne_bytes());
    }
    answer.resize(80, 0);
    device.write_all(&answer).expect("the kernel listens");
}
