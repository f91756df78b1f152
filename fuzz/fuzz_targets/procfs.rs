//! The kernel's text is taken as hostile: whatever stands in a file below
//! `/proc`, each parser returns, and what it says is borne out by the bytes.
#![no_main]

use eagle_eye::samplers::own::process;
use eagle_eye::samplers::procfs::{
    diskstats, file_nr, loadavg, meminfo, netdev, pressure, stat, vmstat,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    rows_are_counted(text);
    values_stand_in_the_text(text);
    a_cut_text_never_says_otherwise(text);
});

/// No parser makes more rows than there are lines, nor a row without a name.
fn rows_are_counted(text: &[u8]) {
    let lines = text.iter().filter(|&&byte| byte == b'\n').count();
    let named = |name: &[u8], rows: &mut usize| {
        assert!(!name.is_empty() && !name.contains(&b' ') && !name.contains(&b'\n'));
        *rows += 1;
    };
    let mut rows = 0;
    let refused = netdev::parse(text, |name, _| named(name, &mut rows)) as usize;
    assert!(rows + refused <= lines);
    let mut rows = 0;
    let refused = diskstats::parse(text, |name, _| named(name, &mut rows)) as usize;
    assert_eq!(rows + refused, lines);
    let mut rows = 0;
    let stat = stat::parse(text, |_, times| {
        rows += 1;
        let half = stat::CpuTimes { user: times.user / 2, ..times };
        if let stat::Between::Shares(shares) = times.since(&half) {
            assert!((0.0..=1.0).contains(&shares.busy) && shares.iowait == 0.0);
        }
    });
    assert!(rows + stat.rows_refused as usize <= lines);
}

/// Every number that is reported can be found in the text as it is printed,
/// but for leading zeros.
fn values_stand_in_the_text(text: &[u8]) {
    let stands = |value: Option<u64>| {
        let Some(value) = value else { return };
        let digits = value.to_string();
        assert!(text.windows(digits.len()).any(|window| window == digits.as_bytes()));
    };
    let counts = vmstat::parse(text);
    stands(counts.swapped_in_pages);
    stands(counts.oom_kills);
    let waited = pressure::parse(text);
    stands(waited.some_us);
    stands(waited.full_us);
    stands(file_nr::parse(text).map(|handles| handles.limit));
    stands(process::resident_pages(text));
    stands(process::stat(text).map(|process| process.threads));
    let memory = meminfo::parse(text);
    for bytes in [memory.total, memory.available, memory.swap_free].into_iter().flatten() {
        assert_eq!(bytes % 1024, 0);
        stands(Some(bytes / 1024));
    }
    let load = loadavg::parse(text);
    for load in [load.one, load.five, load.fifteen].into_iter().flatten() {
        assert!(load.is_finite() && load >= 0.0);
    }
    stands(load.tasks);
}

/// A text that lost its end, as by a full buffer, has fewer rows and no others.
fn a_cut_text_never_says_otherwise(text: &[u8]) {
    let rows = |text: &[u8]| {
        let mut rows = Vec::new();
        diskstats::parse(text, |name, disk| rows.push((name.to_vec(), disk)));
        rows
    };
    let whole = rows(text);
    let cut = rows(&text[..text.len() / 2]);
    assert!(whole.starts_with(&cut));
    let rows = |text: &[u8]| {
        let mut rows = Vec::new();
        stat::parse(text, |cpu, times| rows.push((cpu, times)));
        rows
    };
    assert!(rows(text).starts_with(&rows(&text[..text.len() / 2])));
}
