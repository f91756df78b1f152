//! The clocks that ages and times stand on.

use std::path::Path;

use super::report::Section;
use crate::engine::samplers::Need;
use crate::platform::clock::{self, MILLISECOND_NS, SECOND_NS};
use crate::platform::time_sync::{TimeSync, time_sync};
use crate::schema::utc_text;

/// Clock sources that cost a call into the kernel, or a device, at each look.
const SLOW: [&str; 5] = ["hpet", "acpi_pm", "refined-jiffies", "jiffies", "xen"];

/// 2024-01-01: no clock that was ever set shows less.
const WALL_NS_LEAST: u64 = 1_704_067_200 * SECOND_NS;

pub(super) fn look(host_root: &Path) -> Vec<Section> {
    let source = host_root.join("sys/devices/system/clocksource/clocksource0/current_clocksource");
    let source = std::fs::read_to_string(source);
    let sync = time_sync().map_err(|error| error.to_string());
    let slept_ns = clock::boottime_ns().saturating_sub(clock::monotonic_ns());
    let needs = vec![
        clock_source(source.as_deref().map(str::trim).ok()),
        suspended(slept_ns),
        wall(clock::wall_ns()),
        synchronized(&sync),
    ];
    vec![Section::new("clocks", "Clocks", needs)]
}

fn clock_source(name: Option<&str>) -> Need {
    let what = "clock source";
    match name {
        None | Some("") => Need::not_here(what, "the kernel does not name it here"),
        Some(slow) if SLOW.contains(&slow) => Need::limited(
            what,
            format!("{slow}: each look at the clock costs about a microsecond"),
            "see the kernel's log why it left the processor's own (\"clocksource: … unstable\"); \
             boot with tsc=reliable only where the hardware is known to keep it",
        ),
        Some(fast) => Need::fine(what, format!("{fast}: read without a call into the kernel")),
    }
}

fn suspended(slept_ns: u64) -> Need {
    let what = "monotonic time";
    // Two clocks are never read at one instant.
    if slept_ns < 10 * MILLISECOND_NS {
        return Need::fine(what, "never stood still since the start of this machine");
    }
    Need::limited(
        what,
        format!(
            "stood still for {:.1} s since the start: this machine was suspended",
            slept_ns as f64 / 1e9
        ),
        "ages do not count such time; keep machines that serve from suspending",
    )
}

fn wall(wall_ns: u64) -> Need {
    let what = "wall clock";
    if wall_ns < WALL_NS_LEAST {
        let says = format!("says {}, which cannot be", utc_text(wall_ns));
        return Need::trouble(what, says, "set it: events bear its time");
    }
    Need::fine(what, utc_text(wall_ns))
}

fn synchronized(sync: &Result<TimeSync, String>) -> Need {
    let what = "time service";
    match sync {
        Err(why) => Need::not_here(what, format!("the kernel may not be asked here: {why}")),
        Ok(sync) if sync.synchronized => Need::fine(
            what,
            format!("keeps the wall clock within {:.1} ms", sync.error_us_max as f64 / 1e3),
        ),
        Ok(_) => Need::limited(
            what,
            "none says that it keeps the wall clock",
            "run chrony, systemd-timesyncd or another on the host; ages do not depend on it, the \
             times of events that people compare do",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::samplers::NeedState;

    #[test]
    fn each_clock_is_judged_by_what_it_says() {
        let sync = |synchronized| Ok(TimeSync { synchronized, error_us_max: 1500 });
        for (need, state) in [
            (clock_source(Some("tsc")), NeedState::Fine),
            (clock_source(Some("kvm-clock")), NeedState::Fine),
            (clock_source(Some("hpet")), NeedState::Limited),
            (clock_source(None), NeedState::NotHere),
            (suspended(1000), NeedState::Fine),
            (suspended(3 * SECOND_NS), NeedState::Limited),
            (wall(SECOND_NS), NeedState::Trouble),
            (wall(clock::wall_ns()), NeedState::Fine),
            (synchronized(&sync(true)), NeedState::Fine),
            (synchronized(&sync(false)), NeedState::Limited),
            (synchronized(&Err("no".to_owned())), NeedState::NotHere),
        ] {
            assert_eq!(need.state, state, "{need:?}");
        }
    }
}
