//! What `doctor` says of trace events: whether the kernel offers them, and
//! what keeps us from them.

use super::settings;
use super::tracefs::Tracefs;
use super::watched::{WATCHED, Watched};
use crate::samplers::{Context, Need, Settings};

pub(super) fn needs(context: &Context, settings: &Settings) -> Vec<Need> {
    if let Err(sentence) = settings::buffer_kb(settings) {
        return vec![Need::trouble("samplers.ktrace", sentence, "correct the setting")];
    }
    let driver = WATCHED.iter().any(|watched| is_loaded(context, watched));
    let tracefs = match Tracefs::find(&context.host_root) {
        Ok(tracefs) => tracefs,
        // Without such a driver there is nothing that could be missed.
        Err(refused) if !driver => return vec![Need::not_here("tracefs", refused.says)],
        Err(refused) => return vec![Need::limited("tracefs", refused.says, refused.remedy)],
    };
    let mut needs = vec![Need::fine(
        tracefs.root.display().to_string(),
        "can be used: an instance of our own can be made there",
    )];
    needs.extend(WATCHED.iter().map(|watched| event(context, &tracefs, watched)));
    needs
}

fn event(context: &Context, tracefs: &Tracefs, watched: &Watched) -> Need {
    let what = format!("trace event {}:{}", watched.group, watched.name);
    if tracefs.id(watched).is_some() {
        return Need::fine(what, "is offered by the driver");
    }
    match is_loaded(context, watched) {
        true => Need::limited(
            what,
            "is not offered by the driver that is loaded",
            "install NVIDIA's open kernel modules of a version that has it; until then the \
             kernel's log says the same as text (sampler kmsg)",
        ),
        false => Need::not_here(what, "is not offered: no such driver is loaded"),
    }
}

/// Whether the driver that could offer it is loaded: NVSwitches are driven by
/// the same module as GPUs, and shown where there is one.
fn is_loaded(context: &Context, watched: &Watched) -> bool {
    let path = match watched.group {
        "nvswitch" => "proc/driver/nvidia-nvswitch",
        _ => "sys/module/nvidia",
    };
    context.host_root.join(path).exists()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::tests::{HEADER_PAGE, fake_tracefs};
    use super::*;
    use crate::samplers::NeedState;

    fn look(root: &Path) -> Vec<Need> {
        let context = Context::to_look(root.to_owned(), root.to_owned());
        needs(&context, &Settings::default())
    }

    fn states(root: &Path) -> Vec<NeedState> {
        look(root).iter().map(|need| need.state).collect()
    }

    #[test]
    fn what_is_missing_is_trouble_only_where_a_driver_could_offer_it() {
        use NeedState::{Fine, Limited, NotHere};
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        assert_eq!(states(root), [NotHere]);
        std::fs::create_dir_all(root.join("sys/module/nvidia")).unwrap();
        let found = look(root);
        assert_eq!(found[0].state, Limited);
        assert!(found[0].remedy.contains("mount -t tracefs"), "{}", found[0].remedy);
        let tracefs = fake_tracefs(root, HEADER_PAGE);
        assert_eq!(states(root), [Fine, Limited, NotHere]);
        let event = tracefs.join("events/nvidia/nvidia_dev_xid");
        std::fs::create_dir_all(&event).unwrap();
        std::fs::write(event.join("id"), "1731\n").unwrap();
        assert_eq!(states(root), [Fine, Fine, NotHere]);
    }

    #[test]
    fn a_tracefs_that_describes_no_page_is_said() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("sys/module/nvidia")).unwrap();
        fake_tracefs(root.path(), b"nothing");
        let found = look(root.path());
        assert_eq!(found[0].state, NeedState::Limited);
        assert!(found[0].says.contains("header_page"), "{}", found[0].says);
    }
}
