//! A network interface carries all that it can.

use super::level::{Level, Levels};
use crate::diagnosis::{Bench, Conclusion, Counters, Entry, Page, Place, Setting, Wants};
use crate::schema::{Action, Health, MetricId, Severity};

/// What the family knows of this rule.
pub(super) static RULE: Entry = Entry {
    name: "interface_saturated",
    summary: "A network interface carries all that its link can.",
    page: Page {
        concludes: "In one direction an interface or port carries nearly its link's rate for long.",
        matters: "KV transfers, weights that are loaded and requests share what is left: the tail \
                  of latency grows.",
        needs: "Bytes sent and received over half a minute, and the rate of the link.",
        silent: "For bursts, and where the link's rate is not known.",
        remedy: "Find who sends; spread it over links or time, or use a faster link.",
    },
    settings: &[
        Setting {
            key: "used_ratio",
            default: 0.92,
            range: (0.1, 1.0),
            help: "Share of the link's rate from which it counts.",
        },
        Setting {
            key: "hold_s",
            default: 30.0,
            range: (0.0, 3600.0),
            help: "How long that must last, seconds.",
        },
    ],
    wants: Wants {
        metrics: &[
            MetricId::InterfaceReceived,
            MetricId::InterfaceSent,
            MetricId::InfinibandReceived,
            MetricId::InfinibandSent,
        ],
        ..Wants::NOTHING
    },
    consequence_of: &[],
    follows_driver: false,
    open: || Levels::open(&LEVEL),
};

fn measure(counters: &mut Counters, place: Place, bench: &Bench<'_>) -> Option<f64> {
    let mut most = None::<f64>;
    for (rate, metrics) in [
        (MetricId::InterfaceSpeed, [MetricId::InterfaceReceived, MetricId::InterfaceSent]),
        (MetricId::InfinibandRate, [MetricId::InfinibandReceived, MetricId::InfinibandSent]),
    ] {
        let Some(rate) = bench.value(place, rate).filter(|rate| *rate > 0.0) else { continue };
        for metric in metrics {
            if let Some(bytes) = counters.per_second(bench, place, metric) {
                most = Some(most.unwrap_or(0.0).max(bytes / rate));
            }
        }
    }
    most
}

static LEVEL: Level = Level {
    span_s: 30,
    measure,
    limit: "used_ratio",
    release: 0.9,
    conclude: |of, used, place, bench| {
        let metrics = [MetricId::InterfaceSpeed, MetricId::InfinibandRate];
        let rate = metrics.into_iter().find(|metric| bench.value(place, *metric).is_some());
        let name = &of.device.name;
        Conclusion {
            severity: Severity::Warning,
            text: format!("{name} carries {:.0} % of what its link can.", used * 100.0),
            cause: "More is sent over it than it has room for.".into(),
            confidence: 0.9,
            evidence: rate.map(|metric| bench.evidence(place, metric, None)).into_iter().collect(),
            action: Action::ChangeSetting,
            steps: vec![
                "Find who sends: weights that are loaded, KV transfers, backups.".into(),
                "Spread it over more links or over time, or use a faster link.".into(),
            ],
            health: Health::Degraded,
            ..Conclusion::default()
        }
    },
};

#[cfg(test)]
mod tests {
    use crate::diagnosis::rules::trial::{Trial, device};
    use crate::schema::MetricId::{InterfaceSent as Sent, InterfaceSpeed as Speed};

    fn played(speed: Option<f64>, rate: f64) -> Vec<String> {
        let mut trial = Trial::new();
        trial.device(&device(3, "interface", "eth0"));
        if let Some(speed) = speed {
            trial.set(3, Speed, speed);
        }
        trial.grow(3, Sent, 0.0, rate);
        trial.seconds(120);
        trial.open()
    }

    #[test]
    fn a_full_link_counts_where_its_rate_is_known() {
        assert_eq!(played(Some(1.25e9), 1.2e9), ["interface_saturated eth0"]);
        assert_eq!(played(Some(1.25e9), 0.8e9), Vec::<String>::new());
        assert_eq!(played(None, 1.2e9), Vec::<String>::new());
    }
}
