//! What the person at the terminal chose to see.

use std::cmp::Ordering;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use crate::schema::Field;
use crate::web::RankState;

/// What the person at the terminal chose to see.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ui {
    /// Which part of the screen.
    pub tab: Tab,
    /// How engines are sorted.
    pub sort: Sort,
    /// Whether the help lies over it.
    pub help: bool,
    /// Rows scrolled past.
    pub scroll: usize,
}

/// Parts of the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tab {
    /// Every rank.
    #[default]
    Engines,
    /// The node's load.
    Host,
    /// What happened.
    Events,
    /// Samplers, NATS, losses, own cost.
    Health,
}

/// How engines are sorted; the largest or worst first, but names by alphabet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sort {
    /// By engine, rank and front end.
    #[default]
    Name,
    /// The least fresh first.
    State,
    /// Most running requests first.
    Running,
    /// Most waiting requests first.
    Waiting,
    /// The fullest cache first.
    Cache,
    /// The oldest first.
    Age,
}

/// Whether to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// The view stays.
    Stay,
    /// The view ends.
    Leave,
}

impl Tab {
    /// Every part, in the order of its key.
    pub const ALL: [Self; 4] = [Self::Engines, Self::Host, Self::Events, Self::Health];

    /// Its title.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Engines => "Engines",
            Self::Host => "Host",
            Self::Events => "Events",
            Self::Health => "Health",
        }
    }

    const fn moved(self, by: usize) -> Self {
        Self::ALL[(self as usize + by) % Self::ALL.len()]
    }
}

impl Sort {
    /// Every way, in the order of the key.
    pub const ALL: [Self; 6] =
        [Self::Name, Self::State, Self::Running, Self::Waiting, Self::Cache, Self::Age];

    /// What it sorts by.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::State => "state",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Cache => "KV cache",
            Self::Age => "age",
        }
    }

    /// Puts ranks in order; equals stay in the order of their names, so that
    /// rows do not jump. What was not measured comes last.
    pub(super) fn order(self, a: &RankState, b: &RankState) -> Ordering {
        let most = |field| {
            let value = |rank: &RankState| rank.value(field).unwrap_or(-1.0);
            value(b).total_cmp(&value(a))
        };
        let first = match self {
            Self::Name => Ordering::Equal,
            Self::State => b.freshness.cmp(&a.freshness),
            Self::Running => most(Field::Running),
            Self::Waiting => most(Field::Waiting),
            Self::Cache => most(Field::KvUsage),
            Self::Age => b.age_ms.total_cmp(&a.age_ms),
        };
        first.then_with(|| a.place().cmp(&b.place()))
    }
}

impl Ui {
    /// Does what a key asks for. How far there is to scroll is known to
    /// [`super::draw`], which says where it stopped.
    pub fn key(&mut self, key: KeyEvent) -> Flow {
        const PAGE: usize = 10;
        if key.kind == KeyEventKind::Release {
            return Flow::Stay;
        }
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c' | 'd') if control => return Flow::Leave,
            KeyCode::Char('q') => return Flow::Leave,
            KeyCode::Char('?') => self.help = !self.help,
            KeyCode::Esc => self.help = false,
            KeyCode::Char(digit @ '1'..='4') => self.show(Tab::ALL[digit as usize - '1' as usize]),
            KeyCode::Tab | KeyCode::Right => self.show(self.tab.moved(1)),
            KeyCode::BackTab | KeyCode::Left => self.show(self.tab.moved(Tab::ALL.len() - 1)),
            KeyCode::Char('s') => {
                self.sort = Sort::ALL[(self.sort as usize + 1) % Sort::ALL.len()];
                self.scroll = 0;
            }
            KeyCode::Up => self.scroll = self.scroll.saturating_sub(1),
            KeyCode::PageUp => self.scroll = self.scroll.saturating_sub(PAGE),
            KeyCode::Down => self.scroll = self.scroll.saturating_add(1),
            KeyCode::PageDown => self.scroll = self.scroll.saturating_add(PAGE),
            KeyCode::Home => self.scroll = 0,
            KeyCode::End => self.scroll = usize::MAX,
            _ => {}
        }
        Flow::Stay
    }

    const fn show(&mut self, tab: Tab) {
        self.tab = tab;
        self.scroll = 0;
    }
}
