//! How we are ourselves: NATS, samplers, losses, cost.

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::draw::{BAD, PLAIN, Page, QUIET, WARN};
use super::host;
use super::screen::Screen;
use super::text::{ABSENT, age, count, fit, right, shown};
use crate::web::{LossCount, NatsState, SamplerState, SamplerStatus};

pub(super) fn page(screen: &Screen, columns: usize) -> Page {
    let status = &screen.status;
    let mut rows = vec![readiness(screen), nats(screen), Line::raw("")];
    let heading = " SAMPLER          STATE     PERIOD  LAST TICK  WHY";
    rows.push(Line::styled(heading, QUIET));
    rows.extend(status.samplers.iter().map(sampler));
    rows.push(Line::raw(""));
    if status.losses.is_empty() {
        rows.push(Line::raw(" Nothing was lost."));
    } else {
        rows.push(Line::styled(" LOST AT                   COUNT  WHY", QUIET));
        rows.extend(status.losses.iter().map(loss));
    }
    if !screen.own.is_empty() {
        rows.push(Line::raw(""));
        rows.push(Line::styled(" WHAT EAGLE EYE COSTS", QUIET));
        rows.extend(screen.own.iter().map(|gauge| host::row(gauge, columns)));
    }
    Page::of(rows)
}

fn readiness(screen: &Screen) -> Line<'static> {
    match &screen.status.ready {
        Ok(()) => Line::raw(" Ready: everything that is configured works."),
        Err(sentence) => Line::styled(format!(" Not ready: {}", shown(sentence)), BAD),
    }
}

fn nats(screen: &Screen) -> Line<'static> {
    let Some(nats) = &screen.status.nats else {
        return Line::raw(" NATS: not configured; everything works on this machine.");
    };
    let style = match nats.state {
        NatsState::Connected => PLAIN,
        NatsState::Connecting => WARN,
        NatsState::Down => BAD,
    };
    let why = if nats.sentence.is_empty() { String::new() } else { format!(": {}", nats.sentence) };
    Line::from(vec![
        Span::raw(" NATS: "),
        Span::styled(nats.state.name(), style),
        Span::raw(shown(&format!(" {}{why}", nats.url))),
    ])
}

fn sampler(sampler: &SamplerStatus) -> Line<'static> {
    let style: Style = match sampler.state {
        SamplerState::Ready => PLAIN,
        SamplerState::NotHere | SamplerState::Off => QUIET,
        SamplerState::Failed | SamplerState::Stalled => BAD,
    };
    let tick = sampler.tick_age_ms.map_or_else(|| ABSENT.to_owned(), |ms| age(ms as f64));
    Line::from(vec![
        Span::raw(format!(" {} ", fit(&sampler.name, 16))),
        Span::styled(fit(sampler.state.name(), 8), style),
        Span::raw(format!(" {}  {}", right(&age(sampler.period_ms as f64), 7), right(&tick, 9))),
        Span::raw(format!("  {}", shown(&sampler.sentence))),
    ])
}

fn loss(loss: &LossCount) -> Line<'static> {
    let place = fit(&loss.place, 24);
    let text = format!(" {place} {}  {}", right(&count(loss.count as f64), 6), shown(&loss.reason));
    Line::styled(text, WARN)
}
