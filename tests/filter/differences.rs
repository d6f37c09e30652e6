//! Where we differ from libpcap, and why we are right: the whole list.

use wharf::frame::LinkType;

/// What an expression has, or what the difference says, and the reason.
type Rule = (fn(&str, LinkType, &str) -> bool, &'static str);

const RULES: &[Rule] = &[(
    |_, _, what| what.ends_with("expression rejects all packets"),
    "what no packet can match is no mistake of whoever asks a program for it: it matches none",
)];

/// The reason why it may differ so.
pub(crate) fn excused(expression: &str, link_type: LinkType, what: &str) -> Option<&'static str> {
    RULES.iter().find(|(applies, _)| applies(expression, link_type, what)).map(|(_, reason)| *reason)
}
