//! The lines of a case's `facts`, one or many facts each.
//!
//! ```text
//! TIME[..TIME/STEP] VERB …
//!   kmsg[PRIO] TEXT                      a line of /dev/kmsg
//!   polled TEXT · file TEXT              the same by syslog(2), from a file
//!   read DEVICE METRIC VALUE[->VALUE] [~NOISE]
//!   step ENGINE FIELD=VALUE[->VALUE] FIELD=+EACH …   heartbeat ENGINE
//!   xid DEVICE CODE TEXT                 an event of NVML
//!   trace ADDRESS CODE TEXT · strace …   a trace event of an Xid, of an SXid
//!   fault DEVICE PHASE CODE [severity=N] an event of DCMI, code in hex
//!   event KIND SUBJECT TEXT              any other, by its schema name
//!   lost COUNT                           kernel lines overwritten
//!   state DEVICE STATE [CALL]            what the inventory says of it
//!   clock ±TIME                          the wall clock is stepped
//!   restart                              the agent stops and starts again
//! ```

use std::collections::HashMap;

use eagle_eye::schema::{
    Device, DeviceState, Engine, Event, EventKind, FaultPhase, FaultRecord, Field, Flag, LogRecord,
    Reading, Role, Severity, StepCore, Trust,
};

use crate::dice::Dice;
use crate::trace::{Fact, Moment, SECOND, metric};

/// The most facts that one line may stand for.
const REPEAT_MAX: u64 = 100_000;

/// A line that stands at `at_ns` and maybe again.
struct Line<'a> {
    first_ns: u64,
    last_ns: u64,
    step_ns: u64,
    verb: &'a str,
    rest: &'a str,
}

/// Everything that lines may name.
pub(crate) struct Cast<'a> {
    /// Devices by the order of their index.
    pub(crate) devices: &'a [Device],
    /// Engines.
    pub(crate) engines: &'a [Engine],
}

/// The facts of these lines, in the order of their time.
pub(crate) fn facts(text: &str, cast: &Cast<'_>) -> Result<Vec<(Moment, Fact)>, String> {
    let mut timed: Vec<(u64, Told)> = Vec::new();
    let mut steps = Steps::default();
    for (number, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let tell = |error| format!("line {} of facts, {line:?}: {error}", number + 1);
        let line = Line::parse(line).map_err(tell)?;
        let times = (line.last_ns - line.first_ns) / line.step_ns.max(1) + 1;
        if times > REPEAT_MAX {
            return Err(tell(format!("{times} facts of one line: {REPEAT_MAX} are allowed")));
        }
        let mut dice = Dice::new(number as u64);
        for time in 0..times {
            let share = if times > 1 { time as f64 / (times - 1) as f64 } else { 0.0 };
            let at_ns = line.first_ns + time * line.step_ns;
            let told = line.tell(at_ns, share, &mut dice, cast).map_err(tell)?;
            timed.push((at_ns, told));
        }
    }
    timed.sort_by_key(|(at_ns, _)| *at_ns);
    let mut wall_step_ns = 0;
    let mut serial = 0;
    let told = timed.into_iter().filter_map(|(since_ns, told)| {
        serial += 1;
        let at = Moment { since_ns, wall_step_ns };
        match told {
            Told::Clock(by_ns) => {
                wall_step_ns += by_ns;
                None
            }
            Told::Step(said) => Some((at, Fact::Step(Box::new(steps.next(&said, at))))),
            Told::Fact(fact) => Some((at, stamped(fact, at, serial))),
        }
    });
    Ok(told.collect())
}

/// A fact whose clocks and number are filled in.
pub(crate) fn stamped(mut fact: Fact, at: Moment, serial: u64) -> Fact {
    match &mut fact {
        Fact::Event(event) => {
            (event.wall_ns, event.monotonic_ns) = (at.wall_ns(), at.monotonic_ns());
            event.id = serial;
        }
        Fact::Reading(reading) => reading.time_ns = at.monotonic_ns(),
        Fact::Step(step) => {
            (step.monotonic_ns, step.wall_ns) = (at.monotonic_ns(), at.wall_ns());
            step.heartbeat_ns = at.monotonic_ns();
        }
        _ => {}
    }
    fact
}

enum Told {
    Fact(Fact),
    Step(Said),
    Clock(i64),
}

/// What one line says of one step.
struct Said {
    instance: u64,
    incarnation: u64,
    model: u64,
    heartbeat: bool,
    /// Field, value, and whether the value is added to the last one.
    fields: Vec<(Field, f64, bool)>,
}

/// The steps told so far, by engine.
#[derive(Default)]
struct Steps(HashMap<u64, StepCore>);

impl Steps {
    fn next(&mut self, said: &Said, at: Moment) -> StepCore {
        let step = self.0.entry(said.instance).or_insert_with(|| blank(said));
        step.sequence += 1;
        step.heartbeat_ns = at.monotonic_ns();
        step.flags = 0;
        if said.heartbeat {
            step.raise(Flag::Heartbeat);
            return *step;
        }
        (step.monotonic_ns, step.wall_ns) = (at.monotonic_ns(), at.wall_ns());
        for (field, value, add) in &said.fields {
            let before = if *add { step.value(*field).unwrap_or_default() } else { 0.0 };
            write(step, *field, before + value);
        }
        *step
    }
}

fn blank(said: &Said) -> StepCore {
    let mut step: StepCore = bytemuck::Zeroable::zeroed();
    (step.instance, step.incarnation, step.model) = (said.instance, said.incarnation, said.model);
    (step.producers, step.role, step.ttl_ms) = (1, Role::Aggregated as u8, 1000);
    step.layout = eagle_eye::schema::STEP_LAYOUT;
    step
}

/// Writes a field of a step and marks it as measured.
pub(crate) fn write(step: &mut StepCore, field: Field, value: f64) {
    step.mark(field);
    match field {
        Field::LastStep => step.last_step_us = value as u32,
        Field::Running => step.running = value as u32,
        Field::Waiting => step.waiting = value as u32,
        Field::Deferred => step.deferred = value as u32,
        Field::OldestWait => step.oldest_wait_ms = value as u32,
        Field::WaitingTokens => step.waiting_tokens = value as u32,
        Field::PendingTokens => step.pending_tokens = value as u32,
        Field::MaxSequences => step.max_sequences = value as u32,
        Field::MaxBatchedTokens => step.max_batched_tokens = value as u32,
        Field::KvBlocks => step.kv_blocks = value as u32,
        Field::BlockSize => step.block_size = value as u16,
        Field::LoraRunning => step.lora_running = value as u16,
        Field::LoraWaiting => step.lora_waiting = value as u16,
        Field::KvUsage => step.kv_usage = value as f32,
        Field::PrefillRate => step.prefill_tokens_per_second = value as f32,
        Field::DecodeRate => step.decode_tokens_per_second = value as f32,
        Field::Steps => step.steps = value as u64,
        Field::PromptTokens => step.prompt_tokens = value as u64,
        Field::GeneratedTokens => step.generated_tokens = value as u64,
        Field::CachedTokens => step.cached_tokens = value as u64,
        Field::PrefixQueries => step.prefix_queries = value as u64,
        Field::PrefixHits => step.prefix_hits = value as u64,
        Field::Preemptions => step.preemptions = value as u64,
        Field::Rejections => step.rejections = value as u64,
        Field::Finished => step.finished = value as u64,
    }
}

impl<'a> Line<'a> {
    fn parse(line: &'a str) -> Result<Self, String> {
        let (times, rest) = word(line);
        let (verb, rest) = word(rest);
        let (first, last, step) = match times.split_once("..") {
            Some((first, rest)) => {
                let (last, step) = rest.split_once('/').ok_or("a span needs /STEP")?;
                (first, last, step)
            }
            None => (times, times, "1s"),
        };
        let (first_ns, last_ns, step_ns) = (span(first)?, span(last)?, span(step)?);
        if last_ns < first_ns || step_ns == 0 {
            return Err("the span ends before it begins, or stands still".into());
        }
        Ok(Self { first_ns, last_ns, step_ns, verb, rest })
    }

    fn tell(
        &self,
        at_ns: u64,
        share: f64,
        dice: &mut Dice,
        cast: &Cast<'_>,
    ) -> Result<Told, String> {
        let (first, rest) = word(self.rest);
        let (second, text) = word(rest);
        Ok(Told::Fact(match self.verb {
            "kmsg" => kernel_line(6, Trust::Attested, self.rest),
            "polled" => kernel_line(4, Trust::Polled, self.rest),
            "file" => kernel_line(4, Trust::File, self.rest),
            "read" => {
                let (value, noise) = word(text);
                let noise = noise.strip_prefix('~').map_or(Ok(0.0), number)?;
                let value = Value::parse(value)?.at(share) + noise * dice.noise();
                let device = cast.device(first)?.index;
                Fact::Reading(Reading::new(device, metric(second)?, at_ns, value))
            }
            "step" | "heartbeat" => return cast.step(self.verb, first, rest, share),
            "xid" => {
                let kind = EventKind::Xid;
                cast.device(first)?;
                event(kind, Severity::Error, "nvml", first, text, decimal(second)?)
            }
            "trace" => {
                event(EventKind::Xid, Severity::Warning, "ktrace", first, text, decimal(second)?)
            }
            "strace" => {
                event(EventKind::Sxid, Severity::Warning, "ktrace", first, text, decimal(second)?)
            }
            "fault" => cast.fault(first, second, text)?,
            "event" => {
                let kind =
                    (1..100).map(EventKind::from_number).find(|kind| format!("{kind:?}") == first);
                let kind = kind.ok_or_else(|| format!("no kind of event is called {first}"))?;
                event(kind, severity_of(kind), source_of(kind), second, text, 0)
            }
            "lost" => {
                let lost = decimal(first)?;
                let text = format!(
                    "{lost} lines of the kernel log were overwritten before they were read."
                );
                let Fact::Event(mut event) = event(
                    EventKind::KernelLinesLost,
                    Severity::Warning,
                    "kmsg",
                    "kernel",
                    &text,
                    0,
                ) else {
                    return Err("an event is an event".into());
                };
                event.lost = lost;
                Fact::Event(event)
            }
            "state" => Fact::Device(Box::new(cast.changed(first, second, text)?)),
            "clock" => {
                let (sign, time) = self.rest.split_at(1.min(self.rest.len()));
                let by_ns = span(time)? as i64;
                return Ok(Told::Clock(if sign == "-" { -by_ns } else { by_ns }));
            }
            "restart" => Fact::Restart,
            verb => {
                let prio = verb.strip_prefix("kmsg").ok_or_else(|| format!("no verb {verb}"))?;
                kernel_line(decimal(prio)? as u16, Trust::Attested, self.rest)
            }
        }))
    }
}

impl Cast<'_> {
    fn device(&self, name: &str) -> Result<&Device, String> {
        let found = self.devices.iter().find(|device| device.name == name);
        found.ok_or_else(|| format!("no [[device]] is called {name}"))
    }

    fn step(&self, verb: &str, name: &str, rest: &str, share: f64) -> Result<Told, String> {
        let engine = self.engines.iter().find(|engine| engine.name == name);
        let engine = engine.ok_or_else(|| format!("no [[engine]] is called {name}"))?;
        let mut fields = Vec::new();
        for pair in rest.split_whitespace() {
            let (name, value) = pair.split_once('=').ok_or("a field is NAME=VALUE")?;
            let field = Field::ALL.iter().find(|field| field.name() == name);
            let field = *field.ok_or_else(|| format!("no field of a step is called {name}"))?;
            let add = value.starts_with('+');
            fields.push((field, Value::parse(value.trim_start_matches('+'))?.at(share), add));
        }
        Ok(Told::Step(Said {
            instance: engine.instance,
            incarnation: engine.incarnation,
            model: engine.model_hash,
            heartbeat: verb == "heartbeat",
            fields,
        }))
    }

    fn fault(&self, name: &str, phase: &str, rest: &str) -> Result<Fact, String> {
        self.device(name)?;
        let (code, rest) = word(rest);
        let code = u64::from_str_radix(code, 16).map_err(|error| format!("{code}: {error}"))?;
        let severity = rest.split_whitespace().find_map(|word| word.strip_prefix("severity="));
        let severity = severity.map_or(Ok(2), decimal)? as u8;
        let phase = (0..4).map(FaultPhase::from_number).find(|of| of.name() == phase);
        let phase = phase.ok_or("a phase is occurred, raised or cleared")?;
        Ok(ascend_fault(name, phase, code, severity))
    }

    fn changed(&self, name: &str, state: &str, call: &str) -> Result<Device, String> {
        let mut device = self.device(name)?.clone();
        let about = device.accelerator.as_mut().ok_or("only an accelerator has a state")?;
        let found = (0..6).map(DeviceState::from_number).find(|of| of.name() == state);
        about.state = found.ok_or_else(|| format!("no state is called {state}"))?;
        call.clone_into(&mut about.silent_call);
        Ok(device)
    }
}

/// A number that may run to another.
struct Value(f64, f64);

impl Value {
    fn parse(text: &str) -> Result<Self, String> {
        let (first, last) = text.split_once("->").unwrap_or((text, text));
        Ok(Self(number(first)?, number(last)?))
    }

    fn at(&self, share: f64) -> f64 {
        self.0 + (self.1 - self.0) * share
    }
}

/// A fault as an Ascend driver reports it.
pub(crate) fn ascend_fault(name: &str, phase: FaultPhase, code: u64, severity: u8) -> Fact {
    let node_type = ((code >> 17) & 0x7ff) as u16;
    let fault = FaultRecord { phase, severity, node_type, ..FaultRecord::default() };
    let text = format!("event_id=0x{code:08x} {}", phase.name());
    let Fact::Event(mut event) =
        event(EventKind::DeviceFault, Severity::Warning, "dcmi", name, &text, code)
    else {
        unreachable!("an event is an event")
    };
    event.fault = Some(fault);
    Fact::Event(event)
}

/// A line of the kernel's log as the sampler tells it.
pub(crate) fn kernel_line(prio: u16, trust: Trust, text: &str) -> Fact {
    let (facility, level) = (prio >> 3, (prio & 7) as u8);
    let claimed = facility != 0 && trust == Trust::Attested;
    let trust = if claimed { Trust::Claimed } else { trust };
    let level = if trust == Trust::File { LogRecord::LEVEL_UNKNOWN } else { level };
    let severity = match level {
        0..=2 => Severity::Critical,
        3 => Severity::Error,
        4 => Severity::Warning,
        _ => Severity::Info,
    };
    let text = text.replace("\\x0a", "\n");
    let Fact::Event(mut event) = event(EventKind::KernelLine, severity, "kmsg", "kernel", &text, 0)
    else {
        unreachable!("an event is an event")
    };
    event.log = Some(LogRecord { facility, level, trust, ..LogRecord::default() });
    Fact::Event(event)
}

/// An event without its clocks.
pub(crate) fn event(
    kind: EventKind,
    severity: Severity,
    source: &str,
    subject: &str,
    text: &str,
    code: u64,
) -> Fact {
    let (source, subject, text) = (source.into(), subject.into(), text.into());
    Fact::Event(Box::new(Event { kind, severity, source, subject, text, code, ..Event::default() }))
}

/// How much an event of this kind matters by itself, as samplers say it.
pub(crate) const fn severity_of(kind: EventKind) -> Severity {
    match kind {
        EventKind::ContainerOomKill => Severity::Error,
        EventKind::EngineGone
        | EventKind::EngineRestarted
        | EventKind::SamplerStalled
        | EventKind::SourceHangs
        | EventKind::DeviceGone
        | EventKind::DeviceFault => Severity::Warning,
        _ => Severity::Info,
    }
}

/// The sampler that tells of events of this kind.
pub(crate) const fn source_of(kind: EventKind) -> &'static str {
    match kind {
        EventKind::EngineAppeared | EventKind::EngineGone | EventKind::EngineRestarted => {
            "engine_push"
        }
        EventKind::ContainerStarted | EventKind::ContainerEnded | EventKind::ContainerOomKill => {
            "cgroup"
        }
        EventKind::SamplerStalled | EventKind::SamplerRecovered => "engine",
        EventKind::SourceHangs | EventKind::SourceAnswers => "hardware_sys",
        _ => "nvml",
    }
}

fn word(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    text.split_once(char::is_whitespace)
        .map_or((text, ""), |(word, rest)| (word, rest.trim_start()))
}

fn number(text: &str) -> Result<f64, String> {
    text.parse().map_err(|error| format!("{text:?} is no number: {error}"))
}

fn decimal(text: &str) -> Result<u64, String> {
    text.parse().map_err(|error| format!("{text:?} is no whole number: {error}"))
}

/// A time as `250ms`, `3s`, `10m` or `2h`, in nanoseconds.
pub(crate) fn span(text: &str) -> Result<u64, String> {
    let at = text.find(|c: char| c.is_alphabetic()).ok_or("a time needs ms, s, m or h")?;
    let (amount, unit) = text.split_at(at);
    let unit = match unit {
        "ms" => SECOND / 1000,
        "s" => SECOND,
        "m" => 60 * SECOND,
        "h" => 3600 * SECOND,
        unit => return Err(format!("{unit} is no unit of time")),
    };
    Ok((number(amount)? * unit as f64) as u64)
}

#[test]
fn lines_become_facts_in_the_order_of_their_time() {
    let devices = [Device { name: "gpu0".into(), index: 9, ..Device::default() }];
    let engines = [Engine::named("e0", "m")];
    let cast = Cast { devices: &devices, engines: &engines };
    let text = "2s kmsg691 [ascend] a\n0s..4s/2s read gpu0 accelerator_temperature_celsius 60->80\n\
                1s..2s/1s step e0 running=3 steps=+5\n1s clock +1h\n3s file b";
    let facts = facts(text, &cast).expect("good lines");
    let times: Vec<_> = facts.iter().map(|(at, _)| at.since_ns / SECOND).collect();
    assert_eq!(times, [0, 1, 2, 2, 2, 3, 4]);
    let values = facts.iter().filter_map(|(_, fact)| match fact {
        Fact::Reading(reading) => Some((reading.device, reading.value)),
        _ => None,
    });
    assert_eq!(values.collect::<Vec<_>>(), [(9, 60.0), (9, 70.0), (9, 80.0)]);
    let steps = facts.iter().filter_map(|(_, fact)| match fact {
        Fact::Step(step) => Some((step.sequence, step.steps)),
        _ => None,
    });
    assert_eq!(steps.collect::<Vec<_>>(), [(1, 5), (2, 10)]);
    assert_eq!(facts[6].0.wall_step_ns, 3600 * SECOND as i64);
}

#[test]
fn a_bad_line_is_named() {
    let cast = Cast { devices: &[], engines: &[] };
    for (line, says) in [
        ("x kmsg a", "is no unit of time"),
        ("12 kmsg a", "a time needs"),
        ("1s dance", "no verb dance"),
        ("1s read gpu0 a 1", "no [[device]] is called gpu0"),
        ("1s..2s kmsg a", "needs /STEP"),
        ("0s..100h/1ms kmsg a", "are allowed"),
    ] {
        let error = facts(line, &cast).expect_err(line);
        assert!(error.contains(says), "{error}");
    }
}
