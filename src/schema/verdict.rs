//! What rules conclude from facts, and how well things are by that.

use flatbuffers::{FlatBufferBuilder, WIPOffset};

use super::accelerator::{TEXT_EXTRA_BYTES, words};
use super::tables::{list, name};
use super::{NAME_BYTES_MAX, Severity, TEXT_BYTES_MAX, bounded_text, wire};

/// What a rule concluded. Readers fold by id and revision.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Verdict {
    /// Stable over revisions.
    pub id: u64,
    /// One up with every change.
    pub revision: u32,
    /// The rule's name.
    pub rule: String,
    /// How much it matters.
    pub severity: Severity,
    /// Name of the device, engine, container or node.
    pub subject: String,
    /// What is wrong, in one sentence.
    pub text: String,
    /// When this revision was made, ns since 1970.
    pub wall_ns: u64,
    /// Whether it still holds.
    pub state: VerdictState,
    /// Since when it holds, ns since 1970.
    pub since_wall_ns: u64,
    /// `device`, `engine`, `container`, `interface`, `disk` or `node`.
    pub subject_kind: String,
    /// Why, in one sentence.
    pub cause: String,
    /// How sure the rule is, 0 to 1.
    pub confidence: f32,
    /// The facts themselves, at most [`EVIDENCE_MAX`].
    pub evidence: Vec<Evidence>,
    /// Engines and pods that it hits, at most [`IMPACT_MAX`].
    pub impact: Vec<String>,
    /// What is to be done.
    pub action: Action,
    /// How, in order, at most [`STEPS_MAX`].
    pub steps: Vec<String>,
    /// The rule's page, relative to the documentation's root.
    pub page: String,
    /// Version of the tables that it rests on.
    pub data_version: String,
    /// Id of the verdict whose consequence this is; 0 where it stands alone.
    pub caused_by: u64,
    /// How often the fact was seen.
    pub count: u64,
    /// Until when it is silenced, ns since 1970; 0 where it is not.
    pub silenced_until_wall_ns: u64,
    /// The reason given with the window or the acknowledgement.
    pub silenced_by: String,
    /// Where its limit came from: `device`, `model`, `default`, `operator`;
    /// empty where it rests on none.
    pub limit_source: String,
}

/// A fact on which a verdict rests.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Evidence {
    /// When, ns since 1970.
    pub wall_ns: u64,
    /// The sampler that saw it.
    pub source: String,
    /// What it is about.
    pub subject: String,
    /// The line or event itself, or one sentence about the values.
    pub text: String,
    /// Id of the event; 0 where it is none.
    pub event: u64,
    /// Id of the metric; 0 where it is no reading.
    pub metric: u16,
    /// The reading's value.
    pub value: f64,
    /// What the value was held against; none where there is no limit.
    pub limit: Option<f64>,
}

/// How well a device, an engine or a node is, by its open verdicts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Assessment {
    /// Name of the device, engine or node.
    pub subject: String,
    /// `device`, `engine` or `node`.
    pub subject_kind: String,
    /// How well it is.
    pub health: Health,
    /// Since when, ns since 1970.
    pub since_wall_ns: u64,
    /// Ids of the open verdicts, the gravest first, at most [`VERDICTS_MAX`].
    pub verdicts: Vec<u64>,
}

impl Verdict {
    /// At least the bytes that it takes in a batch; its tables are far fewer
    /// than a batch may have.
    #[must_use]
    pub fn bytes_max(&self) -> usize {
        let texts = [
            &self.rule,
            &self.subject,
            &self.text,
            &self.subject_kind,
            &self.cause,
            &self.page,
            &self.data_version,
            &self.silenced_by,
            &self.limit_source,
        ];
        let texts: usize = texts.into_iter().map(|text| text_bytes(text, TEXT_BYTES_MAX)).sum();
        let evidence = self.evidence.iter().take(EVIDENCE_MAX).map(|of| {
            let texts = [&of.source, &of.subject, &of.text].into_iter();
            120 + texts.map(|text| text_bytes(text, SENTENCE_BYTES_MAX)).sum::<usize>()
        });
        let impact = self.impact.iter().take(IMPACT_MAX);
        let impact = impact.map(|text| text_bytes(text, NAME_BYTES_MAX));
        let steps = self.steps.iter().take(STEPS_MAX);
        let steps = steps.map(|text| text_bytes(text, SENTENCE_BYTES_MAX));
        256 + texts + evidence.chain(impact).chain(steps).sum::<usize>()
    }

    pub(super) fn to_wire<'b>(
        &self,
        builder: &mut FlatBufferBuilder<'b>,
    ) -> WIPOffset<wire::Verdict<'b>> {
        let evidence = &self.evidence[..self.evidence.len().min(EVIDENCE_MAX)];
        let args = wire::VerdictArgs {
            id: self.id,
            revision: self.revision,
            rule: name(builder, &self.rule),
            severity: wire::Severity(self.severity as u8),
            subject: name(builder, &self.subject),
            text: Some(builder.create_string(bounded_text(&self.text))),
            wall_ns: self.wall_ns,
            state: wire::VerdictState(self.state as u8),
            since_wall_ns: self.since_wall_ns,
            subject_kind: name(builder, &self.subject_kind),
            cause: long(builder, &self.cause, TEXT_BYTES_MAX),
            confidence: self.confidence,
            evidence: list(builder, evidence, |builder, of| of.to_wire(builder)),
            impact: strings(builder, &self.impact, (IMPACT_MAX, NAME_BYTES_MAX)),
            action: wire::Action(self.action as u8),
            steps: strings(builder, &self.steps, (STEPS_MAX, SENTENCE_BYTES_MAX)),
            page: name(builder, &self.page),
            data_version: name(builder, &self.data_version),
            caused_by: self.caused_by,
            count: self.count,
            silenced_until_wall_ns: self.silenced_until_wall_ns,
            silenced_by: name(builder, &self.silenced_by),
            limit_source: name(builder, &self.limit_source),
        };
        wire::Verdict::create(builder, &args)
    }

    pub(super) fn from_wire(of: wire::Verdict<'_>) -> Self {
        let text = super::batch::text;
        let texts = |list: Option<flatbuffers::Vector<'_, flatbuffers::ForwardsUOffset<&str>>>,
                     most| {
            list.into_iter().flatten().take(most).map(long_text).collect()
        };
        Self {
            id: of.id(),
            revision: of.revision(),
            rule: text(of.rule()),
            severity: Severity::from_number(of.severity().0),
            subject: text(of.subject()),
            text: of.text().map(long_text).unwrap_or_default(),
            wall_ns: of.wall_ns(),
            state: VerdictState::from_number(of.state().0),
            since_wall_ns: of.since_wall_ns(),
            subject_kind: text(of.subject_kind()),
            cause: of.cause().map(long_text).unwrap_or_default(),
            confidence: share(of.confidence()),
            evidence: of
                .evidence()
                .into_iter()
                .flatten()
                .take(EVIDENCE_MAX)
                .map(Evidence::from_wire)
                .collect(),
            impact: texts(of.impact(), IMPACT_MAX),
            action: Action::from_number(of.action().0),
            steps: texts(of.steps(), STEPS_MAX),
            page: text(of.page()),
            data_version: text(of.data_version()),
            caused_by: of.caused_by(),
            count: of.count(),
            silenced_until_wall_ns: of.silenced_until_wall_ns(),
            silenced_by: text(of.silenced_by()),
            limit_source: text(of.limit_source()),
        }
    }
}

impl Evidence {
    fn to_wire<'b>(&self, builder: &mut FlatBufferBuilder<'b>) -> WIPOffset<wire::Evidence<'b>> {
        let args = wire::EvidenceArgs {
            wall_ns: self.wall_ns,
            source: name(builder, &self.source),
            subject: name(builder, &self.subject),
            text: long(builder, &self.text, SENTENCE_BYTES_MAX),
            event: self.event,
            metric: self.metric,
            value: self.value,
            limit: self.limit.unwrap_or(f64::NAN),
        };
        wire::Evidence::create(builder, &args)
    }

    fn from_wire(of: wire::Evidence<'_>) -> Self {
        let text = super::batch::text;
        Self {
            wall_ns: of.wall_ns(),
            source: text(of.source()),
            subject: text(of.subject()),
            text: of.text().map(long_text).unwrap_or_default(),
            event: of.event(),
            metric: of.metric(),
            value: of.value(),
            limit: Some(of.limit()).filter(|limit| !limit.is_nan()),
        }
    }
}

impl Assessment {
    /// At least the bytes that it takes in a batch, and those of a table where
    /// a batch may have only so many.
    #[must_use]
    pub fn bytes_max(&self) -> usize {
        let texts = [&self.subject, &self.subject_kind].into_iter();
        let texts: usize = texts.map(|text| text_bytes(text, NAME_BYTES_MAX)).sum();
        80 + texts + 8 * self.verdicts.len().min(VERDICTS_MAX)
    }

    pub(super) fn to_wire<'b>(
        &self,
        builder: &mut FlatBufferBuilder<'b>,
    ) -> WIPOffset<wire::Assessment<'b>> {
        let verdicts = &self.verdicts[..self.verdicts.len().min(VERDICTS_MAX)];
        let args = wire::AssessmentArgs {
            subject: name(builder, &self.subject),
            subject_kind: name(builder, &self.subject_kind),
            health: wire::Health(self.health as u8),
            since_wall_ns: self.since_wall_ns,
            verdicts: (!verdicts.is_empty()).then(|| builder.create_vector(verdicts)),
        };
        wire::Assessment::create(builder, &args)
    }

    pub(super) fn from_wire(of: wire::Assessment<'_>) -> Self {
        let text = super::batch::text;
        Self {
            subject: text(of.subject()),
            subject_kind: text(of.subject_kind()),
            health: Health::from_number(of.health().0),
            since_wall_ns: of.since_wall_ns(),
            verdicts: of.verdicts().into_iter().flatten().take(VERDICTS_MAX).collect(),
        }
    }
}

/// What a text takes in a batch: itself, as far as it is sent, where it is, its
/// length and padding.
fn text_bytes(text: &str, bytes_max: usize) -> usize {
    4 + TEXT_EXTRA_BYTES + text.len().min(bytes_max)
}

fn long<'b>(
    builder: &mut FlatBufferBuilder<'b>,
    text: &str,
    bytes_max: usize,
) -> Option<WIPOffset<&'b str>> {
    (!text.is_empty()).then(|| builder.create_string(cut(text, bytes_max)))
}

fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

fn long_text(text: &str) -> String {
    bounded_text(text).to_owned()
}

/// From outside, so that it may be anything.
fn share(value: f32) -> f32 {
    if value.is_nan() { 0.0 } else { value.clamp(0.0, 1.0) }
}

type Strings<'b> = WIPOffset<flatbuffers::Vector<'b, flatbuffers::ForwardsUOffset<&'b str>>>;

fn strings<'b>(
    builder: &mut FlatBufferBuilder<'b>,
    texts: &[String],
    (most, bytes_max): (usize, usize),
) -> Option<Strings<'b>> {
    if texts.is_empty() {
        return None;
    }
    let texts = texts.iter().take(most);
    let offsets: Vec<_> = texts.map(|text| builder.create_string(cut(text, bytes_max))).collect();
    Some(builder.create_vector(&offsets))
}

words! {
    /// Whether a verdict still holds.
    VerdictState {
        /// Of a sender that does not say.
        #[default]
        Unknown = 0 "unknown",
        /// It holds.
        Open = 1 "open",
        /// It holds, and something about it is new.
        Changed = 2 "changed",
        /// It is over.
        Resolved = 3 "resolved",
    }
}

words! {
    /// How well a device, an engine or a node is.
    Health {
        /// Not observable: nobody samples it, or its driver does not answer.
        #[default]
        Unknown = 0 "unknown",
        /// Nothing speaks against it.
        Healthy = 1 "healthy",
        /// It serves, but worse than it should.
        Degraded = 2 "degraded",
        /// It serves, but something says that it will not for long.
        Suspect = 3 "suspect",
        /// It should not be given work.
        Failed = 4 "failed",
        /// It is being reset.
        Resetting = 5 "resetting",
        /// It was here and is not any more.
        Gone = 6 "gone",
    }
}

/// What is to be done, from a closed list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[repr(u8)]
pub enum Action {
    /// Nothing.
    #[default]
    None = 0,
    /// Restart the application.
    RestartApplication = 1,
    /// Drain and reset the device.
    ResetDevice = 2,
    /// Drain and reboot the node.
    RebootNode = 3,
    /// Repair a link: reseat or replace a cable, a module, a riser.
    RepairLink = 4,
    /// Repair the cooling.
    RepairCooling = 5,
    /// Upgrade driver or firmware.
    UpgradeDriver = 6,
    /// Replace the part.
    ReplacePart = 7,
    /// Contact the vendor.
    ContactVendor = 8,
    /// Find out more; also what a reader makes of actions of the future.
    Investigate = 9,
    /// Change a setting or give more of a resource.
    ChangeSetting = 10,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 11] = [
        Self::None,
        Self::RestartApplication,
        Self::ResetDevice,
        Self::RebootNode,
        Self::RepairLink,
        Self::RepairCooling,
        Self::UpgradeDriver,
        Self::ReplacePart,
        Self::ContactVendor,
        Self::Investigate,
        Self::ChangeSetting,
    ];

    /// The action with this number.
    #[must_use]
    pub fn from_number(number: u8) -> Self {
        Self::ALL.into_iter().find(|action| *action as u8 == number).unwrap_or(Self::Investigate)
    }

    /// The action in a few words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::RestartApplication => "restart application",
            Self::ResetDevice => "reset device",
            Self::RebootNode => "drain and reboot node",
            Self::RepairLink => "repair link",
            Self::RepairCooling => "repair cooling",
            Self::UpgradeDriver => "upgrade driver",
            Self::ReplacePart => "replace part",
            Self::ContactVendor => "contact vendor",
            Self::Investigate => "investigate",
            Self::ChangeSetting => "change setting",
        }
    }
}

/// Longest fact or step on the wire, bytes; with this and the numbers below
/// the largest verdict fits a batch.
const SENTENCE_BYTES_MAX: usize = 900;

/// Most facts with one verdict on the wire.
pub const EVIDENCE_MAX: usize = 16;
/// Most engines and pods named by one verdict on the wire.
pub const IMPACT_MAX: usize = 64;
/// Most steps of one verdict on the wire.
pub const STEPS_MAX: usize = 16;
/// Most verdicts named by one assessment on the wire.
pub const VERDICTS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{BATCH_BYTES_MAX, BatchHead, BatchView, BatchWriter, Tables};
    use bytemuck::Zeroable;

    fn written(verdict: Verdict) -> (usize, Verdict) {
        let mut writer = BatchWriter::default();
        let bare = writer.write(&BatchHead::zeroed(), &Tables::default()).len();
        let verdicts = [verdict];
        let tables = Tables { verdicts: &verdicts, ..Tables::default() };
        let bytes = writer.write(&BatchHead::zeroed(), &tables);
        assert!(bytes.len() <= BATCH_BYTES_MAX, "{}", bytes.len());
        assert!(bytes.len() - bare <= verdicts[0].bytes_max());
        let read = BatchView::verify(bytes).expect("our own batch").verdicts().next();
        (bytes.len(), read.expect("the one that was written"))
    }

    #[test]
    fn the_largest_verdict_fits_a_batch_and_is_cut_where_it_is_too_long() {
        for length in [0, 1, 40, 900, 5000] {
            let text = "x".repeat(length);
            let evidence = Evidence {
                source: text.clone(),
                subject: text.clone(),
                text: text.clone(),
                ..Evidence::default()
            };
            let verdict = Verdict {
                rule: text.clone(),
                subject: text.clone(),
                text: text.clone(),
                cause: text.clone(),
                evidence: vec![evidence; EVIDENCE_MAX + 1],
                impact: vec![text.clone(); IMPACT_MAX + 1],
                steps: vec![text; STEPS_MAX + 1],
                ..Verdict::default()
            };
            let (_, read) = written(verdict);
            assert_eq!(read.evidence.len(), EVIDENCE_MAX);
            assert_eq!((read.impact.len(), read.steps.len()), (IMPACT_MAX, STEPS_MAX));
            assert_eq!(read.evidence[0].text.len(), length.min(SENTENCE_BYTES_MAX));
        }
    }

    #[test]
    fn a_share_from_outside_is_one() {
        let of = |confidence| written(Verdict { confidence, ..Verdict::default() }).1.confidence;
        assert_eq!([of(0.5), of(-1.0), of(7.0), of(f32::NAN)], [0.5, 0.0, 1.0, 0.0]);
    }

    #[test]
    fn an_action_of_the_future_is_to_find_out_more() {
        for action in Action::ALL {
            assert_eq!(Action::from_number(action as u8), action);
        }
        assert_eq!(Action::from_number(99), Action::Investigate);
    }
}
