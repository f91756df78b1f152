//! The support file: everything that helps somebody far away, and no secret.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, Header};

use super::secrets::Secrets;
use super::work::Paper;
use crate::platform::clock::SECOND_NS;
use crate::schema::subject_token;

/// Under which all of it lies.
const FOLDER: &str = "eagle-eye-doctor";

/// Files of this machine that are packed as they are, when they are there.
const SYSTEM: [(&str, &str); 8] = [
    ("/proc/version", "kernel"),
    ("/proc/self/cgroup", "cgroup of this process"),
    ("/proc/self/limits", "limits of this process"),
    ("/proc/self/status", "rights of this process"),
    ("/proc/uptime", "uptime, s"),
    ("/proc/loadavg", "load"),
    ("/proc/meminfo", "memory"),
    ("/etc/os-release", "system"),
];

/// Bytes of each.
const SYSTEM_BYTES_MAX: usize = 16 << 10;

const README: &str = "\
What `eagle-eye doctor --bundle` packed, to be sent to whoever helps.

report.txt, report.json   what was looked at, and what is wrong
configuration.toml        every setting in force; secrets are hidden
variables.txt             names of the EAGLE_EYE_ variables that are set, no values
system.txt                kernel, processors, limits, control group of this process
agent/                    what the running agent says over HTTP, if one does:
                          status, recent events, engines, host

Passwords, tokens and logins in URLs are replaced by [hidden] wherever they
would stand. Files with credentials, keys and certificates are named in the
configuration and never read. Names of hosts, engines and models, and the text
of events, are in it: look before you send it.
";

/// A name that nobody has used: the node and the second.
pub(super) fn usual_path(node: &str, wall_ns: u64) -> PathBuf {
    let second = wall_ns / SECOND_NS;
    format!("{FOLDER}-{}-{second}.tar.gz", subject_token(node)).into()
}

/// Writes `papers` into a file that must not be there yet and that only this
/// user may read. What is left of an attempt that failed is removed.
///
/// # Errors
///
/// What the system says.
pub(super) fn write(
    path: &Path,
    papers: &[Paper],
    secrets: &Secrets,
    wall_ns: u64,
) -> io::Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let written = pack(&file, papers, secrets, wall_ns).and_then(|()| file.sync_all());
    if written.is_err() {
        let _ = std::fs::remove_file(path);
    }
    written
}

fn pack(file: &File, papers: &[Paper], secrets: &Secrets, wall_ns: u64) -> io::Result<()> {
    let mut archive =
        Builder::new(GzEncoder::new(io::BufWriter::new(file), Compression::default()));
    let readme = Paper { name: "README.txt".to_owned(), text: README.to_owned() };
    for paper in std::iter::once(&readme).chain(papers) {
        let text = secrets.hide(&paper.text);
        let mut header = Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(wall_ns / SECOND_NS);
        let name = format!("{FOLDER}/{}", secrets.hide(&paper.name));
        archive.append_data(&mut header, name, text.as_bytes())?;
    }
    archive.into_inner()?.finish()?.flush()
}

/// Every setting in force as it would stand in a file, secrets hidden.
pub(super) fn configuration(
    values: &std::collections::HashMap<String, String>,
    secrets: &Secrets,
) -> Paper {
    let mut text = String::from("# Every setting in force. Values stand as text.\n");
    for setting in crate::config::settings() {
        let value = values.get(&setting.key).map_or("", |value| value);
        let shown = secrets.setting(&setting.key, value);
        let changed = if setting.default.trim_matches('"') == value { "" } else { "  # set" };
        let _ = writeln!(text, "{} = {}{changed}", setting.key, toml::Value::String(shown));
    }
    Paper { name: "configuration.toml".to_owned(), text }
}

/// Names of our variables, without their values.
pub(super) fn variables(names: impl IntoIterator<Item = String>) -> Paper {
    let mut names: Vec<String> =
        names.into_iter().filter(|name| name.starts_with("EAGLE_EYE_")).collect();
    names.sort();
    Paper { name: "variables.txt".to_owned(), text: names.join("\n") + "\n" }
}

/// What this machine is.
pub(super) fn system() -> Paper {
    let system = rustix::system::uname();
    let cpus = crate::platform::thread::usable_cpus().len();
    let mut text = format!(
        "eagle-eye {}\n{} {} {}, {cpus} usable processors\n",
        env!("CARGO_PKG_VERSION"),
        system.sysname().to_string_lossy(),
        system.release().to_string_lossy(),
        system.machine().to_string_lossy(),
    );
    for (path, what) in SYSTEM {
        if let Ok(bytes) = std::fs::read(path) {
            let bytes = &bytes[..bytes.len().min(SYSTEM_BYTES_MAX)];
            let _ = write!(text, "\n== {what} ({path})\n{}", String::from_utf8_lossy(bytes));
        }
    }
    Paper { name: "system.txt".to_owned(), text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_file_that_is_there_is_left_alone_and_a_new_one_is_its_owner_s() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("b.tar.gz");
        let papers = [Paper { name: "a.txt".into(), text: "one".into() }];
        write(&path, &papers, &Secrets::default(), 0).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let before = std::fs::read(&path).unwrap();
        let error = write(&path, &papers, &Secrets::default(), 0).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }

    #[test]
    fn names_of_variables_are_told_and_their_values_are_not() {
        let names = ["PATH", "EAGLE_EYE_NODE"].map(str::to_owned);
        assert_eq!(variables(names).text, "EAGLE_EYE_NODE\n");
    }
}
