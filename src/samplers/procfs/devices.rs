//! Devices that come and go by name: found fast, followed within a limit.

use super::report::Absence;

/// A longer name is cut. The kernel's own limits are 15 bytes for an interface
/// and 31 for a disk.
pub const DEVICE_NAME_BYTES_MAX: usize = 32;

/// Names remembered in one file, those that are passed over included; a further
/// one is refused as [`Absence::DeviceRefused`].
pub const NAMES_MAX: usize = 1024;

/// A device's name: short, and printable whatever the kernel was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name {
    bytes: [u8; DEVICE_NAME_BYTES_MAX],
    length: u8,
}

impl Name {
    /// `raw`, cut to length, with `_` for each byte that is not printable ASCII.
    #[inline]
    pub(crate) fn new(raw: &[u8]) -> Self {
        let mut name = Self { bytes: [0; DEVICE_NAME_BYTES_MAX], length: 0 };
        for (place, &byte) in name.bytes.iter_mut().zip(raw) {
            *place = if byte.is_ascii_graphic() { byte } else { b'_' };
            name.length += 1;
        }
        name
    }

    /// The name as text.
    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.length)])
            .expect("a name is made of printable ASCII only")
    }
}

/// The names in one file, and the device of each that is followed.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// Sorted by name.
    rows: Vec<Row>,
    round: u64,
}

#[derive(Debug)]
struct Row {
    name: Name,
    device: Option<u32>,
    round: u64,
}

impl Names {
    /// Begins to read the file once more.
    pub(crate) fn begin(&mut self) {
        self.round += 1;
    }

    /// The device of this name, `None` if it is passed over.
    ///
    /// `meet` decides about a name that was not there last time.
    ///
    /// # Errors
    ///
    /// [`Absence::DeviceRefused`] for a name that stood in this round before and
    /// for one too many; what `meet` says otherwise.
    #[inline]
    pub(crate) fn device(
        &mut self,
        name: Name,
        meet: impl FnOnce(&Name) -> Result<Option<u32>, Absence>,
    ) -> Result<Option<u32>, Absence> {
        match self.rows.binary_search_by(|row| row.name.cmp(&name)) {
            Ok(at) if self.rows[at].round == self.round => Err(Absence::DeviceRefused),
            Ok(at) => {
                self.rows[at].round = self.round;
                Ok(self.rows[at].device)
            }
            Err(_) if self.rows.len() >= NAMES_MAX => Err(Absence::DeviceRefused),
            Err(at) => {
                let device = meet(&name)?;
                self.rows.insert(at, Row { name, device, round: self.round });
                Ok(device)
            }
        }
    }

    /// Forgets the names that did not stand in this round, telling `gone` of their devices.
    pub(crate) fn forget_missing(&mut self, mut gone: impl FnMut(u32)) {
        let round = self.round;
        self.rows.retain(|row| {
            if row.round != round
                && let Some(device) = row.device
            {
                gone(device);
            }
            row.round == round
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_cut_and_made_printable() {
        let long = [b'x'; 40];
        for (raw, expected) in [
            (&b"eth0"[..], "eth0"),
            (b"a b\0c\nd\x7f", "a_b_c_d_"),
            ("é".as_bytes(), "__"),
            (b"", ""),
            (&long, &"x".repeat(DEVICE_NAME_BYTES_MAX)),
        ] {
            assert_eq!(Name::new(raw).as_str(), expected);
        }
    }

    /// One round over `names`, each new one getting the next number.
    fn round(names: &mut Names, next: &mut u32, raw: &[&str]) -> (Vec<Option<u32>>, Vec<u32>) {
        names.begin();
        let found = raw
            .iter()
            .map(|raw| {
                let meet = |_: &Name| {
                    *next += 1;
                    Ok(Some(*next))
                };
                names.device(Name::new(raw.as_bytes()), meet).unwrap_or(None)
            })
            .collect();
        let mut gone = Vec::new();
        names.forget_missing(|device| gone.push(device));
        (found, gone)
    }

    #[test]
    fn names_keep_their_device_until_they_are_missing() {
        let (mut names, mut next) = (Names::default(), 0);
        assert_eq!(round(&mut names, &mut next, &["b", "a"]), (vec![Some(1), Some(2)], vec![]));
        assert_eq!(round(&mut names, &mut next, &["a", "b"]), (vec![Some(2), Some(1)], vec![]));
        assert_eq!(round(&mut names, &mut next, &["b", "c"]), (vec![Some(1), Some(3)], vec![2]));
        assert_eq!(round(&mut names, &mut next, &["a"]), (vec![Some(4)], vec![1, 3]));
    }

    #[test]
    fn a_name_twice_in_a_round_and_one_too_many_are_refused() {
        let (mut names, mut next) = (Names::default(), 0);
        assert_eq!(round(&mut names, &mut next, &["a", "a"]).0, [Some(1), None]);
        names.begin();
        for number in 0..NAMES_MAX + 5 {
            let name = Name::new(format!("n{number}").as_bytes());
            // Of all but "a", which is still remembered, one less fits.
            let expected =
                if number < NAMES_MAX - 1 { Ok(None) } else { Err(Absence::DeviceRefused) };
            assert_eq!(names.device(name, |_| Ok(None)), expected);
        }
    }

    #[test]
    fn a_name_that_nobody_could_decide_about_is_met_again() {
        let mut names = Names::default();
        let name = Name::new(b"sda");
        names.begin();
        assert_eq!(names.device(name, |_| Err(Absence::Denied)), Err(Absence::Denied));
        assert_eq!(names.device(name, |_| Ok(Some(7))), Ok(Some(7)));
    }
}
