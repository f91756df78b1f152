use bytemuck::Zeroable;

use super::*;
use crate::client::{ViewCore, ViewSettings};
use crate::schema::{BatchHead, BatchWriter, Health, Severity, Tables};

const MS: u64 = 1_000_000;
const LAST: u32 = BatchHead::SNAPSHOT | BatchHead::LAST;

fn verdict(id: u64, revision: u32, state: VerdictState) -> Verdict {
    Verdict { id, revision, state, ..Verdict::default() }
}

fn batch(node: u64, incarnation: u64, flags: u32, tables: &Tables<'_>) -> Vec<u8> {
    let head = BatchHead { node, incarnation, flags, sequence: 1, ..BatchHead::zeroed() };
    BatchWriter::default().write(&head, tables).to_vec()
}

fn telling(verdicts: &[Verdict]) -> Tables<'_> {
    Tables { verdicts, node_name: Some("n"), ..Tables::default() }
}

fn open(view: &View) -> Vec<(u64, u64, u32)> {
    view.open_verdicts().iter().map(|of| (of.node, of.what.id, of.what.revision)).collect()
}

fn core() -> (ViewCore, View) {
    let core = ViewCore::new(ViewSettings::default());
    let view = View::of(&core);
    (core, view)
}

#[test]
fn revisions_fold_by_node_and_id_and_the_gravest_stand_first() {
    let (mut core, view) = core();
    let grave = Verdict { severity: Severity::Critical, ..verdict(9, 1, VerdictState::Open) };
    let told = [verdict(7, 2, VerdictState::Changed), verdict(7, 1, VerdictState::Open), grave];
    core.feed(&batch(1, 1, 0, &telling(&told)), 10 * MS).unwrap();
    core.feed(&batch(2, 1, 0, &telling(&told[..1])), 10 * MS).unwrap();
    assert_eq!(open(&view), [(1, 9, 1), (1, 7, 2), (2, 7, 2)]);
    let over = [verdict(7, 3, VerdictState::Resolved)];
    core.feed(&batch(1, 1, 0, &telling(&over)), 20 * MS).unwrap();
    core.feed(&batch(1, 1, 0, &telling(&told[..2])), 30 * MS).unwrap();
    assert_eq!(open(&view), [(1, 9, 1), (2, 7, 2)], "what is late changes nothing");
    assert_eq!(view.resolved_verdicts()[0].what.revision, 3);
    core.feed(&batch(1, 2, 0, &telling(&told[1..2])), 40 * MS).unwrap();
    assert_eq!(open(&view).len(), 3, "an agent that began anew counts anew");
}

#[test]
fn an_answer_tells_all_that_stands_so_that_what_it_leaves_out_is_over() {
    let (mut core, view) = core();
    let told = [1, 2].map(|id| verdict(id, 1, VerdictState::Open));
    core.connected(0);
    core.feed(&batch(1, 1, 0, &telling(&told)), 10 * MS).unwrap();
    core.feed(&batch(5, 1, 0, &telling(&told)), 10 * MS).unwrap();
    core.disconnected();
    core.connected(50 * MS);
    let part = batch(1, 1, BatchHead::SNAPSHOT, &telling(&told[1..]));
    core.reply(&part, 60 * MS, 50 * MS).unwrap();
    assert_eq!(open(&view).len(), 4, "more of the answer follows");
    core.feed(&batch(1, 1, 0, &telling(&[verdict(3, 1, VerdictState::Open)])), 61 * MS).unwrap();
    core.reply(&batch(1, 1, LAST, &Tables::default()), 62 * MS, 50 * MS).unwrap();
    assert_eq!(open(&view), [(1, 2, 1), (1, 3, 1), (5, 1, 1), (5, 2, 1)]);
}

#[test]
fn what_stands_is_bounded_and_the_rest_counted() {
    let (mut core, view) = core();
    let ids: Vec<u64> = (0..OPEN_MAX as u64 + 3).collect();
    for ids in ids.chunks(1000) {
        let told: Vec<_> = ids.iter().map(|id| verdict(*id, 1, VerdictState::Open)).collect();
        core.feed(&batch(1, 1, 0, &telling(&told)), MS).unwrap();
    }
    assert_eq!((view.open_verdicts().len(), view.counts().names_refused), (OPEN_MAX, 3));
    for ids in ids.chunks(1000) {
        let told: Vec<_> = ids.iter().map(|id| verdict(*id, 2, VerdictState::Resolved)).collect();
        core.feed(&batch(1, 1, 0, &telling(&told)), MS).unwrap();
    }
    assert_eq!((view.open_verdicts().len(), view.resolved_verdicts().len()), (0, RESOLVED_MAX));
}

#[test]
fn assessments_of_engines_devices_and_nodes_are_told_together() {
    let (mut core, view) = core();
    let said = |kind: &str, subject: &str, health| Assessment {
        subject_kind: kind.into(),
        subject: subject.into(),
        health,
        ..Assessment::default()
    };
    let assessments = [
        said("engine", "e", Health::Degraded),
        said("device", "gpu0", Health::Failed),
        said("engine", "e", Health::Failed),
    ];
    let tables = Tables { assessments: &assessments, ..Tables::default() };
    core.feed(&batch(1, 1, 0, &tables), MS).unwrap();
    let told: Vec<_> = view.assessments().iter().map(|of| (of.node, of.what.health)).collect();
    assert_eq!(told, [(1, Health::Failed), (1, Health::Failed)]);
}
