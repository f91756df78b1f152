//! The real program, in a folder of its own.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use eagle_eye::client::{Options, View};
use eagle_eye::platform::clock::{self, SECOND_NS};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::server::eventually;

/// The program, with nothing of the caller's environment that it reads.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_eagle-eye"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("EAGLE_EYE_") {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    command
}

/// What the program says to these arguments, once it ended.
pub(crate) fn said(arguments: &[&str]) -> Output {
    program().args(arguments).output().expect("the program starts")
}

/// Both streams as text.
pub(crate) fn text(output: &Output) -> String {
    let [out, err] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    format!("{out}{err}")
}

/// A running agent, killed when dropped.
pub(crate) struct Running {
    folder: TempDir,
    child: Child,
}

impl Running {
    /// `eagle-eye run` with these arguments too, on no port and in a folder of
    /// its own; returns once its door is open.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let running = Self::launch(program(), arguments);
        running.wait_for_door();
        running
    }

    /// As [`Self::start`], by a command that runs what follows it.
    pub(crate) fn launch(command: Command, arguments: &[&str]) -> Self {
        Self::listening(command, "off", arguments)
    }

    /// As [`Self::start`], with HTTP on this port.
    pub(crate) fn serving(port: u16, arguments: &[&str]) -> Self {
        let running = Self::listening(program(), &format!("127.0.0.1:{port}"), arguments);
        running.wait_for_door();
        running
    }

    fn listening(mut command: Command, listen: &str, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the agent");
        let log = File::create(folder.path().join("log")).expect("a file for the log");
        let child = command
            .args(["run", "--listen", listen])
            // What else listens on this host is no engine of a test.
            .args(["--set", "samplers.engine_scrape.discover=false"])
            .args(settings(folder.path()))
            .args(arguments)
            .stdout(log.try_clone().expect("a file for the log"))
            .stderr(log)
            .spawn()
            .expect("the program starts");
        Self { folder, child }
    }

    pub(crate) fn wait_for_door(&self) {
        eventually("its door is open", || {
            assert!(!self.log().contains("panicked"), "{}", self.log());
            self.socket().exists()
        });
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("run/agent.sock")
    }

    /// A view of its shared memory.
    pub(crate) fn view(&self) -> View {
        let options = Options { socket: Some(self.socket()), ..Options::default() };
        View::connect(options).expect("a thread")
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// All that it wrote on both streams.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).expect("the log")
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("the state of the agent").is_none()
    }

    /// Sends a signal; returns how it ended, and in how many ns.
    pub(crate) fn end(&mut self, signal: Signal) -> (ExitStatus, u64) {
        let begun_ns = clock::monotonic_ns();
        kill_process(Pid::from_child(&self.child), signal).expect("it takes a signal");
        (self.wait(), clock::monotonic_ns() - begun_ns)
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let deadline_ns = clock::monotonic_ns() + 20 * SECOND_NS;
        loop {
            if let Some(status) = self.child.try_wait().expect("the state of the agent") {
                return status;
            }
            assert!(clock::monotonic_ns() < deadline_ns, "it does not end: {}", self.log());
            clock::sleep_until(clock::monotonic_ns() + 5_000_000);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Flags that keep an agent to a folder.
pub(crate) fn settings(folder: &Path) -> [String; 4] {
    let folder = folder.display();
    let set = || "--set".to_owned();
    [set(), format!("run_dir={folder}/run"), set(), format!("state_dir={folder}/state")]
}
