//! What a verdict is about, and the verdict's stable id.

use crate::schema::Device;

/// What a verdict is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subject<'a> {
    /// `device`, `engine`, `container`, `interface`, `disk` or `node`.
    pub kind: &'a str,
    /// Its name on its node, or in the fleet.
    pub name: &'a str,
}

impl<'a> Subject<'a> {
    /// A GPU, an NPU, or any other device of the node.
    #[must_use]
    pub const fn device(name: &'a str) -> Self {
        Self { kind: "device", name }
    }

    /// An engine.
    #[must_use]
    pub const fn engine(name: &'a str) -> Self {
        Self { kind: "engine", name }
    }

    /// A container.
    #[must_use]
    pub const fn container(name: &'a str) -> Self {
        Self { kind: "container", name }
    }

    /// A network interface.
    #[must_use]
    pub const fn interface(name: &'a str) -> Self {
        Self { kind: "interface", name }
    }

    /// A disk.
    #[must_use]
    pub const fn disk(name: &'a str) -> Self {
        Self { kind: "disk", name }
    }

    /// The node.
    #[must_use]
    pub const fn node(name: &'a str) -> Self {
        Self { kind: "node", name }
    }

    /// The subject that a device of the inventory is.
    #[must_use]
    pub fn of(device: &'a Device) -> Self {
        let kind = match device.kind.as_str() {
            "container" => "container",
            "interface" => "interface",
            "disk" => "disk",
            "node" => "node",
            _ => "device",
        };
        Self { kind, name: &device.name }
    }
}

/// The verdict's id: the same for the same trouble, for ever.
#[must_use]
pub fn verdict_id(node: &str, rule: &str, subject: &str, key: &str) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for part in [node, rule, subject, key] {
        // No text holds 0xff, so that parts cannot run into each other.
        for byte in part.bytes().chain([0xff]) {
            hash ^= u64::from(byte);
            hash = hash.wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    // 0 stands for none.
    hash.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_an_id_do_not_run_into_each_other() {
        assert_ne!(verdict_id("a", "b", "cd", "e"), verdict_id("a", "b", "c", "de"));
        assert_ne!(verdict_id("a", "", "b", ""), verdict_id("a", "b", "", ""));
        assert_eq!(verdict_id("n", "r", "s", "k"), verdict_id("n", "r", "s", "k"));
    }
}
