//! What a stage remembers over a restart, so that nothing is told twice.
//!
//! Verdicts with what their lives depend on, which events were told, silences
//! and the drivers' own words. What rules have measured is measured again.

use super::at::{BASE_NS, SECOND_NS};
use super::codec::{Pen, Reader};
use super::silence::{SILENCES_MAX, Silence};
use super::stage::Stage;
use super::verdicts::{Case, PAST_MAX, VERDICTS_MAX};
use crate::schema::{
    Action, EVIDENCE_MAX, Evidence, Health, IMPACT_MAX, NAME_BYTES_MAX, STEPS_MAX, Severity,
    TEXT_BYTES_MAX, Verdict, VerdictState,
};

/// Most bytes of a snapshot; verdicts that do not fit are left out, the least
/// grave first.
pub const SNAPSHOT_BYTES_MAX: usize = 240 << 10;
/// What each begins with; the last byte is the version.
const MAGIC: u64 = u64::from_le_bytes(*b"eejudge\x01");
/// A stage that was down for longer than this remembers nothing of use.
const DOWN_NS_MAX: u64 = 300 * 24 * 3600 * SECOND_NS;
/// Most ids of events in a snapshot: whoever tells an event again does so soon.
const EVENTS_MAX: usize = 1024;

/// Why bytes are no snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// They were written by another version, or are none.
    #[error("these bytes are no snapshot of this version; begin without one")]
    Foreign,
    /// They are of another node.
    #[error("this snapshot is of another node; begin without it")]
    OtherNode,
    /// They are damaged.
    #[error("this snapshot is damaged; begin without it")]
    Damaged,
}

impl Stage {
    /// What is to be kept for [`Self::restore`].
    #[must_use]
    pub fn snapshot(&self) -> Vec<u8> {
        let mut pen = Pen::default();
        pen.number(MAGIC);
        pen.number(0);
        pen.text(&self.known.node);
        pen.number(self.clock.wall_ns);
        let ids: Vec<u64> = self.seen.ids().collect();
        let ids = &ids[ids.len().saturating_sub(EVENTS_MAX)..];
        pen.list(ids, |pen, id| pen.number(*id));
        pen.list(&self.silences, write_silence);
        let driver: Vec<_> = self.verdicts.driver.iter().collect();
        pen.list(&driver, |pen, (name, action)| {
            pen.text(name);
            pen.byte(**action as u8);
        });
        let order = &self.verdicts.past_order;
        let past: Vec<(u64, u32)> = order
            .iter()
            .filter_map(|id| Some((*id, *self.verdicts.past.get(id)?)))
            .take(PAST_MAX)
            .collect();
        pen.list(&past, |pen, (id, revision)| {
            pen.number(*id);
            pen.number(u64::from(*revision));
        });
        let mut cases: Vec<&Case> = self.verdicts.cases.values().map(|case| &**case).collect();
        cases.sort_by_key(|case| (std::cmp::Reverse(case.verdict.severity), case.verdict.id));
        let mut room = SNAPSHOT_BYTES_MAX.saturating_sub(pen.0.len() + 64);
        let written: Vec<Vec<u8>> = cases
            .iter()
            .map(|case| {
                let mut pen = Pen::default();
                write_case(&mut pen, case, self.clock.now_ns);
                pen.0
            })
            .take_while(|bytes| {
                let fits = bytes.len() <= room;
                room = room.saturating_sub(bytes.len());
                fits
            })
            .collect();
        pen.list(&written, |pen, bytes| pen.0.extend_from_slice(bytes));
        let sum = crc32fast::hash(&pen.0[16..]);
        pen.0[8..16].copy_from_slice(&u64::from(sum).to_le_bytes());
        pen.0
    }

    /// Goes on from a snapshot; to be called before the first fact.
    ///
    /// # Errors
    ///
    /// If the bytes are no whole snapshot of this node and version; the stage
    /// is then as it was.
    pub fn restore(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        let mut reader = Reader(bytes);
        if bytes.len() > SNAPSHOT_BYTES_MAX || reader.number() != Some(MAGIC) {
            return Err(SnapshotError::Foreign);
        }
        let sum = reader.number().ok_or(SnapshotError::Damaged)?;
        if sum != u64::from(crc32fast::hash(reader.0)) {
            return Err(SnapshotError::Damaged);
        }
        let node = reader.text(TEXT_BYTES_MAX).ok_or(SnapshotError::Damaged)?;
        if node != self.known.node {
            return Err(SnapshotError::OtherNode);
        }
        let kept = read(&mut reader).filter(|_| reader.0.is_empty());
        let kept = kept.ok_or(SnapshotError::Damaged)?;
        for id in kept.events {
            let _ = self.seen.first(id);
        }
        self.silences = kept.silences;
        self.verdicts.driver = kept.driver.into_iter().collect();
        for (id, revision) in kept.past {
            self.verdicts.remember(id, revision);
        }
        for mut case in kept.cases {
            self.adopt_rule(&mut case);
            self.verdicts.cases.insert(case.verdict.id, Box::new(case));
        }
        self.clock.began_at(kept.wall_ns, DOWN_NS_MAX);
        Ok(())
    }
}

struct Kept {
    wall_ns: u64,
    events: Vec<u64>,
    silences: Vec<Silence>,
    driver: Vec<(String, Action)>,
    past: Vec<(u64, u32)>,
    cases: Vec<Case>,
}

fn read(reader: &mut Reader<'_>) -> Option<Kept> {
    Some(Kept {
        wall_ns: reader.number()?,
        events: reader.list(EVENTS_MAX, Reader::number)?,
        silences: reader.list(SILENCES_MAX, read_silence)?,
        driver: reader.list(VERDICTS_MAX, |reader| {
            Some((reader.text(NAME_BYTES_MAX)?, Action::from_number(reader.byte()?)))
        })?,
        past: reader.list(PAST_MAX, |reader| {
            Some((reader.number()?, u32::try_from(reader.number()?).ok()?))
        })?,
        cases: reader.list(VERDICTS_MAX, read_case)?,
    })
}

fn write_silence(pen: &mut Pen, of: &Silence) {
    pen.text(&of.subject);
    pen.text(&of.rule);
    pen.number(of.from_wall_ns);
    pen.number(of.until_wall_ns);
    pen.text(&of.reason);
}

fn read_silence(reader: &mut Reader<'_>) -> Option<Silence> {
    Some(Silence {
        subject: reader.text(NAME_BYTES_MAX)?,
        rule: reader.text(NAME_BYTES_MAX)?,
        from_wall_ns: reader.number()?,
        until_wall_ns: reader.number()?,
        reason: reader.text(TEXT_BYTES_MAX)?,
    })
}

fn write_case(pen: &mut Pen, case: &Case, now_ns: u64) {
    write_verdict(pen, &case.verdict);
    pen.text(&case.key);
    pen.byte(case.health as u8);
    for time_ns in [case.since_ns, case.touched_ns, case.evidence_ns, case.told_ns] {
        pen.number(now_ns.saturating_sub(time_ns));
    }
    pen.number(case.revise_ns);
    pen.byte(u8::from(case.untold));
    pen.byte(u8::from(case.simulated));
    for since in [case.lesser_ns, case.calm_ns] {
        pen.number(since.map_or(u64::MAX, |since| now_ns.saturating_sub(since)));
    }
    pen.number(u64::from(case.flaps));
    pen.number(case.quiet_ns);
}

fn read_case(reader: &mut Reader<'_>) -> Option<Case> {
    let verdict = read_verdict(reader)?;
    let mut case = Case::restored(verdict);
    case.key = reader.text(NAME_BYTES_MAX)?;
    case.health = Health::from_number(reader.byte()?);
    let time = |reader: &mut Reader<'_>| Some(BASE_NS.saturating_sub(reader.number()?));
    case.since_ns = time(reader)?;
    case.touched_ns = time(reader)?;
    case.evidence_ns = time(reader)?;
    case.told_ns = time(reader)?;
    case.revise_ns = reader.number()?;
    case.untold = reader.byte()? != 0;
    case.simulated = reader.byte()? != 0;
    let since = |reader: &mut Reader<'_>| {
        let age_ns = reader.number()?;
        Some((age_ns != u64::MAX).then(|| BASE_NS.saturating_sub(age_ns)))
    };
    case.lesser_ns = since(reader)?;
    case.calm_ns = since(reader)?;
    case.flaps = u32::try_from(reader.number()?).ok()?;
    case.quiet_ns = reader.number()?;
    Some(case)
}

fn write_verdict(pen: &mut Pen, of: &Verdict) {
    pen.number(of.id);
    for number in [of.wall_ns, of.since_wall_ns, of.caused_by, of.count] {
        pen.number(number);
    }
    pen.number(u64::from(of.revision));
    pen.number(of.silenced_until_wall_ns);
    pen.float(f64::from(of.confidence));
    for byte in [of.severity as u8, of.state as u8, of.action as u8] {
        pen.byte(byte);
    }
    for text in [&of.rule, &of.subject, &of.subject_kind, &of.text, &of.cause, &of.page] {
        pen.text(text);
    }
    for text in [&of.data_version, &of.silenced_by, &of.limit_source] {
        pen.text(text);
    }
    pen.list(&of.impact, |pen, text| pen.text(text));
    pen.list(&of.steps, |pen, text| pen.text(text));
    pen.list(&of.evidence, |pen, of| {
        pen.number(of.wall_ns);
        pen.number(of.event);
        pen.number(u64::from(of.metric));
        pen.float(of.value);
        pen.float(of.limit.unwrap_or(f64::NAN));
        for text in [&of.source, &of.subject, &of.text] {
            pen.text(text);
        }
    });
}

fn read_verdict(reader: &mut Reader<'_>) -> Option<Verdict> {
    let mut verdict = Verdict {
        id: reader.number()?,
        wall_ns: reader.number()?,
        since_wall_ns: reader.number()?,
        caused_by: reader.number()?,
        count: reader.number()?,
        revision: u32::try_from(reader.number()?).ok()?,
        silenced_until_wall_ns: reader.number()?,
        confidence: reader.float()? as f32,
        severity: Severity::from_number(reader.byte()?),
        state: VerdictState::from_number(reader.byte()?),
        action: Action::from_number(reader.byte()?),
        ..Verdict::default()
    };
    verdict.confidence = Some(verdict.confidence).filter(|of| (0.0..=1.0).contains(of))?;
    let mut text = |most| reader.text(most);
    verdict.rule = text(NAME_BYTES_MAX)?;
    verdict.subject = text(NAME_BYTES_MAX)?;
    verdict.subject_kind = text(NAME_BYTES_MAX)?;
    verdict.text = text(TEXT_BYTES_MAX)?;
    verdict.cause = text(TEXT_BYTES_MAX)?;
    verdict.page = text(NAME_BYTES_MAX)?;
    verdict.data_version = text(TEXT_BYTES_MAX)?;
    verdict.silenced_by = text(TEXT_BYTES_MAX)?;
    verdict.limit_source = text(NAME_BYTES_MAX)?;
    verdict.impact = reader.list(IMPACT_MAX, |reader| reader.text(TEXT_BYTES_MAX))?;
    verdict.steps = reader.list(STEPS_MAX, |reader| reader.text(TEXT_BYTES_MAX))?;
    verdict.evidence = reader.list(EVIDENCE_MAX, |reader| {
        Some(Evidence {
            wall_ns: reader.number()?,
            event: reader.number()?,
            metric: u16::try_from(reader.number()?).ok()?,
            value: reader.float()?,
            limit: Some(reader.float()?).filter(|limit| !limit.is_nan()),
            source: reader.text(NAME_BYTES_MAX)?,
            subject: reader.text(NAME_BYTES_MAX)?,
            text: reader.text(TEXT_BYTES_MAX)?,
        })
    })?;
    Some(verdict)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::rules::trial::{Trial, gpu};
    use crate::schema::EventKind;
    use proptest::prelude::*;

    fn ill() -> Trial {
        let mut trial = Trial::new();
        trial.device(&gpu(0));
        trial.event(EventKind::SourceHangs, "gpu0", "hangs");
        trial.seconds(2);
        trial.told();
        trial
    }

    #[test]
    fn a_restarted_stage_tells_nothing_twice_and_knows_when_it_is_over() {
        let before = ill();
        let mut after = Trial::new();
        after.stage.restore(&before.stage.snapshot()).expect("its own snapshot");
        after.at = before.at;
        after.at.wall_ns += 30_000_000_000;
        after.at.monotonic_ns = 5_000_000;
        after.device(&gpu(0));
        // The journal tells the same event again.
        after.stage.fact(
            after.at,
            crate::diagnosis::Fact::Event(&crate::schema::Event {
                id: 1,
                kind: EventKind::SourceHangs,
                subject: "gpu0".into(),
                ..crate::schema::Event::default()
            }),
        );
        // Its device is told as present, so it answers again.
        let told = after.told();
        assert_eq!(told.len(), 1);
        assert_eq!((told[0].state, told[0].revision), (VerdictState::Resolved, 2));
        let again = after.stage.snapshot();
        let mut third = Trial::new();
        third.stage.restore(&again).expect("its own snapshot");
        assert_eq!(third.stage.snapshot(), third.stage.snapshot());
    }

    #[test]
    fn a_snapshot_of_another_node_or_version_is_refused() {
        let bytes = ill().stage.snapshot();
        let mut other = Stage::new("node2", crate::diagnosis::Plan::default());
        assert_eq!(other.restore(&bytes), Err(SnapshotError::OtherNode));
        let mut later = bytes.clone();
        later[7] = 2;
        assert_eq!(Trial::new().stage.restore(&later), Err(SnapshotError::Foreign));
        assert_eq!(Trial::new().stage.restore(&[]), Err(SnapshotError::Foreign));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 2 } else { 128 }, ..Default::default() })]

        #[test]
        fn damaged_bytes_are_refused_and_lying_ones_do_no_harm(
            at in any::<prop::sample::Index>(),
            to in any::<u8>(),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut bytes = ill().stage.snapshot();
            let at = at.index(bytes.len());
            let same = bytes[at] == to;
            bytes[at] = to;
            prop_assert_eq!(Trial::new().stage.restore(&bytes).is_ok(), same);
            bytes.truncate(16.max(cut.index(bytes.len())));
            // As an enemy would, with the right sum.
            let sum = crc32fast::hash(&bytes[16..]);
            bytes[8..16].copy_from_slice(&u64::from(sum).to_le_bytes());
            let mut trial = Trial::new();
            if trial.stage.restore(&bytes).is_ok() {
                trial.device(&gpu(0));
                trial.seconds(3);
                let _ = trial.stage.snapshot();
            }
        }
    }
}
