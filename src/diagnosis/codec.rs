//! How a snapshot's bytes are written, and read as if an enemy wrote them.

/// Writes numbers and texts, little-endian, texts with their length before.
#[derive(Debug, Default)]
pub(super) struct Pen(pub(super) Vec<u8>);

impl Pen {
    pub(super) fn byte(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(super) fn number(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn float(&mut self, value: f64) {
        self.number(value.to_bits());
    }

    pub(super) fn text(&mut self, text: &str) {
        self.0.extend_from_slice(&(text.len() as u32).to_le_bytes());
        self.0.extend_from_slice(text.as_bytes());
    }

    /// A length, then each of them.
    pub(super) fn list<T>(&mut self, all: &[T], mut write: impl FnMut(&mut Self, &T)) {
        self.number(all.len() as u64);
        for of in all {
            write(self, of);
        }
    }
}

/// Reads what a [`Pen`] wrote; nothing where the bytes are none of it.
#[derive(Debug)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl Reader<'_> {
    pub(super) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*first))
    }

    pub(super) fn float(&mut self) -> Option<f64> {
        Some(f64::from_bits(self.number()?))
    }

    /// A text of at most so many bytes.
    pub(super) fn text(&mut self, most: usize) -> Option<String> {
        let (length, rest) = self.0.split_first_chunk()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let (text, rest) = rest.split_at_checked(length).filter(|_| length <= most)?;
        self.0 = rest;
        String::from_utf8(text.to_vec()).ok()
    }

    /// A list of at most so many.
    pub(super) fn list<T>(
        &mut self,
        most: usize,
        mut read: impl FnMut(&mut Self) -> Option<T>,
    ) -> Option<Vec<T>> {
        let length = usize::try_from(self.number()?).ok().filter(|length| *length <= most)?;
        // Bytes that lie about a length cost what they hold, not what they say.
        let mut all = Vec::new();
        for _ in 0..length {
            all.push(read(self)?);
        }
        Some(all)
    }
}
