//! `eagle-eye diagnose`, with the real program: any form of log, explained.

use std::io::Write as _;
use std::process::Stdio;

use eagle_eye::cli::diagnose::{About, Judge, Story, each_line};
use serde_json::Value;

use crate::binary::{program, said, text};

const LOST: &str = "NVRM: Xid (PCI:0000:9b:00): 79, pid=1, name=vllm, GPU has fallen off the bus.";

/// What the program answers to this log on its standard input.
fn piped(log: &[u8], arguments: &[&str]) -> (i32, String) {
    let mut child = program()
        .args(["diagnose", "--log", "-"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("its input");
    stdin.write_all(log).expect("it reads its input");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    (output.status.code().expect("a code"), text(&output))
}

#[test]
fn every_form_of_log_is_explained_with_device_time_and_advice() {
    for (form, time) in [
        ("[12345.678901] TEXT", "12345.678 s after boot"),
        ("[Tue Nov 24 10:00:00 2026] TEXT", "2026-11-24T10:00:00.000Z"),
        ("2026-11-24T10:00:00,678901+00:00 TEXT", "2026-11-24T10:00:00.678Z"),
        ("kern  :err   : [12345.678901] TEXT", "12345.678 s after boot"),
        ("<3>[12345.678901] TEXT", "12345.678 s after boot"),
        ("Nov 24 10:00:00 host kernel: TEXT", "-11-24T10:00:00.000Z"),
        ("Nov 24 10:00:00 host kernel: [12345.678901] TEXT", "-11-24T10:00:00.000Z"),
        ("2026-11-24T10:00:00+0000 host kernel: TEXT", "2026-11-24T10:00:00.000Z"),
        ("3,7781,12345678901,-;TEXT", "12345.678 s after boot"),
        ("TEXT", "the lines give no time"),
    ] {
        let log = format!("an ordinary line\n{}\nanother\n", form.replace("TEXT", LOST));
        let (code, told) = piped(log.as_bytes(), &[]);
        assert_eq!(code, 1, "{form}: {told}");
        for part in ["CRITICAL device 0000:9b:00.0", "Xid 79", "drain and reboot node", time, LOST]
        {
            let flat = told.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(flat.contains(part), "{form}: no {part:?} in {told}");
        }
    }
}

#[test]
fn a_quiet_log_is_no_trouble_and_words_of_programs_are_none() {
    let log = format!(
        "Nov 24 10:00:00 host kernel: usb 1-1: new device\n\
         Nov 24 10:00:01 host bash[7]: {LOST}\n\
         12,5001,99,-;{LOST}\n\
         [5.0] audit: type=1400 msg=\"user wrote {LOST}\"\n"
    );
    let (code, told) = piped(log.as_bytes(), &[]);
    assert_eq!(code, 0, "{told}");
    assert!(told.contains("No trouble was found"), "{told}");
    assert_eq!(piped(b"", &[]).0, 0);
}

#[test]
fn what_cannot_be_read_says_why_and_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder_path = folder.path().to_str().expect("a name");
    for (arguments, part) in [
        (vec!["diagnose", "--log", "/nowhere/kern.log"], "/nowhere/kern.log cannot be read"),
        (vec!["diagnose", "--log", folder_path], "it is a folder"),
        (vec!["diagnose"], "--log"),
    ] {
        let output = said(&arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text(&output).contains(part), "{}", text(&output));
    }
    let (code, told) = piped(b"\x1f\x8b\x08\0\0", &[]);
    assert_eq!(code, 2);
    assert!(told.contains("zcat"), "{told}");
}

#[test]
fn json_holds_the_same_for_programs() {
    let log = format!(
        "[5.0] {LOST}\n[5.1] NVRM: Xid (PCI:0000:9b:00): 45, pid=1, name=vllm, Ch 00000010\n\
         [6.0] pcieport 0000:00:03.1: AER: Corrected error received: 0000:01:00.0\n"
    );
    let (code, told) = piped(log.as_bytes(), &["--json"]);
    assert_eq!(code, 1);
    let json: Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!((&json["trouble"], &json["lines"]), (&true.into(), &3.into()));
    let verdicts = json["verdicts"].as_array().expect("verdicts");
    assert_eq!(verdicts.len(), 2);
    let [cause, effect] = [&verdicts[0], &verdicts[1]];
    assert_eq!(
        (&cause["rule"], &cause["action"]),
        (&"xid".into(), &"drain and reboot node".into())
    );
    assert_eq!(effect["caused_by"], cause["id"]);
    assert!(cause["confidence"].as_f64().is_some_and(|sure| sure > 0.5));
    assert_eq!(cause["data_version"].as_str().map(|version| &version[..6]), Some("codes-"));
    assert_eq!(json["besides"][0]["count"], 1);
}

#[test]
fn model_and_driver_make_meanings_exact() {
    let log = b"[5.0] NVRM: Xid (PCI:0000:9b:00): 74, NVLink: fatal error detected on link 14(0x10, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0)\n";
    assert!(piped(log, &["--device-model", "NVIDIA H100 80GB HBM3"]).1.contains("ERROR device"));
    let (_, foreign) = piped(log, &["--device-model", "NVIDIA B200"]);
    assert!(foreign.contains("WARNING device"), "{foreign}");
}

#[test]
fn nothing_in_a_log_commands_a_terminal() {
    let log = b"[5.0] NVRM: Xid (PCI:0000:9b:00): 31, pid=1, name=\x1b[2Jx\x07\xe2\x80\xae, Ch 00000008, intr\x9b31m \xff\n\
                3,1,5000000,-;NVRM: Xid (PCI:0000:9b:00): 31, pid=2, name=\\x1b]0;x\\x07, Ch 00000008\n";
    for arguments in [&[][..], &["--json"]] {
        let (code, told) = piped(log, arguments);
        assert_eq!(code, 1, "{told}");
        let bad = |c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c);
        let told = if arguments.is_empty() { told } else { told.replace('\u{202e}', "") };
        assert!(!told.contains(bad), "{told:?}");
    }
}

/// The story of a log, in this process.
fn story(log: impl std::io::Read) -> Story {
    let mut judge = Judge::new(&About { node: "node1".to_owned(), ..About::default() });
    let bytes = each_line(log, |line, _| judge.line(line)).expect("it can be read");
    judge.end(bytes)
}

/// So many lines of so many GPUs, one after another.
struct Storm {
    lines: u64,
    devices: u64,
    at: u64,
    rest: Vec<u8>,
}

impl std::io::Read for Storm {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.rest.is_empty() && self.at < self.lines {
            let (ms, bus) = (self.at, self.at % self.devices);
            let _ = writeln!(
                self.rest,
                "[{}.{:03}000] NVRM: Xid (PCI:0000:{bus:02x}:00): 95, pid=7194, name=train, \
                 Uncontained: LTC TAG (0x2, 0x1). RST: Yes, D-RST: No",
                ms / 1000,
                ms % 1000
            );
            self.at += 1;
        }
        let bytes = self.rest.len().min(buffer.len());
        buffer[..bytes].copy_from_slice(&self.rest[..bytes]);
        self.rest.drain(..bytes);
        Ok(bytes)
    }
}

#[test]
fn a_storm_is_one_verdict_per_device_with_every_line_counted() {
    // The whole of 800,000 takes a release build a second and this one long.
    let lines = if cfg!(debug_assertions) { 20_000 } else { 800_000 };
    let story = story(Storm { lines, devices: 29, at: 0, rest: Vec::new() });
    assert_eq!((story.len(), story.untold), (29, 0));
    assert_eq!(story.all().map(|told| told.verdict.count).sum::<u64>(), lines);
    assert!(story.all().all(|told| told.verdict.evidence.len() <= 16));
}

#[test]
fn verdicts_of_a_hostile_log_are_bounded() {
    let mut log = String::new();
    for at in 0..6000 {
        let (bus, slot) = (at % 256, at / 256 % 256);
        log += &format!("[5.0] NVRM: Xid (PCI:0000:{bus:02x}:{slot:02x}): {}, x\n", at % 7000);
    }
    let story = story(log.as_bytes());
    assert!(story.len() <= 4096);
    assert!(story.to_text("a log", 80).len() < 64 << 20);
}

/// Gives so many bytes a read.
struct Dribble<'a>(&'a [u8], usize);

impl std::io::Read for Dribble<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let bytes = self.0.len().min(buffer.len()).min(self.1);
        buffer[..bytes].copy_from_slice(&self.0[..bytes]);
        self.0 = &self.0[bytes..];
        Ok(bytes)
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    #[test]
    fn any_log_is_read_to_its_end_and_says_the_same_however_it_arrives(
        picks in proptest::collection::vec((0_usize..118, 0_usize..200, 0_u8..=255), 0..40),
        at_once in 1_usize..200,
    ) {
        const SHAPES: &str = include_str!("../captures/lines/samples");
        let shapes: Vec<&str> = SHAPES.lines().filter(|line| !line.starts_with('#')).collect();
        let mut log = b"plain\n".to_vec();
        for (second, (pick, at, byte)) in picks.into_iter().enumerate() {
            let from = log.len();
            log.extend_from_slice(format!("[{second}.5] {}\n", shapes[pick * 2 + 1]).as_bytes());
            // Some bytes are hit, and most are not.
            if let Some(hit) = log.get_mut(from + at).filter(|_| byte < 128) {
                *hit = byte;
            }
        }
        let whole = story(&log[..]).to_text("log", 80);
        proptest::prop_assert_eq!(&whole, &story(Dribble(&log, at_once)).to_text("log", 80));
        proptest::prop_assert!(!whole.chars().any(|c| c.is_control() && c != '\n'));
    }
}
