//! The kernel's log by system call, for where its device cannot be opened.

#![expect(unsafe_code, reason = "syslog(2) is called through libc, which rustix does not offer")]

use std::io;

/// Of syslog(2): the last bytes of the log, which stays as it is.
const READ_ALL: libc::c_int = 3;
/// Of syslog(2): how many bytes the log holds at most.
const SIZE_BUFFER: libc::c_int = 10;

/// The newest lines of the kernel's log that fit into `buffer`, each as
/// `<6>[    1.234567] text`; how many bytes they are.
///
/// # Errors
///
/// `PermissionDenied` without `CAP_SYSLOG` where `kernel.dmesg_restrict` is
/// set, and what else the kernel says.
pub fn read_all(buffer: &mut [u8]) -> io::Result<usize> {
    let length = libc::c_int::try_from(buffer.len()).unwrap_or(libc::c_int::MAX);
    // SAFETY: the kernel writes at most `length` bytes to the address, and
    // `buffer` is that many bytes or more, exclusively borrowed.
    let read = unsafe { libc::klogctl(READ_ALL, buffer.as_mut_ptr().cast(), length) };
    usize::try_from(read).map_err(|_| io::Error::last_os_error())
}

/// How many bytes the kernel's log holds at most, in the kernel's own form.
///
/// # Errors
///
/// As [`read_all`].
pub fn bytes_max() -> io::Result<usize> {
    // SAFETY: this action takes no buffer: the kernel looks at neither the
    // address nor the length.
    let bytes = unsafe { libc::klogctl(SIZE_BUFFER, std::ptr::null_mut(), 0) };
    usize::try_from(bytes).map_err(|_| io::Error::last_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_lines_that_fit_are_read_or_the_kernel_says_why_not() {
        let mut buffer = [0_u8; 2048];
        match read_all(&mut buffer) {
            Ok(length) => {
                let text = &buffer[..length];
                assert!(text.is_empty() || text.starts_with(b"<") && text.ends_with(b"\n"));
                assert!(bytes_max().unwrap() >= 1024);
            }
            Err(error) => {
                println!("skipped: this process may not read the kernel's log: {error}");
                assert!(bytes_max().is_err());
            }
        }
    }
}
