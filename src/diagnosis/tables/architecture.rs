//! Which generation of chip a model is, and of driver a version: the meaning
//! of a code depends on both.

/// A generation of data-centre GPUs, as NVIDIA's catalogue of Xids has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Architecture {
    /// Not known, or one that the catalogue has no column for.
    #[default]
    Unknown,
    /// A100, A800, A30, A40 and their kin.
    Ampere,
    /// H100, H200, H800, H20, and GH200's GPU.
    Hopper,
    /// B100, B200, B300.
    Blackwell,
    /// GB200 and GB300: Blackwell with a Grace processor.
    GraceBlackwell,
}

impl Architecture {
    /// The generation of a card by the name that its driver gives.
    #[must_use]
    pub fn of_model(device_model: &str) -> Self {
        let names = [
            (Self::GraceBlackwell, &["GB200", "GB300"][..]),
            (Self::Hopper, &["GH200", "H100", "H200", "H800", "H20"]),
            (Self::Blackwell, &["B100", "B200", "B300"]),
            (Self::Ampere, &["A100", "A800", "A30", "A40", "A10", "A16", "A2"]),
        ];
        let mut words = device_model.split([' ', '-', '_', '/']);
        let of_word = |word: &str| names.iter().find(|(_, known)| known.contains(&word));
        words.find_map(of_word).map_or(Self::Unknown, |(architecture, _)| *architecture)
    }

    /// Where the catalogue has its column.
    pub(super) const fn column(self) -> Option<usize> {
        match self {
            Self::Unknown => None,
            Self::Ampere => Some(0),
            Self::Hopper => Some(1),
            Self::Blackwell => Some(2),
            Self::GraceBlackwell => Some(3),
        }
    }
}

/// The branch of a driver's version, 570 of `570.86.15`; none where unknown.
#[must_use]
pub fn driver_branch(version: &str) -> Option<u32> {
    version.split('.').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_s_generation_is_known_by_its_name() {
        for (model, expected) in [
            ("NVIDIA A100-SXM4-80GB", Architecture::Ampere),
            ("NVIDIA H100 80GB HBM3", Architecture::Hopper),
            ("NVIDIA H200", Architecture::Hopper),
            ("NVIDIA GH200 480GB", Architecture::Hopper),
            ("NVIDIA B200", Architecture::Blackwell),
            ("NVIDIA GB200", Architecture::GraceBlackwell),
            ("NVIDIA L40S", Architecture::Unknown),
            ("Tesla V100-SXM2-16GB", Architecture::Unknown),
            ("", Architecture::Unknown),
        ] {
            assert_eq!(Architecture::of_model(model), expected, "{model}");
        }
    }

    #[test]
    fn a_driver_s_branch_is_its_first_number() {
        assert_eq!(driver_branch("570.86.15"), Some(570));
        assert_eq!(driver_branch("580"), Some(580));
        assert_eq!(driver_branch(""), None);
        assert_eq!(driver_branch("Ascend"), None);
    }
}
