//! A real cgroup, made like a container's and gone at the end.
#![expect(clippy::print_stderr, reason = "a test that cannot be made says so")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use eagle_eye::platform::clock::{self, SECOND_NS};
use eagle_eye::schema::name_hash;

use super::TREE;

/// A cgroup of ours in every hierarchy, gone at the end with all in it.
pub(crate) struct RealCgroup {
    /// As a container's id.
    pub(crate) id: String,
    /// In each hierarchy.
    pub(super) folders: Vec<PathBuf>,
    parent: String,
}

impl RealCgroup {
    /// One named as docker names a container's, below a folder of this name;
    /// nothing, said aloud, where this process may not make one.
    pub(crate) fn make(parent: &str) -> Option<Self> {
        Self::make_in(&hierarchies(Path::new(TREE)), parent)
    }

    pub(super) fn make_in(roots: &[PathBuf], parent: &str) -> Option<Self> {
        // Others follow theirs at the same time: even the short name is ours.
        let now_ns = clock::monotonic_ns();
        let hash = name_hash(&format!("{parent} {} {now_ns}", std::process::id()));
        let id = format!("{hash:016x}{now_ns:048x}");
        let parent = format!("eagle-eye-test-{}-{parent}", std::process::id());
        let mut real = Self { id, folders: Vec::new(), parent };
        for root in roots {
            let folder = root.join(real.path());
            match fs::create_dir_all(&folder) {
                Ok(()) => real.folders.push(folder),
                Err(error) => eprintln!("no cgroup in {}: {error}", root.display()),
            }
        }
        if real.folders.is_empty() {
            // Where everything must be there, this is no way out.
            assert!(std::env::var_os("EAGLE_EYE_REQUIRE_CGROUP").is_none(), "make it writable");
            eprintln!("real cgroups were NOT tested: run as root where {TREE} may be written");
            return None;
        }
        Some(real)
    }

    pub(super) fn path(&self) -> String {
        format!("{}/docker-{}.scope", self.parent, self.id)
    }

    pub(super) fn name(&self) -> &str {
        &self.id[..12]
    }

    /// A process in it that runs `script`.
    pub(super) fn run(&self, script: &str) -> Child {
        self.command("sh").args(["-c", script]).spawn().expect("a shell starts")
    }

    /// Starts a program that is in the cgroup before its first instruction.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("sh");
        command
            .args(["-c", r#"for f in $PROCS; do echo $$ > "$f" || exit 9; done; exec "$0" "$@""#])
            .arg(program)
            .env("PROCS", self.files("cgroup.procs").join(" "))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    pub(super) fn files(&self, name: &str) -> Vec<String> {
        let paths = self.folders.iter().map(|folder| folder.join(name));
        paths.filter(|path| path.exists()).map(|path| path.display().to_string()).collect()
    }

    /// Writes a control file; says whether there is one that took it.
    pub(super) fn set(&self, name: &str, value: &str) -> bool {
        let files = self.files(name);
        !files.is_empty() && files.iter().all(|file| fs::write(file, value).is_ok())
    }

    /// Ends every process in it and removes it.
    pub(super) fn remove(&self) {
        self.set("freezer.state", "THAWED");
        self.set("cgroup.freeze", "0");
        let pids = || {
            let files = self.files("cgroup.procs").into_iter();
            let texts = files.filter_map(|file| fs::read_to_string(file).ok());
            texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
        };
        let deadline_ns = clock::monotonic_ns() + 10 * SECOND_NS;
        while clock::monotonic_ns() < deadline_ns {
            for pid in pids().filter_map(|pid| rustix::process::Pid::from_raw(pid.parse().ok()?)) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
            let gone = |folder: &PathBuf| fs::remove_dir(folder).is_ok() || !folder.exists();
            if self.folders.iter().filter(|folder| !gone(folder)).count() == 0 {
                return;
            }
            clock::sleep_until(clock::monotonic_ns() + SECOND_NS / 100);
        }
    }
}

impl Drop for RealCgroup {
    fn drop(&mut self) {
        self.remove();
        for folder in &self.folders {
            let _ = folder.parent().map(fs::remove_dir);
        }
    }
}

/// A child that does not outlive its test.
pub(super) struct Ends(pub(super) Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn hierarchies(tree: &Path) -> Vec<PathBuf> {
    if tree.join("cgroup.controllers").exists() {
        return vec![tree.to_owned()];
    }
    let folders = fs::read_dir(tree).into_iter().flatten().flatten();
    let folders = folders.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    // A cpuset takes no process before it is given processors.
    let folders = folders.filter(|entry| entry.file_name() != "cpuset");
    let roots = folders.map(|entry| entry.path());
    roots.filter(|root| root.join("cgroup.procs").exists()).collect()
}
