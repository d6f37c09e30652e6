//! Tests that cannot run here.

/// Says loudly that a test, or a part of one, did not run; where live tests are required that is a failure.
pub(crate) fn skip(reason: &str) {
    eprintln!("SKIPPED: {reason}");
    assert!(std::env::var("WHARF_LIVE").as_deref() != Ok("require"), "SKIPPED: {reason}");
}
