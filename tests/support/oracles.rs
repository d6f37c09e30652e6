//! Programs and captures that tests compare with.

/// Says loudly that one is missing and what is not compared without it; with `WHARF_ORACLES=require` that is a failure.
pub(crate) fn missing(what: &str) {
    eprintln!("SKIPPED: {what}");
    assert!(std::env::var("WHARF_ORACLES").as_deref() != Ok("require"), "SKIPPED: {what}");
}
