//! A thing that readings are about.

use super::Accelerator;

/// A thing that readings are about: the node itself, a core, an interface.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Device {
    /// Stands for the device in readings; unique on its node while it runs.
    pub index: u32,
    /// What people call it: `cpu0`, `eth0`, `nvme0n1`.
    pub name: String,
    /// `node`, `cpu`, `interface`, `disk`, `container`, `own`,
    /// `gpu`, `npu`.
    pub kind: String,
    /// Who made it; empty where that means nothing.
    pub vendor: String,
    /// A name that survives renumbering; empty where there is none.
    pub uuid: String,
    /// The full id, of a container; else empty.
    pub container: String,
    /// The UID of the container's Kubernetes pod; empty where there is none.
    pub pod: String,
    /// What a GPU, an NPU or a part of one is besides.
    pub accelerator: Option<Box<Accelerator>>,
}
