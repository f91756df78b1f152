//! What the doctor says: sections of things that were looked at.

use serde_json::{Value, json};

use super::secrets::Secrets;
use crate::engine::samplers::{Need, NeedState};

/// Every state, the best first.
const STATES: [NeedState; 4] =
    [NeedState::Fine, NeedState::NotHere, NeedState::Limited, NeedState::Trouble];

/// The number of the JSON form; a higher one may lack what a lower one had.
const FORM: u32 = 1;

/// Things that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Section {
    /// Stable, for programs.
    pub(super) name: String,
    /// Under which heading it stands.
    pub(super) heading: &'static str,
    /// Whether it is one line where all is as it should be.
    pub(super) folds: bool,
    pub(super) needs: Vec<Need>,
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Report {
    pub(super) version: &'static str,
    pub(super) node: String,
    /// When, as people read it.
    pub(super) time: String,
    pub(super) took_ms: u64,
    pub(super) sections: Vec<Section>,
}

impl Section {
    pub(super) fn new(name: &str, heading: &'static str, needs: Vec<Need>) -> Self {
        Self { name: name.to_owned(), heading, folds: false, needs }
    }

    pub(super) fn of_sampler(name: &str, needs: Vec<Need>) -> Self {
        let name = format!("samplers.{name}");
        Self { name, heading: "Samplers", folds: true, needs }
    }

    /// The worst state in it.
    pub(super) fn worst(&self) -> NeedState {
        worst(&self.needs)
    }

    /// How many of its things are in this state.
    pub(super) fn count(&self, state: NeedState) -> usize {
        self.needs.iter().filter(|need| need.state == state).count()
    }
}

impl Report {
    pub(super) fn count(&self, state: NeedState) -> usize {
        self.sections.iter().map(|section| section.count(state)).sum()
    }

    pub(super) fn has_trouble(&self) -> bool {
        self.count(NeedState::Trouble) > 0
    }

    /// The report without what must not be shown.
    pub(super) fn without(mut self, secrets: &Secrets) -> Self {
        for need in self.sections.iter_mut().flat_map(|section| &mut section.needs) {
            for text in [&mut need.what, &mut need.says, &mut need.remedy] {
                *text = secrets.hide(text);
            }
        }
        self
    }

    pub(super) fn json(&self) -> Value {
        let counts: serde_json::Map<String, Value> =
            STATES.iter().map(|state| (word(*state), self.count(*state).into())).collect();
        let all: Vec<NeedState> = self.sections.iter().map(Section::worst).collect();
        let state = STATES.iter().rev().find(|state| all.contains(state));
        json!({
            "form": FORM,
            "version": self.version,
            "node": self.node,
            "time": self.time,
            "took_ms": self.took_ms,
            "state": word(state.copied().unwrap_or(NeedState::Fine)),
            "counts": counts,
            "sections": self.sections.iter().map(section).collect::<Vec<_>>(),
        })
    }
}

fn section(section: &Section) -> Value {
    let looked = |need: &Need| {
        json!({
            "what": need.what, "state": word(need.state), "says": need.says,
            "remedy": need.remedy,
        })
    };
    json!({
        "name": section.name,
        "state": word(section.worst()),
        "looked_at": section.needs.iter().map(looked).collect::<Vec<_>>(),
    })
}

/// A thing that is not here makes nothing worse than what is fine beside it.
fn worst(needs: &[Need]) -> NeedState {
    let has = |state| needs.iter().any(|need| need.state == state);
    match () {
        () if has(NeedState::Trouble) => NeedState::Trouble,
        () if has(NeedState::Limited) => NeedState::Limited,
        () if has(NeedState::Fine) => NeedState::Fine,
        () if has(NeedState::NotHere) => NeedState::NotHere,
        () => NeedState::Fine,
    }
}

/// The state as one word for programs.
fn word(state: NeedState) -> String {
    state.name().replace(' ', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_decides_and_what_is_not_here_is_no_trouble() {
        let fine = || Need::fine("a", "");
        for (needs, expected) in [
            (vec![], NeedState::Fine),
            (vec![Need::not_here("a", "")], NeedState::NotHere),
            (vec![Need::not_here("a", ""), fine()], NeedState::Fine),
            (vec![fine(), Need::limited("a", "", "")], NeedState::Limited),
            (vec![Need::trouble("a", "", ""), Need::limited("a", "", "")], NeedState::Trouble),
        ] {
            assert_eq!(worst(&needs), expected, "{needs:?}");
        }
    }

    #[test]
    fn the_json_form_has_these_keys() {
        let needs = vec![Need::fine("a", "b"), Need::limited("c", "d", "e")];
        let report = Report {
            version: "1",
            node: "n".to_owned(),
            time: "t".to_owned(),
            took_ms: 3,
            sections: vec![Section::of_sampler("procfs", needs)],
        };
        assert_eq!(
            report.json(),
            json!({
                "form": 1, "version": "1", "node": "n", "time": "t", "took_ms": 3,
                "state": "limited",
                "counts": { "fine": 1, "not_here": 0, "limited": 1, "trouble": 0 },
                "sections": [{
                    "name": "samplers.procfs", "state": "limited",
                    "looked_at": [
                        { "what": "a", "state": "fine", "says": "b", "remedy": "" },
                        { "what": "c", "state": "limited", "says": "d", "remedy": "e" },
                    ],
                }],
            })
        );
    }
}
