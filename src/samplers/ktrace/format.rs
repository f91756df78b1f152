//! What the kernel says of the form of its pages and records, so that no
//! offset stands in our code: the files `header_page` and `format` of tracefs.

use super::watched::Watched;

/// A longer description is not read.
pub const FORMAT_BYTES_MAX: usize = 64 << 10;

/// Larger pages are refused: 64 KiB is the largest that kernels have by
/// default, and sub-buffers may be some of them.
pub const PAGE_BYTES_MAX: usize = 256 << 10;

/// One field of a page or record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Field {
    offset: usize,
    size: usize,
    shape: Shape,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Number {
        signed: bool,
    },
    /// Bytes up to a zero, in place.
    Text,
    /// A word that says where the bytes are, from the record's start.
    Located,
    /// The same, from the word's own end.
    LocatedBehind,
    /// What we do not read.
    Other,
}

/// Where things stand in a page of a trace buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Where the time of its first record stands, 8 bytes.
    pub time: usize,
    /// Where the length of its data stands, 4 bytes or the first 4 of 8.
    pub commit: usize,
    /// Where its data begins.
    pub data: usize,
    /// The whole page, bytes.
    pub bytes: usize,
}

impl Layout {
    /// The layout that `text` of `header_page` describes.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let time = field(text, "timestamp").filter(|field| field.size == 8)?;
        let commit = field(text, "commit").filter(|field| matches!(field.size, 4 | 8))?;
        let data = field(text, "data")?;
        let bytes = data.offset.checked_add(data.size)?;
        let ends = [time, commit].map(|field| field.offset.saturating_add(field.size));
        let fits = bytes <= PAGE_BYTES_MAX && data.size >= 8;
        let apart = ends.iter().all(|end| *end <= data.offset);
        let layout = Self { time: time.offset, commit: commit.offset, data: data.offset, bytes };
        (fits && apart).then_some(layout)
    }
}

/// Where things stand in the records of one trace event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    /// The event.
    pub watched: &'static Watched,
    /// The number by which its records are known.
    pub id: u16,
    device: Field,
    code: Field,
    text: Field,
}

/// What a record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told<'a> {
    /// The device's PCI address.
    pub device: &'a [u8],
    /// The Xid or SXid.
    pub code: u64,
    /// The driver's text.
    pub text: &'a [u8],
}

impl Form {
    /// The form that `text` of the event's `format` describes.
    ///
    /// # Errors
    ///
    /// A sentence that names what is missing.
    pub fn parse(watched: &'static Watched, text: &[u8]) -> Result<Self, String> {
        let common = field(text, "common_type");
        if common.is_none_or(|field| (field.offset, field.size) != (0, 2)) {
            return Err(format!("the format of {} has no common_type in front", watched.name));
        }
        let id = lines(text).find_map(|line| line.strip_prefix("ID: ")?.trim().parse().ok());
        let id = id.ok_or_else(|| format!("the format of {} has no ID", watched.name))?;
        let found = |name: &str, fits: fn(Field) -> bool| {
            field(text, name).filter(|field| fits(*field)).ok_or_else(|| {
                format!("the format of {} has no field {name} of a kind we read", watched.name)
            })
        };
        Ok(Self {
            watched,
            id,
            device: found(watched.device, Field::is_text)?,
            code: found(watched.code, Field::is_number)?,
            text: found(watched.text, Field::is_text)?,
        })
    }

    /// What `record` says; nothing where it does not hold what its form says.
    #[must_use]
    pub fn read<'a>(&self, record: &'a [u8]) -> Option<Told<'a>> {
        Some(Told {
            device: self.device.text(record)?,
            code: self.code.number(record)?,
            text: self.text.text(record)?,
        })
    }
}

impl Field {
    fn is_text(self) -> bool {
        match self.shape {
            Shape::Text => true,
            Shape::Located | Shape::LocatedBehind => self.size == 4,
            _ => false,
        }
    }

    fn is_number(self) -> bool {
        matches!(self.shape, Shape::Number { .. }) && matches!(self.size, 1 | 2 | 4 | 8)
    }

    fn bytes(self, record: &[u8]) -> Option<&[u8]> {
        record.get(self.offset..self.offset.checked_add(self.size)?)
    }

    /// The number, its sign kept in two's complement.
    fn number(self, record: &[u8]) -> Option<u64> {
        let bytes = self.bytes(record)?;
        let mut wide = [0; 8];
        wide.get_mut(..bytes.len())?.copy_from_slice(bytes);
        let number = u64::from_le_bytes(wide);
        let unused = 64 - 8 * self.size.min(8) as u32;
        Some(match self.shape {
            Shape::Number { signed: true } => (((number << unused) as i64) >> unused) as u64,
            _ => number,
        })
    }

    fn text(self, record: &[u8]) -> Option<&[u8]> {
        let bytes = match self.shape {
            Shape::Located | Shape::LocatedBehind => {
                let word = self.number(record)? as usize;
                let base = match self.shape {
                    Shape::LocatedBehind => self.offset.checked_add(self.size)?,
                    _ => 0,
                };
                let start = base.checked_add(word & 0xffff)?;
                record.get(start..start.checked_add((word >> 16) & 0xffff)?)?
            }
            _ => self.bytes(record)?,
        };
        Some(memchr::memchr(0, bytes).map_or(bytes, |end| &bytes[..end]))
    }
}

fn lines(text: &[u8]) -> impl Iterator<Item = &str> {
    let text = &text[..text.len().min(FORMAT_BYTES_MAX)];
    text.split(|byte| *byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok())
}

/// The first field of that name.
fn field(text: &[u8], name: &str) -> Option<Field> {
    lines(text).find_map(|line| named(line, name))
}

/// A line such as `field:__data_loc char[] dev; offset:8; size:4; signed:0;`.
fn named(line: &str, name: &str) -> Option<Field> {
    let mut parts = line.trim().strip_prefix("field:")?.split(';').map(str::trim);
    let declaration = parts.next()?;
    let (kind, word) = declaration.rsplit_once(char::is_whitespace)?;
    let (word, array) = match word.split_once('[') {
        Some((word, _)) => (word, true),
        None => (word, false),
    };
    if word.trim_start_matches('*') != name {
        return None;
    }
    let (mut offset, mut size, mut signed) = (None, None, false);
    for part in parts {
        match part.split_once(':') {
            Some(("offset", number)) => offset = number.parse().ok(),
            Some(("size", number)) => size = number.parse().ok(),
            Some(("signed", number)) => signed = number == "1",
            _ => {}
        }
    }
    let shape = match kind.split_whitespace().next()? {
        "__data_loc" => Shape::Located,
        "__rel_data_loc" => Shape::LocatedBehind,
        _ if array && kind.ends_with("char") => Shape::Text,
        _ if array => Shape::Other,
        _ => Shape::Number { signed },
    };
    Some(Field { offset: offset?, size: size?, shape })
}

#[cfg(test)]
mod tests;
