//! A recording judged again: the same rules, the recorded facts, their time.

use std::path::Path;

use super::progress::Progress;
use super::story::Story;
use crate::diagnosis::{At, Fact, Plan, Stage};
use crate::recorder::{self, Range, Recording, RecordingError, What};
use crate::schema::BatchView;

/// Judges a recorder's folder, an agent's state folder or an excerpt. The same
/// recording and plan give the same story, to the byte.
///
/// # Errors
///
/// When it cannot be read or is no recording.
pub fn judge(path: &Path, plan: &Plan) -> Result<Story, RecordingError> {
    let mut play = Recording::open(path)?.play(Range::default());
    let mut story = Story::default();
    story.counts = "batches";
    let mut progress = Progress::new(None);
    let mut node: Option<Node> = None;
    while let Some(moment) = play.next_moment()? {
        let at = at(moment.at);
        match moment.what {
            // Another life of the agent: what was judged before is over.
            What::Run => {
                if let Some(node) = node.take() {
                    node.end(&mut story);
                }
            }
            What::Tick => {
                if let Some(node) = &mut node {
                    node.tick(at, &mut story);
                }
            }
            What::Known | What::Batch => {
                let Some(batch) = moment.batch() else { continue };
                story.lines += 1;
                story.bytes += moment.bytes().len() as u64;
                story.span(at.wall_ns);
                progress.at(story.bytes);
                node.get_or_insert_with(|| Node::of(&batch, plan)).take(at, &batch, &mut story);
            }
            What::Gap | What::Lost(_) => {}
        }
    }
    if let Some(node) = node {
        node.end(&mut story);
    }
    progress.end();
    Ok(story)
}

/// The stage of one life of an agent.
struct Node {
    stage: Stage,
    at: At,
    untaken: u32,
}

impl Node {
    fn of(batch: &BatchView<'_>, plan: &Plan) -> Self {
        let name = batch.node_name().unwrap_or("this node");
        Self { stage: Stage::new(name, plan.clone()), at: At::default(), untaken: 0 }
    }

    /// Facts only: what was judged live is judged anew.
    fn take(&mut self, at: At, batch: &BatchView<'_>, story: &mut Story) {
        self.at = at;
        let stage = &mut self.stage;
        batch.devices().for_each(|device| stage.fact(at, Fact::Device(&device)));
        batch.engines().for_each(|engine| stage.fact(at, Fact::Engine(&engine)));
        batch.readings().for_each(|reading| stage.fact(at, Fact::Reading(&reading)));
        batch.steps().for_each(|step| stage.fact(at, Fact::Step(&step)));
        batch.details().for_each(|details| stage.fact(at, Fact::Details(&details)));
        batch.events().for_each(|event| stage.fact(at, Fact::Event(&event)));
        self.untaken += 1;
        if self.untaken >= TAKEN_EVERY {
            self.untaken = 0;
            story.take(stage.take_verdicts());
        }
    }

    fn tick(&mut self, at: At, story: &mut Story) {
        self.at = at;
        self.stage.tick(at);
        story.take(self.stage.take_verdicts());
    }

    fn end(mut self, story: &mut Story) {
        self.stage.tick(self.at);
        story.take(self.stage.take_verdicts());
        story.take(self.stage.open().cloned().collect());
    }
}

fn at(at: recorder::At) -> At {
    At::new(at.monotonic_ns, at.wall_ns)
}

/// Revisions are folded after so many batches, long before any is lost.
const TAKEN_EVERY: u32 = 64;
