//! What a page does not exceed, and what happens there.

/// For how long one rendering serves everybody who asks, ns: 50 scrapers at
/// once cost one rendering.
pub const SHARED_NS: u64 = 10_000_000;

/// Bytes of a page; a series that would pass them is refused and counted.
pub const PAGE_BYTES_MAX: usize = 32 << 20;

/// Series about the agent itself: its health, losses and events.
pub(super) const OWN_SERIES_MAX: usize = 4096;

/// Series about verdicts.
pub(super) const VERDICT_SERIES_MAX: usize = 4096;

/// Series about engines, histograms among them; 150 engines with all that they
/// can say, and 1,500 that say only how loaded they are.
pub(super) const ENGINE_SERIES_MAX: usize = 60_000;

/// Series of readings: of devices, containers and the host. As many as the
/// default table of newest readings holds.
pub(super) const READING_SERIES_MAX: usize = 16_384;

/// Series under other exporters' names.
pub(super) const ALIAS_SERIES_MAX: usize = 8192;

/// Bytes of a label's value; longer ones are cut. Names are bounded to as many
/// where they come in, so that no two of them meet here.
pub const VALUE_BYTES_MAX: usize = 255;

/// A reading is old, and not shown, when it is older than this plus two of the
/// longest period of any sampler, ns. It is what Prometheus itself takes for
/// the end of a series.
pub(super) const READING_AGE_NS_MAX: u64 = 300_000_000_000;

/// Bytes of the page for routers about one rank, headers included; adapters'
/// names beyond are left out.
pub const ROUTING_BYTES_MAX: usize = 2048;

/// Bytes of a name on that page as it is written; longer ones are cut.
pub(super) const ROUTING_NAME_BYTES_MAX: usize = 96;
