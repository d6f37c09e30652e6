//! Several cores: the stages in memory, each core with frames of its own; and whole runs of the engine.

use super::frames::Frames;
use super::line::Line;
use super::one_core::Place;
use super::shape::{Promise, Rules, Shape};
use super::timing::{Figure, ROUNDS, RUNS, pace};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};
use wharf::demux::PortMap;
use wharf::engine::Engine;
use wharf::sink::Count;
use wharf::source::synthetic::{Synthetic, Traffic};

/// How one kind of work grows with the cores.
pub(super) struct Growth {
    pub(super) shape: &'static str,
    /// Where the frames lie that the stages read in a loop; `None` for whole runs of the engine.
    pub(super) place: Option<Place>,
    pub(super) promise: Promise,
    pub(super) steps: Vec<Step>,
}

/// So many cores.
pub(super) struct Step {
    pub(super) cores: usize,
    /// Million packets a second.
    pub(super) mpps: Figure,
    /// Times as many as one core in the same round.
    pub(super) ratio: Figure,
}

/// 1, 2, 4, ... and all of them.
pub(super) fn steps(cores: usize) -> Vec<usize> {
    let powers = std::iter::successors(Some(1), |step| Some(step * 2)).take_while(|&step| step < cores);
    powers.chain([cores]).collect()
}

/// Of the rates of each round, a list for each step.
fn growth(steps: &[usize], rates: &[Vec<f64>]) -> Vec<Step> {
    let one = &rates[0];
    let of = |(&cores, rates): (&usize, &Vec<f64>)| {
        let ratios = rates.iter().zip(one).map(|(rate, one)| rate / one).collect();
        Step { cores, mpps: Figure::of(rates.clone()), ratio: Figure::of(ratios) }
    };
    steps.iter().zip(rates).map(of).collect()
}

/// What a worker did in one of the times it ran.
struct Share {
    step: usize,
    /// Million packets a second.
    mpps: f64,
    as_promised: bool,
}

/// The stages on the first one, two, ... of `cores`, each with `bytes` of frames of its own.
pub(super) fn in_memory(
    shape: &Shape,
    (place, bytes): (Place, usize),
    rules: Rules,
    map: &PortMap,
    cores: &[usize],
    slice: Duration,
) -> anyhow::Result<Growth> {
    let source = Synthetic::new(&shape.traffic);
    let promise = Promise::of(&source, rules);
    let steps = steps(cores.len());
    let barrier = Barrier::new(cores.len());
    let work = |place: usize| -> anyhow::Result<Vec<Share>> {
        // Nobody may leave before the others, which would wait for ever.
        let pinned = crate::cores::pin(cores[place]);
        let mut frames = Frames::new(&source, bytes, Vec::new());
        let mut line = Line::new(map);
        let mut shares = Vec::new();
        for _ in 0..ROUNDS {
            for (step, &active) in steps.iter().enumerate() {
                if place < active {
                    frames.pass(|batch| line.all(batch));
                }
                barrier.wait();
                if place < active {
                    line.take();
                    let pace = pace(slice, || frames.pass(|batch| line.all(batch)));
                    let as_promised = line.take() == promise.times(pace.turns);
                    let mpps = 1_000.0 / pace.nanos(promise.total.frames);
                    shares.push(Share { step, mpps, as_promised });
                }
                barrier.wait();
            }
        }
        pinned.map(|()| shares)
    };
    let shares = thread::scope(|scope| {
        let work = &work;
        let workers: Vec<_> = (0..cores.len()).map(|place| scope.spawn(move || work(place))).collect();
        let join = |worker: thread::ScopedJoinHandle<'_, anyhow::Result<Vec<Share>>>| {
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        workers.into_iter().map(join).collect::<anyhow::Result<Vec<_>>>()
    })?;
    let mut rates = vec![vec![0.0; ROUNDS]; steps.len()];
    for worker in shares {
        let mut rounds = vec![0..ROUNDS; steps.len()];
        for Share { step, mpps, as_promised } in worker {
            assert!(as_promised, "{}: what was counted is not what was made", shape.name);
            if let Some(round) = rounds[step].next() {
                rates[step][round] += mpps;
            }
        }
    }
    Ok(Growth { shape: shape.name, place: Some(place), promise, steps: growth(&steps, &rates) })
}

/// Whole runs from the synthetic source, which writes a record for each frame, to counts by port.
pub(super) fn through_engine(
    shape: &Shape,
    rules: Rules,
    cores: &[usize],
    slice: Duration,
) -> anyhow::Result<Growth> {
    let once = Synthetic::new(&shape.traffic);
    let promise = Promise::of(&once, rules);
    let frames = promise.total.frames;
    let passes = |passes: u64| {
        let source = Synthetic::new(&Traffic { frames: frames * passes, ..shape.traffic.clone() });
        let promise = promise.times(passes);
        move |cores: &[usize]| run(source.clone(), &promise, rules, cores)
    };
    // As many passes over the frames as fill the time on one core: more and more, since a run takes some time to begin.
    let mut many = (16_384 / frames).max(1);
    let run = loop {
        let run = passes(many);
        let micros = (frames * many) as f64 / run(&cores[..1])?;
        if micros * 1.5 >= slice.as_micros() as f64 {
            break run;
        }
        many = (many * 8).min((many as f64 * slice.as_micros() as f64 / micros) as u64 + 1);
    };
    let steps = steps(cores.len());
    let mut rates = vec![Vec::new(); steps.len()];
    for _ in 0..RUNS {
        for (&active, rates) in steps.iter().zip(&mut rates) {
            rates.push(run(&cores[..active])?);
        }
    }
    Ok(Growth { shape: shape.name, place: None, promise, steps: growth(&steps, &rates) })
}

/// Million packets a second of one run.
fn run(source: Synthetic, promise: &Promise, rules: Rules, cores: &[usize]) -> anyhow::Result<f64> {
    let (mut named, mut rest) = (Count::new(), Count::new());
    let mut builder = Engine::builder().source(source).cores(cores.iter().copied());
    if rules.0 > 0 {
        builder = builder.output(rules.together(), &mut named);
    }
    let builder = builder.rest(&mut rest);
    let begun = Instant::now();
    let report = builder.run()?;
    let elapsed = begun.elapsed();
    let (named, rest) = (named.table(), rest.table());
    assert_eq!((named.packets, rest.packets), promise.named_and_rest());
    assert_eq!(named.bytes + rest.bytes, promise.total.bytes);
    assert_eq!(report.checksums.l4.of(wharf::verify::Verdict::Good), promise.good);
    Ok(promise.total.frames as f64 / elapsed.as_secs_f64() / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_double_and_end_with_all() {
        for (cores, expected) in [(1, &[1][..]), (2, &[1, 2]), (3, &[1, 2, 3]), (8, &[1, 2, 4, 8])] {
            assert_eq!(steps(cores), expected);
        }
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        let steps = growth(&[1, 2], &[vec![10.0, 20.0, 40.0], vec![20.0, 40.0, 80.0]]);
        assert_eq!((steps[1].cores, steps[1].mpps.median), (2, 40.0));
        assert_eq!(steps[1].ratio, Figure { median: 2.0, spread: 0.0 });
    }
}
