//! What the kernel says of the wall clock: whether somebody keeps it right.

#![expect(unsafe_code, reason = "asking the kernel about its clock, which rustix does not")]

use std::io;
use std::mem::MaybeUninit;

/// How the wall clock is kept, by the kernel's own word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeSync {
    /// Whether a time service keeps it and has said so.
    pub synchronized: bool,
    /// How wrong it may be at most by that service's word, µs; kernels count
    /// it up to 16 s where nobody keeps it.
    pub error_us_max: u64,
}

/// Asks the kernel; changes nothing.
///
/// # Errors
///
/// Where a sandbox forbids the question.
pub fn time_sync() -> io::Result<TimeSync> {
    let mut answer = MaybeUninit::<libc::timex>::zeroed();
    // SAFETY: the kernel reads and writes one `timex` at this address, and
    // `modes` 0 in it asks without setting anything.
    let state = unsafe { libc::adjtimex(answer.as_mut_ptr()) };
    if state < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: every field is a number, for which all bytes are valid, and
    // none was left without a value: zeroes or what the kernel wrote.
    let answer = unsafe { answer.assume_init() };
    let unsynchronized = answer.status & libc::STA_UNSYNC != 0 || state == libc::TIME_ERROR;
    Ok(TimeSync {
        synchronized: !unsynchronized,
        error_us_max: u64::try_from(answer.maxerror).unwrap_or_default(),
    })
}

#[cfg(all(test, not(miri)))]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_or_forbids_the_question() {
        match time_sync() {
            Ok(sync) => assert!(sync.synchronized || sync.error_us_max > 0, "{sync:?}"),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{error}"),
        }
    }
}
