//! How much a recorder may keep.

/// How much a recorder may keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all segments together. The oldest segment gives way before a
    /// new one could pass this.
    pub bytes: u64,
    /// Age beyond which a segment is removed, ns.
    pub age_ns: u64,
    /// Bytes that others shall find free on the same disk; where they would
    /// not, nothing is recorded.
    pub free_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 512 << 20, age_ns: 24 * 3600 * 1_000_000_000, free_bytes: 256 << 20 }
    }
}

impl Limits {
    /// Bytes of one segment: a sixteenth, so that what gives way at once is
    /// little, but no more than a reader likes to skip.
    pub(super) fn segment_bytes(&self) -> u64 {
        (self.bytes / 16).clamp(SEGMENT_BYTES_LEAST, 64 << 20)
    }

    /// How long one segment may go on, ns: an eighth of the age, so that what
    /// is too old goes in time.
    pub(super) const fn segment_ns(&self) -> u64 {
        self.age_ns / 8
    }
}

/// The smallest segment: what is known at its begin takes room in each.
pub(super) const SEGMENT_BYTES_LEAST: u64 = 512 << 10;
