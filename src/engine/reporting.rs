//! The node's report, from what is judged and how the agent is.

use crate::diagnosis::report::{Report, Unseen};
use crate::newest::Names;
use crate::platform::clock;
use crate::schema::Verdict;
use crate::web::{ReportForm, SamplerState, Status};

/// The report in words.
pub(super) fn report(names: &Names, status: &Status, form: ReportForm) -> String {
    let report = of(names, status, clock::wall_ns());
    match form {
        ReportForm::Markdown => report.markdown(),
        ReportForm::Html => report.html(),
        ReportForm::Text | ReportForm::Json => report.text(),
    }
}

fn of(names: &Names, status: &Status, wall_ns: u64) -> Report {
    let judged = names.judged();
    let verdicts = |of: Vec<std::sync::Arc<Verdict>>| {
        of.iter().map(|verdict| Verdict::clone(verdict)).collect()
    };
    Report {
        node: names.node().to_owned(),
        wall_ns,
        assessments: judged.assessments().to_vec(),
        open: verdicts(judged.open()),
        resolved: verdicts(judged.resolved()),
        unseen: unseen(names, status),
        simulated: status.simulated
            || names
                .devices()
                .iter()
                .any(|of| of.accelerator.as_ref().is_some_and(|of| of.simulated)),
    }
}

/// Samplers that do not read, devices that do not answer, records that are
/// lost.
fn unseen(names: &Names, status: &Status) -> Vec<Unseen> {
    let samplers =
        status.samplers.iter().filter(|sampler| sampler.state != SamplerState::Ready).map(
            |sampler| Unseen {
                what: sampler.name.clone(),
                why: why(sampler.state, &sampler.sentence),
            },
        );
    let devices = names.devices().into_iter().filter_map(|device| {
        let accelerator = device.accelerator?;
        let absent = accelerator.absent.len();
        (absent > 0).then(|| Unseen {
            what: device.name,
            why: format!("{absent} readings that the device does not give"),
        })
    });
    let losses = status.losses.iter().map(|loss| Unseen {
        what: format!("{} records", loss.count),
        why: format!("lost at {}: {}", loss.place, loss.reason),
    });
    samplers.chain(devices).chain(losses).collect()
}

fn why(state: SamplerState, sentence: &str) -> String {
    match (state, sentence) {
        (SamplerState::Off, "") => "turned off by the configuration".to_owned(),
        (SamplerState::Stalled, "") => "it has not finished a round for long".to_owned(),
        (_, sentence) => sentence.to_owned(),
    }
}
