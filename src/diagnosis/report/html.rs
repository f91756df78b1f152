//! The report as one page that needs nothing else and prints well.

use std::fmt::Write as _;

use super::text::fact;
use super::{Report, confidence, over, subject, visible};
use crate::schema::{Evidence, MetricId, Verdict, utc_text};

impl Report {
    /// The report as an HTML page without scripts or anything from elsewhere.
    #[must_use]
    pub fn html(&self) -> String {
        let mut out = String::from(HEAD);
        let _ =
            write!(out, "<title>Node {0}</title></head><body><h1>Node {0}</h1>", plain(&self.node));
        if self.simulated {
            out.push_str("<p class=simulated>The devices of this node are simulated.</p>");
        }
        let time = utc_text(self.wall_ns);
        let _ = write!(out, "<p>{time}</p><p class=lead>{}</p>", plain(&self.headline()));
        self.health_table(&mut out);
        for verdict in self.causes() {
            out.push_str("<section>");
            one(&mut out, verdict);
            let follows: Vec<String> = self
                .consequences(verdict.id)
                .map(|of| format!("{} ({})", of.text, subject(of)))
                .collect();
            list(&mut out, "What follows from it", follows.into_iter());
            out.push_str("</section>");
        }
        let silenced = self.open.iter().filter(|of| self.is_silenced(of)).map(|of| {
            format!("{} until {}: {}", of.text, utc_text(of.silenced_until_wall_ns), of.silenced_by)
        });
        list(&mut out, "Silenced", silenced);
        list(&mut out, "Over", self.resolved.iter().map(over));
        let unseen = self.unseen.iter().map(|of| format!("{}: {}", of.what, of.why));
        list(&mut out, "Not observed", unseen);
        out.push_str("</body></html>\n");
        out
    }

    fn health_table(&self, out: &mut String) {
        let ill = self.ill();
        if ill.is_empty() && self.healthy() == 0 {
            return;
        }
        out.push_str("<table><tr><th>What</th><th>Health</th><th>Since</th></tr>");
        for of in ill {
            let _ = write!(
                out,
                "<tr><td>{} {}</td><td class=ill>{}</td><td>{}</td></tr>",
                plain(&of.subject_kind),
                plain(&of.subject),
                of.health.name(),
                utc_text(of.since_wall_ns)
            );
        }
        let healthy = self.healthy();
        let _ = write!(out, "<tr><td>{healthy} more</td><td>healthy</td><td></td></tr></table>");
    }
}

fn one(out: &mut String, verdict: &Verdict) {
    let severity = verdict.severity.name();
    let _ = write!(
        out,
        "<h2><span class=\"severity {severity}\">{severity}</span> {}</h2><dl>",
        plain(&verdict.text)
    );
    let mut row = |term: &str, what: &str| {
        if !what.is_empty() {
            let _ = write!(out, "<dt>{term}</dt><dd>{}</dd>", plain(what));
        }
    };
    row("Where", &format!("{}, since {}", subject(verdict), utc_text(verdict.since_wall_ns)));
    row("Why", &format!("{} ({} sure)", verdict.cause, confidence(verdict)));
    row("Hits", &verdict.impact.join(", "));
    row("Do", verdict.action.name());
    out.push_str("</dl>");
    if !verdict.steps.is_empty() {
        out.push_str("<ol>");
        for step in &verdict.steps {
            let _ = write!(out, "<li>{}</li>", plain(step));
        }
        out.push_str("</ol>");
    }
    chart(out, &verdict.evidence);
    if !verdict.evidence.is_empty() {
        out.push_str("<pre>");
        for evidence in &verdict.evidence {
            let _ = writeln!(out, "{}", plain(&fact(evidence)));
        }
        out.push_str("</pre>");
    }
    let _ =
        write!(out, "<p class=rule>Rule {}, {}</p>", plain(&verdict.rule), plain(&verdict.page));
}

/// The readings among the evidence over time, with what they were held against.
fn chart(out: &mut String, evidence: &[Evidence]) {
    let Some(metric) = evidence.iter().find_map(|of| MetricId::from_number(of.metric)) else {
        return;
    };
    let points: Vec<&Evidence> = evidence
        .iter()
        .filter(|of| of.metric == metric as u16 && of.value.is_finite() && of.wall_ns > 0)
        .collect();
    let times = points.iter().map(|of| of.wall_ns);
    let (Some(first), Some(last)) = (times.clone().min(), times.max()) else { return };
    if first == last {
        return;
    }
    let limits = points.iter().filter_map(|of| of.limit).filter(|limit| limit.is_finite());
    let values = points.iter().map(|of| of.value).chain(limits.clone());
    let (low, high) =
        values.fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
    let span = if high > low { high - low } else { 1.0 };
    let x = |wall_ns: u64| 10.0 + 580.0 * (wall_ns - first) as f64 / (last - first) as f64;
    let y = |value: f64| 90.0 - 80.0 * (value - low) / span;
    let name = metric.row().name;
    let _ = write!(out, "<svg viewBox=\"0 0 600 100\" role=img aria-label=\"{name}\">");
    if let Some(limit) = limits.max_by(f64::total_cmp) {
        let y = y(limit);
        let _ = write!(out, "<line class=limit x1=10 x2=590 y1={y:.1} y2={y:.1} />");
    }
    let line: Vec<String> =
        points.iter().map(|of| format!("{:.1},{:.1}", x(of.wall_ns), y(of.value))).collect();
    let _ = write!(out, "<polyline points=\"{}\" /></svg><p class=rule>{name}</p>", line.join(" "));
}

fn list(out: &mut String, title: &str, of: impl Iterator<Item = String>) {
    let entries: String = of.map(|entry| format!("<li>{}</li>", plain(&entry))).collect();
    if !entries.is_empty() {
        let _ = write!(out, "<h3>{title}</h3><ul>{entries}</ul>");
    }
}

/// Text in which no character is markup.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in visible(text).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

const HEAD: &str = "<!doctype html><html lang=en><head><meta charset=utf-8>\
<meta name=viewport content=\"width=device-width, initial-scale=1\">\
<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; style-src 'unsafe-inline'\">\
<style>:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;\
margin:2rem auto;padding:0 1rem}h2{margin-top:2rem}section{break-inside:avoid-page;\
border-top:1px solid #8888}.lead{font-size:1.2rem}dt{font-weight:600}dd{margin:0 0 .3rem 1rem}\
pre{overflow-x:auto;background:#8882;padding:.7rem;white-space:pre-wrap}table{border-collapse:\
collapse}td,th{text-align:left;padding:.2rem 1rem .2rem 0;border-bottom:1px solid #8885}\
.severity{font-size:.8rem;padding:.1rem .5rem;border-radius:.3rem;border:1px solid}\
.critical,.error,.ill{color:#c22}.warning{color:#a60}.rule{color:#777}\
.simulated{border:1px dashed;padding:.5rem}svg{width:100%;max-width:600px}\
polyline{fill:none;stroke:#36c;stroke-width:2}.limit{stroke:#c22;stroke-dasharray:4}\
@media print{body{margin:0;font-size:11pt}pre{border:1px solid #999}}</style>";
