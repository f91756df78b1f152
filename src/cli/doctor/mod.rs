//! `eagle-eye doctor`: what is here, missing or misconfigured, and the remedy.
//!
//! Everything that was looked at is one [`Need`] in a section: the samplers'
//! own needs, then what stands between them and a router. Looks go on beside
//! each other within a deadline, and none disturbs an agent that runs. What is
//! not here, or works in part, is no trouble: only trouble ends with 1.

mod agent;
mod bundle;
mod clocks;
mod folders;
mod machine;
mod nats;
mod report;
mod secrets;
mod stuck;
mod text;
mod work;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use super::shared::{Configuration, StatusLine};
use super::{TROUBLE, USAGE, say, table};
use crate::config::{Mistake, Plan, SamplerPlan};
use crate::engine::samplers::{Context, Need};
use crate::platform::clock::{self, MILLISECOND_NS};
use crate::schema::utc_text;
use report::{Report, Section};
use secrets::Secrets;
use text::Look;
use work::{Looked, Paper, Task};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    configuration: Configuration,

    /// Show what is fine of every sampler too.
    #[arg(long)]
    all: bool,

    /// Print JSON.
    #[arg(long)]
    json: bool,

    /// Pack the report, the settings in force and what the agent says into a
    /// new file for whoever helps; secrets are hidden. Without a name: one of
    /// the node's in this folder.
    #[arg(long, value_name = "FILE")]
    #[expect(clippy::option_option, reason = "the flag may be absent, bare, or name a file")]
    bundle: Option<Option<PathBuf>>,
}

/// What the doctor looks at.
struct Case {
    plan: Plan,
    values: HashMap<String, String>,
    mistakes: Vec<Mistake>,
    file: Option<PathBuf>,
    secrets: Secrets,
}

pub(super) fn main(arguments: &Arguments) -> u8 {
    let case = Case::of(&arguments.configuration);
    let bundle = arguments.bundle.as_ref().map(|named| {
        let usual = || bundle::usual_path(&case.plan.node, clock::wall_ns());
        named.clone().unwrap_or_else(usual)
    });
    if let Some(path) = bundle.as_deref().filter(|path| path.symlink_metadata().is_ok()) {
        eprintln!("eagle-eye: {} is there already: name another file", path.display());
        return USAGE;
    }
    let mut line = StatusLine::default();
    let (report, papers) = case.look(|text| line.show(text));
    line.clear();
    if arguments.json {
        say(&format!("{:#}", report.json()));
    } else {
        let (columns, colours) = (table::columns(), table::takes_colours());
        say(&text::text(&report, Look { columns, colours, all: arguments.all }));
    }
    if let Some(path) = bundle
        && let Err(sentence) = case.pack(&path, &report, papers)
    {
        eprintln!("eagle-eye: {sentence}");
        return TROUBLE;
    }
    if report.has_trouble() { TROUBLE } else { 0 }
}

impl Case {
    fn of(configuration: &Configuration) -> Self {
        let (values, mistakes) = configuration.layers().resolve_anyway();
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            let name = name.into_string().ok().filter(|name| name.starts_with("EAGLE_EYE_"))?;
            Some((name, value.into_string().ok()?))
        });
        let given = configuration.given();
        let secrets = Secrets::of(&values, variables.chain(given));
        let file = configuration.config.clone();
        Self { plan: Plan::of(&values), values, mistakes, file, secrets }
    }

    fn look(&self, tell: impl FnMut(&str)) -> (Report, Vec<Paper>) {
        let begun_ns = clock::monotonic_ns();
        let mut looked = work::all(self.tasks(), tell);
        looked.sections.insert(0, self.configuration());
        let report = Report {
            version: env!("CARGO_PKG_VERSION"),
            node: self.plan.node.clone(),
            time: utc_text(clock::wall_ns()),
            took_ms: (clock::monotonic_ns() - begun_ns) / MILLISECOND_NS,
            sections: looked.sections,
        };
        (report.without(&self.secrets), looked.papers)
    }

    fn tasks(&self) -> Vec<Task> {
        let plan = Arc::new(self.plan.clone());
        let of = |look: fn(&Plan) -> Vec<Section>| {
            let plan = Arc::clone(&plan);
            move || Looked::from(look(&plan))
        };
        let (agent, root) = (Arc::clone(&plan), plan.host_root.clone());
        let mut tasks = vec![
            Task::new("folders", "Folders", of(folders::look)),
            Task::new("host", "Host", of(machine::look)),
            Task::new("clocks", "Clocks", of(|plan| clocks::look(&plan.host_root))),
            Task::new("processes", "Processes", move || {
                vec![Section::new("processes", "Processes", vec![stuck::look(&root)])].into()
            }),
        ];
        tasks.extend(plan.samplers.iter().map(|sampler| of_sampler(&plan, sampler)));
        tasks.push(Task::new("agent", "Agent", move || agent::look(&agent)));
        tasks.push(Task::new("nats", "NATS", of(nats::look)));
        tasks
    }

    fn configuration(&self) -> Section {
        let needs = if self.mistakes.is_empty() {
            let from = match &self.file {
                Some(file) => format!("right; from {}", file.display()),
                None => "right; no file is used (--config)".to_owned(),
            };
            vec![Need::fine("settings", from)]
        } else {
            self.mistakes.iter().map(mistake).collect()
        };
        Section::new("configuration", "Configuration", needs)
    }

    fn pack(&self, path: &Path, report: &Report, papers: Vec<Paper>) -> Result<(), String> {
        let look = Look { columns: 100, colours: false, all: true };
        let paper = |name: &str, text| Paper { name: name.to_owned(), text };
        let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        let mut all = vec![
            paper("report.txt", text::text(report, look) + "\n"),
            paper("report.json", format!("{:#}\n", report.json())),
            bundle::configuration(&self.values, &self.secrets),
            bundle::variables(names),
            bundle::system(),
        ];
        all.extend(papers);
        bundle::write(path, &all, &self.secrets, clock::wall_ns())
            .map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
        eprintln!("eagle-eye: packed into {}", path.display());
        Ok(())
    }
}

fn mistake(mistake: &Mistake) -> Need {
    let what = if mistake.key.is_empty() { &mistake.source } else { &mistake.key };
    let says = match mistake.key.is_empty() {
        true => mistake.sentence.clone(),
        false => format!("{} (from {})", mistake.sentence, mistake.source),
    };
    let remedy = "correct it; what follows takes the default in its place; every setting: \
                  eagle-eye list settings";
    Need::trouble(what, says, remedy)
}

/// A sampler's own needs, on a thread of their own: a source may hang.
fn of_sampler(plan: &Arc<Plan>, sampler: &SamplerPlan) -> Task {
    let (plan, sampler) = (Arc::clone(plan), sampler.clone());
    Task::new(sampler.entry.name, "Samplers", move || {
        let name = sampler.entry.name;
        let needs = if sampler.enabled {
            let context = Context::to_look(plan.host_root.clone(), plan.run_dir.clone());
            (sampler.entry.needs)(&context, &sampler.settings)
        } else {
            let key = format!("samplers.{name}.enabled");
            vec![Need::not_here(key, "false: the configuration switches it off")]
        };
        vec![Section::of_sampler(name, needs)].into()
    })
}
