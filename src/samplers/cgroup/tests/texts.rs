//! What each file says, row by row.

use proptest::prelude::*;

use super::text::*;

#[test]
fn no_limit_is_absent_and_never_a_number() {
    for (file, expected) in [
        (&b"max\n"[..], Some(None)),
        (b"-1\n", Some(None)),
        (b"9223372036854771712\n", Some(None)),
        (b"9223372036854710272\n", Some(None)),
        (b"18446744073709551615\n", Some(None)),
        (b"9223372036854000000\n", Some(Some(9_223_372_036_854_000_000))),
        (b"0\n", Some(Some(0))),
        (b"2147483648\n", Some(Some(2_147_483_648))),
        (b"-2\n", None),
        (b"maximum\n", None),
        (b"12", None),
        (b"", None),
        (b"\n", None),
        (b"99999999999999999999999\n", None),
    ] {
        assert_eq!(limit(file), expected, "{}", file.escape_ascii());
    }
}

#[test]
fn a_quota_has_a_period() {
    assert_eq!(cpu_max(b"250000 100000\n"), Some((Some(250_000), 100_000)));
    assert_eq!(cpu_max(b"max 100000\n"), Some((None, 100_000)));
    for none in [&b"250000\n"[..], b"250000 0\n", b"x 100000\n", b"max", b"", b"\n"] {
        assert_eq!(cpu_max(none), None);
    }
}

#[test]
fn both_versions_of_cpu_stat_count_throttling_in_their_own_unit() {
    let one = cpu_stat(b"nr_periods 4\nnr_throttled 2\nthrottled_time 5000\n");
    let two = cpu_stat(b"usage_usec 9\nnr_periods 4\nnr_throttled 2\nthrottled_usec 5\n");
    assert_eq!(two, CpuStat { usage_us: Some(9), ..one });
    assert_eq!(one.throttled_ns, Some(5000));
    let wild = cpu_stat(b"throttled_usec 18446744073709551615\nusage_usec -3\nuser_usec\n");
    assert_eq!(wild, CpuStat::default());
}

#[test]
fn rows_of_all_below_count_where_there_are_both() {
    let stat = memory_stat(b"inactive_file 5\nswap 1\ntotal_inactive_file 7\ntotal_swap 3\n");
    assert_eq!(stat, MemoryStat { inactive_file: Some(7), swap: Some(3) });
    let stat = memory_stat(b"inactive_file 5\ninactive_files 9\n");
    assert_eq!(stat, MemoryStat { inactive_file: Some(5), swap: None });
    assert_eq!(oom_kills(b"oom 3\noom_kill 2\noom_kill_disable 0\n"), Some(2));
    assert_eq!(oom_kills(b"oom_kill_disable 0\nunder_oom 0\n"), None, "kernels before 4.13");
}

#[test]
fn states_are_words_or_bits_and_nothing_else() {
    assert_eq!(events(b"populated 1\nfrozen 0\n"), [Some(true), Some(false)]);
    assert_eq!(events(b"populated 0\n"), [Some(false), None]);
    assert_eq!(events(b"populated 2\nfrozen x\n"), [None, None]);
    for (text, expected) in [
        (&b"FROZEN\n"[..], Some(true)),
        (b"FREEZING\n", Some(false)),
        (b"THAWED\n", Some(false)),
        (b"FROZEN", None),
        (b"frozen\n", None),
        (b"", None),
    ] {
        assert_eq!(frozen(text), expected);
    }
}

#[test]
fn bytes_are_summed_over_devices() {
    let stat = b"8:0 rbytes=1 wbytes=2 rios=1\n8:16 rbytes=10 wbytes=20\n253:0 \n";
    assert_eq!(io_stat(stat), [Some(11), Some(22)]);
    assert_eq!(io_stat(b""), [Some(0), Some(0)]);
    assert_eq!(io_stat(b"8:0 rbytes=x wbytes=1\n8:1 rbytes=1\n"), [None, Some(1)]);
    assert_eq!(io_stat(b"8:0 rbytes=18446744073709551615\n8:1 rbytes=1\n"), [None, Some(0)]);
    let one = b"8:0 Read 1\n8:0 Write 2\n8:0 Total 3\n8:16 Read 10\nTotal 13\n";
    assert_eq!(blkio(one), [Some(11), Some(2)]);
    assert_eq!(blkio(b"Total 0\n"), [Some(0), Some(0)]);
    assert_eq!(blkio(b"8:0 Read -1\n"), [None, Some(0)]);
}

proptest! {
    #[test]
    fn any_bytes_are_survived(text in proptest::collection::vec(any::<u8>(), 0..512)) {
        let _ = (cpu_stat(&text), cpuacct_stat(&text), one(&text), limit(&text), cpu_max(&text));
        let _ = (memory_stat(&text), oom_kills(&text), events(&text), frozen(&text));
        let _ = (io_stat(&text), blkio(&text));
    }
}
