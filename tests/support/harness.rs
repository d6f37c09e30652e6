//! A `main` for tests that must run before any other thread exists: named tests, one after the other,
//! with the arguments `cargo test` passes on.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Instant;

/// A test: it fails by panicking.
pub(crate) struct Test {
    pub(crate) name: &'static str,
    pub(crate) run: fn(),
}

/// `tests![a, b]`: the functions and their names.
#[macro_export]
macro_rules! tests {
    ($($module:ident::$name:ident),* $(,)?) => {
        &[$($crate::support::harness::Test { name: stringify!($name), run: $module::$name }),*]
    };
}

/// What was asked for on the command line; the same words as Rust's own test runner takes.
#[derive(Default)]
struct Wanted {
    filters: Vec<String>,
    skipped: Vec<String>,
    exact: bool,
    list: bool,
    ignored_only: bool,
}

impl Wanted {
    fn from_arguments() -> Self {
        let mut wanted = Self::default();
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--list" => wanted.list = true,
                "--exact" => wanted.exact = true,
                "--ignored" => wanted.ignored_only = true,
                "--skip" => wanted.skipped.extend(arguments.next()),
                "--test-threads" | "--format" | "--color" | "--logfile" => drop(arguments.next()),
                option if option.starts_with('-') => {}
                filter => wanted.filters.push(filter.to_owned()),
            }
        }
        wanted
    }

    fn includes(&self, name: &str) -> bool {
        let hit = |filter: &String| if self.exact { name == filter } else { name.contains(filter.as_str()) };
        !self.ignored_only
            && (self.filters.is_empty() || self.filters.iter().any(hit))
            && !self.skipped.iter().any(hit)
    }
}

/// Runs the tests asked for, after `prepare`. Where that says why they cannot run, they are skipped,
/// aloud; a skip is a failure when the environment variable `require` is `require`, and asked for when it is `skip`.
pub(crate) fn run(tests: &[Test], require: &str, prepare: impl FnOnce() -> Result<(), String>) -> ExitCode {
    let wanted = Wanted::from_arguments();
    let chosen: Vec<_> = tests.iter().filter(|test| wanted.includes(test.name)).collect();
    if wanted.list {
        chosen.iter().for_each(|test| println!("{}: test", test.name));
        return ExitCode::SUCCESS;
    }
    if chosen.is_empty() {
        println!("0 passed, 0 failed, 0 skipped");
        return ExitCode::SUCCESS;
    }
    let is = |wish| std::env::var(require).is_ok_and(|value| value == wish);
    let prepared = if is("skip") { Err(format!("{require} says so")) } else { prepare() };
    if let Err(reason) = prepared {
        println!("SKIPPED: {reason}");
        println!("0 passed, 0 failed, {} skipped", chosen.len());
        return if is("require") { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    }
    let mut failed = Vec::new();
    for test in &chosen {
        let begun = Instant::now();
        let passed = catch_unwind(AssertUnwindSafe(test.run)).is_ok();
        let word = if passed { "ok" } else { "FAILED" };
        println!("test {} ... {word} ({:.2} s)", test.name, begun.elapsed().as_secs_f32());
        if !passed {
            failed.push(test.name);
        }
    }
    failed.iter().for_each(|name| println!("failed: {name}"));
    println!("{} passed, {} failed, 0 skipped", chosen.len() - failed.len(), failed.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
