//! Flags that several verbs share.

use std::path::PathBuf;

use clap::Args;

use crate::config::{Layers, Mistakes, Plan};

/// Where settings come from.
#[derive(Debug, Default, Args)]
pub(super) struct Configuration {
    /// TOML file with settings.
    #[arg(long, value_name = "FILE", env = "EAGLE_EYE_CONFIG")]
    pub(super) config: Option<PathBuf>,

    /// NATS servers to connect to, joined by commas.
    #[arg(long, value_name = "URL", env = "EAGLE_EYE_NATS", hide_env_values = true)]
    pub(super) nats: Option<String>,

    /// Address of the HTTP server, or "off".
    #[arg(long, value_name = "ADDR")]
    pub(super) listen: Option<String>,

    /// The node's name, unique in the fleet.
    #[arg(long, value_name = "NAME")]
    pub(super) node: Option<String>,

    /// How log lines look: text or json.
    #[arg(long, value_name = "FORMAT")]
    pub(super) log_format: Option<String>,

    /// Any other setting, such as pipeline.linger_us=500. Can be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(super) settings: Vec<String>,
}

impl Configuration {
    /// File, environment and flags in their order.
    pub(super) fn layers(&self) -> Layers {
        let mut layers = Layers::default();
        if let Some(file) = &self.config {
            layers.file(file);
        }
        layers.environment(std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        }));
        let flags = [
            ("nats.urls", &self.nats, "--nats"),
            ("listen", &self.listen, "--listen"),
            ("node", &self.node, "--node"),
            ("log.format", &self.log_format, "--log-format"),
        ];
        for (key, value, flag) in flags {
            if let Some(value) = value {
                layers.set(key, value.clone(), flag);
            }
        }
        for setting in &self.settings {
            let (key, value) = setting.split_once('=').unwrap_or((setting, ""));
            layers.set(key.trim(), value.trim().to_owned(), "--set");
        }
        layers
    }

    /// What flags say, understood or not, as keys and values.
    pub(super) fn given(&self) -> impl Iterator<Item = (String, String)> + '_ {
        let settings = self.settings.iter().map(|setting| {
            let (key, value) = setting.split_once('=').unwrap_or((setting, ""));
            (key.trim().to_owned(), value.trim().to_owned())
        });
        self.nats.iter().map(|urls| ("nats.urls".to_owned(), urls.clone())).chain(settings)
    }

    /// The plan they say.
    pub(super) fn plan(&self) -> Result<Plan, Mistakes> {
        Plan::new(self.layers())
    }
}

/// Where the agent of this user puts its socket.
pub(super) fn default_socket() -> PathBuf {
    Plan::default_plan().run_dir.join(crate::engine::SOCKET_NAME)
}

/// A line on a terminal that shows how long work goes on; nothing when
/// standard error is no terminal.
#[derive(Debug)]
pub(super) struct StatusLine {
    shown: bool,
    terminal: bool,
}

impl Default for StatusLine {
    fn default() -> Self {
        use std::io::IsTerminal as _;
        Self { shown: false, terminal: std::io::stderr().is_terminal() }
    }
}

impl StatusLine {
    pub(super) fn show(&mut self, text: &str) {
        if self.terminal {
            self.shown = true;
            eprint!("\r\x1b[K{text}");
        }
    }

    /// Takes the line away again.
    pub(super) fn clear(&mut self) {
        if self.shown {
            eprint!("\r\x1b[K");
        }
    }

    pub(super) fn end(&mut self) {
        if self.shown {
            eprintln!();
        }
    }
}
