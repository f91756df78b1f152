//! Every form of line says the same, and none can do harm.

use super::*;

const TEXT: &str = "nvme nvme4: I/O tag 22 timeout";

#[test]
fn every_form_says_the_same_text() {
    let kernel = Some(&b"kernel"[..]);
    for (form, facility, level, program) in [
        ("TEXT", None, None, None),
        ("[12345.678901] TEXT", None, None, None),
        ("[12345.678901][ T1234] TEXT", None, None, None),
        ("[12345.678901] [    C0] TEXT", None, None, None),
        ("<4>[12345.678901] TEXT", Some(0), Some(4), None),
        ("<12>[12345.678901] TEXT", Some(1), Some(4), None),
        ("<4>TEXT", Some(0), Some(4), None),
        ("kern  :warn  : [12345.678901] TEXT", Some(0), Some(4), None),
        ("kern  :notice: [Tue Nov 24 10:00:00 2026] TEXT", Some(0), Some(5), None),
        ("daemon:err   : [12345.678901] TEXT", Some(3), Some(3), None),
        ("[Tue Nov 24 10:00:00 2026] TEXT", None, None, None),
        ("2026-11-24T10:00:00,678901+00:00 TEXT", None, None, None),
        ("Nov 24 10:00:00 host kernel: TEXT", Some(0), None, kernel),
        ("Nov 24 10:00:00 host kernel: [12345.678901] TEXT", Some(0), None, kernel),
        ("Nov 24 10:00:00 host kernel: [12345.678901][T1] TEXT", Some(0), None, kernel),
        ("2026-11-24T10:00:00+0000 host kernel: TEXT", Some(0), None, kernel),
        ("2026-11-24T10:00:00.123456+01:00 host kernel: [1.5] TEXT", Some(0), None, kernel),
        ("Tue 2026-11-24 10:00:00 UTC host kernel: TEXT", Some(0), None, kernel),
        ("1795512303.123456 host kernel: TEXT", Some(0), None, kernel),
        ("[12345.678901] host kernel: TEXT", Some(0), None, kernel),
        ("<6>Nov 24 10:00:00 host kernel: TEXT", Some(0), Some(6), kernel),
        ("<6>1 2026-11-24T10:00:00Z host kernel - - - TEXT", Some(0), Some(6), kernel),
        (
            "<6>1 2026-11-24T10:00:00Z h kernel - - [a b=\"]\\\"\"][c] [1.5] TEXT",
            Some(0),
            Some(6),
            kernel,
        ),
        ("<30>1 2026-11-24T10:00:00Z h app 1 - - TEXT", Some(3), Some(6), Some(b"app")),
        ("Nov 24 10:00:00 host sshd[12]: TEXT", None, None, Some(b"sshd")),
        ("Nov 24 10:00:00 host systemd-udevd: TEXT", None, None, Some(b"systemd-udevd")),
        ("4,1,12345678901,-;TEXT", Some(0), Some(4), None),
    ] {
        let bytes = form.replace("TEXT", TEXT).into_bytes();
        let line = parse_line(&bytes).unwrap();
        assert_eq!(line.text, TEXT.as_bytes(), "{form}");
        assert_eq!((line.facility, line.level, line.program), (facility, level, program), "{form}");
        assert_eq!(line.stamp.is_none(), matches!(form, "TEXT" | "<4>TEXT"), "{form}");
    }
}

#[test]
fn a_line_that_says_nothing_is_none_and_one_in_no_form_is_its_text() {
    for bytes in [&b""[..], b"\n", b"  \r\n", b"-- Boot 0123 --", b"[1.5] ", b"<4>"] {
        assert_eq!(parse_line(bytes), None, "{}", bytes.escape_ascii());
    }
    for text in ["Nov 24", "<x>y", "[ascend] [drv_pcie] x", "kern : warn", "1,2,3;x"] {
        assert_eq!(parse_line(text.as_bytes()).unwrap().text, text.as_bytes());
    }
    let repeated = b"Nov 24 10:00:00 host message repeated 2 times: [ x]";
    assert_eq!(parse_line(repeated).unwrap().text, b"message repeated 2 times: [ x]");
}

#[test]
fn who_speaks_is_known_where_the_form_says_it() {
    let speaks = |text: &str| parse_line(text.as_bytes()).unwrap().of_a_program();
    assert!(!speaks("NVRM: Xid (PCI:0000:01:00): 79"));
    assert!(!speaks("Nov 24 10:00:00 h kernel: NVRM: Xid"));
    assert!(speaks("Nov 24 10:00:00 h bash[1]: NVRM: Xid (PCI:0000:01:00): 79"));
}

#[test]
fn a_block_holds_its_record_s_fields_and_waits_for_them() {
    let bytes = b"4,1,1,-;a\n SUBSYSTEM=pci\n DEVICE=+pci:0\nplain\n indented\n5,2,1,-;b\n";
    let mut blocks = Blocks::new(bytes, false);
    let found: Vec<&[u8]> = blocks.by_ref().collect();
    assert_eq!(
        found,
        [&b"4,1,1,-;a\n SUBSYSTEM=pci\n DEVICE=+pci:0\n"[..], b"plain\n", b" indented\n"]
    );
    assert_eq!(blocks.rest(), b"5,2,1,-;b\n", "its fields may still come");
    assert_eq!(parse_line(found[0]).unwrap().device, b"+pci:0");
    assert_eq!(Blocks::new(bytes, true).count(), 4);
    assert_eq!(Blocks::new(b"no end", false).count(), 0);
    assert_eq!(Blocks::new(b"no end", true).count(), 1);
}

proptest::proptest! {
    #[test]
    fn any_bytes_give_lines_within_them(bytes: Vec<u8>, whole: bool) {
        let mut blocks = Blocks::new(&bytes, whole);
        let mut length = 0;
        for block in blocks.by_ref() {
            length += block.len();
            if let Some(line) = parse_line(block) {
                proptest::prop_assert!(line.text.len() <= block.len());
                proptest::prop_assert!(line.shown(64).len() <= 64);
            }
        }
        proptest::prop_assert_eq!(length + blocks.rest().len(), bytes.len());
    }

    #[test]
    fn any_line_behind_any_form_is_read(text in "[a-z<\\[(]{1,3}[ -~]{0,40}", at in 0_usize..4) {
        let form = ["<4>", "[1.5] ", "Nov 24 10:00:00 h ", "<6>1 2026-11-24T10:00:00Z h "][at];
        let bytes = format!("{form}{text}");
        let line = parse_line(bytes.as_bytes());
        proptest::prop_assert!(line.is_none_or(|line| bytes.trim_ascii_end().as_bytes().ends_with(line.text)));
    }
}
