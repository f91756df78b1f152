//! Dashboards for Grafana: well formed, of series that exist, and every query
//! asked of a real Prometheus.
//!
//! No Grafana can be had from a package registry, so their form is held
//! against what its schema asks for.

use std::collections::BTreeSet;

use eagle_eye::engine::{Simulation, SimulationPlan};
use eagle_eye::platform::thread::Stop;
use eagle_eye::schema::{METRICS, MetricId, MetricKind};
use serde_json::Value;

use super::node::Node;
use super::rules::unknown;
use super::server::{Prometheus, patiently, root};

/// Panels that have nothing to show of a well node with simulated engines: no
/// verdict holds, no NATS, no containers or limits, nothing lost or refused,
/// one kind of engine, and devices without processes.
const EMPTY_WHEN_WELL: &[(&str, &str)] = &[
    ("fleet", "Open verdicts"),
    ("engine", "Adapters"),
    ("engine", "Drafts accepted"),
    ("engine", "KV moved"),
    ("engine", "KV transfer time"),
    ("engine", "Device memory"),
    ("engine", "Waiting"),
    ("host", "Container processors"),
    ("host", "Container memory"),
    ("host", "Container throttling"),
    ("host", "Temperatures"),
    ("host", "Network in"),
    ("host", "Network out"),
    ("host", "Network trouble"),
    ("host", "Pressure"),
    ("host", "Disk"),
    ("host", "Disk busy"),
    ("verdicts", "Open"),
    ("verdicts", "Since"),
    ("verdicts", "When"),
    ("verdicts", "By rule"),
    ("ourselves", "Lost"),
    ("ourselves", "Publish wait"),
    ("ourselves", "NATS"),
    ("ourselves", "Series"),
    ("trends", "KV cache"),
    ("trends", "Container memory"),
    ("trends", "Node memory"),
];

/// A dashboard by the name of its file.
struct Dashboard {
    name: String,
    all: Value,
}

/// A query and the panel that asks it.
struct Asked {
    dashboard: String,
    panel: String,
    query: String,
}

fn dashboards() -> Vec<Dashboard> {
    let folder = std::fs::read_dir(root().join("deploy/grafana")).expect("the folder is there");
    let mut paths: Vec<_> = folder.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "json"));
    paths.sort();
    let read = |path: &std::path::PathBuf| Dashboard {
        name: path.file_stem().expect("a name").to_string_lossy().into_owned(),
        all: serde_json::from_slice(&std::fs::read(path).expect("the file")).expect("it is JSON"),
    };
    paths.iter().map(read).collect()
}

fn list<'a>(of: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> + 'a {
    of[name].as_array().into_iter().flatten()
}

fn text<'a>(of: &'a Value, name: &str) -> &'a str {
    of[name].as_str().unwrap_or_default()
}

impl Dashboard {
    fn panels(&self) -> impl Iterator<Item = &Value> {
        list(&self.all, "panels").filter(|panel| panel["type"] != "row")
    }

    /// The names that a query may use after a `$`.
    fn variables(&self) -> BTreeSet<&str> {
        let own = list(&self.all["templating"], "list").map(|variable| text(variable, "name"));
        own.chain(["__rate_interval"]).collect()
    }

    fn queries(&self) -> Vec<Asked> {
        let mut asked = Vec::new();
        let mut ask = |panel: &str, query: &str| {
            let (dashboard, panel, query) = (self.name.clone(), panel.to_owned(), query.to_owned());
            asked.push(Asked { dashboard, panel, query });
        };
        for panel in self.panels() {
            list(panel, "targets").for_each(|of| ask(text(panel, "title"), text(of, "expr")));
        }
        for of in list(&self.all["annotations"], "list") {
            ask("", text(of, "expr"));
        }
        asked
    }
}

#[test]
fn dashboards_are_what_grafana_asks_for() {
    let all = dashboards();
    let names: Vec<&str> = all.iter().map(|of| of.name.as_str()).collect();
    assert_eq!(names, ["device", "engine", "fleet", "host", "ourselves", "trends", "verdicts"]);
    let uids: BTreeSet<&str> = all.iter().map(|of| text(&of.all, "uid")).collect();
    assert_eq!(uids.len(), all.len());
    for Dashboard { name, all: of } in &all {
        assert!((1..=40).contains(&text(of, "uid").len()), "{name}");
        assert!(of.get("id").is_none(), "{name}: an id belongs to one Grafana");
        assert!(of["schemaVersion"].as_u64().is_some_and(|version| version >= 39), "{name}");
        assert!(!text(of, "title").is_empty() && of["editable"] == true, "{name}");
        assert!(list(of, "tags").any(|tag| tag == "eagle-eye"), "{name}");
        let source = list(&of["templating"], "list").next().expect("a variable");
        assert_eq!((text(source, "name"), text(source, "type")), ("datasource", "datasource"));
    }
}

#[test]
fn every_panel_says_what_it_shows_in_which_unit_and_where() {
    for dashboard in dashboards() {
        let name = &dashboard.name;
        let mut taken = BTreeSet::new();
        let mut titles = BTreeSet::new();
        for panel in dashboard.panels() {
            let title = text(panel, "title");
            assert!(titles.insert(title.to_owned()), "{name}: {title} stands twice");
            let kinds = ["timeseries", "stat", "table", "heatmap", "state-timeline", "bargauge"];
            assert!(kinds.contains(&text(panel, "type")), "{name}: {title}");
            assert!(text(panel, "description").ends_with('.'), "{name}: {title} says nothing");
            let defaults = &panel["fieldConfig"]["defaults"];
            assert!(!text(defaults, "unit").is_empty(), "{name}: {title} has no unit");
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{name}: {title}");
            let letters: BTreeSet<&str> =
                list(panel, "targets").map(|target| text(target, "refId")).collect();
            let targets = list(panel, "targets").count();
            assert!(targets > 0 && letters.len() == targets, "{name}: {title}");
            let at = |side: &str| panel["gridPos"][side].as_u64().expect("a place");
            assert!(at("x") + at("w") <= 24, "{name}: {title} is too wide");
            for x in at("x")..at("x") + at("w") {
                for y in at("y")..at("y") + at("h") {
                    assert!(taken.insert((x, y)), "{name}: {title} lies over another panel");
                }
            }
        }
    }
}

/// Labels whose values belong to one site.
const OF_A_SITE: [&str; 8] =
    ["node", "model", "engine", "device", "instance", "job", "container_id", "uuid"];

#[test]
fn queries_name_series_that_exist_and_nothing_of_one_site() {
    for dashboard in dashboards() {
        let variables = dashboard.variables();
        for Asked { dashboard, panel, query } in dashboard.queries() {
            assert_eq!(unknown(&query), Vec::<String>::new(), "{dashboard}: {panel}: {query}");
            for used in query.split('$').skip(1) {
                let end = used.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
                let used = &used[..end.unwrap_or(used.len())];
                assert!(variables.contains(used), "{dashboard}: {panel}: ${used} is not defined");
            }
            for label in OF_A_SITE {
                for matched in query.split(&format!("{label}=~\"")).skip(1) {
                    assert!(matched.starts_with('$'), "{dashboard}: {panel}: {query}");
                }
                let fixed = query.contains(&format!("{label}=\""));
                assert!(!fixed, "{dashboard}: {panel}: {query} names one {label}");
            }
        }
    }
}

/// The query as Grafana would send it, of a Prometheus that is young.
fn filled(query: &str) -> String {
    let mut query = query.replace("$__rate_interval", "10s");
    for variable in ["node", "model", "engine", "device"] {
        query = query.replace(&format!("\"${variable}\""), "\".*\"");
    }
    assert!(!query.contains('$'), "{query}");
    query
}

/// The recording rules, evaluated every second.
fn quick_rules(folder: &std::path::Path) -> std::path::PathBuf {
    let text = std::fs::read_to_string(root().join("deploy/alerts/recording.yml")).expect("rules");
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("interval:"));
    let quick = lines.map(|line| match line.trim_start().starts_with("- name:") {
        true => format!("{line}\n    interval: 1s\n"),
        false => format!("{line}\n"),
    });
    let path = folder.join("recording.yml");
    std::fs::write(&path, quick.collect::<String>()).expect("the rules");
    path
}

/// Every metric of an accelerator, rising, so that rates and trends are there.
fn say_devices(node: &mut Node, devices: &[u32], round: u32) {
    for device in devices {
        for row in METRICS.iter().filter(|row| row.device_kind == "accelerator") {
            let value = match (row.id, row.kind) {
                (MetricId::AcceleratorState, _) => 1.0,
                (MetricId::AcceleratorMemoryTotal, _) => 1e12,
                (MetricId::AcceleratorTemperatureSlowdown, _) => 1e3,
                (_, MetricKind::Counter) => 100.0 * f64::from(round),
                (_, MetricKind::Gauge) => 1.0 + 0.01 * f64::from(round),
            };
            node.reading(*device, row.id, value);
        }
    }
}

#[test]
fn every_panel_s_query_is_answered_by_a_real_prometheus() {
    let mut node = Node::start(&[]);
    let plan = SimulationPlan {
        socket: node.folder().join("agent.sock"),
        name: "sim".to_owned(),
        engines: 3,
        ranks: 1,
        models: vec!["demo/a".to_owned(), "demo/b".to_owned()],
        hz: 20,
    };
    let simulation = Simulation::new(&plan).expect("memory");
    let stop = Stop::default();
    let stopped = stop.clone();
    let simulating = std::thread::Builder::new()
        .spawn(move || simulation.run(&stopped, |_| {}))
        .expect("a thread");
    let devices = [node.gpu("gpu0"), node.gpu("gpu1")];
    say_devices(&mut node, &devices, 0);
    let rules = quick_rules(node.folder());
    let prometheus = Prometheus::scraping(node.address, &[rules]);

    let mut open: Vec<Asked> = dashboards().iter().flat_map(Dashboard::queries).collect();
    assert!(open.len() > 150, "{} queries", open.len());
    for (page, query) in super::docs::queries() {
        // A page may show what a well node has not.
        open.push(Asked { dashboard: page.to_owned(), panel: String::new(), query });
    }
    let may_be_empty = |asked: &Asked| {
        asked.panel.is_empty() || EMPTY_WHEN_WELL.contains(&(&asked.dashboard, &asked.panel))
    };
    let mut round = 0;
    let answered = patiently(|| {
        round += 1;
        say_devices(&mut node, &devices, round);
        open.retain(|asked| {
            let answer = prometheus.query(&filled(&asked.query));
            let answer = answer.unwrap_or_else(|why| {
                panic!("{}: {}: {}: {why}", asked.dashboard, asked.panel, asked.query)
            });
            answer.is_empty() && !may_be_empty(asked)
        });
        open.is_empty()
    });
    let left: Vec<String> =
        open.iter().map(|of| format!("{}: {}: {}", of.dashboard, of.panel, of.query)).collect();
    assert!(answered, "never answered:\n{}", left.join("\n"));
    let rules = prometheus.get("/api/v1/rules").expect("the rules");
    for rule in list(&rules["data"], "groups").flat_map(|group| list(group, "rules")) {
        assert_eq!(rule["health"], "ok", "{rule}");
    }
    stop.raise();
    simulating.join().expect("no panic");
    node.agent.stop();
}
