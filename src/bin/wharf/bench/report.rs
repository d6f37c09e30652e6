//! What was measured, and as JSON.

use super::machine::{self, Machine};
use super::one_core::{Case, Place};
use super::scaling::{Growth, Step};
use super::timing::{Figure, ROUNDS, RUNS};
use serde_json::{Value, json};
use wharf::checksum::Variant;

pub(super) struct Report {
    pub(super) machine: Machine,
    /// The CPUs measured on; one core is the first.
    pub(super) cores: Vec<usize>,
    pub(super) rules: u32,
    pub(super) flows: u32,
    pub(super) one_core: Vec<Case>,
    pub(super) scaling: Vec<Growth>,
}

impl Report {
    /// Whether some figures say little.
    pub(super) fn is_unsteady(&self) -> bool {
        let stages = self.one_core.iter().map(|case| &case.stages);
        let mut stages = stages.flat_map(|s| [s.hand_over, s.read, s.demux, s.count, s.all]);
        let mut steps = self.scaling.iter().flat_map(|growth| &growth.steps);
        stages.any(Figure::is_unsteady) || steps.any(|step| step.mpps.is_unsteady())
    }

    pub(super) fn json(&self) -> anyhow::Result<String> {
        let available: Vec<_> = Variant::all_available().map(Variant::name).collect();
        let report = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "optimised": !cfg!(debug_assertions),
            "machine": {
                "cpu": self.machine.cpu,
                "cores": self.cores,
                "l2_bytes": self.machine.l2,
                "last_level_bytes": self.machine.last_level,
            },
            "checksum": {
                "variant": Variant::chosen().name(),
                "why": machine::why_this_variant(),
                "available": available,
            },
            "parse": { "lanes": wharf::batch::lanes().map(wharf::batch::Lanes::name) },
            "rules": self.rules,
            "flows": self.flows,
            "rounds": ROUNDS,
            "engine_runs": RUNS,
            "unsteady": self.is_unsteady(),
            "one_core": self.one_core.iter().map(case).collect::<Vec<_>>(),
            "scaling": self.scaling.iter().map(growth).collect::<Vec<_>>(),
        });
        Ok(serde_json::to_string(&report)? + "\n")
    }
}

/// The name of a place, or of the engine's runs.
pub(super) fn name(place: Option<Place>) -> &'static str {
    match place {
        Some(Place::Cache) => "L2",
        Some(Place::Memory) => "memory",
        None => "engine",
    }
}

fn figure(figure: Figure) -> Value {
    let rounded = |value: f64| (value * 1_000.0).round() / 1_000.0;
    json!({ "median": rounded(figure.median), "spread": rounded(figure.spread) })
}

fn case(case: &Case) -> Value {
    let Case { shape, place, bytes, promise, stages } = case;
    let mpps = 1_000.0 / stages.all.median;
    let (named, rest) = promise.named_and_rest();
    json!({
        "shape": shape,
        "working_set": name(Some(*place)),
        "working_set_bytes": bytes,
        "distinct": {
            "packets": promise.total.frames,
            "bytes": promise.total.bytes,
            "good_checksums": promise.good,
            "named_by_a_rule": named,
            "rest": rest,
        },
        "nanoseconds": {
            "hand_over": figure(stages.hand_over),
            "parse_verify": figure(stages.read),
            "demux": figure(stages.demux),
            "count": figure(stages.count),
            "all": figure(stages.all),
        },
        "mpps": mpps,
        "line_rate_gbit": promise.line_rate(mpps),
    })
}

fn growth(growth: &Growth) -> Value {
    let step = |step: &Step| {
        json!({
            "cores": step.cores,
            "mpps": figure(step.mpps),
            "ratio": figure(step.ratio),
            "line_rate_gbit": growth.promise.line_rate(step.mpps.median),
        })
    };
    json!({
        "shape": growth.shape,
        "working_set": name(growth.place),
        "steps": growth.steps.iter().map(step).collect::<Vec<_>>(),
    })
}
