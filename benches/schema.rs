//! Encoding and reading a step against what others send, on equal content:
//! every field of the record, all of them set.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

mod support;

use std::hint::black_box;

use bytemuck::Zeroable;
use eagle_eye::schema::{
    BATCH_HEADER_BYTES, BatchHead, BatchView, HotKind, StepCore, wire, write_header,
};
use flatbuffers::FlatBufferBuilder;
use serde::{Deserialize, Serialize};
use support::Race;

/// Steps in a hot batch here.
const STEPS: usize = 64;
const BATCH_BYTES: usize = BATCH_HEADER_BYTES + STEPS * size_of::<StepCore>();

macro_rules! plain {
    ($($name:ident: $type:ty,)*) => {
        /// The same numbers as a struct that serde knows.
        #[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
        struct Plain { $($name: $type,)* }

        impl Plain {
            /// Large numbers, as cumulative counters and clocks are.
            fn example() -> Self {
                let mut number = 0_u64;
                $(
                    number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(99_991);
                    let $name = (number >> 20) as $type;
                )*
                Self { $($name,)* }
            }

            /// Field by field into a slot, as a producer does.
            fn fill(&self, step: &mut StepCore) {
                $(step.$name = self.$name;)*
            }

            /// Uses every field.
            fn digest(&self) -> u64 {
                let mut digest = 0_u64;
                $(digest ^= self.$name as u64;)*
                digest
            }
        }

        /// Uses the same fields of a step.
        fn digest(step: &StepCore) -> u64 {
            let mut digest = 0_u64;
            $(digest ^= step.$name as u64;)*
            digest
        }
    };
}

plain! {
    instance: u64, incarnation: u64, model: u64,
    rank: u16, producer: u16, producers: u16, role: u8, layout: u8,
    sequence: u64, monotonic_ns: u64, wall_ns: u64, clock_error_ns: u32, ttl_ms: u32,
    present: u64, flags: u32, last_step_us: u32,
    running: u32, waiting: u32, deferred: u32, oldest_wait_ms: u32,
    waiting_tokens: u32, pending_tokens: u32,
    max_sequences: u32, max_batched_tokens: u32, kv_blocks: u32,
    block_size: u16, lora_running: u16, lora_waiting: u16,
    kv_usage: f32, prefill_tokens_per_second: f32, decode_tokens_per_second: f32,
    steps: u64, prompt_tokens: u64, generated_tokens: u64, cached_tokens: u64,
    prefix_queries: u64, prefix_hits: u64, preemptions: u64, rejections: u64, finished: u64,
    heartbeat_ns: u64,
}

fn example_step() -> StepCore {
    let mut step = StepCore::zeroed();
    Plain::example().fill(&mut step);
    step
}

fn head() -> BatchHead {
    BatchHead { node: 1, incarnation: 2, sequence: 3, ..BatchHead::zeroed() }
}

/// A whole hot batch, as the drain makes it: header, then the run copied once.
fn write_batch(slab: &mut [u8], steps: &[StepCore]) {
    write_header(slab, HotKind::Steps, &head(), steps.len() as u32);
    slab[BATCH_HEADER_BYTES..].copy_from_slice(bytemuck::cast_slice(steps));
}

fn encode() -> Race {
    let mut race = Race::new("encode a step");
    let plain = Plain::example();
    let mut slot = StepCore::zeroed();
    race.enter("field by field into a slot", 1, move || {
        black_box(&plain).fill(black_box(&mut slot));
    });
    let steps = vec![example_step(); STEPS];
    let mut slab = vec![0; BATCH_BYTES];
    race.enter("hot batch of 64, a step", STEPS as u64, move || {
        write_batch(black_box(&mut slab), black_box(&steps));
    });
    let mut builder = FlatBufferBuilder::with_capacity(4096);
    let step = wire::StepCore(bytemuck::cast(example_step()));
    race.enter("FlatBuffers builder, batch of one", 1, move || {
        builder.reset();
        let steps = Some(builder.create_vector(std::slice::from_ref(black_box(&step))));
        let head = wire::BatchHead(bytemuck::cast(head()));
        let args = wire::BatchArgs { head: Some(&head), steps, ..Default::default() };
        let batch = wire::Batch::create(&mut builder, &args);
        wire::finish_batch_buffer(&mut builder, batch);
        black_box(builder.finished_data());
    });
    let mut bytes = Vec::with_capacity(4096);
    race.enter("rmp-serde, array", 1, move || {
        bytes.clear();
        rmp_serde::encode::write(&mut bytes, black_box(&plain)).expect("memory takes it");
        black_box(&bytes);
    });
    let mut bytes = Vec::with_capacity(4096);
    race.enter("serde_json", 1, move || {
        bytes.clear();
        serde_json::to_writer(&mut bytes, black_box(&plain)).expect("memory takes it");
        black_box(&bytes);
    });
    race.leave_out("FlatBuffers table of scalars", "the schema has no table of a step's fields");
    race
}

fn read() -> Race {
    let mut race = Race::new("verify and read a step");
    let mut message = vec![0; BATCH_BYTES];
    write_batch(&mut message, &vec![example_step(); STEPS]);
    race.enter("hot batch of 64, a step", STEPS as u64, move || {
        let view = BatchView::verify(black_box(&message)).expect("our own batch");
        view.steps().fold(0, |sum, step| sum ^ digest(black_box(&step)))
    });
    let mut message = vec![0; BATCH_HEADER_BYTES + size_of::<StepCore>()];
    write_batch(&mut message, &[example_step()]);
    race.enter("hot batch of one", 1, move || {
        let view = BatchView::verify(black_box(&message)).expect("our own batch");
        view.steps().fold(0, |sum, step| sum ^ digest(black_box(&step)))
    });
    let bytes = rmp_serde::to_vec(&Plain::example()).expect("memory takes it");
    race.enter("rmp-serde, array", 1, move || {
        let plain: Plain = rmp_serde::from_slice(black_box(&bytes)).expect("our own bytes");
        black_box(plain).digest()
    });
    let bytes = serde_json::to_vec(&Plain::example()).expect("memory takes it");
    race.enter("serde_json", 1, move || {
        let plain: Plain = serde_json::from_slice(black_box(&bytes)).expect("our own bytes");
        black_box(plain).digest()
    });
    race.leave_out("FlatBuffers table of scalars", "the schema has no table of a step's fields");
    race
}

fn verify() -> Race {
    let mut race = Race::new("verify a batch");
    for (name, steps) in [("of one step", 1), ("of 64 steps", STEPS), ("of 250 steps", 250)] {
        let mut message = vec![0; BATCH_HEADER_BYTES + steps * size_of::<StepCore>()];
        write_batch(&mut message, &vec![example_step(); steps]);
        race.enter(name, 1, move || BatchView::verify(black_box(&message)).is_ok());
    }
    race
}

fn main() {
    // Equal content, or the ratios say nothing.
    let plain = Plain::example();
    assert_eq!(digest(&example_step()), plain.digest());
    let packed = rmp_serde::to_vec(&plain).expect("memory takes it");
    let text = serde_json::to_vec(&plain).expect("memory takes it");
    println!(
        "bytes a step: hot batch of 64 {:.1}, rmp-serde {}, serde_json {}",
        BATCH_BYTES as f64 / STEPS as f64,
        packed.len(),
        text.len()
    );
    let mut criterion = support::criterion();
    for race in [encode(), read(), verify()] {
        race.run(&mut criterion);
    }
    criterion.final_summary();
}
