//! Real NATS servers for tests: each in a folder of its own, gone on drop.

use std::io::{BufRead, BufReader, ErrorKind};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use eagle_eye::platform::clock;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// How long anything may take before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

/// Where the server program may be, as the development script puts it there.
const PROGRAMS: [&str; 2] = ["target/tools/bin/nats-server", "target/tools/venv/bin/nats-server"];

/// A running server.
pub(crate) struct NatsServer {
    /// The port for clients on 127.0.0.1.
    pub(crate) port: u16,
    folder: TempDir,
    child: Child,
}

impl NatsServer {
    /// A server that lets everybody do everything.
    pub(crate) fn open() -> Self {
        Self::with("")
    }

    /// A server with more lines in its configuration.
    pub(crate) fn with(config: &str) -> Self {
        Self::with_files(config, |_| {})
    }

    /// A server in whose folder files are put first; `FOLDER` in the
    /// configuration stands for it.
    pub(crate) fn with_files(config: &str, files: impl FnOnce(&Path)) -> Self {
        Self::on(free_port(), config, files)
    }

    /// A server that says nothing before the handshake; it may not be ready.
    pub(crate) fn silent(config: &str, files: impl FnOnce(&Path)) -> Self {
        Self::launched(free_port(), config, files)
    }

    /// A server on a port that was chosen before.
    pub(crate) fn on(port: u16, config: &str, files: impl FnOnce(&Path)) -> Self {
        let mut server = Self::launched(port, config, files);
        server.wait();
        server
    }

    fn launched(port: u16, config: &str, files: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the server");
        files(folder.path());
        let shown = folder.path().to_str().expect("a folder with a plain name");
        let config = config.replace("FOLDER", shown);
        let text = format!("listen: \"127.0.0.1:{port}\"\n{config}\n");
        std::fs::write(folder.path().join("nats.conf"), text).expect("the configuration");
        let child = launch(folder.path());
        Self { port, folder, child }
    }

    /// Its URL.
    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// A file in its folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Ends it at once, as a crash would.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again on the same port.
    pub(crate) fn restart(&mut self) {
        self.kill();
        self.child = launch(self.folder.path());
        self.wait();
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("the server takes a signal");
    }

    fn wait(&mut self) {
        let deadline_ns = clock::monotonic_ns() + PATIENCE.as_nanos() as u64;
        loop {
            match greeting(self.port) {
                Ok(line) if line.starts_with("INFO ") => return,
                other => {
                    let status = self.child.try_wait().expect("the state of the server");
                    let log = || std::fs::read_to_string(self.file("nats.log")).unwrap_or_default();
                    assert!(status.is_none(), "nats-server ended: {}", log());
                    assert!(clock::monotonic_ns() < deadline_ns, "no server: {other:?} {}", log());
                    std::thread::sleep(Duration::from_millis(10));
                }
            }
        }
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port on which nobody listens.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its number").port()
}

/// Polls until `done` says so.
pub(crate) fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let deadline_ns = clock::monotonic_ns() + PATIENCE.as_nanos() as u64;
    while !done() {
        assert!(clock::monotonic_ns() < deadline_ns, "in vain waited for: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn launch(folder: &Path) -> Child {
    let log = std::fs::File::create(folder.join("nats.log")).expect("a log for the server");
    Command::new(program())
        .arg("-c")
        .arg(folder.join("nats.conf"))
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a log for the server"))
        .stderr(log)
        .spawn()
        .expect("nats-server starts")
}

fn program() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    PROGRAMS
        .iter()
        .map(|program| root.join(program))
        .find(|program| program.exists())
        .expect("nats-server is missing: ./dev test fetches it into target/tools")
}

fn greeting(port: u16) -> Result<String, ErrorKind> {
    let stream = TcpStream::connect(("127.0.0.1", port)).map_err(|error| error.kind())?;
    stream.set_read_timeout(Some(Duration::from_millis(500))).map_err(|error| error.kind())?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).map_err(|error| error.kind())?;
    Ok(line)
}
