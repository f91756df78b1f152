//! What `doctor` says of the kernel's log: which grade it can be read in, and
//! how to get the better one.

use std::io;

use super::device::{Device, boot};
use super::follow::Followed;
use super::settings::Plan;
use crate::platform::kernel_log;
use crate::samplers::{Context, Need, Settings};

const RIGHTS: &str = "run as root or with CAP_SYSLOG";

pub(super) fn needs(context: &Context, settings: &Settings) -> Vec<Need> {
    let plan = match Plan::from_settings(settings) {
        Ok(plan) => plan,
        Err(sentence) => {
            return vec![Need::trouble("samplers.kmsg", sentence, "correct the setting")];
        }
    };
    if let Some(path) = plan.path {
        let path = context.host_root.join(path);
        let what = path.display().to_string();
        return vec![match Followed::open(&path, None) {
            Ok(_) => Need::fine(what, "can be followed; as good as whoever writes it"),
            Err(error) => Need::trouble(
                what,
                format!("cannot be followed: {error}"),
                "make it readable, or correct samplers.kmsg.path",
            ),
        }];
    }
    let mut needs = vec![device(context)];
    if needs[0].remedy.is_empty() {
        needs.push(boot_id(context));
    } else {
        needs.push(system_call());
    }
    needs
}

fn device(context: &Context) -> Need {
    let what = context.host_root.join("dev/kmsg").display().to_string();
    match Device::open(&context.host_root) {
        Ok(_) => Need::fine(what, "can be read: the attested grade, with exact gaps"),
        Err(error) => {
            let remedy = match error.kind() {
                io::ErrorKind::PermissionDenied => format!("{RIGHTS}{}", restricted(context)),
                _ => "mount the node's /dev/kmsg there, and let the container use that device"
                    .to_owned(),
            };
            Need::limited(what, format!("cannot be read: {error}"), remedy)
        }
    }
}

/// Without the boot's id nothing can be told apart over a restart.
fn boot_id(context: &Context) -> Need {
    let what = context.host_root.join("proc/sys/kernel/random/boot_id").display().to_string();
    if boot(&context.host_root) == [0; 16] {
        let says = "cannot be read: after a restart of the agent the whole log is told again";
        return Need::limited(what, says, "mount the node's /proc there");
    }
    Need::fine(what, "can be read: no line is repeated over a restart")
}

fn system_call() -> Need {
    match kernel_log::bytes_max() {
        Ok(_) => Need::limited(
            "syslog(2)",
            "can be called: the polled grade, whose loss is unknown",
            "give access to /dev/kmsg for the attested grade",
        ),
        Err(error) => Need::trouble(
            "syslog(2)",
            format!("cannot be called: {error}; the kernel's log is not read"),
            format!("{RIGHTS}, or name a log file in samplers.kmsg.path"),
        ),
    }
}

fn restricted(context: &Context) -> &'static str {
    let path = context.host_root.join("proc/sys/kernel/dmesg_restrict");
    match std::fs::read(path) {
        Ok(text) if text.starts_with(b"1") => ", since kernel.dmesg_restrict is 1",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samplers::NeedState;

    fn look(root: &std::path::Path, path: &str) -> Vec<Need> {
        let context = Context::to_look(root.to_owned(), root.to_owned());
        needs(&context, &Settings::new(vec![("path", path.to_owned())]))
    }

    #[test]
    fn what_is_missing_comes_with_its_remedy() {
        let root = tempfile::tempdir().unwrap();
        let found = look(root.path(), "");
        assert_eq!((found.len(), found[0].state), (2, NeedState::Limited));
        assert!(found[0].remedy.contains("/dev/kmsg"), "{:?}", found[0]);
        assert!(!found[1].remedy.is_empty());
        assert_eq!(look(root.path(), "/no/log")[0].state, NeedState::Trouble);
        assert_eq!(look(root.path(), "no/log")[0].state, NeedState::Trouble);
        std::fs::write(root.path().join("log"), "").unwrap();
        assert_eq!(look(root.path(), "/log")[0].state, NeedState::Fine);
    }
}
