//! Who may use whom: the directions of the design, held against every `use` and path in the source.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Each module of the library, and the other modules it may name.
const MAY_USE: &[(&str, &[&str])] = &[
    ("frame", &[]),
    ("checksum", &[]),
    ("sys", &[]),
    ("duration", &[]),
    // Prefetching.
    ("ring", &["sys"]),
    // The synthetic source builds what it hands out.
    ("source", &["frame", "sys", "build"]),
    ("parse", &["frame", "checksum"]),
    ("build", &["frame", "checksum"]),
    ("verify", &["frame", "parse", "checksum"]),
    // Which of many was used longest ago.
    ("recency", &[]),
    // Any may give its error, by the name that the crate's root has for it.
    ("value", &[]),
    // The kernel's instructions, and their interpreter.
    ("filter", &["frame", "parse", "batch", "sys"]),
    // Both stages for a whole batch.
    ("batch", &["frame", "parse", "verify", "checksum", "sys"]),
    // A rule may be a filter.
    ("demux", &["parse", "batch", "filter"]),
    // Prefetching, too.
    ("flow", &["frame", "parse", "verify", "batch", "checksum", "sys", "recency"]),
    // Types; from demux the rule by which a packet has one port; to transmit, sockets, and sums brought up to date.
    ("sink", &["frame", "parse", "verify", "batch", "flow", "demux", "checksum", "sys"]),
    // Looks at the host, not at packets.
    ("doctor", &["sys"]),
    // Times; port rules; what a client's first bytes are; the CRC32c of PROXY headers.
    ("proxy", &["demux", "parse", "sys", "checksum", "duration", "recency"]),
    // The only place that knows the order.
    ("engine", &["frame", "source", "parse", "verify", "batch", "filter", "demux", "sink", "ring", "sys"]),
];

/// What the stages do, by module: called by the engine, and by what does two of them at once for it.
const STAGES: &[(&str, &[&str])] =
    &[("parse", &["parse", "parse_into"]), ("verify", &["verify", "verify_into"])];

/// Files that call a stage all the same.
const CALLERS: &[&str] = &[
    // Looks at copies of a few packets again, in the order in which they came.
    "flow/names/notes.rs",
];

/// Names the rules broken by a file of `module`, `depth` modules below the crate's root.
fn offences(module: &str, depth: usize, source: &str) -> Vec<String> {
    let code = code_of(source);
    let mut offences = Vec::new();
    let allowed = MAY_USE.iter().find(|(name, _)| *name == module).map_or(&[][..], |(_, allowed)| allowed);
    let is_module = |name: &str| MAY_USE.iter().any(|(known, _)| *known == name);
    let root = ["crate::".to_owned(), "super::".repeat(depth)];
    for prefix in root {
        for (at, _) in code.match_indices(&prefix) {
            for name in names_at(&code[at + prefix.len()..]) {
                if is_module(&name) && name != module && !allowed.contains(&name.as_str()) {
                    offences.push(format!("{module} uses {name}"));
                }
            }
        }
    }
    offences
}

/// Names the stages that a file of `module` calls, or takes a name for.
fn calls(module: &str, source: &str) -> Vec<String> {
    let code = code_of(source);
    let mut calls = Vec::new();
    for (stage, functions) in STAGES.iter().filter(|(stage, _)| *stage != module) {
        let prefix = format!("{stage}::");
        for (at, _) in code.match_indices(&prefix) {
            // The end of another name.
            if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
                continue;
            }
            let behind = &code[at + prefix.len()..];
            // All names are these, too.
            if behind.starts_with('*')
                || names_at(behind).iter().any(|name| functions.contains(&name.as_str()))
            {
                calls.push(format!("{module} calls {stage}"));
            }
        }
    }
    if ["engine", "batch"].contains(&module) { Vec::new() } else { calls }
}

/// The first name of each path that begins here: of one path, or of a list in braces.
fn names_at(code: &str) -> Vec<String> {
    let name = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let Some(list) = code.strip_prefix('{') else { return vec![name(code)] };
    let (mut names, mut level, mut fresh) = (Vec::new(), 0, true);
    for (at, c) in list.char_indices() {
        match c {
            '{' => level += 1,
            '}' if level == 0 => break,
            '}' => level -= 1,
            ',' if level == 0 => fresh = true,
            _ if fresh && !c.is_whitespace() => {
                names.push(name(&list[at..]));
                fresh = false;
            }
            _ => {}
        }
    }
    names
}

/// Without comments, and without a file's own tests, which may reach for anything.
fn code_of(source: &str) -> String {
    // Where they are a file of their own, the code may stand below the line that says so.
    let before_tests = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = before_tests.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| match path.is_dir() {
            true => rust_files(&path),
            false => vec![path],
        })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

/// The library's files by module, with their depth below the crate's root.
fn library() -> BTreeMap<String, Vec<(PathBuf, usize)>> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for path in rust_files(&src) {
        let inside = path.strip_prefix(&src).unwrap().with_extension("");
        let mut names: Vec<_> = inside.iter().map(|name| name.to_str().unwrap()).collect();
        if names.last() == Some(&"mod") {
            names.pop();
        }
        // A file of tests may reach for anything.
        if names[0] != "lib" && names[0] != "bin" && names.last() != Some(&"tests") {
            files.entry(names[0].to_owned()).or_default().push((path.clone(), names.len()));
        }
    }
    files
}

#[test]
fn modules_use_only_what_the_table_allows() {
    let mut found = Vec::new();
    for (module, files) in library() {
        for (path, depth) in files {
            let source = fs::read_to_string(&path).unwrap();
            let mut offences = offences(&module, depth, &source);
            if !CALLERS.iter().any(|caller| path.ends_with(caller)) {
                offences.extend(calls(&module, &source));
            }
            found.extend(offences.into_iter().map(|what| format!("{}: {what}", path.display())));
        }
    }
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn the_table_names_every_module_and_no_other() {
    let mut named: Vec<_> = MAY_USE.iter().map(|(name, _)| (*name).to_owned()).collect();
    named.sort();
    assert_eq!(named, library().into_keys().collect::<Vec<_>>());
}

#[test]
fn the_table_has_no_cycles() {
    let mut settled: Vec<&str> = Vec::new();
    while let Some((module, _)) = MAY_USE
        .iter()
        .find(|(module, uses)| !settled.contains(module) && uses.iter().all(|used| settled.contains(used)))
    {
        settled.push(module);
    }
    assert_eq!(settled.len(), MAY_USE.len(), "only these can be put in order: {settled:?}");
}

#[test]
fn the_binary_takes_in_no_other_file_and_nothing_public_is_hidden() {
    let bin = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bin");
    for path in rust_files(&bin) {
        let code = code_of(&fs::read_to_string(&path).unwrap());
        assert!(!code.contains("#[path") && !code.contains("include!"), "{}", path.display());
    }
    // What is public is in the documentation: nothing is let out for the binary alone.
    for (path, _) in library().into_values().flatten() {
        let code = code_of(&fs::read_to_string(&path).unwrap());
        assert!(!code.contains("doc(hidden)"), "{}", path.display());
    }
}

#[test]
fn a_broken_rule_is_found() {
    for (module, depth, source) in [
        ("parse", 2, "use crate::sink::Sink;"),
        ("parse", 2, "fn f() { crate::engine::Engine::builder(); }"),
        ("frame", 1, "use super::parse::Layers;"),
        ("sink", 3, "use super::super::super::engine::Engine;"),
        ("demux", 2, "use crate::{parse::{Layers, Packet}, source::Source};"),
        ("sink", 2, "let layers = parse::parse(&frame);"),
        ("sink", 2, "use crate::parse::parse;\nfn f() { parse(&frame); }"),
        ("flow", 2, "use crate::parse::{Packet, parse_into as read};"),
        ("flow", 2, "use crate::{frame::Frame, parse::{parse, Packet}};"),
        ("sink", 2, "use crate::verify::{Verdicts, verify};"),
        ("sink", 2, "use crate::verify::verify_into;"),
        ("sink", 2, "use crate::parse::*;"),
        ("flow", 2, "#[cfg(test)]\nmod tests;\nuse crate::sink::Sink;"),
    ] {
        let found = [offences(module, depth, source), calls(module, source)].concat();
        assert_eq!(found.len(), 1, "{source}: {found:?}");
    }
    for (module, depth, source) in [
        ("sink", 2, "use crate::{frame::Frame, parse::Packet};"),
        ("sink", 3, "use super::super::parse;"),
        (
            "parse",
            2,
            "// crate::sink\nuse crate::parse::walk;\n#[cfg(test)]\nmod tests { use crate::build; }",
        ),
        ("engine", 2, "use crate::sink::Sink; let layers = parse::parse(&frame);"),
        ("batch", 2, "use crate::parse::{Layers, parse, parse_into};"),
        (
            "sink",
            2,
            "use crate::parse::{Packet, parsed}; use crate::verify::Verdict; let all = reparse::parse();",
        ),
    ] {
        let found = [offences(module, depth, source), calls(module, source)].concat();
        assert_eq!(found, [""; 0], "{source}");
    }
}
