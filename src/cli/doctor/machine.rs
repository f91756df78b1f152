//! What this process may have of the machine: processors, limits, rights, and
//! whether it sees the machine at all or only a container.

use std::path::Path;

use super::report::Section;
use crate::config::{Pinning, Plan};
use crate::engine::samplers::Need;
use crate::platform::limits::limits;
use crate::platform::thread::usable_cpus;

/// Each engine takes two descriptors.
const DESCRIPTORS_LEAST: u64 = 1024;

/// Capabilities that samplers ask for, by their bits.
const CAPABILITIES: [(u32, &str); 6] = [
    (2, "CAP_DAC_READ_SEARCH"),
    (12, "CAP_NET_ADMIN"),
    (19, "CAP_SYS_PTRACE"),
    (21, "CAP_SYS_ADMIN"),
    (34, "CAP_SYSLOG"),
    (38, "CAP_PERFMON"),
];

pub(super) fn look(plan: &Plan) -> Vec<Section> {
    let usable = usable_cpus();
    let host = vec![container(is_container(), &plan.host_root), user()];
    let mut processors = vec![pinning(&plan.pinning, &usable)];
    processors.extend(own_cpus(plan, &usable));
    let [descriptors, memory, threads] = limits();
    let limits = vec![
        descriptor_limit(descriptors.1),
        Need::fine("locked memory", amount(memory.0, "bytes") + "; nothing of ours is locked"),
        thread_limit(threads.0),
    ];
    vec![
        Section::new("host", "Host", host),
        Section::new("processors", "Processors", processors),
        Section::new("limits", "Limits", limits),
    ]
}

/// Marks that container runtimes leave.
fn is_container() -> bool {
    let marks = ["/.dockerenv", "/run/.containerenv"].iter().any(|mark| Path::new(mark).exists());
    let variables = ["KUBERNETES_SERVICE_HOST", "container"];
    let groups = std::fs::read_to_string("/proc/1/cgroup").unwrap_or_default();
    let words = ["kubepods", "docker", "containerd", "libpod", "lxc"];
    marks
        || variables.iter().any(|name| std::env::var_os(name).is_some())
        || words.iter().any(|word| groups.contains(word))
}

fn container(inside: bool, host_root: &Path) -> Need {
    let what = "host_root";
    let shown = host_root.display();
    let missing = ["proc/stat", "sys"].iter().find(|name| !host_root.join(name).exists());
    if let Some(missing) = missing {
        let path = host_root.join(missing);
        let says = format!("there is no {}", path.display());
        let remedy = "mount the host's /proc and /sys there (in Kubernetes a read-only hostPath), \
                      or correct host_root";
        return Need::trouble(what, says, remedy);
    }
    match (inside, host_root.parent().is_none()) {
        (true, true) => Need::limited(
            what,
            "this is a container, and host_root is its own /: processes, network and mounts are \
             the container's, not the host's",
            "mount the host's / read-only, such as at /host, and set host_root to it; share the \
             host's process namespace",
        ),
        (true, false) => Need::fine(what, format!("a container that sees its host at {shown}")),
        (false, _) => Need::fine(what, format!("no container; the host is seen at {shown}")),
    }
}

/// Who this is, and with which rights: an agent of another user may have
/// others.
fn user() -> Need {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let bits = line.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok());
    let user = rustix::process::geteuid();
    let who = if user.is_root() { "root".to_owned() } else { format!("user {}", user.as_raw()) };
    let says = match bits {
        Some(bits) => format!("{who}, with {}", capabilities(bits)),
        None => who,
    };
    Need::fine("user", says)
}

fn capabilities(bits: u64) -> String {
    let named = CAPABILITIES.iter().filter(|(bit, _)| bits >> bit & 1 == 1);
    let names: Vec<&str> = named.map(|(_, name)| *name).collect();
    match names.len() {
        0 => "none of the capabilities that samplers can use".to_owned(),
        all if all == CAPABILITIES.len() => "all capabilities that samplers can use".to_owned(),
        _ => names.join(", "),
    }
}

fn pinning(pinning: &Pinning, usable: &[usize]) -> Need {
    let what = "threads";
    let count = usable.len();
    match pinning {
        Pinning::Off if count < 4 => {
            Need::fine(what, format!("{count} usable processors: too few to pin threads to"))
        }
        Pinning::Off => Need::fine(what, format!("not pinned; {count} usable processors")),
        Pinning::Cpus(cpus) => {
            let list = list(cpus);
            let lacking: Vec<usize> =
                cpus.iter().filter(|cpu| !usable.contains(cpu)).copied().collect();
            if lacking.is_empty() {
                let says = format!("samplers and publisher take turns on {list} of {count} usable");
                return Need::fine(what, says);
            }
            let says = format!(
                "threads.pinning names {}, which this process may not use",
                self::list(&lacking)
            );
            Need::limited(what, says, format!("name some of {}", self::list(usable)))
        }
    }
}

/// Samplers that are told to be where they may not.
fn own_cpus<'a>(plan: &'a Plan, usable: &'a [usize]) -> impl Iterator<Item = Need> + 'a {
    plan.samplers.iter().filter_map(|sampler| {
        let cpu = sampler.cpu.filter(|cpu| !usable.contains(cpu))?;
        let key = format!("samplers.{}.cpu", sampler.entry.name);
        let says = format!("names {cpu}, which this process may not use: the thread is not pinned");
        Some(Need::limited(key, says, format!("name one of {}", list(usable))))
    })
}

fn descriptor_limit(hard: Option<u64>) -> Need {
    let what = "descriptors";
    let says = amount(hard, "at most; the agent raises its limit to that");
    if hard.is_some_and(|hard| hard < DESCRIPTORS_LEAST) {
        let remedy = "raise the hard limit: LimitNOFILE= in its unit, or ulimit -Hn";
        return Need::limited(what, format!("{says}; each engine takes two"), remedy);
    }
    Need::fine(what, says)
}

fn thread_limit(soft: Option<u64>) -> Need {
    const THREADS_LEAST: u64 = 64;
    let says = amount(soft, "processes and threads of this user");
    if soft.is_some_and(|soft| soft < THREADS_LEAST) {
        return Need::limited("threads of user", says, "raise it: LimitNPROC= in its unit");
    }
    Need::fine("threads of user", says)
}

fn amount(limit: Option<u64>, of: &str) -> String {
    limit.map_or_else(|| "no limit".to_owned(), |limit| format!("{limit} {of}"))
}

/// Numbers as a list with ranges: 0-3,7.
fn list(numbers: &[usize]) -> String {
    let mut parts: Vec<(usize, usize)> = Vec::new();
    for number in numbers {
        match parts.last_mut() {
            Some((_, last)) if *last + 1 == *number => *last = *number,
            _ => parts.push((*number, *number)),
        }
    }
    let part = |(first, last): &(usize, usize)| match last - first {
        0 => first.to_string(),
        _ => format!("{first}-{last}"),
    };
    parts.iter().map(part).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::samplers::NeedState;

    #[test]
    fn processors_are_listed_as_ranges() {
        for (numbers, shown) in
            [(&[][..], ""), (&[3], "3"), (&[0, 1, 2, 3, 7], "0-3,7"), (&[7, 6], "7,6")]
        {
            assert_eq!(list(numbers), shown);
        }
    }

    #[test]
    fn a_processor_that_may_not_be_used_is_told() {
        let cpus = |cpus: &[usize]| Pinning::Cpus(cpus.to_vec());
        for (pin, usable, state) in [
            (Pinning::Off, &[0, 1][..], NeedState::Fine),
            (Pinning::Off, &[0, 1, 2, 3], NeedState::Fine),
            (cpus(&[2, 3]), &[0, 1, 2, 3], NeedState::Fine),
            (cpus(&[2, 9]), &[0, 1, 2, 3], NeedState::Limited),
        ] {
            assert_eq!(pinning(&pin, usable).state, state, "{pin:?}");
        }
    }

    #[test]
    fn a_container_that_does_not_see_its_host_is_told() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(container(false, Path::new("/")).state, NeedState::Fine);
        assert_eq!(container(true, Path::new("/")).state, NeedState::Limited);
        assert_eq!(container(true, root.path()).state, NeedState::Trouble);
        std::fs::create_dir_all(root.path().join("proc/stat")).unwrap();
        std::fs::create_dir_all(root.path().join("sys")).unwrap();
        assert_eq!(container(true, root.path()).state, NeedState::Fine);
    }

    #[test]
    fn rights_and_limits_are_said_in_words() {
        assert!(capabilities(0).starts_with("none"));
        assert!(capabilities(u64::MAX).starts_with("all"));
        assert_eq!(capabilities(1 << 34), "CAP_SYSLOG");
        assert_eq!(descriptor_limit(Some(256)).state, NeedState::Limited);
        assert_eq!(descriptor_limit(None).says, "no limit");
        assert_eq!(thread_limit(Some(10)).state, NeedState::Limited);
    }
}
