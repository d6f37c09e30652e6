//! The route of a connection by its first bytes: what is said of a prefix is never taken back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use wharf::proxy::detect::{Choice, Condition, MOST, Patience, Spoken, choose};

/// By name, by protocol within TLS, each protocol by itself, all others.
static CONDITIONS: LazyLock<Vec<Condition>> = LazyLock::new(|| {
    let names = |names: &[&str]| names.iter().map(|name| name.parse().expect("a name")).collect();
    let alpn = |names: &[&str]| names.iter().map(|name| name.parse().expect("a protocol")).collect();
    let mut conditions = vec![
        Condition { names: names(&["*.example.org"]), alpn: alpn(&["h2"]), ..Condition::default() },
        Condition { spoken: vec![Spoken::Http1], names: names(&["*.example.org"]), ..Condition::default() },
        Condition { names: names(&["a.test"]), ..Condition::default() },
        Condition { alpn: alpn(&["h3"]), ..Condition::default() },
    ];
    let spoken = |(_, spoken)| Condition { spoken: vec![spoken], ..Condition::default() };
    conditions.extend(Spoken::NAMES.into_iter().map(spoken));
    conditions.push(Condition::default());
    conditions
});

fuzz_target!(|bytes: &[u8]| {
    let Some((&first, bytes)) = bytes.split_first() else { return };
    // Some of them only, so that each is the last one, too.
    let conditions = || CONDITIONS.iter().skip(usize::from(first & 7)).take(1 + usize::from(first >> 4));
    let whole = choose(conditions(), None, bytes, Patience::Left);
    for end in 0..bytes.len().min(600) {
        match choose(conditions(), None, &bytes[..end], Patience::Left) {
            Choice::Needs(length) => assert!(length > end && length <= MOST, "{length} of {end}"),
            early => assert_eq!(early, whole, "at {end}"),
        }
    }
    let over = choose(conditions(), None, bytes, Patience::Over);
    assert!(!matches!(over, Choice::Needs(_)));
    if !matches!(whole, Choice::Needs(_)) {
        assert_eq!(over, whole);
    }
});
