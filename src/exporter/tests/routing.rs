//! The page for routers that pull.

use super::*;
use crate::schema::Flag;

fn page(node: &Node, engine: Option<&str>, rank: Option<u16>) -> String {
    let wanted = Wanted { engine: engine.map(str::to_owned), rank };
    text(&node.exporter().routing(&wanted, NOW, 1_700_000_000_123 * MS))
}

fn series(page: &str) -> Vec<&str> {
    page.lines().filter(|line| !line.starts_with('#')).collect()
}

#[test]
fn a_picker_finds_its_families_under_the_names_that_it_reads() {
    let mut node = Node::new();
    let engine = node.write("10.0.0.7:8000", 1);
    let adapter = |name: &str, running, waiting| Adapter { name: name.into(), running, waiting };
    node.details(
        &engine,
        1,
        vec![
            adapter("few", 1, 0),
            adapter("many", 9, 0),
            adapter("x,y", 9, 9),
            adapter("late", 0, 2),
        ],
    );
    let labels = r#"model_name="org/model",engine="1",instance_name="10.0.0.7:8000""#;
    let page = page(&node, None, None);
    assert_eq!(
        series(&page),
        [
            format!("vllm:num_requests_running{{{labels}}} 12"),
            format!("vllm:num_requests_waiting{{{labels}}} 4"),
            format!("vllm:kv_cache_usage_perc{{{labels}}} 0.5"),
            format!(
                "vllm:lora_requests_info{{{labels},running_lora_adapters=\"many,few\",\
                 waiting_lora_adapters=\"late\"}} 1700000000.123"
            ),
            format!(
                "vllm:cache_config_info{{{labels},block_size=\"16\",num_gpu_blocks=\"4096\"}} 1"
            ),
        ]
    );
    assert_eq!(page.matches("# TYPE vllm:").count(), 5);
}

#[test]
fn one_of_several_engines_is_asked_for_by_name_or_endpoint_and_rank() {
    let mut node = Node::new();
    for (name, rank) in [("a:1", 0), ("a:1", 1), ("b:1", 0)] {
        node.write(name, rank);
    }
    let running =
        |engine, rank| page(&node, engine, rank).matches("\nvllm:num_requests_running{").count();
    assert_eq!(running(None, None), 3);
    assert_eq!((running(Some("a:1"), None), running(Some("a:1"), Some(1))), (2, 1));
    assert_eq!((running(Some("http://b:1"), None), running(Some("c:1"), None)), (1, 0));
    assert_eq!(page(&node, Some("c:1"), None), "");
}

#[test]
fn a_rank_that_fell_silent_or_left_is_not_there() {
    let mut node = Node::new();
    let silent = node.write("silent", 0);
    let gone = node.write("gone", 0);
    let mut step = node.step(&silent, 0);
    step.alive_ns = NOW - 4000 * MS;
    node.writer.write(&step);
    let mut step = node.step(&gone, 0);
    step.step.raise(Flag::Goodbye);
    node.writer.write(&step);
    assert_eq!(page(&node, None, None), "");
}

#[test]
fn two_kibibytes_an_engine_are_enough_whatever_the_names() {
    for name in
        ["10.0.0.7:8000".to_owned(), "x".repeat(255), "\"".repeat(255), "\u{1f600}".repeat(60)]
    {
        let mut node = Node::new();
        let engine = Engine { incarnation: 7, model: name.clone(), ..Engine::named(&name, "") };
        node.names.put_engine(engine.clone());
        let step = node.step(&engine, 4095);
        node.writer.write(&step);
        let adapters = (0..64).map(|at| Adapter {
            name: format!("{}-{at}", "adapter".repeat(3)),
            running: u32::MAX,
            waiting: u32::MAX,
        });
        node.details(&engine, 4095, adapters.collect());
        let page = page(&node, None, None);
        assert!(page.len() <= ROUTING_BYTES_MAX, "{} bytes: {page}", page.len());
        assert_eq!(series(&page).len(), 5, "{page}");
    }
}

#[test]
fn long_names_that_begin_alike_stay_apart() {
    let mut node = Node::new();
    let long = "x".repeat(200);
    for end in ["a", "b"] {
        node.write(&format!("{long}{end}"), 0);
    }
    let page = page(&node, None, None);
    let mut lines: Vec<&str> = series(&page);
    let all = lines.len();
    lines.sort_unstable();
    lines.dedup();
    assert_eq!((all, lines.len()), (8, 8));
}
