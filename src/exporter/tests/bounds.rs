//! What a page does not exceed, whatever is in the tables.

use std::sync::{Arc, Mutex};

use super::*;

#[test]
fn those_who_ask_at_once_share_one_rendering_and_its_memory_is_used_again() {
    let node = Node::new();
    let asked = Arc::new(Mutex::new(0));
    let count = Arc::clone(&asked);
    let health = Box::new(move || {
        *count.lock().unwrap() += 1;
        Health::default()
    });
    let exporter = Exporter::new(Sources { health, ..node.sources() }, Settings::default());
    let pages: Vec<Bytes> = (0..50).map(|_| exporter.metrics(Form::Classic, NOW)).collect();
    assert_eq!(*asked.lock().unwrap(), 1);
    assert!(pages.iter().all(|page| page.as_ptr() == pages[0].as_ptr()));
    drop(pages);
    let mut memory = None;
    for more in 1..=4 {
        let page = exporter.metrics(Form::Classic, NOW + more * SHARED_NS);
        // The first pages grow their memory; then it is used again.
        assert!(more < 3 || memory == Some(page.as_ptr()), "page {more}");
        memory = Some(page.as_ptr());
    }
    assert_eq!(*asked.lock().unwrap(), 5);
}

#[test]
fn a_flood_of_engines_is_refused_and_counted_and_starves_nobody_else() {
    let mut node = Node::new();
    for at in 0..2000 {
        let engine = node.write(&format!("engine-{at}"), 0);
        node.details(&engine, 0, Vec::new());
    }
    let host = node.device("node", "node");
    node.reading(host, MetricId::Tasks, 77.0);
    let page = node.page();
    let series = page.lines().filter(|line| !line.starts_with('#')).count();
    let refused = value(&page, "eagle_eye_exporter_series_refused{").unwrap();
    let told = value(&page, "eagle_eye_exporter_series{").unwrap();
    assert!(refused > 0.0 && series <= limits::ENGINE_SERIES_MAX + 100, "{series} {refused}");
    assert_eq!(told as usize, series - 3);
    assert_eq!(value(&page, "eagle_eye_tasks{"), Some(77.0));
    assert!(page.len() < PAGE_BYTES_MAX);
}

#[test]
fn names_that_say_anything_stay_within_their_line_and_their_bound() {
    let mut node = Node::new();
    let name = "evil\"} 1\n# TYPE eagle_eye_x gauge\n\\".repeat(20);
    let engine = node.write(&name, 0);
    let adapter = Adapter { name: "a\nb\"c".into(), running: 1, waiting: 0 };
    node.details(&engine, 0, vec![adapter]);
    let page = node.page();
    for line in page.lines() {
        assert!(line.starts_with("# ") || line.starts_with("eagle_eye_"), "{line}");
        assert!(line.len() < 2048, "{line}");
    }
    assert!(!page.contains("\n# TYPE eagle_eye_x"));
    assert!(page.contains(r#"adapter="a\nb\"c""#));
}

#[test]
fn sixteen_engines_and_devices_take_half_a_mebibyte() {
    let mut node = Node::new();
    for at in 0..16 {
        let engine = node.write(&format!("10.0.0.7:80{at:02}"), 0);
        node.details(&engine, 0, Vec::new());
        let gpu = node.gpu(&format!("gpu{at}"));
        for row in crate::schema::METRICS.iter().filter(|row| row.device_kind == "accelerator") {
            node.reading(gpu, row.id, 1234.5);
        }
    }
    let page = node.page();
    assert!(page.len() < 600_000, "{} bytes", page.len());
    assert!(value(&page, "eagle_eye_exporter_series{").unwrap() > 4000.0);
}
