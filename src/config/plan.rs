//! The validated configuration.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::{Layers, Mistakes};
use crate::platform::clock::SECOND_NS;
use crate::platform::place::{run_folders, state_folder};
use crate::platform::thread::usable_cpus;
use crate::recorder::WriteBy;
use crate::samplers::{self, Settings};

/// Everything the agent needs to know before it starts.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The node's name.
    pub node: String,
    /// Where the host's `/proc` and `/sys` are found.
    pub host_root: PathBuf,
    /// Where the socket lives.
    pub run_dir: PathBuf,
    /// Where the journal and the recording live.
    pub state_dir: PathBuf,
    /// Where HTTP is served, if at all.
    pub listen: Option<SocketAddr>,
    /// Whether GPUs have DCGM's names on the Prometheus page too.
    pub dcgm_names: bool,
    /// `error` to `trace`.
    pub log_level: String,
    /// How log lines look.
    pub log_format: LogFormat,
    /// Which processors threads are pinned to.
    pub pinning: Pinning,
    /// How long a busy lane's records may wait, ns.
    pub linger_ns: u64,
    /// The size at which a batch leaves.
    pub batch_bytes: usize,
    /// Slots in each sampler's ring.
    pub ring_records: usize,
    /// Ranks in the newest table.
    pub newest_ranks: usize,
    /// Readings in the newest table.
    pub newest_readings: usize,
    /// Most bytes of the journal.
    pub journal_bytes: u64,
    /// How this agent judges its own node, if it does.
    pub diagnosis: Option<DiagnosisPlan>,
    /// How the black box records, if it does.
    pub recorder: Option<RecorderPlan>,
    /// Where NATS is, if anywhere.
    pub nats: Option<NatsPlan>,
    /// Every sampler, on or off.
    pub samplers: Vec<SamplerPlan>,
}

/// How the agent judges its own node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiagnosisPlan {
    /// The operator's own thresholds and rules, if any.
    pub rules: Option<PathBuf>,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Which processors threads are pinned to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pinning {
    /// None.
    Off,
    /// These, in turn.
    Cpus(Vec<usize>),
}

/// How NATS is reached. Its secrets are not shown.
#[derive(Clone)]
pub struct NatsPlan {
    /// Servers to try.
    pub urls: Vec<String>,
    /// What every subject begins with.
    pub prefix: String,
    /// User name, or empty.
    pub user: String,
    /// Password, or empty.
    pub password: String,
    /// Token, or empty.
    pub token: String,
    /// File with an NKey seed, or empty.
    pub nkey_file: String,
    /// Credentials file, or empty.
    pub credentials_file: String,
    /// Whether TLS is required.
    pub tls: bool,
    /// Authority file, or empty.
    pub tls_ca: String,
    /// Our certificate, or empty.
    pub tls_cert: String,
    /// Our key, or empty.
    pub tls_key: String,
    /// How often the server is pinged, ms.
    pub ping_ms: u64,
    /// Under what routers that read JSON hear of every engine; empty for off.
    pub compat_subject: String,
    /// How often at most they hear of a rank, Hz; 0 for every step.
    pub compat_hz: u64,
}

impl std::fmt::Debug for NatsPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NatsPlan").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// How the black box records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecorderPlan {
    /// Most bytes on disk.
    pub bytes: u64,
    /// Most age, ns.
    pub age_ns: u64,
    /// How it writes; none for the best that works.
    pub backend: Option<WriteBy>,
}

/// One sampler's share of the plan.
#[derive(Debug, Clone)]
pub struct SamplerPlan {
    /// The sampler.
    pub entry: &'static samplers::Entry,
    /// Whether it runs.
    pub enabled: bool,
    /// Its period, ns.
    pub period_ns: u64,
    /// Its processor, if one was named.
    pub cpu: Option<usize>,
    /// Its own settings.
    pub settings: Settings,
}

impl Plan {
    /// The plan that these layers say.
    ///
    /// # Errors
    ///
    /// Every mistake in them.
    pub fn new(layers: Layers) -> Result<Self, Mistakes> {
        Ok(Self::of(&layers.resolve()?))
    }

    /// The plan that these values say: one for every setting, as
    /// [`Layers::resolve_anyway`] gives them.
    ///
    /// # Panics
    ///
    /// Where a setting has no value.
    #[must_use]
    pub fn of(values: &HashMap<String, String>) -> Self {
        let text = |key: &str| values[key].clone();
        let number = |key: &str| number(values, key);
        Self {
            node: node(&values["node"]),
            host_root: text("host_root").into(),
            run_dir: folder(&values["run_dir"], || run_folders().swap_remove(0)),
            state_dir: folder(&values["state_dir"], state_folder),
            listen: values["listen"].parse().ok(),
            dcgm_names: values["exporter.dcgm_names"] == "true",
            log_level: text("log.level"),
            log_format: match values["log.format"].as_str() {
                "json" => LogFormat::Json,
                _ => LogFormat::Text,
            },
            pinning: pinning(&values["threads.pinning"]),
            linger_ns: number("pipeline.linger_us") * 1000,
            batch_bytes: number("pipeline.batch_bytes") as usize,
            ring_records: number("pipeline.ring_records") as usize,
            newest_ranks: number("newest.ranks") as usize,
            newest_readings: number("newest.readings") as usize,
            journal_bytes: number("journal.bytes"),
            diagnosis: diagnosis(values),
            recorder: recorder(values),
            nats: nats(values),
            samplers: samplers::ALL.iter().map(|entry| sampler(entry, values)).collect(),
        }
    }

    /// The default configuration.
    ///
    /// # Panics
    ///
    /// Never: a test resolves every default.
    #[must_use]
    pub fn default_plan() -> Self {
        Self::new(Layers::default()).expect("every default passes its own check")
    }
}

fn number(values: &HashMap<String, String>, key: &str) -> u64 {
    values[key].replace('_', "").parse().unwrap_or_default()
}

fn sampler(entry: &'static samplers::Entry, values: &HashMap<String, String>) -> SamplerPlan {
    let key = |key: &str| format!("samplers.{}.{key}", entry.name);
    let own = entry.settings.iter().map(|s| (s.key, values[&key(s.key)].clone())).collect();
    SamplerPlan {
        entry,
        enabled: values[&key("enabled")] == "true",
        period_ns: number(values, &key("period_ms")) * 1_000_000,
        cpu: values[&key("cpu")].parse().ok(),
        settings: Settings::new(own),
    }
}

fn diagnosis(values: &HashMap<String, String>) -> Option<DiagnosisPlan> {
    let rules = &values["diagnosis.rules"];
    let rules = (!rules.is_empty()).then(|| rules.into());
    (values["diagnosis.enabled"] == "true").then_some(DiagnosisPlan { rules })
}

fn nats(values: &HashMap<String, String>) -> Option<NatsPlan> {
    let text = |key: &str| values[&format!("nats.{key}")].clone();
    let urls = text("urls");
    if urls.is_empty() {
        return None;
    }
    Some(NatsPlan {
        urls: urls.split(',').map(|url| url.trim().to_owned()).collect(),
        prefix: text("prefix"),
        user: text("user"),
        password: text("password"),
        token: text("token"),
        nkey_file: text("nkey_file"),
        credentials_file: text("credentials_file"),
        tls: text("tls") == "true",
        tls_ca: text("tls_ca"),
        tls_cert: text("tls_cert"),
        tls_key: text("tls_key"),
        ping_ms: number(values, "nats.ping_ms"),
        compat_subject: text("compat_subject"),
        compat_hz: number(values, "nats.compat_hz"),
    })
}

fn recorder(values: &HashMap<String, String>) -> Option<RecorderPlan> {
    let backend = values["recorder.backend"].as_str();
    (values["recorder.enabled"] == "true").then(|| RecorderPlan {
        bytes: number(values, "recorder.bytes"),
        age_ns: number(values, "recorder.hours") * 3600 * SECOND_NS,
        backend: WriteBy::ALL.into_iter().find(|kind| kind.name() == backend),
    })
}

fn node(name: &str) -> String {
    if !name.is_empty() {
        return name.to_owned();
    }
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

fn pinning(value: &str) -> Pinning {
    /// With fewer, a pinned publisher would share the engines' processors.
    const CPUS_LEAST: usize = 4;
    match value {
        "off" => Pinning::Off,
        "auto" => {
            let usable = usable_cpus();
            if usable.len() < CPUS_LEAST {
                return Pinning::Off;
            }
            // The last ones: interrupts and start-up work gather on the first.
            Pinning::Cpus(usable.iter().rev().take(2).copied().collect())
        }
        list => Pinning::Cpus(list.split(',').filter_map(|cpu| cpu.trim().parse().ok()).collect()),
    }
}

/// A folder by setting, else where an agent of this user has it.
fn folder(value: &str, usual: impl FnOnce() -> PathBuf) -> PathBuf {
    if value.is_empty() { usual() } else { value.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_nothing_configured_there_is_a_plan_without_nats() {
        let plan = Plan::default_plan();
        assert!(plan.nats.is_none() && !plan.node.is_empty() && plan.listen.is_some());
        assert_eq!(plan.samplers.len(), samplers::ALL.len());
    }

    #[test]
    fn listening_can_be_switched_off_and_lists_may_be_lists() {
        let mut layers = Layers::default();
        layers.text(
            "listen = \"off\"\n[nats]\nurls = [\"nats://a:1\", \"tls://b:2\"]\n[threads]\npinning = [2, 3]",
            "f",
        );
        let plan = Plan::new(layers).unwrap();
        assert_eq!(plan.listen, None);
        assert_eq!(
            plan.nats.map(|nats| nats.urls),
            Some(vec!["nats://a:1".into(), "tls://b:2".into()])
        );
        assert_eq!(plan.pinning, Pinning::Cpus(vec![2, 3]));
    }

    #[test]
    fn secrets_do_not_show() {
        let mut layers = Layers::default();
        layers.text("[nats]\nurls = \"nats://u:geheim@a:1\"\npassword = \"geheim\"", "f");
        assert!(!format!("{:?}", Plan::new(layers).unwrap()).contains("geheim"));
    }
}
