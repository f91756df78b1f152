//! Engines: full, slow, silent, dead.

use eagle_eye::schema::{Action, EventKind, Severity};

use super::Family;
use crate::trace::Resolve;
use crate::world::models::NVLINKED;
use crate::world::{Serving, World};

const fn family(name: &'static str, play: fn(&mut World<'_, '_>)) -> Family {
    Family::new(name, NVLINKED, 1, play).engine()
}

pub(super) const ALL: &[Family] = &[
    family("engine/cache_full", cache_full),
    family("engine/batch_full", batch_full),
    family("engine/prompts_too_many", prefill),
    family("engine/decode_at_its_end", decode),
    family("engine/transfers_slow", transfer),
    family("engine/dead", dead),
    family("engine/silent", silent),
    family("engine/silent_and_back", silent_back),
    family("engine/restarts_again_and_again", restarts),
    family("engine/goodbye_is_fine", goodbye),
    family("engine/idle_is_fine", idle),
    family("engine/one_long_prompt_is_fine", long_prompt),
    family("engine/short_burst_is_fine", burst),
];

const ENGINE: &str = "vllm-0:8000";
const TUNE: [Action; 3] = [Action::ChangeSetting, Action::Investigate, Action::None];
const MILD: [Severity; 3] = [Severity::Info, Severity::Warning, Severity::Error];

fn serving<'a>(world: &'a mut World<'_, '_>) -> &'a mut Serving {
    world.engine.as_mut().expect("built with one")
}

fn limited(world: &mut World<'_, '_>, class: &str) {
    let expected = world.expect(class, ENGINE, 300);
    expected.severities = MILD.to_vec();
    expected.actions = TUNE.to_vec();
}

fn cache_full(world: &mut World<'_, '_>) {
    world.run(120);
    let engine = serving(world);
    (engine.kv_tokens, engine.answer, engine.prompt) = (60_000.0, 900.0, 600.0);
    engine.arrivals = 8.0;
    limited(world, "engine.kv_pressure");
    world.run(600);
}

fn batch_full(world: &mut World<'_, '_>) {
    world.run(120);
    let engine = serving(world);
    // Room in the cache, time in every step, and no place in the batch.
    (engine.max_sequences, engine.arrivals) = (16.0, 9.0);
    limited(world, "engine.limit_admission");
    world.run(600);
}

fn prefill(world: &mut World<'_, '_>) {
    world.run(120);
    let engine = serving(world);
    (engine.prompt, engine.answer, engine.arrivals) = (7000.0, 20.0, 3.0);
    engine.kv_tokens = 2_000_000.0;
    limited(world, "engine.limit_prefill");
    world.run(600);
}

fn decode(world: &mut World<'_, '_>) {
    world.run(120);
    let engine = serving(world);
    // Nobody waits, but each step takes long.
    (engine.prompt, engine.answer, engine.running) = (200.0, 2000.0, 140.0);
    (engine.step_s, engine.arrivals, engine.kv_tokens) = ((0.03, 0.0009), 0.45, 2_000_000.0);
    world.cards[0].memory_activity = Some(0.96);
    limited(world, "engine.limit_decode");
    world.run(900);
}

fn transfer(world: &mut World<'_, '_>) {
    world.run(120);
    let engine = serving(world);
    (engine.transfer_s, engine.arrivals) = (12.0, 6.0);
    limited(world, "engine.limit_transfer");
    world.run(600);
}

fn dead(world: &mut World<'_, '_>) {
    world.run(120);
    let expected = world.expect("engine.dead", ENGINE, 15);
    expected.severities = vec![Severity::Error, Severity::Critical];
    expected.actions = vec![Action::RestartApplication, Action::Investigate];
    serving(world).alive = false;
    let text = "vllm-0:8000 hung up without a goodbye, process 4000";
    world.event(EventKind::EngineGone, ENGINE, text);
    world.run(240);
}

fn hang(world: &mut World<'_, '_>) {
    world.run(120);
    let expected = world.expect("engine.silent", ENGINE, 120);
    expected.severities = vec![Severity::Warning, Severity::Error, Severity::Critical];
    expected.actions = vec![Action::RestartApplication, Action::Investigate];
    serving(world).steps_on = false;
    world.run(300);
}

fn silent(world: &mut World<'_, '_>) {
    hang(world);
}

fn silent_back(world: &mut World<'_, '_>) {
    hang(world);
    world.truth.expected[0].resolve = Resolve::Must;
    let engine = serving(world);
    (engine.steps_on, engine.waiting) = (true, 0.0);
    world.run(900);
}

fn restarts(world: &mut World<'_, '_>) {
    world.run(60);
    for time in 0..6 {
        if time == 1 {
            let expected = world.expect("engine.restarting", ENGINE, 320);
            expected.severities = vec![Severity::Warning, Severity::Error, Severity::Critical];
        }
        serving(world).alive = false;
        world.event(
            EventKind::EngineGone,
            ENGINE,
            "vllm-0:8000 hung up without a goodbye, process 4000",
        );
        world.run(20);
        let engine = serving(world);
        engine.restart();
        engine.alive = true;
        let engine = Box::new(engine.engine.clone());
        world.tell(crate::trace::Fact::Engine(engine));
        world.event(
            EventKind::EngineRestarted,
            ENGINE,
            "vllm-0:8000 reports under a later incarnation",
        );
        world.run(60);
    }
    world.may("engine.dead", Severity::Critical);
}

fn goodbye(world: &mut World<'_, '_>) {
    world.run(120);
    world.may("*", Severity::Info);
    world.never(Severity::Warning);
    let engine = serving(world);
    engine.say_goodbye();
    engine.alive = false;
    let last = Box::new(engine.last_step());
    world.tell(crate::trace::Fact::Step(last));
    world.tell(crate::lines::event(
        EventKind::EngineGone,
        Severity::Info,
        "engine_push",
        ENGINE,
        "vllm-0:8000 said goodbye, process 4000",
        0,
    ));
    world.run(300);
}

fn idle(world: &mut World<'_, '_>) {
    world.never(Severity::Warning);
    world.run(60);
    serving(world).arrivals = 0.0;
    world.cards[0].load = 0.0;
    world.run(1200);
    serving(world).arrivals = 4.0;
    world.cards[0].load = 0.5;
    world.run(120);
}

/// A prompt of a million tokens: no step ends for a while, and all is well.
fn long_prompt(world: &mut World<'_, '_>) {
    world.may("*", Severity::Info);
    world.never(Severity::Warning);
    world.run(120);
    let seconds = 8 + world.dice.below(12) as u64;
    serving(world).steps_on = false;
    world.run(seconds);
    serving(world).steps_on = true;
    world.run(200);
}

fn burst(world: &mut World<'_, '_>) {
    world.may("*", Severity::Info);
    world.never(Severity::Warning);
    world.run(120);
    serving(world).waiting += 60.0;
    world.run(300);
}
