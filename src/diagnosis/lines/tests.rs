//! Every captured line says what it says, and no other text does harm.

use super::*;
use crate::schema::TEXT_BYTES_MAX;
use crate::schema::log::{LINE_BYTES_MAX, parse_line};

/// Pairs of lines: what is read, and the line from which it is.
const SAMPLES: &str = include_str!("../../../tests/captures/lines/samples");

/// Everything that is read of a line, but what was not there.
fn told(line: &str) -> String {
    let Some(parsed) = parse_line(line.as_bytes()) else { return "nothing".to_owned() };
    let text = parsed.shown(TEXT_BYTES_MAX);
    let Some(of) = recognise(&text) else { return "nothing".to_owned() };
    let mut told = format!("{:?}", of.what);
    if !Speaker::of(parsed.facility).may_say(of.what) {
        told += " by somebody";
    }
    let mut add = |key: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            told += &format!(" {key}={value}");
        }
    };
    let code = if of.code > 9_999_999 { format!("{:#x}", of.code) } else { of.code.to_string() };
    add("code", (of.code != 0).then_some(code));
    add("pci", of.pci.map(|pci| pci.to_string()));
    add("gpu", of.instance.map(|of| of.gpu.to_string()));
    add("compute", of.instance.and_then(|of| of.compute).map(|of| of.to_string()));
    add("unit", of.unit.map(|of| of.to_string()));
    add("name", Some(of.name.to_owned()));
    add("pid", of.process.map(|of| of.to_string()));
    add("process", Some(of.process_name.to_owned()));
    add("amount", of.amount.map(|of| of.to_string()));
    match of.detail {
        Detail::Xid(xid) => {
            add("root", xid.root.map(|of| of.to_string()));
            add("unit", Some(xid.unit.to_owned()));
            add("fatal", xid.fatal.map(|of| of.to_string()));
            add("link", xid.link.map(|of| of.to_string()));
            add("place", xid.place.map(|of| format!("{of:?}")));
            add("recovery", xid.recovery.map(|of| of.to_string()));
            add("reset", xid.reset.map(|of| of.to_string()));
            let registers = xid.registers.values();
            add("registers", (!registers.is_empty()).then(|| format!("{registers:x?}")));
        }
        Detail::Sxid { fatal, link, .. } => {
            add("fatal", fatal.map(|of| of.to_string()));
            add("link", link.map(|of| of.to_string()));
        }
        Detail::Ascend(of) => {
            add("severity", (of.severity != 255).then(|| of.severity.to_string()));
            add("cleared", of.cleared.map(|of| of.to_string()));
            add("serial", (of.serial != 0).then(|| of.serial.to_string()));
            add("said", Some(of.said.to_owned()));
        }
        Detail::Pcie { corrected, fatal, layer } => {
            add("corrected", Some(corrected.to_string()));
            add("fatal", Some(fatal.to_string()));
            add("layer", Some(layer.to_owned()));
        }
        Detail::Said(said) => add("said", Some(said.to_owned())),
        Detail::None => {}
    }
    told
}

#[test]
fn every_captured_line_says_what_it_says() {
    let lines: Vec<&str> = SAMPLES.lines().filter(|line| !line.starts_with('#')).collect();
    let pairs: Vec<&[&str]> = lines.chunks_exact(2).collect();
    if std::env::var_os("EAGLE_EYE_BLESS").is_some() {
        let head: String = SAMPLES
            .lines()
            .filter(|line| line.starts_with('#'))
            .map(|line| format!("{line}\n"))
            .collect();
        let body: String =
            pairs.iter().map(|pair| format!("{}\n{}\n", told(pair[1]), pair[1])).collect();
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/captures/lines/samples");
        std::fs::write(path, head + &body).unwrap();
        return;
    }
    assert!(pairs.len() >= 118, "{} lines", pairs.len());
    for pair in pairs {
        assert_eq!(told(pair[1]), pair[0], "{}", pair[1]);
    }
}

#[test]
fn a_line_that_quotes_another_says_nothing() {
    for text in [
        "",
        " ",
        "audit: type=1400 msg=\"user wrote NVRM: Xid (PCI:0000:01:00): 79\"",
        "systemd[1]: NVRM: Xid (PCI:0000:01:00): 79",
        "nvidia-nvlink: Nvlink Core is being initialized, major device number 234",
        "nvidia 0000:01:00.0: enabling device (0000 -> 0003)",
        "pcieport 0000:50:00.0: AER: enabled with IRQ 29",
        "pcieport 0000:50:00.0: pciehp: Slot(3): Link Up",
        "EDAC MC0: Giving out device to module skx_edac controller",
        "mce: CPU supports 20 MCE banks",
        "INFO: task is fine",
        "Out of memory is what I was",
        "nvme nvme0: 16/0/0 default/read/poll queues",
        "EXT4-fs (sda1): mounted filesystem with ordered data mode",
        "XFS (sda1): Ending clean mount",
        "mlx5_core 0000:5c:00.0: Port module event: module 0, Cable plugged",
        "CPU0: Intel(R) Xeon(R)",
        "[ascend] [drv_pcie] [INFO] [probe 1] <a:1> found",
        "md/raid1:md0: active with 2 out of 2 mirrors",
        "the Link is Down: a song",
    ] {
        assert_eq!(recognise(text), None, "{text}");
    }
}

#[test]
fn words_of_older_drivers_kernels_and_decoders_say_the_same() {
    for (text, expected) in [
        ("NVRM: GPU at 0000:01:00.0 has fallen off the bus.", Some(What::GpuLost)),
        ("NVRM: GPU 0000:01:00.0: GPU has fallen off the bus.", Some(What::GpuLost)),
        ("NVRM: GPU at 0000:01:00.0 is initialized.", None),
        (
            "NVRM: GPU6 _kgspIsHeartbeatTimedOut: Heartbeat timed out, currentTimeMs 1",
            Some(What::GpuFirmware),
        ),
        ("NVRM: GPU6 _threadNodeCheckTimeout: currentTime: f4", None),
        ("Task in /a/b killed as a result of limit of /a", Some(What::GroupOutOfMemory)),
        ("Task in /a/b is well", None),
        (
            "[Hardware Error]: CPU:18 (10:9:1) MC4_STATUS[Over|CE|MiscV|-|AddrV|CECC]: 0xdc5c410004080a13",
            Some(What::MachineCheck),
        ),
        ("[Hardware Error]: MC4_ADDR: 0x0000001891a88210", None),
    ] {
        assert_eq!(recognise(text).map(|of| of.what), expected, "{text}");
    }
    let unnamed = "pcieport 0000:00:03.1: AER: Corrected error received: 0000:00:00.0";
    let pci = recognise(unnamed).and_then(|of| of.pci).map(|of| of.to_string());
    assert_eq!(pci.as_deref(), Some("0000:00:03.1"));
}

#[test]
fn links_of_interfaces_go_down_and_up_in_every_driver_s_words() {
    for (text, what, name) in [
        ("mlx5_core 0000:5c:00.0 ens1f0np0: Link down", What::LinkDown, "ens1f0np0"),
        ("e1000e 0000:00:1f.6 eno1: NIC Link is Down", What::LinkDown, "eno1"),
        ("ixgbe 0000:3b:00.0 eth0: NIC Link is Up 10 Gbps", What::LinkUp, "eth0"),
        ("r8169 0000:02:00.0 enp2s0: Link is Down", What::LinkDown, "enp2s0"),
        (
            "bond0: (slave eth1): link status definitely down, disabling slave",
            What::LinkDown,
            "eth1",
        ),
    ] {
        let seen = recognise(text).unwrap();
        assert_eq!((seen.what, seen.name), (what, name), "{text}");
    }
}

#[test]
fn a_name_may_hold_what_separates() {
    let text = "NVRM: Xid (PCI:0000:01:00): 31, pid=7, name=a, b (c), Ch 00000008, intr 0";
    let seen = recognise(text).unwrap();
    assert_eq!((seen.process, seen.process_name), (Some(7), "a, b (c)"));
    assert!(seen.xid().unwrap().said.starts_with("Ch 00000008"));
    let text = "Out of memory: Killed process 5 (a) b) total-vm:1kB, anon-rss:78kB";
    assert_eq!(recognise(text).unwrap().process_name, "a) b");
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_or_not(text: String) {
        let _ = recognise(&text);
    }

    #[test]
    fn any_cut_and_any_change_of_a_line_is_read_or_not(
        pick in 0_usize..118,
        cut in 0_usize..300,
        at in 0_usize..300,
        byte: u8,
    ) {
        let lines: Vec<&str> = SAMPLES.lines().filter(|line| !line.starts_with('#')).collect();
        let mut bytes = lines[pick * 2 + 1].as_bytes().to_vec();
        if let Some(of) = bytes.get_mut(at) {
            *of = byte;
        }
        bytes.truncate(LINE_BYTES_MAX.min(cut));
        if let Some(line) = parse_line(&bytes) {
            let _ = recognise(&line.shown(TEXT_BYTES_MAX));
        }
    }
}
