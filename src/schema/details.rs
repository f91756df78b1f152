//! What an engine says at a low rate beside its steps, and how it stands in
//! the engine's memory.
//!
//! Everything is cumulative since the incarnation, adapters excepted, so that
//! what is lost or overwritten costs nothing. In memory it is entries back to
//! back, little-endian and unaligned:
//!
//! ```text
//!  tag u16, rank u16, length u32, value
//!  1 sketch       kind u16, 0 u16, offset i32, count u64, sum µs f64, max µs f64, u32 per bucket
//!  2 finished     count u64, reason in UTF-8
//!  3 adapter      running u32, waiting u32, name in UTF-8
//!  4 speculation  drafts u64, draft tokens u64, accepted tokens u64, u64 per position
//!  5 transfer     transfers u64, bytes u64, failures u64, seconds f64
//! ```
//!
//! Tags and kinds that are not known are passed over.

use super::{DeviceLoad, ENGINE_DEVICES_MAX, NAME_BYTES_MAX, Sketch, SketchKind, wire};

/// Most ranks in one engine's memory.
pub const DETAIL_RANKS_MAX: usize = 1024;

/// Most reasons of one rank's finished requests.
pub const REASONS_MAX: usize = 16;

/// Most adapters of one rank. With all else at its most, what one producer
/// says of one rank fits a batch.
pub const ADAPTERS_MAX: usize = 64;

/// Most positions in a draft.
pub const POSITIONS_MAX: usize = 64;

/// One past the highest rank.
const RANK_END: u16 = 4096;

/// What one producer of one rank says beside its steps.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EngineDetails {
    /// Hash of the engine's name.
    pub instance: u64,
    /// Differs after every restart of the engine.
    pub incarnation: u64,
    /// Data-parallel rank.
    pub rank: u16,
    /// Which front end says so.
    pub producer: u16,
    /// How long things took, at most one sketch of each kind.
    pub sketches: Vec<Sketch>,
    /// Requests that finished, by reason.
    pub finished: Vec<Finished>,
    /// The load of each adapter now.
    pub adapters: Vec<Adapter>,
    /// Speculative decoding, where there is any.
    pub speculation: Option<Speculation>,
    /// Transfers of KV blocks, where there are any.
    pub transfer: Option<Transfer>,
    /// The devices on which it works, by its agent ([`Self::BY_AGENT`]).
    pub devices: Vec<DeviceLoad>,
}

/// Requests that finished for one reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Finished {
    /// `stop`, `length`, `abort` …
    pub reason: String,
    /// How many, since the incarnation.
    pub count: u64,
}

/// The load of one adapter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Adapter {
    /// Its name.
    pub name: String,
    /// Requests with it in the running batch.
    pub running: u32,
    /// Requests with it that wait.
    pub waiting: u32,
}

/// Speculative decoding since the incarnation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Speculation {
    /// Drafts made.
    pub drafts: u64,
    /// Tokens in them.
    pub draft_tokens: u64,
    /// Of these, accepted.
    pub accepted_tokens: u64,
    /// Accepted by position in the draft.
    pub accepted: Vec<u64>,
}

/// Transfers of KV blocks since the incarnation.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Transfer {
    /// Transfers made.
    pub transfers: u64,
    /// Bytes moved.
    pub bytes: u64,
    /// Transfers that failed.
    pub failures: u64,
    /// Time they took, s.
    pub seconds: f64,
}

impl EngineDetails {
    /// What an engine's memory says of each rank, and how many entries were
    /// refused: of a rank or in a number beyond the limits, cut short, or no
    /// numbers. Whose details they are is left for the caller to fill in.
    #[must_use]
    pub fn read_all(mut bytes: &[u8]) -> (Vec<Self>, u64) {
        let (mut ranks, mut refused): (Vec<Self>, u64) = (Vec::new(), 0);
        while !bytes.is_empty() {
            let Some((tag, rank, value, rest)) = entry(bytes) else {
                return (ranks, refused + 1);
            };
            bytes = rest;
            let at = ranks.iter().position(|known| known.rank == rank).unwrap_or(ranks.len());
            if at == ranks.len() {
                if rank >= RANK_END || at >= DETAIL_RANKS_MAX {
                    refused += 1;
                    continue;
                }
                ranks.push(Self { rank, ..Self::default() });
            }
            refused += u64::from(ranks[at].take(tag, value).is_none());
        }
        (ranks, refused)
    }

    /// Takes an entry in; nothing when it is refused.
    fn take(&mut self, tag: u16, value: &[u8]) -> Option<()> {
        match tag {
            1 => {
                if let Some(sketch) = read_sketch(value)? {
                    let again = self.sketches.iter().any(|known| known.kind == sketch.kind);
                    if again {
                        return None;
                    }
                    self.sketches.push(sketch);
                }
            }
            2 if self.finished.len() < REASONS_MAX => {
                let (count, reason) = value.split_first_chunk()?;
                let count = u64::from_le_bytes(*count);
                self.finished.push(Finished { reason: name(reason)?, count });
            }
            3 if self.adapters.len() < ADAPTERS_MAX => {
                let (running, rest) = value.split_first_chunk()?;
                let (waiting, rest) = rest.split_first_chunk()?;
                let (running, waiting) =
                    (u32::from_le_bytes(*running), u32::from_le_bytes(*waiting));
                self.adapters.push(Adapter { name: name(rest)?, running, waiting });
            }
            4 => {
                let numbers = numbers(value)?;
                let (&[drafts, draft_tokens, accepted_tokens], accepted) =
                    numbers.split_first_chunk()?;
                let accepted = accepted.to_vec();
                self.speculation =
                    Some(Speculation { drafts, draft_tokens, accepted_tokens, accepted });
            }
            5 => {
                let numbers = numbers(value)?;
                let (&[transfers, bytes, failures, seconds], _) = numbers.split_first_chunk()?;
                let seconds = f64::from_bits(seconds);
                let is_time = seconds.is_finite() && seconds >= 0.0;
                self.transfer = Some(Transfer { transfers, bytes, failures, seconds });
                if !is_time {
                    self.transfer = None;
                    return None;
                }
            }
            2 | 3 => return None,
            _ => {}
        }
        Some(())
    }

    /// The entries that say `all`, up to `bytes_max` bytes; whole entries that
    /// do not fit are left out.
    #[must_use]
    pub fn write_all(all: &[Self], bytes_max: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        for details in all {
            details.write(&mut |tag, value: &[u8]| {
                if bytes.len() + 8 + value.len() <= bytes_max {
                    bytes.extend_from_slice(&tag.to_le_bytes());
                    bytes.extend_from_slice(&details.rank.to_le_bytes());
                    bytes.extend_from_slice(&(value.len() as u32).to_le_bytes());
                    bytes.extend_from_slice(value);
                }
            });
        }
        bytes
    }

    fn write(&self, put: &mut dyn FnMut(u16, &[u8])) {
        for sketch in &self.sketches {
            let mut value = (sketch.kind as u32).to_le_bytes().to_vec();
            value.extend_from_slice(&i32::from(sketch.offset).to_le_bytes());
            value.extend_from_slice(&sketch.count.to_le_bytes());
            value.extend_from_slice(&sketch.sum_us.to_le_bytes());
            value.extend_from_slice(&sketch.max_us.to_le_bytes());
            value.extend_from_slice(bytemuck::cast_slice(&sketch.buckets));
            put(1, &value);
        }
        for finished in &self.finished {
            let count = finished.count.to_le_bytes();
            put(2, &[&count[..], super::bounded_name(&finished.reason).as_bytes()].concat());
        }
        for adapter in &self.adapters {
            let load = [adapter.running, adapter.waiting];
            let name = super::bounded_name(&adapter.name);
            put(3, &[bytemuck::bytes_of(&load), name.as_bytes()].concat());
        }
        if let Some(of) = &self.speculation {
            let numbers = [of.drafts, of.draft_tokens, of.accepted_tokens];
            let numbers = [&numbers[..], &of.accepted].concat();
            put(4, bytemuck::cast_slice(&numbers));
        }
        if let Some(of) = &self.transfer {
            let numbers = [of.transfers, of.bytes, of.failures, of.seconds.to_bits()];
            put(5, bytemuck::bytes_of(&numbers));
        }
    }

    /// What a batch says, within the same bounds.
    pub(super) fn from_wire(wire: wire::EngineDetails<'_>) -> Self {
        let mut details = Self {
            instance: wire.instance(),
            incarnation: wire.incarnation(),
            rank: wire.rank(),
            producer: wire.producer(),
            ..Self::default()
        };
        for sketch in wire.sketches().into_iter().flatten().filter_map(sketch_of) {
            if details.sketch(sketch.kind).is_none() {
                details.sketches.push(sketch);
            }
        }
        let text = |text: Option<&str>| super::bounded_name(text.unwrap_or_default()).to_owned();
        let finished = wire.finished().into_iter().flatten().take(REASONS_MAX);
        let finished = finished.map(|of| Finished { reason: text(of.reason()), count: of.count() });
        details.finished = finished.collect();
        let adapters = wire.adapters().into_iter().flatten().take(ADAPTERS_MAX).map(|of| Adapter {
            name: text(of.name()),
            running: of.running(),
            waiting: of.waiting(),
        });
        details.adapters = adapters.collect();
        details.speculation = wire.speculation().map(|of| Speculation {
            drafts: of.drafts(),
            draft_tokens: of.draft_tokens(),
            accepted_tokens: of.accepted_tokens(),
            accepted: of.accepted().into_iter().flatten().take(POSITIONS_MAX).collect(),
        });
        let transfer = wire.transfer().map(|of| Transfer {
            transfers: of.transfers(),
            bytes: of.bytes(),
            failures: of.failures(),
            seconds: of.seconds(),
        });
        details.transfer = transfer.filter(|of| of.seconds.is_finite() && of.seconds >= 0.0);
        let devices = wire.devices().into_iter().flatten().take(ENGINE_DEVICES_MAX);
        details.devices = devices.map(DeviceLoad::from_wire).collect();
        details
    }

    /// Stands for rank and producer where the engine's agent says it.
    pub const BY_AGENT: u16 = u16::MAX;

    /// The sketch of this kind.
    #[must_use]
    pub fn sketch(&self, kind: SketchKind) -> Option<&Sketch> {
        self.sketches.iter().find(|sketch| sketch.kind == kind)
    }

    /// At most how many bytes this takes in a batch.
    #[must_use]
    pub fn bytes_max(&self) -> usize {
        let sketches = self.sketches.iter().map(|sketch| 72 + 4 * sketch.buckets.len());
        let finished = self.finished.iter().map(|finished| 48 + finished.reason.len());
        let adapters = self.adapters.iter().map(|adapter| 48 + adapter.name.len());
        let positions = self.speculation.as_ref().map_or(0, |of| 8 * of.accepted.len());
        let devices = self.devices.iter().map(DeviceLoad::bytes_max);
        256 + positions + sketches.chain(finished).chain(adapters).chain(devices).sum::<usize>()
    }
}

/// The first entry and what follows it.
fn entry(bytes: &[u8]) -> Option<(u16, u16, &[u8], &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<8>()?;
    let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
    let (value, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    Some((
        u16::from_le_bytes([head[0], head[1]]),
        u16::from_le_bytes([head[2], head[3]]),
        value,
        rest,
    ))
}

fn sketch_of(wire: wire::Sketch<'_>) -> Option<Sketch> {
    let buckets = wire.buckets().into_iter().flatten();
    let sketch = Sketch {
        kind: SketchKind::from_number(wire.kind().0)?,
        offset: wire.offset(),
        count: wire.count(),
        sum_us: wire.sum_us(),
        max_us: wire.max_us(),
        buckets: buckets.take(usize::from(super::BUCKETS_MAX) + 1).collect(),
    };
    sketch.checked()
}

/// A sketch; none where its kind is not known; nothing where it is malformed.
fn read_sketch(value: &[u8]) -> Option<Option<Sketch>> {
    let (head, buckets) = value.split_first_chunk::<32>()?;
    let [kind, offset]: [u32; 2] = bytemuck::pod_read_unaligned(&head[..8]);
    let [count, sum, max]: [u64; 3] = bytemuck::pod_read_unaligned(&head[8..]);
    let (buckets, rest) = buckets.as_chunks::<4>();
    if !rest.is_empty() || buckets.len() > usize::from(super::BUCKETS_MAX) {
        return None;
    }
    let Some(kind) = SketchKind::from_number(kind as u16) else { return Some(None) };
    let sketch = Sketch {
        kind,
        offset: u16::try_from(offset).ok()?,
        count,
        sum_us: f64::from_bits(sum),
        max_us: f64::from_bits(max),
        buckets: buckets.iter().map(|bucket| u32::from_le_bytes(*bucket)).collect(),
    };
    sketch.checked().map(Some)
}

/// A name for people: some characters, none that drives a terminal.
fn name(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    let fits = (1..=NAME_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control);
    fits.then(|| text.to_owned())
}

fn numbers(value: &[u8]) -> Option<Vec<u64>> {
    let (numbers, rest) = value.as_chunks::<8>();
    let fits = rest.is_empty() && numbers.len() <= 3 + POSITIONS_MAX;
    fits.then(|| numbers.iter().map(|number| u64::from_le_bytes(*number)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn full(rank: u16) -> EngineDetails {
        let mut sketch = Sketch::new(SketchKind::Ttft);
        [90_000.0, 140_000.0, 1e7].iter().for_each(|us| sketch.add(*us, 2));
        EngineDetails {
            rank,
            sketches: vec![sketch, Sketch::new(SketchKind::EndToEnd)],
            finished: vec![Finished { reason: "stop".into(), count: 7 }],
            adapters: vec![Adapter { name: "tuned".into(), running: 1, waiting: 2 }],
            speculation: Some(Speculation {
                drafts: 1,
                draft_tokens: 4,
                accepted_tokens: 3,
                accepted: vec![2, 1],
            }),
            transfer: Some(Transfer { transfers: 5, bytes: 6, failures: 1, seconds: 0.5 }),
            ..EngineDetails::default()
        }
    }

    fn raw(tag: u16, rank: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = [tag.to_le_bytes(), rank.to_le_bytes()].concat();
        bytes.extend_from_slice(&(value.len() as u32).to_le_bytes());
        bytes.extend_from_slice(value);
        bytes
    }

    #[test]
    fn details_survive_the_trip_and_unknown_tags_are_passed_over() {
        let all = [full(0), full(3)];
        let mut bytes = raw(99, 0, b"later");
        bytes.extend(EngineDetails::write_all(&all, usize::MAX));
        assert_eq!(EngineDetails::read_all(&bytes), (all.to_vec(), 0));
    }

    #[test]
    fn what_does_not_fit_is_left_out_whole() {
        let bytes = EngineDetails::write_all(&[full(0)], 60);
        let (ranks, refused) = EngineDetails::read_all(&bytes);
        assert!(bytes.len() <= 60 && refused == 0 && ranks[0].finished.len() == 1);
    }

    #[test]
    fn what_lies_is_refused_and_counted() {
        let sketch = |offset: i32, sum: f64, buckets: usize| {
            let mut value = vec![1, 0, 0, 0];
            value.extend_from_slice(&offset.to_le_bytes());
            value.extend_from_slice(&1_u64.to_le_bytes());
            value.extend_from_slice(&sum.to_le_bytes());
            value.extend_from_slice(&0_f64.to_le_bytes());
            value.resize(32 + 4 * buckets, 1);
            value
        };
        let nan = f64::NAN.to_le_bytes();
        for (bytes, expected) in [
            (raw(1, 0, &sketch(0, 1.0, 3)), 0),
            ([raw(1, 0, &sketch(0, 1.0, 3)), raw(1, 0, &sketch(0, 1.0, 3))].concat(), 1),
            (raw(1, 0, &sketch(-1, 1.0, 3)), 1),
            (raw(1, 0, &sketch(1023, 1.0, 2)), 1),
            (raw(1, 0, &sketch(0, f64::INFINITY, 2)), 1),
            (raw(1, 0, &sketch(0, 1.0, 1025)), 1),
            (raw(1, 0, b"short"), 1),
            (raw(2, 0, &[0; 8]), 1),
            (raw(2, 0, b"12345678\x1b[2J"), 1),
            (raw(3, 0, b"1234"), 1),
            (raw(4, 0, &[0; 25]), 1),
            (raw(4, 0, &[0; 8 * 68]), 1),
            (raw(5, 0, &[&[0; 24][..], &nan].concat()), 1),
            (raw(2, 4096, b"12345678stop"), 1),
            (vec![1, 0, 0], 1),
            (vec![1, 0, 0, 0, 255, 255, 255, 255], 1),
        ] {
            assert_eq!(EngineDetails::read_all(&bytes).1, expected, "{bytes:?}");
        }
    }

    #[test]
    fn lists_are_bounded() {
        let reasons: Vec<u8> =
            (0..REASONS_MAX + 3).flat_map(|_| raw(2, 1, b"12345678stop")).collect();
        let adapters: Vec<u8> =
            (0..ADAPTERS_MAX + 4).flat_map(|_| raw(3, 1, b"12345678a")).collect();
        let (ranks, refused) = EngineDetails::read_all(&[reasons, adapters].concat());
        assert_eq!((ranks.len(), refused), (1, 7));
        let many: Vec<u8> = (0..2000).flat_map(|rank| raw(77, rank, b"")).collect();
        assert_eq!(EngineDetails::read_all(&many).0.len(), DETAIL_RANKS_MAX);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 4 } else { 256 }, ..Default::default() })]

        #[test]
        fn bytes_that_say_anything_are_read_within_bounds(
            bytes in prop::collection::vec(any::<u8>(), 0..400),
            flip in any::<prop::sample::Index>(),
        ) {
            let _ = EngineDetails::read_all(&bytes);
            let mut good = EngineDetails::write_all(&[full(0), full(1)], usize::MAX);
            let at = flip.index(good.len());
            good[at] ^= bytes.first().copied().unwrap_or(1);
            for details in EngineDetails::read_all(&good).0 {
                for sketch in &details.sketches {
                    prop_assert!(sketch.quantile(0.99).is_none_or(f64::is_finite));
                }
            }
        }
    }
}
