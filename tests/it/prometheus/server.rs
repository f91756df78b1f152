//! Real Prometheus servers for tests: each in a folder of its own, gone on
//! drop; and promtool.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use eagle_eye::platform::clock::{self, MILLISECOND_NS, SECOND_NS};
use serde_json::Value;
use tempfile::TempDir;

use crate::server::{PATIENCE, free_port};

/// How often the servers scrape.
const INTERVAL: &str = "1s";

/// A running server that scrapes one agent.
pub(crate) struct Prometheus {
    address: SocketAddr,
    folder: TempDir,
    child: Child,
}

/// A series of an answer: its labels and its value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Series {
    pub(crate) labels: Value,
    pub(crate) value: f64,
}

impl Prometheus {
    /// A server that scrapes the agent at this address, with these rule files.
    pub(crate) fn scraping(agent: SocketAddr, rules: &[PathBuf]) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the server");
        let files: String = rules.iter().map(|path| format!("  - {}\n", path.display())).collect();
        let rules = if files.is_empty() { files } else { format!("rule_files:\n{files}") };
        let config = format!(
            "global:\n  scrape_interval: {INTERVAL}\n  evaluation_interval: {INTERVAL}\n{rules}\
             scrape_configs:\n  - job_name: eagle-eye\n    honor_labels: true\n    \
             static_configs:\n      - targets: ['{agent}']\n"
        );
        let file = folder.path().join("prometheus.yml");
        std::fs::write(&file, config).expect("the configuration");
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let log = std::fs::File::create(folder.path().join("log")).expect("a log");
        let child = Command::new(tool("prometheus"))
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--enable-feature=exemplar-storage")
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn()
            .expect("prometheus starts");
        let mut server = Self { address, folder, child };
        let ready = patiently(|| {
            let state = server.child.try_wait().expect("the state of the server");
            assert!(state.is_none(), "Prometheus ended: {}", server.log());
            fetched(address, "/-/ready", "").is_some_and(|(head, _)| head.contains(" 200 "))
        });
        assert!(ready, "Prometheus is not ready: {}", server.log());
        server
    }

    /// What a query gives now, or why it gives nothing.
    pub(crate) fn query(&self, query: &str) -> Result<Vec<Series>, String> {
        let answer = self.get(&format!("/api/v1/query?query={}", encoded(query)))?;
        let data = &answer["data"];
        let of = |labels: &Value, pair: &Value| Series {
            labels: labels.clone(),
            value: pair[1].as_str().and_then(|text| text.parse().ok()).unwrap_or(f64::NAN),
        };
        Ok(match data["resultType"].as_str() {
            Some("vector") => {
                let series = data["result"].as_array().expect("a vector");
                series.iter().map(|one| of(&one["metric"], &one["value"])).collect()
            }
            _ => vec![of(&Value::Null, &data["result"])],
        })
    }

    /// The one value of a query, once there is exactly one.
    pub(crate) fn value(&self, query: &str) -> Option<f64> {
        match &self.query(query).expect("the query is right")[..] {
            [one] => Some(one.value),
            _ => None,
        }
    }

    /// Waits until a query has this one value.
    pub(crate) fn until(&self, query: &str, expected: f64) {
        let mut value = None;
        let fits = |value: f64| (value - expected).abs() <= expected.abs() * 1e-9;
        let came = patiently(|| {
            value = self.value(query);
            value.is_some_and(fits)
        });
        assert!(came, "{query} is {value:?} and not {expected}: {:?}", self.query(query));
    }

    /// What the API says at this path.
    pub(crate) fn get(&self, path: &str) -> Result<Value, String> {
        let (_, body) = fetched(self.address, path, "").ok_or("no answer")?;
        let answer: Value =
            serde_json::from_str(&body).map_err(|error| format!("{error}: {body}"))?;
        match answer["status"].as_str() {
            Some("success") => Ok(answer),
            _ => Err(answer["error"].to_string()),
        }
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Polls until it is so; whether it came to be. Prometheus is slow to start on
/// a busy machine.
pub(crate) fn patiently(mut is_so: impl FnMut() -> bool) -> bool {
    let deadline_ns = clock::monotonic_ns() + 90 * SECOND_NS;
    while !is_so() {
        if clock::monotonic_ns() > deadline_ns {
            return false;
        }
        clock::sleep_until(clock::monotonic_ns() + 20 * MILLISECOND_NS);
    }
    true
}

/// Head and body of what stands at this path; nothing where nobody answers.
pub(crate) fn fetched(at: SocketAddr, path: &str, headers: &str) -> Option<(String, String)> {
    let mut stream = TcpStream::connect(at).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    // HTTP/1.0: the body comes whole, and the end of the stream ends it.
    write!(stream, "GET {path} HTTP/1.0\r\nhost: {at}\r\n{headers}\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.to_owned(), body.to_owned()))
}

fn encoded(query: &str) -> String {
    query.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// What promtool says to these arguments with this on its standard input:
/// whether it is content, and its words.
pub(crate) fn promtool(arguments: &[&str], input: &str) -> (bool, String) {
    let mut child = Command::new(tool("promtool"))
        .args(arguments)
        .current_dir(root())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool starts");
    let mut stdin = child.stdin.take().expect("its standard input");
    let input = input.to_owned();
    let writing = std::thread::Builder::new()
        .spawn(move || drop(stdin.write_all(input.as_bytes())))
        .expect("a thread");
    let output = child.wait_with_output().expect("promtool ends");
    let _ = writing.join();
    let [out, err] =
        [output.stdout, output.stderr].map(|of| String::from_utf8_lossy(&of).into_owned());
    (output.status.success(), format!("{out}{err}"))
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn tool(name: &str) -> PathBuf {
    let path = root().join("target/tools/bin").join(name);
    assert!(path.exists(), "{name} is missing: ./dev tools fetches it into target/tools");
    path
}
