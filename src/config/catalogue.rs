//! Every setting of the agent, and how the default file is written from them.

use std::fmt::Write as _;

use crate::samplers::{self, Setting};

/// The agent's own settings; samplers add theirs under `samplers.<name>`.
const SETTINGS: &[Setting] = &[
    Setting {
        key: "node",
        default: "\"\"",
        help: "The node's name, unique in the fleet. Empty: the host's name.",
        check: name,
    },
    Setting {
        key: "host_root",
        default: "\"/\"",
        help: "Where the host's /proc and /sys are found; differs from / in a container.",
        check: path,
    },
    Setting {
        key: "run_dir",
        default: "\"\"",
        help: "Where the socket lives. Empty: /run/eagle-eye for root, else $XDG_RUNTIME_DIR/eagle-eye or ~/.local/state/eagle-eye.",
        check: any,
    },
    Setting {
        key: "state_dir",
        default: "\"\"",
        help: "Where the journal and the recording live. Empty: /var/lib/eagle-eye for root, else $XDG_STATE_HOME/eagle-eye or ~/.local/state/eagle-eye.",
        check: any,
    },
    Setting {
        key: "listen",
        default: "\"127.0.0.1:9752\"",
        help: "Address of the HTTP server, or \"off\".",
        check: listen,
    },
    Setting {
        key: "exporter.dcgm_names",
        default: "false",
        help: "Whether /metrics has NVIDIA's GPUs under DCGM's names too, for dashboards made for those: true or false.",
        check: boolean,
    },
    Setting {
        key: "log.level",
        default: "\"info\"",
        help: "One of error, warn, info, debug, trace.",
        check: log_level,
    },
    Setting {
        key: "log.format",
        default: "\"text\"",
        help: "One of text, json.",
        check: log_format,
    },
    Setting {
        key: "threads.pinning",
        default: "\"auto\"",
        help: "\"auto\" pins samplers and publisher from four usable CPUs on, \"off\" never, or a list of CPU numbers to use.",
        check: pinning,
    },
    Setting {
        key: "pipeline.linger_us",
        default: "1000",
        help: "How long records of a busy lane may wait for company, µs, 0 to 100000; half as long where few come. A quiet lane's record never waits. At 64 engines x 100 Hz, 500 instead of 1000 brings steps to routers after 0.55 instead of 0.9 ms, for twice the messages and 1.6 times the processor time of sending.",
        check: |v| number(v, 0, 100_000),
    },
    Setting {
        key: "pipeline.batch_bytes",
        default: "61440",
        help: "Size at which a batch leaves before its linger is over, bytes, 1024 to 65536.",
        check: |v| number(v, 1024, 65_536),
    },
    Setting {
        key: "pipeline.ring_records",
        default: "4096",
        help: "Records that each sampler's ring holds while the drain is away, 64 to 1048576.",
        check: |v| number(v, 64, 1 << 20),
    },
    Setting {
        key: "newest.ranks",
        default: "4096",
        help: "Ranks whose newest step is kept, 16 to 65536.",
        check: |v| number(v, 16, 1 << 16),
    },
    Setting {
        key: "newest.readings",
        default: "16384",
        help: "Readings whose newest value is kept, 256 to 65536.",
        check: |v| number(v, 256, 1 << 16),
    },
    Setting {
        key: "journal.bytes",
        default: "8388608",
        help: "Most bytes of the journal on disk, 1048576 to 33554432.",
        check: |v| number(v, 1 << 20, 1 << 25),
    },
    Setting {
        key: "diagnosis.enabled",
        default: "true",
        help: "Whether this agent judges its own node: true or false. Where it does not, `eagle-eye diagnose --nats` or the fleet may.",
        check: boolean,
    },
    Setting {
        key: "diagnosis.rules",
        default: "\"\"",
        help: "File with thresholds, severities and rules of your own, read anew when it changes. Empty: none.",
        check: any,
    },
    Setting {
        key: "recorder.enabled",
        default: "true",
        help: "Whether the last hours are recorded in the folder recorder of state_dir, for `eagle-eye replay`: true or false.",
        check: boolean,
    },
    Setting {
        key: "recorder.bytes",
        default: "536870912",
        help: "Most bytes of the recording on disk, 67108864 to 1099511627776; the oldest gives way. 256 MiB of the disk stay free for others in any case.",
        check: |v| number(v, 1 << 26, 1 << 40),
    },
    Setting {
        key: "recorder.hours",
        default: "24",
        help: "Age by the wall clock at which recorded batches are removed, hours, 1 to 8760.",
        check: |v| number(v, 1, 8760),
    },
    Setting {
        key: "recorder.backend",
        default: "\"auto\"",
        help: "How it is written: \"io_uring\" and \"auto\" use io_uring where the system allows it, else pwrite; \"pwrite\" never does.",
        check: |v| one_of(v, &["auto", "io_uring", "pwrite"]),
    },
    Setting {
        key: "nats.urls",
        default: "\"\"",
        help: "NATS servers, such as \"nats://a:4222,nats://b:4222\". Empty: no NATS; everything works on this machine.",
        check: urls,
    },
    Setting {
        key: "nats.prefix",
        default: "\"eagle_eye.v1\"",
        help: "What every subject begins with: letters, digits, _ and -, joined by dots.",
        check: prefix,
    },
    Setting {
        key: "nats.user",
        default: "\"\"",
        help: "User name; goes with nats.password.",
        check: any,
    },
    Setting {
        key: "nats.password",
        default: "\"\"",
        help: "Password; better from EAGLE_EYE_NATS_PASSWORD than from a file.",
        check: any,
    },
    Setting {
        key: "nats.token",
        default: "\"\"",
        help: "Token, where the server asks for one.",
        check: any,
    },
    Setting {
        key: "nats.nkey_file",
        default: "\"\"",
        help: "File that holds an NKey seed.",
        check: any,
    },
    Setting {
        key: "nats.credentials_file",
        default: "\"\"",
        help: "Credentials file with a JWT and its seed.",
        check: any,
    },
    Setting {
        key: "nats.tls",
        default: "false",
        help: "Whether TLS is required: true or false.",
        check: boolean,
    },
    Setting {
        key: "nats.tls_ca",
        default: "\"\"",
        help: "PEM file with the authority that signed the server's certificate. Empty: the system's.",
        check: any,
    },
    Setting {
        key: "nats.tls_cert",
        default: "\"\"",
        help: "PEM file with our certificate, for mutual TLS; goes with nats.tls_key.",
        check: any,
    },
    Setting { key: "nats.tls_key", default: "\"\"", help: "PEM file with our key.", check: any },
    Setting {
        key: "nats.ping_ms",
        default: "500",
        help: "How often the server is pinged, ms, 100 to 60000; two unanswered pings end a connection.",
        check: |v| number(v, 100, 60_000),
    },
    Setting {
        key: "nats.compat_subject",
        default: "\"eagle_eye.routing_metrics\"",
        help: "Where routers that read JSON hear of every engine, one object a message (docs/compatibility.md). Empty: nowhere.",
        check: compat_subject,
    },
    Setting {
        key: "nats.compat_hz",
        default: "10",
        help: "How often at most they hear of one rank, Hz, 0 to 1000, always with its newest step; 0: of every step.",
        check: |v| number(v, 0, 1000),
    },
];

/// What every sampler has.
const SAMPLER_SETTINGS: &[Setting] = &[
    Setting {
        key: "enabled",
        default: "true",
        help: "Whether it runs: true or false.",
        check: boolean,
    },
    Setting {
        key: "period_ms",
        default: "",
        help: "How often it reads its source, ms, 1 to 3600000.",
        check: |v| number(v, 1, 3_600_000),
    },
    Setting {
        key: "cpu",
        default: "\"\"",
        help: "CPU that its thread is pinned to. Empty: as threads.pinning says.",
        check: cpu,
    },
];

/// A setting with its full key.
#[derive(Debug)]
pub struct SettingDoc {
    /// The full key, such as `samplers.procfs.period_ms`.
    pub key: String,
    /// The default as it would stand in the file.
    pub default: String,
    /// One sentence.
    pub help: &'static str,
    /// Whether a value is allowed.
    pub check: fn(&str) -> Result<(), String>,
}

/// Every setting there is, in the order of the default file.
#[must_use]
pub fn settings() -> Vec<SettingDoc> {
    let doc = |prefix: &str, setting: &Setting, default: String| SettingDoc {
        key: format!("{prefix}{}", setting.key),
        default,
        help: setting.help,
        check: setting.check,
    };
    let mut all: Vec<SettingDoc> =
        SETTINGS.iter().map(|s| doc("", s, s.default.to_owned())).collect();
    for entry in samplers::ALL {
        let prefix = format!("samplers.{}.", entry.name);
        for setting in SAMPLER_SETTINGS {
            let default = match setting.key {
                "period_ms" => entry.period_ms.to_string(),
                _ => setting.default.to_owned(),
            };
            all.push(doc(&prefix, setting, default));
        }
        all.extend(entry.settings.iter().map(|s| doc(&prefix, s, s.default.to_owned())));
    }
    all
}

/// The default file: every setting, commented out, under its table.
#[must_use]
pub fn default_file() -> String {
    let mut file = String::from(
        "# Settings of eagle-eye. Every line shows its default; uncomment to change.\n\
         # A setting can also come from the environment: pipeline.linger_us is\n\
         # EAGLE_EYE_PIPELINE_LINGER_US. Flags win over the environment, and the\n\
         # environment over this file.\n",
    );
    let mut table = String::new();
    for setting in settings() {
        let (parent, key) = setting.key.rsplit_once('.').unwrap_or(("", &setting.key));
        if parent != table {
            table = parent.to_owned();
            let _ = writeln!(file, "\n[{table}]");
        }
        let _ = writeln!(file, "\n# {}\n# {key} = {}", setting.help, setting.default);
    }
    file
}

fn any(_: &str) -> Result<(), String> {
    Ok(())
}

fn path(value: &str) -> Result<(), String> {
    allow(value.starts_with('/'), "an absolute path")
}

fn name(value: &str) -> Result<(), String> {
    allow(value.len() <= crate::schema::NAME_BYTES_MAX, "a name of at most 255 bytes")
}

fn listen(value: &str) -> Result<(), String> {
    let fits = value == "off" || value.parse::<std::net::SocketAddr>().is_ok();
    allow(fits, "an address with a port, such as 127.0.0.1:9752 or [::]:9752, or off")
}

fn log_level(value: &str) -> Result<(), String> {
    one_of(value, &["error", "warn", "info", "debug", "trace"])
}

fn log_format(value: &str) -> Result<(), String> {
    one_of(value, &["text", "json"])
}

fn boolean(value: &str) -> Result<(), String> {
    one_of(value, &["true", "false"])
}

fn cpu(value: &str) -> Result<(), String> {
    allow(value.is_empty() || value.parse::<u16>().is_ok(), "a CPU number, or empty")
}

fn pinning(value: &str) -> Result<(), String> {
    let list = || value.split(',').all(|cpu| cpu.trim().parse::<u16>().is_ok());
    allow(value == "auto" || value == "off" || list(), "auto, off, or CPU numbers such as 2,3")
}

fn urls(value: &str) -> Result<(), String> {
    let url = |url: &str| {
        let rest = ["nats://", "tls://"].iter().find_map(|scheme| url.trim().strip_prefix(scheme));
        rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(char::is_whitespace))
    };
    let fits = value.is_empty() || value.split(',').all(url);
    allow(fits, "URLs such as nats://host:4222 or tls://host:4222, joined by commas")
}

fn prefix(value: &str) -> Result<(), String> {
    let token = |token: &str| {
        !token.is_empty()
            && token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
    };
    allow(
        value.len() <= 64 && value.split('.').all(token),
        "tokens of letters, digits, _ and -, joined by dots",
    )
}

fn compat_subject(value: &str) -> Result<(), String> {
    if value.is_empty() { Ok(()) } else { prefix(value) }
}

fn number(value: &str, least: u64, most: u64) -> Result<(), String> {
    let fits = value.replace('_', "").parse::<u64>().is_ok_and(|n| (least..=most).contains(&n));
    allow(fits, &format!("a whole number from {least} to {most}"))
}

fn one_of(value: &str, allowed: &[&str]) -> Result<(), String> {
    allow(allowed.contains(&value), &format!("one of {}", allowed.join(", ")))
}

fn allow(fits: bool, allowed: &str) -> Result<(), String> {
    if fits { Ok(()) } else { Err(format!("allowed is {allowed}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_passes_its_own_check_and_no_key_stands_twice() {
        let mut keys = std::collections::HashSet::new();
        for setting in settings() {
            let value = setting.default.trim_matches('"');
            assert_eq!((setting.check)(value), Ok(()), "{}", setting.key);
            assert!(setting.help.ends_with('.'), "{} needs a sentence", setting.key);
            assert!(keys.insert(setting.key.clone()), "{} stands twice", setting.key);
        }
    }

    #[test]
    fn the_default_file_is_toml_whether_commented_or_not() {
        let file = default_file();
        assert!(file.parse::<toml::Table>().is_ok());
        let open: String = file
            .lines()
            .map(|line| match line.strip_prefix("# ") {
                Some(setting) if setting.contains(" = ") && !setting.contains(". ") => setting,
                _ => line,
            })
            .fold(String::new(), |all, line| all + line + "\n");
        assert!(open.parse::<toml::Table>().is_ok(), "{open}");
    }
}
