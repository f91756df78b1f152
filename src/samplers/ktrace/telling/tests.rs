use super::super::watched::WATCHED;
use super::*;

const PAGE: &[u8] = include_bytes!("../../../../tests/captures/ktrace/page");
const UPROBE: &[u8] = include_bytes!("../../../../tests/captures/ktrace/uprobe");
const LAYOUT: Layout = Layout { time: 0, commit: 8, data: 16, bytes: 4096 };
/// Later than the page by an hour or so.
const NOW: Now = Now { monotonic_ns: 20_000_000_000_000, wall_ns: 1_800_000_000_000_000_000 };

fn heard(forms: &[Form]) -> (Telling, Vec<Event>) {
    let mut telling = Telling::default();
    telling.hear(PAGE, &LAYOUT, forms, NOW);
    let mut events = Vec::new();
    assert!(telling.flush(|event| {
        events.push(event);
        true
    }));
    (telling, events)
}

fn form() -> Form {
    Form::parse(&WATCHED[0], UPROBE).unwrap()
}

#[test]
fn a_real_page_becomes_events_with_device_number_text_and_time() {
    let (telling, events) = heard(&[form()]);
    assert_eq!(telling.counts, TraceCounts { read: 24, ..TraceCounts::default() });
    for (at, subject, code, text) in [
        (0, "0000:3b:00.0", 79, "pid='<unknown>', name=<unknown>, GPU has fallen off the bus."),
        (
            1,
            "0000:5c:00.0",
            13,
            "pid=4711, name=python, Graphics SM Warp Exception on (GPC 0, TPC 1, SM 0): Out Of Range Address",
        ),
        (
            3,
            "0000:3b:00.0",
            63,
            "Row Remapper: New row marked for remapping, reset gpu to activate.",
        ),
        (23, "nvidia", 4_294_967_295, "Xid 4294967295 without a text."),
    ] {
        let event = &events[at];
        assert_eq!((event.kind, event.severity), (EventKind::Xid, Severity::Warning));
        assert_eq!((&*event.subject, event.code, &*event.text), (subject, code, text));
    }
    assert_eq!(events[2].text.len(), 299);
    for event in &events {
        let age_ns = NOW.monotonic_ns - event.monotonic_ns;
        assert_eq!(NOW.wall_ns - event.wall_ns, age_ns);
    }
}

#[test]
fn a_time_of_the_future_is_now() {
    let mut telling = Telling::default();
    let now = Now { monotonic_ns: 5, wall_ns: 7 };
    telling.hear(PAGE, &LAYOUT, &[form()], now);
    telling.flush(|event| {
        assert_eq!((event.monotonic_ns, event.wall_ns), (5, 7));
        true
    });
}

#[test]
fn a_record_of_another_event_and_a_page_that_is_none_are_malformed() {
    let mut other = form();
    other.id = 7;
    let (telling, events) = heard(&[other]);
    assert_eq!((telling.counts.malformed, events.len()), (24, 0));
    let mut telling = Telling::default();
    telling.hear(b"no page", &LAYOUT, &[form()], NOW);
    assert_eq!(telling.counts.malformed, 1);
}

#[test]
fn what_a_terminal_would_obey_is_replaced() {
    assert_eq!(clean(b" a\x1b[2Jb\n\xffc "), "a [2Jb \u{fffd}c");
}

#[test]
fn what_finds_no_room_waits_in_order_and_a_loss_is_told_with_its_size() {
    let mut telling = Telling::default();
    telling.lost(0, NOW);
    telling.hear(PAGE, &LAYOUT, &[form()], NOW);
    telling.lost(3, NOW);
    let mut events = Vec::new();
    for room in [10, 10, 10] {
        let until = events.len() + room;
        let all = telling.flush(|event| {
            let taken = events.len() < until;
            events.extend(Some(event).filter(|_| taken));
            taken
        });
        assert_eq!(all, events.len() == 25);
    }
    let codes: Vec<u64> = events.iter().map(|event| event.code).take(4).collect();
    assert_eq!(codes, [79, 13, 94, 63]);
    assert_eq!((events[24].kind, events[24].lost), (EventKind::TraceEventsLost, 3));
    assert_eq!(telling.counts.lost, 3);
}
