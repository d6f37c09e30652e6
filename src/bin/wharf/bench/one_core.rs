//! One core: each stage by itself, and all of them.

use super::frames::Frames;
use super::line::{Counts, Line};
use super::shape::{Promise, Rules, Shape};
use super::timing::{Figure, ROUNDS, pace};
use std::hint::black_box;
use std::time::Duration;
use wharf::batch::Summary;
use wharf::demux::{OutputId, PortMap};
use wharf::frame::Record;
use wharf::source::synthetic::{Synthetic, Traffic};

/// Timed pieces in a round of one shape: three stages that read frames, in two places; and two that read what was
/// found.
pub(super) const PIECES: u32 = 8;

/// Where frames lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In the second cache of a core, from the pass before.
    Cache,
    /// In more memory than all caches hold, so that each frame comes from there.
    Memory,
}

/// Nanoseconds a packet.
pub(super) struct Stages {
    pub(super) hand_over: Figure,
    pub(super) read: Figure,
    pub(super) demux: Figure,
    pub(super) count: Figure,
    pub(super) all: Figure,
}

/// A shape of traffic in one place.
pub(super) struct Case {
    pub(super) shape: &'static str,
    pub(super) place: Place,
    /// Bytes of all frames.
    pub(super) bytes: usize,
    pub(super) promise: Promise,
    pub(super) stages: Stages,
}

/// Measures a shape in both places, the stages in turn in each round. `slab` is memory to use again.
pub(super) fn measure(
    shape: &Shape,
    rules: Rules,
    map: &PortMap,
    memory: usize,
    slice: Duration,
    slab: &mut Vec<u8>,
) -> [Case; 2] {
    check_answers(shape, rules, map);
    let source = Synthetic::new(&shape.traffic);
    let promise = Promise::of(&source, rules);
    let mut places = [
        (Place::Cache, Frames::new(&source, 0, Vec::new())),
        (Place::Memory, Frames::new(&source, memory, std::mem::take(slab))),
    ];
    let mut line = Line::new(map);
    let found = found(&source, &mut line);
    assert_eq!(line.take(), promise, "{}: what was counted is not what was made", shape.name);

    let mut rounds: [[Vec<f64>; 3]; 2] = Default::default();
    let (mut demux, mut count) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        for ((_, frames), times) in places.iter_mut().zip(&mut rounds) {
            times[0].push(hand_over(frames, slice, &promise));
            times[1].push(read(&mut line, frames, slice, &promise));
            times[2].push(all(&mut line, frames, slice, &promise));
        }
        demux.push(route(map, &found, slice, &promise));
        count.push(tally(&found, slice, &promise));
    }
    let (demux, count) = (Figure::of(demux), Figure::of(count));
    let mut rounds = rounds.into_iter();
    places.map(|(place, frames)| {
        let [hand_over, read, all] = rounds.next().unwrap_or_default().map(Figure::of);
        let stages = Stages { hand_over, read, demux, count, all };
        let case = Case { shape: shape.name, place, bytes: frames.bytes(), promise, stages };
        *slab = frames.into_slab();
        case
    })
}

/// Damages some frames of this shape, and sees that they are found, and that every packet comes to its output: a stage
/// that skipped its work would be fast.
fn check_answers(shape: &Shape, rules: Rules, map: &PortMap) {
    let source = Synthetic::new(&Traffic { bad_percent: 3, ..shape.traffic.clone() });
    let promise = Promise::of(&source, rules);
    let mut line = Line::new(map);
    Frames::new(&source, 0, Vec::new()).pass(|batch| line.all(batch));
    assert!(promise.bad > 0, "{}: no frame was damaged", shape.name);
    assert_eq!(line.take(), promise, "{}: what was counted is not what was made", shape.name);
}

/// What was found in a batch, where its packets went, and its records.
struct Found<'a> {
    summaries: Vec<Summary>,
    outputs: Vec<OutputId>,
    records: &'a [Record],
}

fn found<'a>(source: &'a Synthetic, line: &mut Line<'_>) -> Vec<Found<'a>> {
    let table = source.table();
    let mut found = Vec::new();
    let mut begin = 0;
    Frames::new(source, 0, Vec::new()).pass(|batch| {
        line.all(batch);
        let (findings, outputs) = line.last();
        let (summaries, outputs) = (findings.summaries().to_vec(), outputs.to_vec());
        found.push(Found { summaries, outputs, records: &table.records()[begin..begin + batch.len()] });
        begin += batch.len();
    });
    found
}

/// Batches are made and handed over; nobody looks at a frame.
fn hand_over(frames: &mut Frames<'_>, slice: Duration, promise: &Promise) -> f64 {
    let (mut packets, mut bytes) = (0, 0);
    let pace = pace(slice, || {
        frames.pass(|batch| {
            packets += batch.len() as u64;
            bytes += black_box(batch).captured();
        });
    });
    let total = promise.times(pace.turns).total;
    assert_eq!((packets, bytes), (total.frames, total.bytes));
    pace.nanos(promise.total.frames)
}

/// Batches are parsed and verified, handing over included. A pass before it brings back what other measurements have
/// driven out of the caches.
fn read(line: &mut Line<'_>, frames: &mut Frames<'_>, slice: Duration, promise: &Promise) -> f64 {
    frames.pass(|batch| line.read(batch));
    line.take_checksums();
    let pace = pace(slice, || frames.pass(|batch| line.read(batch)));
    let expected = promise.times(pace.turns);
    assert_eq!(line.take_checksums(), (expected.good, expected.bad));
    pace.nanos(promise.total.frames)
}

/// The whole line.
fn all(line: &mut Line<'_>, frames: &mut Frames<'_>, slice: Duration, promise: &Promise) -> f64 {
    frames.pass(|batch| line.all(batch));
    line.take();
    let pace = pace(slice, || frames.pass(|batch| line.all(batch)));
    assert_eq!(line.take(), promise.times(pace.turns));
    pace.nanos(promise.total.frames)
}

fn route(map: &PortMap, found: &[Found<'_>], slice: Duration, promise: &Promise) -> f64 {
    let mut outputs = Vec::new();
    let mut pass = || {
        for batch in found {
            map.route(black_box(&batch.summaries), &mut outputs);
            black_box(&outputs);
        }
    };
    pass();
    let pace = pace(slice, pass);
    assert_eq!(found.last().map(|batch| &batch.outputs), Some(&outputs));
    pace.nanos(promise.total.frames)
}

fn tally(found: &[Found<'_>], slice: Duration, promise: &Promise) -> f64 {
    let mut counts = Counts::default();
    let mut pass = || found.iter().for_each(|batch| counts.add(black_box(&batch.outputs), batch.records));
    pass();
    let pace = pace(slice, pass);
    assert_eq!(counts.outputs(), promise.times(pace.turns + 1).outputs);
    pace.nanos(promise.total.frames)
}
