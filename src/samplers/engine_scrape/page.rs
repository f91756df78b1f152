//! One engine's page, read as it arrives: which engine, which models, which
//! ranks, and what is known of each.
//!
//! A page is never held. Each line's name is looked up; the few that are in a
//! table put their number into the cell of their model and rank; the end of the
//! page says which cells are ranks. Once a page of the same shape was read,
//! reading another allocates nothing.
//!
//! **Ranks.** Data-parallel ranks are ranks. Tensor, pipeline and expert ranks
//! and worker processes report the same scheduler: the lowest counts. What
//! carries no rank is the only rank's, or, of several ranks, only a
//! configuration that holds for all of them.
//!
//! **Models.** Each model on a page is an engine of its own; a number without
//! a model belongs to the only model there is.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::schema::{Field, StepCore};

use super::exposition::{Cutter, LINES_MAX, Line, Sample, unescaped};
use super::tables::{DUPLICATES, FAMILIES, Family, Goes, Reads, Row, Shows};

/// Most ranks and models of one page together; what names more is refused.
pub const CELLS_MAX: usize = 256;

/// Most models of one page; what names more is refused.
pub const MODELS_MAX: usize = 32;

/// One past the highest rank.
const RANK_END: u16 = 4096;

/// Longest name of a model as it stands on the page.
const MODEL_BYTES_MAX: usize = 512;

/// Where a name stands: which table, which row.
type Places = Vec<(u8, u8)>;

/// Every name of every table.
static NAMES: LazyLock<HashMap<&'static [u8], Places>> = LazyLock::new(|| {
    let mut names: HashMap<&'static [u8], Places> = HashMap::new();
    for (family, table) in FAMILIES.iter().enumerate() {
        for (row, named) in table.rows.iter().enumerate() {
            names.entry(named.name.as_bytes()).or_default().push((family as u8, row as u8));
        }
    }
    names
});

/// Reads pages, one after the other.
#[derive(Debug, Default)]
pub struct Page {
    cutter: Cutter,
    models: Vec<Box<[u8]>>,
    cells: Vec<Cell>,
    /// The cell that was written last: neighbours on a page often share it.
    last: usize,
    /// Which rows each family had, one bit each.
    rows: [u64; FAMILIES.len()],
    samples: u32,
    refused: u32,
    ranks: Vec<PageRank>,
}

/// What a page says of one rank.
#[derive(Debug, Clone, Copy)]
pub struct PageRank {
    model: Option<u8>,
    /// The data-parallel rank.
    pub rank: u16,
    values: Values,
}

/// What a page said, once it was read to its end.
#[derive(Debug, Clone, Copy)]
pub struct Said<'a> {
    models: &'a [Box<[u8]>],
    family: &'static Family,
    /// Every rank of every model.
    pub ranks: &'a [PageRank],
    /// Samples that are in a table.
    pub samples: u32,
    /// Samples and lines that are not to be believed, or too many.
    pub refused: u32,
}

/// Why nothing is known from a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unread {
    /// It has more than [`LINES_MAX`] lines.
    Lines,
    /// No name on it is in a table.
    NoEngine,
}

#[derive(Debug, Clone, Copy)]
struct Values {
    /// Not finite where unknown.
    numbers: [f64; Goes::COUNT],
    /// Which row of its table gave it; the earlier wins.
    rows: [u8; Goes::COUNT],
    /// Which of several reports of the same scheduler gave it; the lowest wins.
    reports: [u64; Goes::COUNT],
}

#[derive(Debug, Clone, Copy)]
struct Cell {
    family: u8,
    model: Option<u8>,
    rank: Option<u16>,
    shows: Shows,
    values: Values,
}

impl Page {
    /// Begins a page; what was read of the one before is forgotten.
    pub fn begin(&mut self) {
        self.cutter.begin();
        self.cells.clear();
        self.ranks.clear();
        self.rows = [0; FAMILIES.len()];
        (self.last, self.samples, self.refused) = (0, 0, 0);
        if self.models.len() == MODELS_MAX {
            // Names that come and go do not shut out the next ones.
            self.models.clear();
        }
    }

    /// Reads on.
    pub fn push(&mut self, bytes: &[u8]) {
        let mut cutter = std::mem::take(&mut self.cutter);
        if cutter.lines() <= LINES_MAX {
            cutter.push(bytes, |line| self.line(line));
        }
        self.cutter = cutter;
    }

    /// What the page said.
    ///
    /// # Errors
    ///
    /// When it is too long or no engine's.
    pub fn end(&mut self) -> Result<Said<'_>, Unread> {
        if self.cutter.lines() > LINES_MAX {
            return Err(Unread::Lines);
        }
        let family = self.family().ok_or(Unread::NoEngine)?;
        self.settle(family as u8);
        Ok(Said {
            models: &self.models,
            family: &FAMILIES[family],
            ranks: &self.ranks,
            samples: self.samples,
            refused: self.refused + self.cutter.cut(),
        })
    }

    fn line(&mut self, line: &[u8]) {
        let Some(line) = Line::of(line) else { return };
        // Four fifths of a page.
        if line.name.ends_with(b"_bucket") {
            return;
        }
        let Some(rows) = NAMES.get(line.name) else { return };
        let Ok(sample) = line.sample() else {
            self.refused += 1;
            return;
        };
        self.samples += 1;
        for (family, row) in rows {
            if self.take(&sample, *family, *row).is_none() {
                self.refused += 1;
            }
        }
    }

    /// Puts a sample where `row` says; nothing where it is not to be believed.
    fn take(&mut self, sample: &Sample<'_>, family: u8, row: u8) -> Option<()> {
        let table = &FAMILIES[usize::from(family)];
        let named = &table.rows[usize::from(row)];
        if let Some((label, value)) = named.when
            && sample.label(label) != Some(value.as_bytes())
        {
            return Some(());
        }
        let number = match named.reads {
            Reads::Value => sample.value,
            Reads::Label(label) => {
                // An absent label, or `None` for what is not configured yet.
                let Some(Ok(number)) = sample.label(label).map(parsed) else { return Some(()) };
                number
            }
        };
        let (model, rank, report) = self.whose(sample, table)?;
        let believed = believed(named.goes, number);
        let cell = self.cell(family, model, rank)?;
        cell.shows = cell.shows.max(named.shows);
        cell.values.put(named, row, report, believed.unwrap_or(f64::NAN));
        self.rows[usize::from(family)] |= 1 << row;
        believed.map(drop)
    }

    /// The model, the rank and which of several reports of it.
    fn whose(
        &mut self,
        sample: &Sample<'_>,
        table: &Family,
    ) -> Option<(Option<u8>, Option<u16>, u64)> {
        let (mut model, mut rank) = (None, None);
        let mut report = [0_u64; DUPLICATES.len()];
        for (name, value) in sample.labels() {
            if value.is_empty() {
                continue;
            }
            if name == table.model_label.as_bytes() {
                model = Some(self.model(value)?);
            } else if name == table.rank_label.as_bytes() {
                let number = parsed(value).ok().filter(|n| *n < f64::from(RANK_END))?;
                rank = Some(number as u16);
            } else if let Some(at) = DUPLICATES.iter().position(|(d, _)| d.as_bytes() == name) {
                let most = (1 << DUPLICATES[at].1) - 1;
                // One up: a report without the label comes first.
                report[at] = parsed(value).map_or(most, |n| (n as u64 + 1).min(most));
            }
        }
        let order = |order, (at, part): (usize, u64)| order << DUPLICATES[at].1 | part;
        Some((model, rank, report.into_iter().enumerate().fold(0, order)))
    }

    fn model(&mut self, name: &[u8]) -> Option<u8> {
        if let Some(at) = self.models.iter().position(|known| **known == *name) {
            return Some(at as u8);
        }
        if self.models.len() >= MODELS_MAX || name.len() > MODEL_BYTES_MAX {
            return None;
        }
        self.models.push(name.into());
        Some(self.models.len() as u8 - 1)
    }

    fn cell(&mut self, family: u8, model: Option<u8>, rank: Option<u16>) -> Option<&mut Cell> {
        let is_it = |cell: &Cell| (cell.family, cell.model, cell.rank) == (family, model, rank);
        if !self.cells.get(self.last).is_some_and(is_it) {
            self.last = match self.cells.iter().position(is_it) {
                Some(at) => at,
                None if self.cells.len() >= CELLS_MAX => return None,
                None => {
                    let (shows, values) = (Shows::Nothing, Values::unknown());
                    self.cells.push(Cell { family, model, rank, shows, values });
                    self.cells.len() - 1
                }
            };
        }
        self.cells.get_mut(self.last)
    }

    /// The engine that most rows speak for.
    fn family(&self) -> Option<usize> {
        let shown = |at: &usize| {
            let is_shown =
                |cell: &Cell| usize::from(cell.family) == *at && cell.shows > Shows::Nothing;
            self.cells.iter().any(is_shown)
        };
        let rows = |at: &usize| self.rows[*at].count_ones() as usize;
        (0..FAMILIES.len())
            .filter(|at| rows(at) >= FAMILIES[*at].rows_least)
            .filter(shown)
            .rev()
            .max_by_key(rows)
    }

    /// Makes ranks of the cells of this family.
    fn settle(&mut self, family: u8) {
        let cells = self.cells.iter().filter(|cell| cell.family == family);
        let shows = cells.clone().map(|cell| cell.shows).max().unwrap_or(Shows::Nothing);
        let surest = cells.clone().filter(|cell| cell.shows == shows);
        let first = surest.clone().find_map(|cell| cell.model);
        let several = surest.clone().any(|cell| cell.model.is_some() && cell.model != first);
        let model_of = |cell: &Cell| if several { cell.model } else { cell.model.or(first) };
        let is_ranked =
            |model| surest.clone().any(|cell| cell.rank.is_some() && model_of(cell) == model);
        for cell in surest.clone() {
            let model = model_of(cell);
            let is_rest = (several && model.is_none()) || (cell.rank.is_none() && is_ranked(model));
            let rank = cell.rank.unwrap_or(0);
            let known = self.ranks.iter_mut().find(|r| (r.model, r.rank) == (model, rank));
            match known {
                _ if is_rest => {}
                Some(known) => known.values.complete(&cell.values, |_| true),
                None => self.ranks.push(PageRank { model, rank, values: cell.values }),
            }
        }
        for cell in cells {
            let model = model_of(cell);
            let is_its = |rank: &&mut PageRank| {
                (model.is_none() || rank.model == model)
                    && cell.rank.is_none_or(|number| rank.rank == number)
            };
            let sole = self.ranks.iter_mut().filter(is_its).count() == 1;
            for rank in self.ranks.iter_mut().filter(is_its) {
                rank.values.complete(&cell.values, |at| sole || Goes::OF_ALL.contains(&at));
            }
        }
        self.ranks.sort_unstable_by_key(|rank| (rank.model, rank.rank));
    }
}

impl Said<'_> {
    /// The engine's kind.
    #[must_use]
    pub fn engine(&self) -> &'static str {
        self.family.name
    }

    /// Whether differences of its counters are rates.
    #[must_use]
    pub fn rates(&self) -> bool {
        self.family.rates
    }

    /// The name of a rank's model, as far as the page tells it.
    #[must_use]
    pub fn model(&self, rank: &PageRank) -> String {
        rank.model.map_or_else(String::new, |at| unescaped(&self.models[usize::from(at)]))
    }

    /// Whether two ranks serve the same model.
    #[must_use]
    pub fn is_model(&self, rank: &PageRank, name: &[u8]) -> bool {
        rank.model.map_or(&[][..], |at| &self.models[usize::from(at)]) == name
    }

    /// The name of a rank's model as it stands on the page.
    #[must_use]
    pub fn model_bytes(&self, rank: &PageRank) -> &[u8] {
        rank.model.map_or(&[], |at| &self.models[usize::from(at)])
    }
}

impl PageRank {
    /// A number, or nothing where the page does not say it.
    #[must_use]
    pub fn value(&self, goes: Goes) -> Option<f64> {
        Some(self.values.numbers[goes.at()]).filter(|number| number.is_finite())
    }

    /// Puts every field that is known into `step`; the others it leaves.
    pub fn fill(&self, step: &mut StepCore) {
        for field in Field::ALL {
            if let Some(number) = self.value(Goes::To(*field)) {
                put(step, *field, number);
            }
        }
    }
}

impl Values {
    const fn unknown() -> Self {
        Self {
            numbers: [f64::NAN; Goes::COUNT],
            rows: [u8::MAX; Goes::COUNT],
            reports: [u64::MAX; Goes::COUNT],
        }
    }

    fn put(&mut self, named: &Row, row: u8, report: u64, number: f64) {
        let at = named.goes.at();
        let (by, from) = (self.rows[at], self.reports[at]);
        if (row, report) == (by, from) {
            // A sum with a part that is unknown is unknown.
            if named.adds {
                self.numbers[at] += number;
            }
        } else if (row, report) < (by, from) && (number.is_finite() || named.adds) {
            (self.numbers[at], self.rows[at], self.reports[at]) = (number, row, report);
        }
    }

    /// Takes from `other` what is unknown here.
    fn complete(&mut self, other: &Self, may: impl Fn(usize) -> bool) {
        for at in 0..Goes::COUNT {
            if self.rows[at] == u8::MAX && may(at) {
                self.numbers[at] = other.numbers[at];
                self.rows[at] = other.rows[at];
            }
        }
    }
}

fn parsed(text: &[u8]) -> Result<f64, ()> {
    let text = std::str::from_utf8(text).map_err(drop)?;
    text.parse::<u32>().map(f64::from).map_err(drop)
}

/// A number that its field can hold; nothing else is believed.
fn believed(goes: Goes, number: f64) -> Option<f64> {
    let most = match goes {
        // A share that rounding took above one is one.
        Goes::To(Field::KvUsage) if (1.0..1.0001).contains(&number) => return Some(1.0),
        Goes::To(Field::KvUsage) | Goes::Awake => 1.0,
        Goes::To(Field::PrefillRate | Field::DecodeRate) => 1e12,
        Goes::To(Field::BlockSize | Field::LoraRunning | Field::LoraWaiting) => 65_535.0,
        Goes::To(field) if (field as u8) < Field::Steps as u8 => f64::from(u32::MAX),
        // Beyond, a float no longer counts by ones.
        _ => 9_007_199_254_740_992.0,
    };
    (0.0..=most).contains(&number).then_some(number)
}

/// Stores a number that [`believed`] let through.
pub(super) fn put(step: &mut StepCore, field: Field, number: f64) {
    let (narrow, word, long, real) = (number as u16, number as u32, number as u64, number as f32);
    match field {
        Field::LastStep => step.last_step_us = word,
        Field::Running => step.running = word,
        Field::Waiting => step.waiting = word,
        Field::Deferred => step.deferred = word,
        Field::OldestWait => step.oldest_wait_ms = word,
        Field::WaitingTokens => step.waiting_tokens = word,
        Field::PendingTokens => step.pending_tokens = word,
        Field::MaxSequences => step.max_sequences = word,
        Field::MaxBatchedTokens => step.max_batched_tokens = word,
        Field::KvBlocks => step.kv_blocks = word,
        Field::BlockSize => step.block_size = narrow,
        Field::LoraRunning => step.lora_running = narrow,
        Field::LoraWaiting => step.lora_waiting = narrow,
        Field::KvUsage => step.kv_usage = real,
        Field::PrefillRate => step.prefill_tokens_per_second = real,
        Field::DecodeRate => step.decode_tokens_per_second = real,
        Field::Steps => step.steps = long,
        Field::PromptTokens => step.prompt_tokens = long,
        Field::GeneratedTokens => step.generated_tokens = long,
        Field::CachedTokens => step.cached_tokens = long,
        Field::PrefixQueries => step.prefix_queries = long,
        Field::PrefixHits => step.prefix_hits = long,
        Field::Preemptions => step.preemptions = long,
        Field::Rejections => step.rejections = long,
        Field::Finished => step.finished = long,
    }
    step.mark(field);
}
