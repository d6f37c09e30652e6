//! `wharf bench`: its shape and its counts; figures are not judged here.

use super::{run, told, wharf};
use serde_json::Value;

/// So short, and with so little memory, that the figures mean nothing.
const SHORT: [&str; 5] = ["bench", "--seconds", "0.2", "--memory", "8m"];

fn measured(more: &[&'static str]) -> Value {
    let (code, out, err) = run(SHORT.into_iter().chain(["--json"]).chain(more.iter().copied()));
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert_eq!(out.lines().count(), 1);
    serde_json::from_str(&out).unwrap()
}

fn positive(figure: &Value) -> bool {
    figure.as_f64().is_some_and(|figure| figure > 0.0 && figure.is_finite())
}

#[test]
fn json_has_every_case_with_its_counts() {
    let report = measured(&["--rules", "100"]);
    assert_eq!((report["rules"].as_u64(), report["rounds"].as_u64()), (Some(100), Some(9)));
    let available: Vec<_> = report["checksum"]["available"].as_array().unwrap().clone();
    assert!(available.contains(&report["checksum"]["variant"]), "{report}");
    let lanes = wharf::batch::lanes().map(wharf::batch::Lanes::name);
    assert_eq!(report["parse"]["lanes"].as_str(), lanes, "{report}");

    let cases = report["one_core"].as_array().unwrap();
    let names: Vec<_> = cases.iter().map(|case| (&case["shape"], &case["working_set"])).collect();
    let expected = ["64 B", "imix", "1518 B", "IPv6, VLAN"].map(Value::from);
    let places = ["L2", "memory"].map(Value::from);
    let expected: Vec<_> =
        expected.iter().flat_map(|shape| places.iter().map(move |place| (shape, place))).collect();
    assert_eq!(names, expected);
    for case in cases {
        for stage in ["hand_over", "parse_verify", "demux", "count", "all"] {
            assert!(positive(&case["nanoseconds"][stage]["median"]), "{stage} {case}");
            assert!(case["nanoseconds"][stage]["spread"].as_f64().unwrap() >= 0.0, "{stage} {case}");
        }
        let count = |name: &str| case["distinct"][name].as_u64().unwrap();
        assert!(count("packets") >= 256 && count("packets") % 256 == 0, "{case}");
        assert_eq!(count("good_checksums"), count("packets"), "{case}");
        assert_eq!(count("named_by_a_rule") + count("rest"), count("packets"), "{case}");
        assert!(count("named_by_a_rule") > 0, "{case}");
        let (mpps, nanoseconds) = (case["mpps"].as_f64().unwrap(), &case["nanoseconds"]["all"]["median"]);
        assert!((mpps * nanoseconds.as_f64().unwrap() / 1_000.0 - 1.0).abs() < 0.01, "{case}");
        // On the wire each frame has 24 bytes more than in memory: check sequence, preamble, gap.
        let bits = 8.0 * (count("bytes") as f64 / count("packets") as f64 + 24.0);
        let rate = case["line_rate_gbit"].as_f64().unwrap();
        assert!((rate * 1_000.0 / (mpps * bits) - 1.0).abs() < 0.01, "{case}");
    }
    assert_eq!(cases[0]["distinct"]["bytes"], cases[0]["distinct"]["packets"].as_u64().unwrap() * 60);
    assert!(
        cases[1]["working_set_bytes"].as_u64()
            > cases[0]["working_set_bytes"].as_u64().map(|bytes| 4 * bytes)
    );
}

#[test]
fn cores_are_those_asked_for() {
    let all = measured(&[]);
    let cores: Vec<_> = all["machine"]["cores"].as_array().unwrap().clone();
    let first = cores[0].to_string();
    let growths = all["scaling"].as_array().unwrap();
    for growth in growths {
        let steps = growth["steps"].as_array().unwrap();
        assert_eq!((steps[0]["cores"].as_u64(), steps[0]["ratio"]["median"].as_f64()), (Some(1), Some(1.0)));
        assert_eq!(steps.last().unwrap()["cores"], cores.len(), "{growth}");
        assert!(steps.iter().all(|step| positive(&step["mpps"]["median"])), "{growth}");
    }

    let one = SHORT.into_iter().chain(["--json", "--cores", first.as_str()]);
    let (code, out, err) = told(wharf(one).output().unwrap());
    assert_eq!(code, 0, "{err}");
    let one: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(one["machine"]["cores"].to_string(), format!("[{first}]"));
    let places: Vec<_> =
        one["scaling"].as_array().unwrap().iter().map(|growth| &growth["working_set"]).collect();
    assert_eq!(places, ["engine", "engine"]);
}

#[test]
fn the_table_says_what_runs_and_why() {
    let output = wharf(SHORT).env("WHARF_CHECKSUM", "wide").output().unwrap();
    let (code, out, err) = told(output);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(out.contains("checksums  wide: WHARF_CHECKSUM says so; this CPU has scalar, wide"), "{out}");
    assert!(out.contains("headers    one by one"), "{out}");
    for column in ["hand-over", "parse+verify", "demux", "count", "Mpps", "Gbit/s"] {
        assert!(out.contains(column), "{column}\n{out}");
    }
    assert!(out.lines().any(|line| line.starts_with("1518 B      memory")), "{out}");
    assert!(out.lines().all(|line| line.chars().count() <= 120), "{out}");
}

#[test]
fn what_cannot_be_measured_on_is_refused() {
    for (arguments, code, reason) in [
        ("bench --seconds 0", 2, "not from 100ms to 3600s"),
        ("bench --seconds 2h", 2, "not from 100ms to 3600s"),
        ("bench --rules 65537", 2, "--rules"),
        ("bench --flows 0", 2, "--flows"),
        ("bench --cores 0,0", 2, "CPU 0 is named twice"),
        ("bench --cores 60000", 1, "cannot run on CPU 60000"),
    ] {
        let (found, out, err) = run(arguments.split(' '));
        assert_eq!((found, out.as_str()), (code, ""), "{arguments}: {err}");
        assert!(err.contains(reason) && err.lines().count() == 1, "{arguments}: {err}");
    }
}
