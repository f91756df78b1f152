//! The processes around this one: a NATS server, an agent, Python peers.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use eagle_eye::engine::SOCKET_NAME;
use eagle_eye::platform::clock::{self, MILLISECOND_NS, SECOND_NS};

/// How long a process may take until it answers.
const START_NS: u64 = 10 * SECOND_NS;

/// The binary under test, built in the same profile as this benchmark.
const AGENT: &str = env!("CARGO_BIN_EXE_eagle-eye");

/// What the compared programs need, as pip and as Python call it.
const PACKAGES: [(&str, &str); 4] = [
    ("nats-py", "nats"),
    ("pyzmq", "zmq"),
    ("msgpack", "msgpack"),
    ("prometheus_client", "prometheus_client"),
];

/// A process that ends with its owner.
pub(crate) struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A NATS server on a port of its own.
pub(crate) struct Server {
    pub(crate) url: String,
    port: u16,
    process: Option<Process>,
}

impl Server {
    pub(crate) fn start() -> Result<Self, String> {
        let port = free_port()?;
        let mut server = Self { url: format!("nats://127.0.0.1:{port}"), port, process: None };
        server.start_again()?;
        Ok(server)
    }

    /// Ends it without a goodbye, as a crash does.
    pub(crate) fn kill(&mut self) {
        self.process = None;
    }

    /// Starts it on the port that it had. Returns once it answers.
    pub(crate) fn start_again(&mut self) -> Result<(), String> {
        let program = tools().join("bin/nats-server");
        if !program.exists() {
            fetch_tools()?;
        }
        let port = self.port.to_string();
        let child = Command::new(&program)
            .args(["--addr", "127.0.0.1", "--port", &port])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("starting {} failed: {error}", program.display()))?;
        self.process = Some(Process(child));
        let answers = || TcpStream::connect(("127.0.0.1", self.port)).is_ok();
        match wait_for(START_NS, answers) {
            true => Ok(()),
            false => Err(format!("{} did not answer on port {port}", program.display())),
        }
    }
}

/// An agent as users run it, with a folder of its own.
pub(crate) struct Agent {
    pub(crate) socket: PathBuf,
    process: Process,
    _folder: tempfile::TempDir,
}

impl Agent {
    pub(crate) fn start(nats: &str, settings: &[&str]) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| format!("no folder: {error}"))?;
        let path = folder.path().display();
        let mut command = Command::new(AGENT);
        command.args(["run", "--listen", "off", "--node", "bench", "--nats", nats]);
        command.args(["--set", &format!("run_dir={path}"), "--set", &format!("state_dir={path}")]);
        command.args(["--set", "samplers.engine_scrape.discover=false"]);
        for setting in settings {
            command.args(["--set", setting]);
        }
        let child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("starting {AGENT} failed: {error}"))?;
        let socket = folder.path().join(SOCKET_NAME);
        let agent = Self { socket, process: Process(child), _folder: folder };
        match wait_for(START_NS, || agent.socket.exists()) {
            true => Ok(agent),
            false => Err(format!("{AGENT} run did not open {}", agent.socket.display())),
        }
    }

    /// Processor time of each of its threads so far, by name, ns.
    pub(crate) fn processor_ns(&self) -> Vec<(String, u64)> {
        threads_of(&self.process.0.id().to_string())
    }
}

/// Processor time of the threads of a process, by name, ns.
pub(crate) fn threads_of(process: &str) -> Vec<(String, u64)> {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task"));
    let read = |task: PathBuf| {
        let name = std::fs::read_to_string(task.join("comm")).ok()?;
        let times = std::fs::read_to_string(task.join("schedstat")).ok()?;
        Some((name.trim().to_owned(), times.split(' ').next()?.parse().ok()?))
    };
    tasks.into_iter().flatten().flatten().filter_map(|task| read(task.path())).collect()
}

/// A Python with the packages of the peers, and which of them are missing.
pub(crate) struct Python {
    program: PathBuf,
    pub(crate) missing: Vec<(&'static str, String)>,
}

impl Python {
    /// Makes the environment where it is not there yet.
    pub(crate) fn prepare() -> Result<Self, String> {
        let place = tools().join("venv-bench");
        let program = place.join("bin/python3");
        if !program.exists() {
            let mut make = Command::new("python3");
            make.args(["-m", "venv"]).arg(&place);
            output(&mut make).map_err(|why| {
                format!("python3 cannot make a venv ({why}): install python3-venv")
            })?;
        }
        let mut python = Self { program, missing: Vec::new() };
        for (package, module) in PACKAGES {
            if let Err(why) = python.fetch(package, module) {
                python.missing.push((package, why));
            }
        }
        Ok(python)
    }

    fn fetch(&self, package: &str, module: &str) -> Result<(), String> {
        let import = ["-c", &format!("import {module}")];
        if output(Command::new(&self.program).args(import)).is_ok() {
            return Ok(());
        }
        println!("fetching {package}");
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", package];
        output(Command::new(&self.program).args(pip))?;
        output(Command::new(&self.program).args(import))
    }

    /// Why one of these packages cannot be had, if so.
    pub(crate) fn lacks(&self, packages: &[&str]) -> Option<String> {
        let lacking = self.missing.iter().find(|(package, _)| packages.contains(package));
        lacking.map(|(package, why)| format!("pip could not fetch {package}: {why}"))
    }

    /// Runs a part of `peers.py`.
    pub(crate) fn start(&self, arguments: &[&str]) -> Result<Peer, String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut child = Command::new(&self.program)
            .arg(root.join("benches/end_to_end/peers.py"))
            .args(arguments)
            .env("PYTHONPATH", root.join("python"))
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("starting {} failed: {error}", self.program.display()))?;
        let out = child.stdout.take().ok_or("no pipe to Python")?;
        Ok(Peer { out: BufReader::new(out), _process: Process(child) })
    }
}

/// A running part of `peers.py`.
pub(crate) struct Peer {
    out: BufReader<ChildStdout>,
    _process: Process,
}

impl Peer {
    /// The next line that it prints.
    pub(crate) fn line(&mut self) -> Result<String, String> {
        let mut line = String::new();
        self.out.read_line(&mut line).map_err(|error| error.to_string())?;
        match line.is_empty() {
            true => Err("a Python peer ended early; see above".to_owned()),
            false => Ok(line),
        }
    }

    /// The numbers that it prints last.
    pub(crate) fn result(mut self) -> Result<serde_json::Value, String> {
        let mut text = String::new();
        self.out.read_to_string(&mut text).map_err(|error| error.to_string())?;
        let last = text.lines().last().unwrap_or_default();
        serde_json::from_str(last).map_err(|_| format!("a Python peer said {last:?}"))
    }
}

fn output(command: &mut Command) -> Result<(), String> {
    let done = command.output().map_err(|error| error.to_string())?;
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr);
    Err(said.lines().last().unwrap_or("it failed").chars().take(160).collect())
}

fn tools() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools")
}

pub(crate) fn free_port() -> Result<u16, String> {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|error| format!("no free port: {error}"))
}

/// Whether `done` came true within `limit_ns`.
pub(crate) fn wait_for(limit_ns: u64, done: impl Fn() -> bool) -> bool {
    let deadline_ns = clock::monotonic_ns() + limit_ns;
    while !done() {
        if clock::monotonic_ns() >= deadline_ns {
            return false;
        }
        clock::sleep_until(clock::monotonic_ns() + 5 * MILLISECOND_NS);
    }
    true
}

/// On a clean clone there is no server yet.
fn fetch_tools() -> Result<(), String> {
    println!("fetching nats-server: ./dev tools");
    let fetched =
        Command::new("./dev").arg("tools").current_dir(env!("CARGO_MANIFEST_DIR")).status();
    match fetched {
        Ok(status) if status.success() => Ok(()),
        _ => Err("nats-server is missing and could not be fetched: see ./dev tools".to_owned()),
    }
}
