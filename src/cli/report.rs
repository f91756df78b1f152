//! `eagle-eye report`: how this node is, in words.

use clap::{Args, ValueEnum};

use super::http::{self, Answer};
use super::shared::Configuration;
use super::{TROUBLE, USAGE, say};
use crate::config::Plan;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    configuration: Configuration,

    /// In which form.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,

    /// Print JSON; the same as --format json.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For a terminal.
    Text,
    /// For programs.
    Json,
    /// For a ticket.
    Markdown,
    /// One page that needs nothing else and prints well.
    Html,
}

pub(super) fn main(arguments: &Arguments) -> u8 {
    let (values, mistakes) = arguments.configuration.layers().resolve_anyway();
    if let Some(mistake) = mistakes.first() {
        eprintln!("eagle-eye: {mistake}");
        return USAGE;
    }
    let plan = Plan::of(&values);
    let Some(address) = plan.listen else {
        eprintln!(
            "eagle-eye: a report comes from the agent's HTTP server, which `listen` turns off; \
             set it to an address such as 127.0.0.1:9752"
        );
        return USAGE;
    };
    let format = if arguments.json { Format::Json } else { arguments.format };
    let ask = |path: &str| match http::ask(address, path) {
        Ok(Answer { status: 200, body }) => Ok(body),
        Ok(Answer { status, .. }) => {
            Err(format!("the agent at {address} answered {status}; is it an older version?"))
        }
        Err(error) => Err(format!(
            "no agent answers at {address}: {error}; start one with `eagle-eye run`, or name its \
             address with --listen"
        )),
    };
    let told = ask(&format!("/v1/report?format={}", format.word())).and_then(|report| {
        let judged = if format == Format::Json { report.clone() } else { ask("/v1/verdicts")? };
        Ok((report, is_trouble(&judged)))
    });
    match told {
        Ok((report, trouble)) => {
            say(report.trim_end());
            if trouble { TROUBLE } else { 0 }
        }
        Err(sentence) => {
            eprintln!("eagle-eye: {sentence}");
            USAGE
        }
    }
}

impl Format {
    const fn word(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
            Self::Markdown => "markdown",
            Self::Html => "html",
        }
    }
}

/// Whether a verdict stands that is a warning or worse and not silenced.
fn is_trouble(judged: &str) -> bool {
    let Ok(judged) = serde_json::from_str::<serde_json::Value>(judged) else { return false };
    judged["open"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|verdict| verdict["severity"] != "info" && verdict.get("silenced").is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_is_what_stands_matters_and_is_not_silenced() {
        for (judged, expected) in [
            ("{}", false),
            ("nonsense", false),
            (r#"{"open":[]}"#, false),
            (r#"{"open":[{"severity":"info"}]}"#, false),
            (r#"{"open":[{"severity":"warning"}]}"#, true),
            (r#"{"open":[{"severity":"critical","silenced":{"until":"x"}}]}"#, false),
        ] {
            assert_eq!(is_trouble(judged), expected, "{judged}");
        }
    }
}
