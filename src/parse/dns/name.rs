//! Domain names (RFC 1035 4.1.4) and the text made of their bytes.

use domain::base::name::ParsedName;
use std::fmt::{self, Write as _};

/// A name within a message, uncompressed as it is read.
///
/// `Display` gives the labels joined by dots, without the last dot; the root is the empty text. Labels
/// are text where they are UTF-8 (RFC 6762 16); what is not becomes U+FFFD, and control characters become
/// `\n` or `\000` as in C. Dots and backslashes within a label stay as they are.
#[derive(Clone, Copy)]
pub struct Name<'a>(pub(super) ParsedName<&'a [u8]>);

impl Name<'_> {
    /// Each label's bytes, leftmost first, without the root.
    pub fn labels(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(|label| label.as_slice()).filter(|label| !label.is_empty())
    }

    /// The root, a name without labels.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.is_root()
    }
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, label) in self.labels().enumerate() {
            if index > 0 {
                f.write_char('.')?;
            }
            write_escaped(f, label)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}.")
    }
}

/// Bytes as text: UTF-8 as it is, one U+FFFD for each sequence that is not, control characters as in C.
pub(super) fn write_escaped(f: &mut fmt::Formatter<'_>, mut bytes: &[u8]) -> fmt::Result {
    while let Some(chunk) = bytes.utf8_chunks().next() {
        write_controls_escaped(f, chunk.valid())?;
        bytes = &bytes[chunk.valid().len()..];
        if let Some((first, rest)) = bytes.split_first() {
            f.write_char(char::REPLACEMENT_CHARACTER)?;
            // A first byte with n leading ones announces n - 1 continuation bytes (up to 6 in all: RFC 2279);
            // those that follow belong to the same broken character.
            let announced = match first.leading_ones() {
                ones @ 2..=6 => ones as usize - 1,
                _ => 0,
            };
            let continuation = rest.iter().take(announced).take_while(|byte| *byte & 0xc0 == 0x80).count();
            bytes = &rest[continuation..];
        }
    }
    Ok(())
}

/// `\n` and the like, octal (`\000`) for the rest.
fn write_controls_escaped(f: &mut fmt::Formatter<'_>, mut text: &str) -> fmt::Result {
    while let Some(at) = text.find(|c: char| c.is_ascii_control()) {
        f.write_str(&text[..at])?;
        match text.as_bytes()[at] {
            control @ 7..=13 => {
                f.write_char('\\')?;
                f.write_char(char::from(b"abtnvfr"[usize::from(control - 7)]))?;
            }
            control => write!(f, "\\{control:03o}")?,
        }
        text = &text[at + 1..];
    }
    f.write_str(text)
}
