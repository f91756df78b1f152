use super::*;
use crate::schema::{BatchHead, BatchWriter, StepCore, Tables};
use bytemuck::Zeroable;
use std::sync::mpsc;

/// A transport that hands requests to the test.
struct Told(mpsc::SyncSender<String>);

impl Requester for Told {
    fn request(&mut self, subject: &str, _: &[u8]) {
        let _ = self.0.try_send(subject.to_owned());
    }
}

#[test]
fn a_model_narrows_the_subjects() {
    assert_eq!(subjects(PREFIX_DEFAULT, None)[0], "eagle_eye.v1.routing.*.*");
    assert_eq!(subjects("p.q", Some("org/m.1"))[0], "p.q.routing.*.org_m_1");
}

#[cfg(not(miri))]
#[test]
fn every_connection_asks_for_a_snapshot_and_its_answer_fills_the_view() {
    let (sender, requests) = mpsc::sync_channel(16);
    let mut door = None;
    let view = start(&Options::default(), |subjects, intake| {
        assert_eq!(subjects.len(), 3);
        door = Some(intake);
        Ok(Told(sender))
    })
    .expect("a thread can be started");
    let intake = door.expect("it was handed over");
    for connection in 1..=2 {
        intake.connected(monotonic_ns());
        assert_eq!(requests.recv().expect("it asks"), "eagle_eye.v1.snapshot");
        let sent_ns = monotonic_ns();
        let steps = [StepCore {
            instance: 1,
            producers: 1,
            sequence: connection,
            monotonic_ns: sent_ns,
            ..StepCore::zeroed()
        }];
        let flags = BatchHead::SNAPSHOT | BatchHead::LAST;
        let head = BatchHead { flags, publish_monotonic_ns: sent_ns, ..BatchHead::zeroed() };
        let tables = Tables { steps: &steps, ..Tables::default() };
        let bytes = BatchWriter::default().write(&head, &tables).to_vec();
        intake.replied(&bytes, monotonic_ns(), sent_ns);
        let ranks = view.ranks();
        assert_eq!(ranks[0].step.sequence, connection);
        assert!(ranks[0].error_ns < SECOND_NS, "the trip was measured");
        let deadline_ns = monotonic_ns() + 20 * SECOND_NS;
        while !view.is_complete() {
            assert!(monotonic_ns() < deadline_ns, "waited too long until complete");
            crate::platform::clock::sleep_until(monotonic_ns() + MILLISECOND_NS);
        }
        while requests.try_recv().is_ok() {}
        intake.lost(3);
        assert_eq!(requests.recv().expect("it asks for what was lost"), "eagle_eye.v1.snapshot");
        assert_eq!(view.counts().messages_lost, 3 * connection);
        intake.disconnected();
        assert!(!view.is_connected() && !view.is_complete());
    }
    drop(view);
    assert!(requests.try_iter().count() < 16, "asked, but did not flood");
    assert!(requests.recv().is_err(), "the requester is dropped with the view");
}

#[test]
fn servers_that_cannot_be_are_an_error() {
    let options = Options::over_nats(["http://a:4222"]);
    let error = View::connect(options).expect_err("no such scheme");
    assert!(error.to_string().starts_with("subscribing to NATS failed"), "{error}");
}
