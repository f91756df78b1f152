//! Paths and files of cgroups are taken as hostile: a process names its own
//! cgroups where it may make some, and what is mounted may be anything.
#![no_main]

use eagle_eye::samplers::cgroup::{ContainerPath, Runtime, of_path, of_process, text};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    an_id_stands_in_its_path(bytes);
    a_process_is_where_a_line_says(bytes);
    values_stand_in_the_text(bytes);
});

fn check(found: &ContainerPath, path: &str) {
    assert!((1..=128).contains(&found.container.len()));
    assert!(found.container.bytes().all(|byte| byte.is_ascii_graphic()));
    assert!(found.runtime == Runtime::Nspawn || path.contains(&found.container));
    assert!(matches!(found.pod.len(), 0 | 32 | 36));
    assert!(path.replace('_', "-").contains(&found.pod));
}

fn an_id_stands_in_its_path(bytes: &[u8]) {
    let path = String::from_utf8_lossy(bytes);
    if let Some(found) = of_path(&path) {
        check(&found, &path);
        // A cgroup below a container's is in it, unless it is one itself.
        let below = of_path(&format!("{path}/below"));
        assert!(below.is_none_or(|below| below.runtime == Runtime::Lxc || below == found));
    }
}

fn a_process_is_where_a_line_says(bytes: &[u8]) {
    if let Some(found) = of_process(bytes) {
        let text = String::from_utf8_lossy(bytes);
        assert!(text.lines().any(|line| line.contains(':')));
        check(&found, &text);
    }
}

/// Every number that is reported can be found in the text as it is printed,
/// but for leading zeros; no limit is never a number.
fn values_stand_in_the_text(bytes: &[u8]) {
    let stands = |value: Option<u64>| {
        let Some(value) = value else { return };
        let digits = value.to_string();
        assert!(bytes.windows(digits.len()).any(|window| window == digits.as_bytes()));
    };
    let stat = text::cpu_stat(bytes);
    for value in [stat.usage_us, stat.user_us, stat.system_us, stat.periods] {
        stands(value);
    }
    stands(stat.throttled_periods);
    text::cpuacct_stat(bytes).into_iter().for_each(stands);
    stands(text::one(bytes));
    if let Some(Some(limit)) = text::limit(bytes) {
        assert!(limit < 1 << 63);
        stands(Some(limit));
    }
    if let Some((quota, period)) = text::cpu_max(bytes) {
        assert!(period > 0);
        stands(Some(period));
        stands(quota);
    }
    let memory = text::memory_stat(bytes);
    stands(memory.inactive_file);
    stands(memory.swap);
    stands(text::oom_kills(bytes));
    let _ = (text::events(bytes), text::frozen(bytes));
    let lines = bytes.iter().filter(|&&byte| byte == b'\n').count();
    if lines == 0 {
        assert_eq!((text::io_stat(bytes), text::blkio(bytes)), ([Some(0); 2], [Some(0); 2]));
    }
}
