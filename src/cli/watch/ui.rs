//! What the person at the terminal chose to see, and the keys that choose.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::sort::{ContainerSort, Sort};
use crate::schema::Severity;

/// Characters of a search; more are not taken.
const QUERY_MAX: usize = 40;

/// Rows that a page key scrolls.
const PAGE: usize = 10;

/// What the person at the terminal chose to see.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ui {
    /// Which part of the screen.
    pub tab: Tab,
    /// How engines are sorted.
    pub sort: Sort,
    /// How containers are sorted.
    pub container_sort: ContainerSort,
    /// The least severity of events that are shown.
    pub least: Severity,
    /// What rows must hold, in lower case; empty shows all.
    pub query: String,
    /// Whether keys go into `query`.
    pub typing: bool,
    /// Whether the help lies over it.
    pub help: bool,
    /// Whether one row is shown in full.
    pub detail: bool,
    /// Whether the screen stays as it is.
    pub paused: bool,
    /// How far it is scrolled.
    pub place: Place,
}

/// How far a part is scrolled, as [`super::draw`] last found it possible.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Place {
    /// Rows scrolled past; of events and verdicts, the row that is chosen.
    pub scroll: usize,
    /// What `scroll` was when it was last drawn.
    drawn: usize,
    /// What tells the row that was chosen from others: it stays chosen while
    /// newer ones come. None at the top, where the newest or gravest is.
    key: Option<(u64, u64)>,
}

/// Parts of the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tab {
    /// Every rank.
    #[default]
    Engines,
    /// Every accelerator.
    Devices,
    /// What is judged.
    Verdicts,
    /// The node's load and its devices.
    Host,
    /// Every container.
    Containers,
    /// What happened.
    Events,
    /// Samplers, NATS, losses, own cost.
    Health,
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
    pub const ALL: [Self; 7] = [
        Self::Engines,
        Self::Devices,
        Self::Verdicts,
        Self::Host,
        Self::Containers,
        Self::Events,
        Self::Health,
    ];

    /// Its title.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Engines => "Engines",
            Self::Devices => "Devices",
            Self::Verdicts => "Verdicts",
            Self::Host => "Host",
            Self::Containers => "Containers",
            Self::Events => "Events",
            Self::Health => "Health",
        }
    }

    /// Whether its rows can be searched.
    pub(super) const fn has_search(self) -> bool {
        !matches!(self, Self::Host | Self::Health)
    }

    /// Whether one of its rows is chosen and can be shown in full.
    pub(super) const fn has_detail(self) -> bool {
        matches!(self, Self::Events | Self::Verdicts)
    }

    const fn moved(self, by: usize) -> Self {
        Self::ALL[(self as usize + by) % Self::ALL.len()]
    }
}

impl Place {
    /// Scrolled past so many rows.
    #[must_use]
    pub const fn at(scroll: usize) -> Self {
        Self { scroll, drawn: scroll, key: None }
    }

    /// At the row `scroll`, which this key tells from others.
    pub(super) fn at_key(scroll: usize, key: (u64, u64)) -> Self {
        Self { scroll, drawn: scroll, key: (scroll > 0).then_some(key) }
    }

    /// The row that is chosen among those with these keys: the same as when it
    /// was last drawn, moved by what was pressed since.
    pub(super) fn row(&self, keys: &[(u64, u64)]) -> usize {
        let held = self.key.and_then(|held| keys.iter().position(|key| *key == held));
        let row = match held {
            Some(row) if self.scroll >= self.drawn => row.saturating_add(self.scroll - self.drawn),
            Some(row) => row.saturating_sub(self.drawn - self.scroll),
            None => self.scroll,
        };
        row.min(keys.len().saturating_sub(1))
    }
}

impl Ui {
    /// Does what a key asks for. How far there is to scroll is known to
    /// [`super::draw`], which says where it stopped.
    pub fn key(&mut self, key: KeyEvent) -> Flow {
        if key.kind == KeyEventKind::Release {
            return Flow::Stay;
        }
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c' | 'd') if control => return Flow::Leave,
            code if self.typing => self.search_key(code),
            KeyCode::Char('q') => return Flow::Leave,
            KeyCode::Char('?') => self.help = !self.help,
            KeyCode::Esc => self.escape(),
            KeyCode::Char(' ') => self.paused = !self.paused,
            KeyCode::Char(digit @ '1'..='7') => self.show(Tab::ALL[digit as usize - '1' as usize]),
            KeyCode::Tab | KeyCode::Right => self.show(self.tab.moved(1)),
            KeyCode::BackTab | KeyCode::Left => self.show(self.tab.moved(Tab::ALL.len() - 1)),
            KeyCode::Char('s') => self.sort_next(),
            KeyCode::Char('f') if self.tab == Tab::Events => self.filter_next(),
            KeyCode::Char('/') if self.tab.has_search() => self.typing = true,
            KeyCode::Enter if self.tab.has_detail() => self.detail = !self.detail,
            code => self.scroll_key(code),
        }
        Flow::Stay
    }

    /// Whether a row that says `text` is to be shown.
    pub(super) fn wants(&self, text: &str) -> bool {
        self.query.is_empty() || text.to_lowercase().contains(&self.query)
    }

    fn scroll_key(&mut self, code: KeyCode) {
        let scroll = &mut self.place.scroll;
        match code {
            KeyCode::Up => *scroll = scroll.saturating_sub(1),
            KeyCode::PageUp => *scroll = scroll.saturating_sub(PAGE),
            KeyCode::Down => *scroll = scroll.saturating_add(1),
            KeyCode::PageDown => *scroll = scroll.saturating_add(PAGE),
            KeyCode::Home => self.place = Place::at(0),
            KeyCode::End => *scroll = usize::MAX,
            _ => {}
        }
    }

    fn search_key(&mut self, code: KeyCode) {
        match code {
            KeyCode::Enter => self.typing = false,
            KeyCode::Esc => (self.typing, self.query) = (false, String::new()),
            KeyCode::Backspace => _ = self.query.pop(),
            KeyCode::Char(c) if !c.is_control() && self.query.chars().count() < QUERY_MAX => {
                self.query.extend(c.to_lowercase());
            }
            _ => return,
        }
        self.place = Place::at(0);
    }

    /// Takes away what lies on top: the help, what is in full, then the search.
    fn escape(&mut self) {
        if self.help || self.detail {
            (self.help, self.detail) = (false, false);
        } else if !self.query.is_empty() {
            self.query.clear();
            self.place = Place::at(0);
        }
    }

    fn sort_next(&mut self) {
        match self.tab {
            Tab::Engines => self.sort = self.sort.next(),
            Tab::Containers => self.container_sort = self.container_sort.next(),
            _ => return,
        }
        self.place = Place::at(0);
    }

    fn filter_next(&mut self) {
        self.least = match self.least {
            Severity::Info => Severity::Warning,
            Severity::Warning => Severity::Error,
            Severity::Error | Severity::Critical => Severity::Info,
        };
        self.place = Place::at(0);
    }

    fn show(&mut self, tab: Tab) {
        if tab != self.tab {
            self.query.clear();
        }
        (self.tab, self.detail, self.place) = (tab, false, Place::at(0));
    }
}
