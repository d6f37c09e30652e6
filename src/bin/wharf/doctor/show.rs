//! A diagnosis for people.

use std::fmt::Write;
use wharf::doctor::{Diagnosis, Finding, Severity};

/// Columns that text is wrapped to.
const WIDTH: usize = 100;
/// Columns before what a severity stands beside.
const INDENT: usize = 8;

/// Whether severities are coloured.
#[derive(Clone, Copy)]
pub(super) struct Colour(pub(super) bool);

impl Colour {
    fn paint(self, severity: Severity) -> String {
        // SGR parameters (ECMA-48 8.3.117).
        let (word, sgr) = match severity {
            Severity::Good => ("good", "32"),
            Severity::Note => ("note", "36"),
            Severity::Warn => ("warn", "33"),
            Severity::Bad => ("bad ", "1;31"),
        };
        if self.0 { format!("\x1b[{sgr}m{word}\x1b[0m") } else { word.to_owned() }
    }
}

/// All of it, with how many findings there are of each severity. `in_full` shows what was found of interfaces; without,
/// each gets a line.
pub(super) fn text(diagnosis: &Diagnosis, counts: [usize; 4], in_full: bool, colour: Colour) -> String {
    let mut text = "host\n".to_owned();
    let of = |interface: Option<&str>| {
        let interface = interface.map(str::to_owned);
        diagnosis.findings.iter().filter(move |finding| finding.interface == interface)
    };
    of(None).for_each(|finding| add(&mut text, finding, colour));
    text += "\n";
    for what in &diagnosis.interfaces {
        let name = &what.name;
        if in_full {
            line(&mut text, format_args!("{name}: {what}"));
            of(Some(name)).for_each(|finding| add(&mut text, finding, colour));
        } else {
            let worst = of(Some(name)).map(|finding| finding.severity).max().unwrap_or(Severity::Good);
            let keys: Vec<_> = of(Some(name))
                .filter(|finding| finding.severity == worst && worst >= Severity::Warn)
                .map(|finding| finding.found.as_str())
                .collect();
            let list = if keys.is_empty() { String::new() } else { format!(": {}", keys.join("; ")) };
            line(&mut text, format_args!("  {}  {name} ({what}){list}", colour.paint(worst)));
        }
    }
    // Of several interfaces only what they tell themselves.
    let unseen = diagnosis.unseen.iter().filter(|unseen| in_full || unseen.interface.is_none());
    for (index, unseen) in unseen.enumerate() {
        if index == 0 {
            text += "\nnot to be seen here\n";
        }
        let of = unseen.interface.as_ref().map_or_else(String::new, |name| format!("{name}, "));
        wrapped(&mut text, "  ", &format!("{of}{}: {}", unseen.check, unseen.reason));
    }
    let [good, notes, warnings, bad] = counts;
    line(&mut text, format_args!("\n{good} good, {notes} to be known, {warnings} to be changed, {bad} bad"));
    if !in_full && !diagnosis.interfaces.is_empty() {
        text += "`wharf doctor IFACE` tells of one interface in full\n";
    }
    text
}

/// Writing to a string cannot fail.
fn line(text: &mut String, what: std::fmt::Arguments<'_>) {
    let _ = writeln!(text, "{what}");
}

fn add(text: &mut String, finding: &Finding, colour: Colour) {
    let indent = " ".repeat(INDENT);
    let mut found = String::new();
    wrapped(&mut found, &indent, &finding.found);
    line(text, format_args!("  {}  {}", colour.paint(finding.severity), found.trim()));
    if !finding.meaning.is_empty() {
        wrapped(text, &indent, &finding.meaning);
    }
    if let Some(command) = &finding.command {
        line(text, format_args!("{indent}-> {command}"));
    }
}

/// Words in lines of no more than [`WIDTH`] columns, where they fit.
fn wrapped(text: &mut String, indent: &str, what: &str) {
    let mut width = 0;
    for word in what.split_whitespace() {
        let length = word.chars().count();
        if width > 0 && width + 1 + length > WIDTH {
            text.push('\n');
            width = 0;
        }
        if width == 0 {
            text.push_str(indent);
            width = indent.len();
        } else {
            text.push(' ');
            width += 1;
        }
        text.push_str(word);
        width += length;
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf::doctor::{Examined, LinkCondition, Unseen};

    fn diagnosis() -> Diagnosis {
        let finding = |interface: Option<&str>, severity, found: &str, command: Option<&str>| Finding {
            check: "key",
            interface: interface.map(str::to_owned),
            severity,
            found: found.to_owned(),
            meaning: if severity == Severity::Good { String::new() } else { "it costs".to_owned() },
            command: command.map(str::to_owned),
        };
        Diagnosis {
            interfaces: vec![Examined {
                name: "eth0".into(),
                driver: Some("ixgbe".into()),
                state: LinkCondition::Running,
                mtu: 1500,
            }],
            findings: vec![
                finding(None, Severity::Good, "fine", None),
                finding(Some("eth0"), Severity::Warn, "joined", Some("ethtool -K eth0 gro off")),
            ],
            unseen: vec![Unseen { check: "rps", interface: Some("eth0".into()), reason: "elsewhere".into() }],
        }
    }

    #[test]
    fn one_in_full_or_all_by_the_line() {
        let full = text(&diagnosis(), [1, 0, 1, 0], true, Colour(false));
        let expected = "\
host
  good  fine

eth0: ixgbe, running, MTU 1500
  warn  joined
        it costs
        -> ethtool -K eth0 gro off

not to be seen here
  eth0, rps: elsewhere

1 good, 0 to be known, 1 to be changed, 0 bad
";
        assert_eq!(full, expected);
        let short = text(&diagnosis(), [1, 0, 1, 0], false, Colour(true));
        assert!(
            short.contains("\u{1b}[33mwarn\u{1b}[0m  eth0 (ixgbe, running, MTU 1500): joined\n"),
            "{short}"
        );
        assert!(!short.contains("elsewhere"), "{short}");
    }

    #[test]
    fn long_words_are_not_broken_and_others_are() {
        let mut wide = String::new();
        wrapped(&mut wide, "  ", &format!("{} {}", "a".repeat(120), "b c ".repeat(60)));
        assert!(wide.lines().skip(1).all(|line| line.len() <= WIDTH && line.starts_with("  ")), "{wide}");
        assert!(wide.lines().count() > 2);
    }
}
