//! Colour for the story's labels, on a terminal only, and not where NO_COLOR is set (no-color.org).

use crate::colour;
use std::fmt;

/// Decides once whether labels are coloured.
#[derive(Clone, Copy)]
pub(super) struct Paint {
    colour: bool,
}

/// What a piece of text is, and so how it is shown.
#[derive(Clone, Copy)]
pub(super) enum Style {
    Heading,
    Aside,
    Link,
    Network,
    Transport,
    Application,
}

impl Style {
    /// SGR parameters (ECMA-48 8.3.117).
    const fn sgr(self) -> &'static str {
        match self {
            Style::Heading => "1",
            Style::Aside => "2",
            Style::Link => "34",
            Style::Network => "36",
            Style::Transport => "33",
            Style::Application => "1;32",
        }
    }
}

impl Paint {
    pub(super) fn on(terminal: bool) -> Self {
        Self { colour: colour::wanted(terminal) }
    }

    pub(super) fn as_(self, style: Style, text: impl fmt::Display) -> String {
        if self.colour { format!("\x1b[{}m{text}\x1b[0m", style.sgr()) } else { text.to_string() }
    }
}
