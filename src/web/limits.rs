//! What the server does not exceed, and what happens there.

use std::time::Duration;

/// Streams at once; the next is answered 503.
pub const STREAMS_MAX: usize = 64;

/// Connections at once; the next is answered 503 and closed. As many as there
/// may be streams remain for everything else, so that streams alone cannot
/// keep a liveness probe out.
pub const CONNECTIONS_MAX: usize = STREAMS_MAX + 64;

/// Connections told at once that there are too many; beyond, they are closed
/// without a word.
pub(super) const REFUSALS_MAX: usize = 16;

/// How long a refused connection may take to hear why.
pub(super) const REFUSAL_TIME: Duration = Duration::from_millis(250);

/// A request's line and headers, bytes; more is answered 431.
pub(super) const HEADER_BYTES_MAX: usize = 16 * 1024;

/// What one connection buffers in each direction, bytes; a stream makes its
/// next frame when there is room.
pub(super) const BUFFER_BYTES_MAX: usize = 64 * 1024;

/// Headers of a request; more are answered 431.
pub(super) const HEADERS_MAX: usize = 64;

/// A request's headers must be there within this time, and a connection may
/// be idle no longer; then it is closed.
pub(super) const HEADER_TIME: Duration = Duration::from_secs(10);

/// A reader that takes nothing for so long is closed.
pub(super) const WRITE_TIME: Duration = Duration::from_secs(30);

/// A stream's comment that says "still here", at least this often.
pub(super) const HEARTBEAT_TIME: Duration = Duration::from_secs(5);

/// Frames a second of a stream that names no rate.
pub(super) const RATE_HZ_DEFAULT: u32 = 10;

/// Most frames a second; more is answered 400.
pub(super) const RATE_HZ_MAX: u32 = 50;

/// The board is read from the tables at most this often, ns: readers share
/// the work.
pub(super) const BOARD_AGE_NS_MAX: u64 = 5_000_000;

/// Events in one answer: the latest.
pub(super) const EVENTS_MAX: usize = 1000;
