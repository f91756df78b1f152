//! The node's judge: the diagnosis stage, fed with all that this node knows.

use crossbeam_channel::Receiver;

use super::inbox::{Inbox, Lists};
use super::rule_file::RuleFile;
use crate::diagnosis::{At, Fact, Stage};
use crate::journal::Journal;
use crate::newest::Names;
use crate::platform::clock;
use crate::schema::{Assessment, BATCH_BYTES_MAX, Event, Severity, Verdict, cut_to_fit};

/// What the stage knew when the agent last ran stands in the journal under
/// this name.
const KEPT_AS: &str = "judge";

/// What the stage counts besides its verdicts is written down this often, so
/// that a crash costs at most so much of it.
const KEEP_NS: u64 = 60 * clock::SECOND_NS;

/// How often the rule file is looked at.
const RULES_NS: u64 = clock::SECOND_NS;

/// Bytes of assessments in one message.
const ASSESSMENTS_BYTES_MAX: usize = BATCH_BYTES_MAX / 2;

/// Feeds the stage and hands on what it concludes.
#[derive(Debug)]
pub(super) struct Judge {
    stage: Stage,
    inbox: Inbox,
    lists: Lists,
    names_version: Option<u64>,
    details_version: u64,
    facts_kept: u64,
    keep_due_ns: u64,
    is_new: bool,
    rules: Option<RuleFile>,
    rules_due_ns: u64,
}

/// What is new after a round.
#[derive(Debug, Default)]
pub(super) struct Judged {
    verdicts: Vec<Verdict>,
    assessments: Vec<Assessment>,
}

/// What goes into one message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part<'a> {
    pub(super) verdicts: &'a [Verdict],
    pub(super) assessments: &'a [Assessment],
    pub(super) severity: Severity,
}

impl Judge {
    /// A judge that goes on from what the journal keeps, and shows what it
    /// holds under the names.
    pub(super) fn open(
        mut stage: Stage,
        (inbox, rules): (Inbox, Option<RuleFile>),
        journal: Option<&Journal>,
        names: &Names,
    ) -> Self {
        let kept = journal.and_then(|journal| journal.inventory(KEPT_AS));
        if let Some(kept) = kept
            && let Err(error) = stage.restore(kept)
        {
            tracing::warn!(
                "what was diagnosed before the restart is not known any more: {error}; what still \
                 holds will be found again"
            );
        }
        for verdict in stage.open() {
            names.judged().put(verdict.clone());
        }
        Self {
            stage,
            inbox,
            lists: Lists::default(),
            names_version: None,
            details_version: 0,
            facts_kept: 0,
            keep_due_ns: 0,
            is_new: false,
            rules,
            rules_due_ns: 0,
        }
    }

    /// Judges by the operator's rule file as it is now.
    fn read_rules(&mut self, now_ns: u64) {
        let Some(rules) = self.rules.as_mut().filter(|_| now_ns >= self.rules_due_ns) else {
            return;
        };
        self.rules_due_ns = now_ns + RULES_NS;
        match rules.look() {
            Some(Ok(plan)) => {
                self.stage.adopt(plan);
                tracing::info!("the rule file was read: its thresholds and rules hold from now on");
            }
            Some(Err(mistakes)) => tracing::warn!("{mistakes}"),
            None => {}
        }
    }

    /// Says when there is something to judge.
    pub(super) fn woken(&self) -> &Receiver<()> {
        self.inbox.woken()
    }

    /// Judges what came in.
    pub(super) fn round(&mut self, names: &Names, events: &[Event]) -> Judged {
        let at = now();
        self.read_rules(at.monotonic_ns);
        self.tell_names(at, names);
        self.inbox.swap(&mut self.lists);
        for reading in &self.lists.readings {
            self.stage.fact(at, Fact::Reading(reading));
        }
        for step in &self.lists.steps {
            self.stage.fact(at, Fact::Step(step));
        }
        for event in events {
            self.stage.fact(at, Fact::Event(event));
        }
        self.stage.tick(at);
        let verdicts = self.stage.take_verdicts();
        for verdict in &verdicts {
            tracing::info!(
                rule = verdict.rule,
                subject = verdict.subject,
                state = verdict.state.name(),
                severity = verdict.severity.name(),
                "{}",
                verdict.text
            );
            names.judged().put(verdict.clone());
        }
        let assessments = self.assess(names);
        self.is_new |= !verdicts.is_empty() || !assessments.is_empty();
        Judged { verdicts, assessments }
    }

    /// Writes down what the stage knows: with every verdict, and now and then.
    pub(super) fn keep(&mut self, journal: &mut Journal, leaving: bool) {
        let now_ns = clock::monotonic_ns();
        let facts = self.stage.tally().facts;
        let counted_on = facts != self.facts_kept && (leaving || now_ns >= self.keep_due_ns);
        if !self.is_new && !counted_on {
            return;
        }
        self.is_new = false;
        (self.facts_kept, self.keep_due_ns) = (facts, now_ns + KEEP_NS);
        if let Err(error) = journal.set_inventory(KEPT_AS, &self.stage.snapshot()) {
            tracing::warn!("what was diagnosed is not kept over a restart: {error}");
        }
    }

    fn tell_names(&mut self, at: At, names: &Names) {
        if self.names_version != Some(names.version()) {
            self.names_version = Some(names.version());
            for device in names.devices() {
                self.stage.fact(at, Fact::Device(&device));
            }
            for engine in names.engines() {
                self.stage.fact(at, Fact::Engine(&engine));
            }
        }
        let details = names.details();
        if self.details_version != details.version() {
            for (version, said) in details.since(self.details_version) {
                self.stage.fact(at, Fact::Details(&said));
                self.details_version = version;
            }
        }
    }

    /// The assessments that are others than before.
    fn assess(&self, names: &Names) -> Vec<Assessment> {
        let before = names.judged().assessments();
        let after = self.stage.assessments();
        let changed: Vec<Assessment> =
            after.iter().filter(|of| !before.contains(of)).cloned().collect();
        if changed.is_empty() && before.len() == after.len() {
            return changed;
        }
        names.judged().assess(after);
        changed
    }
}

impl Judged {
    /// Messages that fit, each verdict in one of its own.
    pub(super) fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        let verdicts = self.verdicts.chunks(1).map(|verdicts| Part {
            verdicts,
            assessments: &[],
            severity: verdicts[0].severity,
        });
        let assessments =
            cut_to_fit(&self.assessments, ASSESSMENTS_BYTES_MAX, Assessment::bytes_max);
        verdicts.chain(assessments.into_iter().map(|assessments| Part {
            verdicts: &[],
            assessments,
            severity: Severity::Info,
        }))
    }
}

fn now() -> At {
    At::new(clock::monotonic_ns(), clock::wall_ns())
}
