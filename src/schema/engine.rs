//! What does not change by the step about an engine.

use super::name_hash;

/// What a router needs to know of an engine besides its load.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Engine {
    /// Hash of `name`.
    pub instance: u64,
    /// Differs after every restart; larger is later on one host.
    pub incarnation: u64,
    /// Hash of `model`.
    pub model_hash: u64,
    /// Unique within a fleet; usually host and port, or a pod's name.
    pub name: String,
    /// The model's name as the engine serves it.
    pub model: String,
    /// What a router dials, such as `http://10.0.0.7:8000`; empty if unknown.
    pub endpoint: String,
    /// Kind and version, such as `vllm 0.32.0`.
    pub engine: String,
    /// Data-parallel ranks.
    pub ranks: u16,
    /// Process id on its node by the kernel's word; 0 where unknown.
    pub process: u32,
    /// How it reports: `plugin`, `scrape`, `direct` or `simulated`.
    pub source: String,
    /// Id of the container that its process runs in; empty where unknown or
    /// none.
    pub container: String,
    /// UID of that container's Kubernetes pod; empty where unknown or none.
    pub pod: String,
}

impl Engine {
    /// An engine by its name and model, with the hashes that follow from them.
    #[must_use]
    pub fn named(name: &str, model: &str) -> Self {
        Self {
            instance: name_hash(name),
            model_hash: name_hash(model),
            name: name.to_owned(),
            model: model.to_owned(),
            ranks: 1,
            ..Self::default()
        }
    }
}
