//! From the library's units to base units; what it marks as invalid, and what
//! no chip can have, is none.

use super::code::Failure;

/// Of the board's controller: there is no value.
const NO_VALUE: i32 = 0x7FFD;
/// Of the board's controller: reading failed.
const READ_FAILED: i32 = 0x7FFF;
/// Of an optical module: a copper cable, which has no temperature.
const COPPER: i32 = 0x7EFF;

/// A temperature in whole °C.
///
/// # Errors
///
/// [`Failure::Invalid`] for the marks of no value and for what no chip reaches.
pub fn celsius(raw: i32) -> Result<f64, Failure> {
    match raw {
        NO_VALUE | READ_FAILED | COPPER => Err(Failure::Invalid),
        -273..=1000 => Ok(f64::from(raw)),
        _ => Err(Failure::Invalid),
    }
}

/// Power in tenths of a watt.
///
/// # Errors
///
/// [`Failure::Invalid`] for the marks of no value and what is negative.
pub fn watts(raw: i32) -> Result<f64, Failure> {
    match raw {
        NO_VALUE | READ_FAILED => Err(Failure::Invalid),
        0..=1_000_000 => Ok(f64::from(raw) / 10.0),
        _ => Err(Failure::Invalid),
    }
}

/// A voltage in hundredths of a volt.
///
/// # Errors
///
/// [`Failure::Invalid`] for the marks of no value.
pub fn volts(raw: u32) -> Result<f64, Failure> {
    match i32::try_from(raw) {
        Ok(NO_VALUE | READ_FAILED) => Err(Failure::Invalid),
        Ok(raw @ 0..=100_000) => Ok(f64::from(raw) / 100.0),
        _ => Err(Failure::Invalid),
    }
}

/// A clock in MHz.
///
/// # Errors
///
/// [`Failure::Invalid`] for the mark of no value and what no clock reaches.
pub fn hertz(raw: u32) -> Result<f64, Failure> {
    if raw > 1_000_000 { Err(Failure::Invalid) } else { Ok(f64::from(raw) * 1e6) }
}

/// A share in percent.
///
/// # Errors
///
/// [`Failure::Invalid`] above 100.
pub fn ratio(raw: u32) -> Result<f64, Failure> {
    if raw > 100 { Err(Failure::Invalid) } else { Ok(f64::from(raw) / 100.0) }
}

/// An amount of memory in MB, which are 2^20 bytes.
///
/// # Errors
///
/// [`Failure::Invalid`] for what no chip has.
pub fn bytes(raw: u64) -> Result<f64, Failure> {
    // 2^33 MB are 8 PiB; below it a double is exact.
    if raw >= 1 << 33 { Err(Failure::Invalid) } else { count(raw << 20) }
}

/// A number of things in 32 bits, all ones where there is none.
///
/// # Errors
///
/// [`Failure::Invalid`] for all ones.
pub fn count_32(raw: u32) -> Result<f64, Failure> {
    if raw == u32::MAX { Err(Failure::Invalid) } else { Ok(f64::from(raw)) }
}

/// A number of things in 64 bits, all ones where there is none. Above 2^53 the
/// lowest bits are lost.
///
/// # Errors
///
/// [`Failure::Invalid`] for all ones.
pub fn count(raw: u64) -> Result<f64, Failure> {
    if raw == u64::MAX { Err(Failure::Invalid) } else { Ok(raw as f64) }
}

/// The text in a buffer of C: up to the first zero, printable, without space
/// around it, no longer than the wire's names need.
#[must_use]
pub fn text(raw: &[u8]) -> String {
    let end = raw.iter().position(|byte| *byte == 0).unwrap_or(raw.len()).min(TEXT_BYTES_MAX);
    let text = String::from_utf8_lossy(&raw[..end]);
    let printable = text.chars().filter(|c| !c.is_control() && *c != char::REPLACEMENT_CHARACTER);
    printable.collect::<String>().trim().to_owned()
}

/// Most bytes of a text of the library's.
pub const TEXT_BYTES_MAX: usize = 256;

/// Seconds or milliseconds since 1970, whichever it is by its size, in ns; 0
/// where it is no time that a device can have.
#[must_use]
pub fn wall_ns(raw: u64) -> u64 {
    let milliseconds = if raw > 100_000_000_000 { raw } else { raw.saturating_mul(1000) };
    // 2262 is where ns in 63 bits end.
    if milliseconds > 9_223_372_036_854 { 0 } else { milliseconds * 1_000_000 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_base_units() {
        assert_eq!(celsius(45), Ok(45.0));
        assert_eq!(celsius(-5), Ok(-5.0));
        assert_eq!(watts(951), Ok(95.1));
        assert_eq!(volts(83), Ok(0.83));
        assert_eq!(hertz(1650), Ok(1.65e9));
        assert_eq!(ratio(37), Ok(0.37));
        assert_eq!(bytes(65_536), Ok(68_719_476_736.0));
    }

    #[test]
    fn marks_of_no_value_are_none() {
        for raw in [0x7FFD, 0x7FFF, 0x7EFF, -1000, i32::MIN, i32::MAX] {
            assert_eq!(celsius(raw), Err(Failure::Invalid), "{raw}");
        }
        for raw in [0x7FFD, 0x7FFF, -1, i32::MAX] {
            assert_eq!(watts(raw), Err(Failure::Invalid), "{raw}");
        }
        for raw in [0x7FFD, 0x7FFF, u32::MAX] {
            assert_eq!(volts(raw), Err(Failure::Invalid), "{raw}");
        }
        assert_eq!(hertz(u32::MAX), Err(Failure::Invalid));
        assert_eq!(ratio(101), Err(Failure::Invalid));
        assert_eq!(bytes(u64::MAX), Err(Failure::Invalid));
        assert_eq!(count_32(u32::MAX), Err(Failure::Invalid));
        assert_eq!(count(u64::MAX), Err(Failure::Invalid));
    }

    #[test]
    fn a_time_is_seconds_or_milliseconds_by_its_size() {
        assert_eq!(wall_ns(1_700_000_000), 1_700_000_000_000_000_000);
        assert_eq!(wall_ns(1_700_000_000_123), 1_700_000_000_123_000_000);
        assert_eq!(wall_ns(0), 0);
        assert_eq!(wall_ns(u64::MAX), 0);
    }

    #[test]
    fn a_text_ends_at_the_zero_and_has_no_control_characters() {
        assert_eq!(text(b"910B2\0garbage"), "910B2");
        assert_eq!(text(b" V\x1b[1\xff \0"), "V[1");
        assert_eq!(text(&[b'x'; 1000]).len(), TEXT_BYTES_MAX);
    }
}
