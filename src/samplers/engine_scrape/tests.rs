//! Pages as engines make them, and what must be known from them.

use std::collections::BTreeMap;

use bytemuck::Zeroable;
use proptest::prelude::*;

use super::exposition::LINES_MAX;
use super::*;
use crate::schema::{Field, StepCore};

/// What is known of a rank, by the fields' names; what is not here is unknown.
type Known = BTreeMap<&'static str, f64>;

type Fields<'a> = &'a [(&'static str, f64)];

fn known(rank: &PageRank) -> Known {
    let mut step = StepCore::zeroed();
    rank.fill(&mut step);
    let fields = Field::ALL.iter();
    fields.filter_map(|field| Some((field.name(), step.value(*field)?))).collect()
}

fn read(page: &mut Page, bytes: &[u8], pieces: usize) {
    page.begin();
    for piece in bytes.chunks(pieces) {
        page.push(piece);
    }
}

/// Model, rank and what is known, of each rank; the same however the page is
/// cut on its way.
#[track_caller]
fn check(text: &str, engine: &str, expected: &[(&str, u16, Fields<'_>)]) {
    let mut page = Page::default();
    for pieces in [1, 61, 4096, text.len()] {
        read(&mut page, text.as_bytes(), pieces);
        let said = page.end().unwrap();
        assert_eq!(said.engine(), engine);
        let ranks = said.ranks.iter();
        let got: Vec<_> = ranks.map(|r| (said.model(r), r.rank, known(r))).collect();
        let expected: Vec<_> = expected
            .iter()
            .map(|(model, rank, fields)| {
                ((*model).to_owned(), *rank, fields.iter().copied().collect::<Known>())
            })
            .collect();
        assert_eq!(got, expected, "in pieces of {pieces}");
    }
}

macro_rules! capture {
    ($name:literal) => {
        include_str!(concat!("../../../tests/captures/pages/", $name, ".txt"))
    };
}

#[test]
fn a_page_of_vllm_says_what_the_engine_counted() {
    check(
        capture!("vllm_0_32"),
        "vllm",
        &[(
            "tiny",
            0,
            &[
                ("running", 10.0),
                ("waiting", 20.0),
                ("deferred", 0.0),
                ("kv_blocks", 96.0),
                ("block_size", 32.0),
                ("kv_usage", f64::from(0.873_684_2_f32)),
                ("prompt_tokens", 214_235.0),
                ("generated_tokens", 35_276.0),
                ("cached_tokens", 60_288.0),
                ("prefix_queries", 214_235.0),
                ("prefix_hits", 60_288.0),
                ("preemptions", 56.0),
                ("rejections", 0.0),
                ("finished", 882.0),
            ],
        )],
    );
}

#[test]
fn the_names_of_older_vllm_are_known_too() {
    check(
        capture!("vllm_0_6"),
        "vllm",
        &[(
            "own/model",
            0,
            &[
                ("running", 7.0),
                ("waiting", 4.0),
                ("kv_blocks", 27_000.0),
                ("block_size", 16.0),
                ("kv_usage", 0.625),
                ("prompt_tokens", 4096.0),
                ("generated_tokens", 1280.0),
                ("preemptions", 2.0),
                ("finished", 12.0),
            ],
        )],
    );
}

#[test]
fn several_ranks_of_one_page_are_several_ranks() {
    let rank = |rank: f64, more: &[(&'static str, f64)]| {
        let mut fields = vec![
            ("running", rank + 1.0),
            ("waiting", (10.0 * rank - 1.0).max(0.0)),
            ("deferred", f64::from(rank > 0.0)),
            ("kv_usage", 0.25 * rank),
            ("generated_tokens", 1000.0 * (rank + 1.0)),
        ];
        fields.extend_from_slice(more);
        fields
    };
    // Rejections carry no rank, and so are nobody's.
    check(
        capture!("vllm_four_ranks"),
        "vllm",
        &[
            ("own/moe", 0, &rank(0.0, &[("kv_blocks", 1000.0), ("block_size", 64.0)])),
            ("own/moe", 1, &rank(1.0, &[("kv_blocks", 1001.0), ("block_size", 64.0)])),
            ("own/moe", 2, &rank(2.0, &[])),
            ("own/moe", 3, &rank(3.0, &[])),
        ],
    );
}

#[test]
fn tensor_ranks_and_pipeline_ranks_are_no_ranks() {
    let config = [("kv_blocks", 1000.0), ("block_size", 64.0)];
    let rank = |fields: [(&'static str, f64); 4]| [&fields[..], &config].concat();
    check(
        capture!("sglang_two_ranks"),
        "sglang",
        &[
            (
                "own/glm",
                0,
                &rank([
                    ("running", 3.0),
                    ("waiting", 0.0),
                    ("kv_usage", 0.5),
                    ("decode_tokens_per_second", 120.5),
                ]),
            ),
            (
                "own/glm",
                1,
                &rank([
                    ("running", 5.0),
                    ("waiting", 2.0),
                    ("kv_usage", 0.75),
                    ("decode_tokens_per_second", 121.5),
                ]),
            ),
        ],
    );
    check(
        capture!("sglang_one_rank"),
        "sglang",
        &[(
            "own/llama",
            0,
            &[
                ("running", 162.0),
                ("waiting", 2826.0),
                ("kv_blocks", 200_000.0),
                ("block_size", 1.0),
                ("kv_usage", f64::from(0.28_f32)),
                ("prompt_tokens", 8_128_902.0),
                ("generated_tokens", 7_557_572.0),
                ("cached_tokens", 42.0),
                ("finished", 1234.0),
            ],
        )],
    );
}

#[test]
fn pages_of_other_engines_are_read() {
    check(
        capture!("tensorrt_llm"),
        "tensorrt-llm",
        &[(
            "own/qwen",
            0,
            &[
                ("running", 4.0),
                ("waiting", 1.0),
                ("kv_blocks", 21_129.0),
                ("block_size", 32.0),
                ("kv_usage", 0.0625),
                ("finished", 155.0),
            ],
        )],
    );
    check(
        capture!("tgi"),
        "tgi",
        &[(
            "",
            0,
            &[
                ("running", 5.0),
                ("waiting", 3.0),
                ("prompt_tokens", 18_000.0),
                ("generated_tokens", 12_500.0),
                ("finished", 148.0),
            ],
        )],
    );
    check(
        capture!("llama_cpp"),
        "llama.cpp",
        &[(
            "",
            0,
            &[("running", 2.0), ("waiting", 1.0), ("steps", 7831.0), ("generated_tokens", 7801.0)],
        )],
    );
    check(
        capture!("mindie"),
        "mindie",
        &[(
            "own/pangu",
            0,
            &[
                ("running", 11.0),
                ("waiting", 3.0),
                ("prompt_tokens", 9564.0),
                ("generated_tokens", 20_000.0),
                ("preemptions", 637.0),
                ("finished", 2267.0),
            ],
        )],
    );
}

#[test]
fn what_cannot_be_is_unknown_and_counted() {
    check(
        capture!("lmdeploy"),
        "lmdeploy",
        &[
            (
                "own/intern",
                0,
                &[
                    ("running", 5.0),
                    ("waiting", 10.0),
                    ("kv_usage", 0.5),
                    ("generated_tokens", 1000.0),
                ],
            ),
            ("own/intern", 1, &[("running", 6.0)]),
        ],
    );
    for value in ["NaN", "-1", "+Inf", "-Inf", "4294967296", "1e300"] {
        let text = format!("vllm:num_requests_running 3\nvllm:num_requests_waiting {value}\n");
        check(&text, "vllm", &[("", 0, &[("running", 3.0)])]);
        let sum = format!(
            "vllm:num_requests_running 3\nvllm:request_success_total{{r=\"a\"}} 1\nvllm:request_success_total{{r=\"b\"}} {value}\n"
        );
        let expected = value == "4294967296";
        let mut page = Page::default();
        read(&mut page, sum.as_bytes(), 100);
        let said = page.end().unwrap();
        assert_eq!(known(&said.ranks[0]).contains_key("finished"), expected, "{value}");
        assert_eq!(said.refused, u32::from(!expected));
    }
}

#[test]
fn a_server_of_several_models_is_several_engines() {
    check(
        capture!("triton_two_models"),
        "triton",
        &[
            ("a", 0, &[("waiting", 0.0), ("finished", 5.0)]),
            ("b", 0, &[("waiting", 3.0), ("finished", 7.0)]),
        ],
    );
    // Where its LLM backend tells of itself, other models are no engines.
    check(
        capture!("triton_tensorrt_llm"),
        "triton",
        &[(
            "tensorrt_llm",
            0,
            &[
                ("running", 6.0),
                ("waiting", 2.0),
                ("max_sequences", 512.0),
                ("kv_blocks", 6239.0),
                ("block_size", 64.0),
                ("kv_usage", 0.5),
                ("steps", 4711.0),
                ("finished", 11.0),
            ],
        )],
    );
}

#[test]
fn a_page_of_somebody_else_is_no_engine() {
    let mut page = Page::default();
    for text in [capture!("nobody"), "", "\n", "# EOF\n", "<html>\n", "vllm:num_requests_running 1"]
    {
        read(&mut page, text.as_bytes(), 7);
        assert_eq!(page.end().unwrap_err(), Unread::NoEngine, "{text}");
    }
}

#[test]
fn lines_ranks_and_models_have_their_limits() {
    let mut page = Page::default();
    let one = b"vllm:num_requests_running 1\n";
    page.begin();
    for _ in 0..=LINES_MAX {
        page.push(b"x\n");
    }
    page.push(one);
    assert_eq!(page.end().unwrap_err(), Unread::Lines);

    let ranks: String = (0..CELLS_MAX + 3)
        .map(|rank| format!("vllm:num_requests_running{{engine=\"{rank}\"}} 1\n"))
        .collect();
    read(&mut page, ranks.as_bytes(), 1000);
    let said = page.end().unwrap();
    assert_eq!((said.ranks.len(), said.refused), (CELLS_MAX, 3));

    let models: String = (0..MODELS_MAX + 2)
        .map(|model| format!("vllm:num_requests_running{{model_name=\"m{model}\"}} 1\n"))
        .collect();
    for _ in 0..2 {
        read(&mut page, models.as_bytes(), 1000);
        let said = page.end().unwrap();
        assert_eq!((said.ranks.len(), said.refused), (MODELS_MAX, 2));
    }
    for rank in ["4096", "-1", "x", "1.5"] {
        let text = format!("vllm:num_requests_running{{engine=\"{rank}\"}} 1\n");
        read(&mut page, text.as_bytes(), 1000);
        assert_eq!(page.end().unwrap_err(), Unread::NoEngine, "{rank}");
    }
}

proptest! {
    #[test]
    fn any_page_in_any_pieces_says_the_same(
        lines in proptest::collection::vec(0_usize..60, 0..80),
        noise in proptest::collection::vec(any::<u8>(), 0..60),
        at in any::<prop::sample::Index>(),
        pieces in 1_usize..200,
    ) {
        let all: Vec<&str> =
            [capture!("vllm_four_ranks"), capture!("sglang_two_ranks"), capture!("lmdeploy")]
                .iter()
                .flat_map(|text| text.split_inclusive('\n'))
                .collect();
        let mut text: Vec<u8> =
            lines.iter().flat_map(|line| all[line % all.len()].bytes()).collect();
        let at = at.index(text.len() + 1);
        text.splice(at..at, noise);
        let said = |pieces| {
            let mut page = Page::default();
            read(&mut page, &text, pieces);
            page.end().ok().map(|said| {
                let ranks = said.ranks.iter().map(|r| (said.model(r), r.rank, known(r)));
                (said.engine(), ranks.collect::<Vec<_>>(), said.samples, said.refused)
            })
        };
        let whole = said(text.len().max(1));
        prop_assert_eq!(said(pieces), whole.clone());
        for (_, _, fields) in whole.iter().flat_map(|whole| &whole.1) {
            prop_assert!(fields.values().all(|value| value.is_finite() && *value >= 0.0));
        }
    }
}
