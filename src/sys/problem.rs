//! What can go wrong with an interface, in words that say what to do.

use super::interfaces::{ANY, InterfaceInfo};
use super::link;
use std::io;

/// What is the matter, and what the system said where it was that which said so.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) reason: String,
    pub(crate) cause: Option<io::Error>,
}

impl Problem {
    /// What an error of the system means.
    pub(crate) fn of(cause: io::Error, meaning: impl FnOnce(&io::Error) -> String) -> Self {
        Self { reason: meaning(&cause), cause: Some(cause) }
    }

    /// What could not be done, with the system's own word.
    pub(crate) fn with(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |cause| Self::of(cause, |cause| format!("{what}: {cause}"))
    }
}

impl From<String> for Problem {
    fn from(reason: String) -> Self {
        Self { reason, cause: None }
    }
}

impl From<&str> for Problem {
    fn from(reason: &str) -> Self {
        reason.to_owned().into()
    }
}

/// The system's own word, where there is nothing to add.
impl From<io::Error> for Problem {
    fn from(cause: io::Error) -> Self {
        Self::of(cause, ToString::to_string)
    }
}

/// Most bytes of an interface's name (`IFNAMSIZ` less the final 0). Alternative names may have 127.
const LONGEST_NAME: usize = 127;

/// The interface of that name, or of that alternative name.
pub(crate) fn find<'a>(name: &str, all: &'a [InterfaceInfo]) -> Result<&'a InterfaceInfo, Problem> {
    check_name(name)?;
    if let Some(found) = all.iter().find(|interface| interface.name == name) {
        return Ok(found);
    }
    debug_assert_ne!(name, ANY);
    let no_such = |cause| Problem { reason: no_such_interface(name, all), cause };
    let index = link::index_of(name).map_err(|error| no_such(Some(error)))?;
    all.iter().find(|interface| interface.index == index).ok_or_else(|| no_such(None))
}

/// Whether this can be an interface's name at all.
fn check_name(name: &str) -> Result<(), String> {
    let fits = (1..=LONGEST_NAME).contains(&name.len());
    let clean = !name.contains(|c: char| c == '/' || c.is_whitespace() || c.is_control());
    if fits && clean { Ok(()) } else { Err("not an interface name".to_owned()) }
}

fn no_such_interface(name: &str, all: &[InterfaceInfo]) -> String {
    let names: Vec<_> = all.iter().map(|interface| interface.name.as_str()).collect();
    let near = names.iter().map(|there| (distance(name, there), there)).min();
    let hint = match near {
        Some((distance, there)) if distance <= 2 && 2 * distance <= name.chars().count() => {
            format!("; did you mean {there}?")
        }
        _ => ".".to_owned(),
    };
    format!("no such interface{hint} There are: {}", names.join(", "))
}

pub(crate) fn down_at_start(name: &str) -> String {
    format!("the interface is down; bring it up: ip link set dev {name} up")
}

pub(crate) const WENT_DOWN: &str = "the interface went down";
pub(crate) const GONE: &str = "the interface is gone";
pub(crate) const NO_CARRIER: &str =
    "the interface has no carrier: the cable is out, or the other end of the pair is down";
pub(crate) const TAKES_NOTHING: &str =
    "the interface has taken nothing for a second: it has no carrier, or its queue stays full";
pub(crate) const DEFAULT_ROUTE: &str = "a default route leads through it or what it stands on: frames would go into the network this host \
    lives on; choose a veth pair or a lab interface, or say that it is meant (--yes-on-this-interface)";

pub(crate) fn open(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => {
            let program = std::env::current_exe()
                .map_or_else(|_| "/path/to/wharf".to_owned(), |path| path.display().to_string());
            format!("CAP_NET_RAW missing: run as root or: sudo setcap cap_net_raw,cap_net_admin+ep {program}")
        }
        Some(libc::EAFNOSUPPORT) => "this kernel has no AF_PACKET (CONFIG_PACKET)".to_owned(),
        _ => format!("cannot open a packet socket: {error}"),
    }
}

/// Least number of letters to put in, take out or change (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let change = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(names: &[&str]) -> Vec<InterfaceInfo> {
        names
            .iter()
            .map(|name| InterfaceInfo { name: (*name).to_owned(), ..InterfaceInfo::default() })
            .collect()
    }

    #[test]
    fn a_near_name_is_suggested_and_all_are_listed() {
        let all = named(&["lo", "enp3s0", "any"]);
        assert_eq!(
            no_such_interface("enp3so", &all),
            "no such interface; did you mean enp3s0? There are: lo, enp3s0, any"
        );
        assert_eq!(
            no_such_interface("a", &all),
            "no such interface. There are: lo, enp3s0, any",
            "nothing like it"
        );
        assert_eq!(no_such_interface("wlan0", &all), "no such interface. There are: lo, enp3s0, any");
    }

    #[test]
    fn distances() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("eth0", "eth1"), 1);
        assert_eq!(distance("etho", "teh0"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn names_that_cannot_be() {
        for name in ["", "a/b", "a b", "a\0b", &"x".repeat(128)] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
        assert!(check_name("eth0.100@x").is_ok());
    }

    #[test]
    fn the_systems_word_is_kept() {
        let Problem { reason, cause } = find("no-such-one", &named(&["lo"])).unwrap_err();
        assert_eq!(reason, "no such interface. There are: lo");
        assert_eq!(cause.and_then(|cause| cause.raw_os_error()), Some(libc::ENODEV));
        let problem = Problem::with("cannot look")(io::Error::from_raw_os_error(libc::EPERM));
        assert!(problem.reason.starts_with("cannot look: Operation not permitted"), "{}", problem.reason);
        assert_eq!(problem.cause.map(|cause| cause.kind()), Some(io::ErrorKind::PermissionDenied));
    }

    #[test]
    fn no_permission_names_the_remedy() {
        let text = open(&io::Error::from_raw_os_error(libc::EPERM));
        assert!(text.contains("sudo setcap cap_net_raw,cap_net_admin+ep /"), "{text}");
    }
}
