//! The documents: links lead somewhere, commands have the options that they are shown with, configurations are right.

use super::{run, told, wharf};
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::tempdir;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every document, with its text.
fn documents() -> Vec<(PathBuf, String)> {
    let mut paths =
        vec![root().join("README.md"), root().join("CHANGELOG.md"), root().join("perf/README.md")];
    for directory in ["docs", "perf/notes"] {
        paths.extend(fs::read_dir(root().join(directory)).unwrap().map(|entry| entry.unwrap().path()));
    }
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    assert!(paths.len() > 10, "{paths:?}");
    paths.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

/// The lines of a document, with the language of the block that each is in; `None` outside of any.
fn lines(text: &str) -> Vec<(Option<&str>, &str)> {
    let mut block = None;
    let mut lines = Vec::new();
    for line in text.lines() {
        match (line.trim_start().strip_prefix("```"), block) {
            (Some(language), None) => block = Some(language),
            (Some(_), Some(_)) => block = None,
            (None, _) => lines.push((block, line)),
        }
    }
    assert_eq!(block, None, "a block is not closed");
    lines
}

/// What a heading is called in a link to it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

#[test]
fn links_lead_somewhere() {
    let mut seen = 0;
    for (path, text) in documents() {
        // A link may go over the end of a line.
        let prose: Vec<_> =
            lines(&text).into_iter().filter(|(block, _)| block.is_none()).map(|(_, line)| line).collect();
        let prose = prose.join("\n");
        for (at, _) in prose.match_indices("](") {
            let target = prose[at + 2..].split(')').next().unwrap();
            if target.contains("://") {
                continue;
            }
            let (file, place) = target.split_once('#').unwrap_or((target, ""));
            let file = if file.is_empty() { path.clone() } else { path.with_file_name(file) };
            assert!(file.exists(), "{}: {target} leads nowhere", path.display());
            let of = || fs::read_to_string(&file).unwrap();
            let known = |text: String| {
                text.lines().any(|l| l.starts_with('#') && anchor(l.trim_start_matches('#')) == place)
            };
            assert!(place.is_empty() || known(of()), "{}: {target}: no such heading", path.display());
            seen += 1;
        }
    }
    assert!(seen > 30, "{seen}");
}

/// The arguments of the commands in a line that are `wharf`'s.
fn commands(line: &str) -> Vec<Vec<String>> {
    // A shell's words, as far as documents need them: quotes keep blanks and bars together.
    let (mut words, mut word, mut quote, mut commands) = (Vec::new(), String::new(), None, Vec::new());
    for c in line.chars().chain(['\n']) {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            (c, Some(_)) => word.push(c),
            ('\'' | '"', None) => quote = Some(c),
            (' ' | '\n' | '|' | '&' | ';' | '>', None) => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                if c != ' ' {
                    commands.push(std::mem::take(&mut words));
                }
            }
            ('#', None) if word.is_empty() => {
                commands.push(std::mem::take(&mut words));
                break;
            }
            (c, None) => word.push(c),
        }
    }
    let ours = |words: Vec<String>| {
        let words: Vec<_> = words
            .into_iter()
            .skip_while(|word| word.contains('=') || word == "sudo" || word == "$")
            .collect();
        (words.first().is_some_and(|first| first == "wharf") && words.len() > 1).then(|| words[1..].to_vec())
    };
    commands.into_iter().filter_map(ours).collect()
}

#[test]
fn commands_have_the_options_that_they_are_shown_with() {
    let mut helps: HashMap<String, String> = HashMap::new();
    let mut seen = 0;
    for (path, text) in documents() {
        let shown = lines(&text)
            .into_iter()
            .filter(|(block, _)| block.is_some_and(|language| ["sh", "console"].contains(&language)));
        for (_, line) in shown {
            for command in commands(line) {
                let subcommand = command[0].clone();
                if subcommand == "proxy" && cfg!(not(feature = "proxy"))
                    || line.contains("xdp") && cfg!(not(feature = "xdp"))
                {
                    continue;
                }
                let help = helps.entry(subcommand.clone()).or_insert_with(|| {
                    let (code, help, err) = run([subcommand.as_str(), "--help"]);
                    assert_eq!(code, 0, "{}: {line}: {err}", path.display());
                    help
                });
                let options = command[1..].iter().filter(|word| word.starts_with("--"));
                for option in options.map(|word| word.split('=').next().unwrap()) {
                    let has =
                        |known: &str| known.trim_matches([',', '[', ']']).split('=').next() == Some(option);
                    let has = help
                        .split_whitespace()
                        .any(|known| has(known) || known.starts_with(&format!("{option}[")));
                    assert!(has, "{}: {line}: {subcommand} has no {option}", path.display());
                    seen += 1;
                }
            }
        }
    }
    assert!(seen > 40, "{seen}");
}

/// What perf/README.md claims is what the tables say: `perf/table --write` brings it up to date.
#[test]
fn bars_are_told_as_they_were_measured() {
    let output = std::process::Command::new(root().join("perf/table")).output().unwrap();
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && table.lines().count() > 50, "{table}");
    let readme = fs::read_to_string(root().join("perf/README.md")).unwrap();
    let missing = table.lines().find(|line| !readme.contains(line));
    assert_eq!(missing, None, "not in perf/README.md: run perf/table --write");
}

#[cfg(feature = "proxy")]
#[test]
fn configurations_in_documents_are_right() {
    let dir = tempdir().unwrap();
    let file = dir.path().join("proxy.toml");
    let mut seen = 0;
    for (path, text) in documents() {
        let config: Vec<_> = lines(&text)
            .into_iter()
            .filter(|(block, _)| *block == Some("toml"))
            .map(|(_, line)| line)
            .collect();
        if !config.is_empty() {
            fs::write(&file, config.join("\n")).unwrap();
            let (code, _, err) = told(wharf(["proxy", "--check"]).arg(&file).output().unwrap());
            assert_eq!(code, 0, "{}: {err}", path.display());
            seen += 1;
        }
    }
    assert!(seen > 0);
}
