//! Races: contestants measured side by side, in the same minute of the same
//! process, since a shared machine moves by factors from one to the next.
//!
//! Criterion shows each contestant by itself. Then come rounds in which every
//! contestant runs once, the order turning with the round. The table gives the
//! median of the ratios within rounds, how far the middle half of them spreads,
//! and each one's best round: where the spread is wide, the median tells of the
//! scheduler. The first contestant's own code runs once more under the name
//! `the first again`: how far it is from 1.00× is what a ratio is worth here.

use std::time::Duration;

use criterion::Criterion;
use eagle_eye::platform::clock::monotonic_ns;

/// Rounds of a race; odd, so that a median is a round's own figure.
const ROUNDS: usize = 201;

/// About how long one contestant runs in one round, ns. Short, so that most
/// rounds are over before the machine turns to somebody else.
const ROUND_NS: u64 = 1_000_000;

/// How often a contestant is timed to size its rounds; the best counts, so
/// that one disturbed look does not shorten all of them.
const SIZINGS: usize = 5;

/// Contestants for the same job. The first is what the others are compared to.
pub(crate) struct Race {
    title: &'static str,
    contestants: Vec<Contestant>,
    left_out: Vec<(&'static str, &'static str)>,
}

struct Contestant {
    name: &'static str,
    /// Operations in one iteration.
    operations: u64,
    /// Runs this many iterations and says how long they took, ns.
    run: Box<dyn FnMut(u64) -> u64>,
}

impl Race {
    /// A race without contestants.
    pub(crate) fn new(title: &'static str) -> Self {
        Self { title, contestants: Vec::new(), left_out: Vec::new() }
    }

    /// One that does `operations` in every call.
    pub(crate) fn enter<R>(
        &mut self,
        name: &'static str,
        operations: u64,
        mut act: impl FnMut() -> R + 'static,
    ) {
        self.enter_timed(name, operations, move |iterations| {
            let start = monotonic_ns();
            for _ in 0..iterations {
                std::hint::black_box(act());
            }
            monotonic_ns() - start
        });
    }

    /// One that times its iterations itself.
    pub(crate) fn enter_timed(
        &mut self,
        name: &'static str,
        operations: u64,
        run: impl FnMut(u64) -> u64 + 'static,
    ) {
        self.contestants.push(Contestant { name, operations, run: Box::new(run) });
    }

    /// A baseline that cannot take part, and why.
    pub(crate) fn leave_out(&mut self, name: &'static str, reason: &'static str) {
        self.left_out.push((name, reason));
    }

    /// Shows each with criterion, then all of them in rounds.
    pub(crate) fn run(mut self, criterion: &mut Criterion) {
        let mut wanted = false;
        let mut group = criterion.benchmark_group(self.title);
        for contestant in &mut self.contestants {
            group.bench_function(contestant.name, |bencher| {
                wanted = true;
                bencher
                    .iter_custom(|iterations| Duration::from_nanos((contestant.run)(iterations)));
            });
        }
        group.finish();
        // Criterion runs only what its filter lets through. Where it merely
        // tries the code, so do we.
        if wanted
            && !self.contestants.is_empty()
            && std::env::args().any(|argument| argument == "--bench")
        {
            self.race();
        }
    }

    fn race(&mut self) {
        let iterations: Vec<u64> =
            self.contestants.iter_mut().map(Contestant::iterations).collect();
        // One more than there are: the first runs again, at the end.
        let count = self.contestants.len() + 1;
        let mut rounds = vec![vec![0.0; count]; ROUNDS];
        for (turn, round) in rounds.iter_mut().enumerate() {
            for at in 0..count {
                let at = (at + turn) % count;
                let contestant = at % (count - 1);
                round[at] = self.contestants[contestant].nanoseconds_each(iterations[contestant]);
            }
        }
        self.show(&rounds);
    }

    fn show(&self, rounds: &[Vec<f64>]) {
        println!("\n{}, side by side, {} rounds", self.title, rounds.len());
        println!(
            "{:<36} {:>10} {:>10} {:>8} {:>14} {:>8}",
            "", "best ns", "median ns", "ratio", "middle half", "of best"
        );
        let best = |at: usize| rounds.iter().map(|round| round[at]).fold(f64::MAX, f64::min);
        let names = self.contestants.iter().map(|contestant| contestant.name);
        for (at, name) in names.chain(["the first again"]).enumerate() {
            let times = rounds.iter().map(|round| round[at]).collect();
            let ratios = rounds.iter().map(|round| round[at] / round[0]).collect();
            let (low, ratio, high) = quartiles(ratios);
            println!(
                "{name:<36} {:>10.2} {:>10.2} {ratio:>7.2}× {:>14} {:>7.2}×",
                best(at),
                quartiles(times).1,
                format!("{low:.2}–{high:.2}"),
                best(at) / best(0)
            );
        }
        for (name, reason) in &self.left_out {
            println!("{name:<36} left out: {reason}");
        }
        println!();
    }
}

impl Contestant {
    /// How many iterations fill a round.
    fn iterations(&mut self) -> u64 {
        let mut iterations = 1;
        loop {
            let took = (0..SIZINGS).map(|_| (self.run)(iterations)).min().unwrap_or(1).max(1);
            if took >= ROUND_NS / 4 {
                return (iterations * ROUND_NS / took).max(1);
            }
            iterations *= 4;
        }
    }

    fn nanoseconds_each(&mut self, iterations: u64) -> f64 {
        (self.run)(iterations) as f64 / (iterations * self.operations) as f64
    }
}

fn quartiles(mut numbers: Vec<f64>) -> (f64, f64, f64) {
    numbers.sort_by(f64::total_cmp);
    let at = |share: usize| numbers[(numbers.len() - 1) * share / 4];
    (at(1), at(2), at(3))
}

/// Criterion, set for a table that is there within minutes.
pub(crate) fn criterion() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(600))
        .configure_from_args()
}
