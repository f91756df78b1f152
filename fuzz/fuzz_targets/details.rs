//! What an engine says beside its steps: whatever its memory holds, what is
//! read stays within its bounds, fits a batch and survives both trips.

#![no_main]

use std::sync::Arc;

use eagle_eye::schema::{
    ADAPTERS_MAX, BUCKETS_MAX, BatchHead, BatchView, BatchWriter, DETAIL_RANKS_MAX, EngineDetails,
    NAME_BYTES_MAX, POSITIONS_MAX, REASONS_MAX, Tables,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let (ranks, _) = EngineDetails::read_all(bytes);
    assert!(ranks.len() <= DETAIL_RANKS_MAX);
    ranks.iter().for_each(check);
    // Ranks of which nothing was believed leave no entry.
    let said: Vec<_> = ranks
        .into_iter()
        .filter(|of| *of != EngineDetails { rank: of.rank, ..EngineDetails::default() })
        .collect();
    let again = EngineDetails::write_all(&said, usize::MAX);
    assert_eq!(EngineDetails::read_all(&again), (said.clone(), 0), "in memory");
    let mut writer = BatchWriter::default();
    for details in said.into_iter().take(4) {
        let details = [Arc::new(details)];
        let tables = Tables { details: &details, ..Tables::default() };
        let head: BatchHead = bytemuck::Zeroable::zeroed();
        let view = BatchView::verify(writer.write(&head, &tables)).expect("it fits a batch");
        assert!(view.details().eq([EngineDetails::clone(&details[0])]), "on the wire");
    }
});

fn check(details: &EngineDetails) {
    assert!(details.sketches.len() <= 6 && details.finished.len() <= REASONS_MAX);
    assert!(details.adapters.len() <= ADAPTERS_MAX);
    let positions = details.speculation.as_ref().map_or(0, |of| of.accepted.len());
    assert!(positions <= POSITIONS_MAX);
    let reasons = details.finished.iter().map(|of| &of.reason);
    for name in reasons.chain(details.adapters.iter().map(|of| &of.name)) {
        assert!(name.len() <= NAME_BYTES_MAX && !name.is_empty());
    }
    for sketch in &details.sketches {
        assert!(usize::from(sketch.offset) + sketch.buckets.len() <= usize::from(BUCKETS_MAX));
        let quantiles = [0.0, 0.5, 0.99, 1.0].map(|share| sketch.quantile(share));
        assert!(quantiles.is_sorted() && quantiles.iter().flatten().all(|s| s.is_finite()));
        let mut twice = sketch.clone();
        twice.merge(sketch);
        assert_eq!(twice.quantile(0.5).is_some(), sketch.quantile(0.5).is_some());
    }
}
