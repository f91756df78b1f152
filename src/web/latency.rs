//! How long an engine's requests took, as JSON shows it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::rank::milliseconds;
use crate::newest::{Names, StepTableView};
use crate::schema::{EngineDetails, Sketch, SketchKind};

/// One engine's times since its incarnation, over all its ranks and front
/// ends, each within 2.2 %; what is not known is not there.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LatencyState {
    /// The engine's name; its hash in hexadecimal where the name is unknown.
    pub engine: String,
    /// Arrival to first token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttft: Option<Quantiles>,
    /// Between two tokens of one request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inter_token: Option<Quantiles>,
    /// Arrival to last token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_to_end: Option<Quantiles>,
}

/// What half, nine of ten and ninety-nine of a hundred did not exceed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Quantiles {
    /// How many were measured.
    pub count: u64,
    /// Median, ms.
    pub p50_ms: f64,
    /// 90th percentile, ms.
    pub p90_ms: f64,
    /// 99th percentile, ms.
    pub p99_ms: f64,
}

impl LatencyState {
    /// Every engine that says how long its requests took, by name. What
    /// belongs to no step that is here is of a previous incarnation and left
    /// out.
    #[must_use]
    pub fn all(names: &Names, steps: &StepTableView) -> Vec<Self> {
        let said = names.details().since(0);
        if said.is_empty() {
            return Vec::new();
        }
        let here: std::collections::HashSet<_> = steps
            .iter()
            .map(|newest| newest.step)
            .map(|step| (step.instance, step.incarnation, step.rank, step.producer))
            .collect();
        let mut engines: BTreeMap<u64, Vec<Arc<EngineDetails>>> = BTreeMap::new();
        for (_, details) in said {
            let EngineDetails { instance, incarnation, rank, producer, .. } = *details;
            if here.contains(&(instance, incarnation, rank, producer)) {
                engines.entry(instance).or_default().push(details);
            }
        }
        let of = |(instance, of_ranks): (u64, Vec<Arc<EngineDetails>>)| {
            let name = names.engine(instance).map(|engine| engine.name);
            Self::of(name.unwrap_or_else(|| format!("{instance:016x}")), &of_ranks)
        };
        let mut states: Vec<Self> = engines.into_iter().map(of).collect();
        states.sort_by(|a, b| a.engine.cmp(&b.engine));
        states
    }

    fn of(engine: String, of_ranks: &[Arc<EngineDetails>]) -> Self {
        let quantiles = |kind| {
            let mut all = Sketch::new(kind);
            of_ranks.iter().filter_map(|of| of.sketch(kind)).for_each(|sketch| all.merge(sketch));
            Quantiles::of(&all)
        };
        Self {
            engine,
            ttft: quantiles(SketchKind::Ttft),
            inter_token: quantiles(SketchKind::InterToken),
            end_to_end: quantiles(SketchKind::EndToEnd),
        }
    }
}

impl Quantiles {
    fn of(sketch: &Sketch) -> Option<Self> {
        let ms = |share| sketch.quantile(share).map(|seconds| milliseconds((seconds * 1e9) as u64));
        Some(Self { count: sketch.count, p50_ms: ms(0.5)?, p90_ms: ms(0.9)?, p99_ms: ms(0.99)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::newest::{NewestStep, StepTable};
    use crate::schema::Engine;
    use bytemuck::Zeroable;

    #[test]
    fn ranks_merge_and_what_is_unknown_or_of_another_incarnation_is_not_there() {
        let (names, steps) = (Names::new("n"), StepTable::heap(4));
        let engine = Engine::named("one", "m");
        names.put_engine(engine.clone());
        let mut writer = steps.writer();
        for rank in 0..3 {
            let mut newest = NewestStep::zeroed();
            (newest.step.instance, newest.step.incarnation) = (engine.instance, 5);
            newest.step.rank = rank;
            writer.write(&newest);
            let mut sketch = Sketch::new(SketchKind::Ttft);
            sketch.add(1000.0 * f64::from(rank + 1), 10);
            names.details().put(EngineDetails {
                instance: engine.instance,
                incarnation: if rank == 2 { 4 } else { 5 },
                rank,
                sketches: vec![sketch],
                ..EngineDetails::default()
            });
        }
        let all = LatencyState::all(&names, &steps.view());
        let [state] = &all[..] else { panic!("one engine, not {}", all.len()) };
        let ttft = state.ttft.unwrap();
        assert_eq!((state.engine.as_str(), ttft.count, state.end_to_end), ("one", 20, None));
        assert!((ttft.p50_ms - 1.0).abs() < 0.022 && (ttft.p99_ms - 2.0).abs() < 0.044, "{ttft:?}");
        let json = serde_json::to_value(state).unwrap();
        assert!(json["ttft"]["p90_ms"].is_number() && json.get("inter_token").is_none());
    }
}
