//! How what was said is shown.

use super::Conversation;
use crate::flow::reassembly::Side;
use crate::frame::Timestamp;
use crate::sink::format::Put;
use std::net::SocketAddr;

/// In what form bytes are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// As text: UTF-8 as it is, other bytes and control characters as dots, lines ended by LF.
    #[default]
    Text,
    /// In hexadecimal and as ASCII, 16 a line, each side with its own count.
    Hex,
    /// As they are, and nothing else: no word of who speaks or of what is missing.
    Raw,
}

/// How a conversation is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShowOptions {
    /// In what form.
    pub form: Form,
    /// Each side in a colour of its own (ECMA-48).
    pub colour: bool,
    /// Only what this side says.
    pub only: Option<Side>,
}

/// Whose turn it is.
struct Turn {
    side: Side,
    /// The last byte shown was a line feed, or none was yet.
    at_start: bool,
}

/// Shows a conversation.
pub(super) struct Show {
    options: ShowOptions,
    turn: Option<Turn>,
    begun: Option<Timestamp>,
    /// Of each side: bytes shown in hexadecimal.
    offsets: [u64; 2],
    /// The beginning of a character whose end has not come yet, or a CR; of the side whose turn it is.
    held: Vec<u8>,
}

/// What the sides look like (SGR parameters, ECMA-48 8.3.117), and what is said about them.
const COLOURS: [&str; 2] = ["31", "34"];
const ASIDE: &str = "2";

impl Show {
    pub(super) fn new(options: ShowOptions) -> Self {
        Self { options, turn: None, begun: None, offsets: [0; 2], held: Vec::new() }
    }

    fn is_wanted(&self, side: Side) -> bool {
        self.options.only.is_none_or(|only| only == side)
    }

    /// Bytes that a side says.
    pub(super) fn bytes(
        &mut self,
        out: &mut Vec<u8>,
        who: (&Conversation, Side),
        time: Option<Timestamp>,
        bytes: &[u8],
    ) {
        let side = who.1;
        if !self.is_wanted(side) {
            return;
        }
        if self.options.form == Form::Raw {
            return out.extend_from_slice(bytes);
        }
        self.have_turn(out, who, time);
        self.colour(out, COLOURS[side.index()]);
        match self.options.form {
            Form::Hex => self.hex(out, side, bytes),
            _ => self.text(out, bytes),
        }
        self.plain(out);
    }

    /// So many bytes of a side are missing.
    pub(super) fn missing(
        &mut self,
        out: &mut Vec<u8>,
        who: (&Conversation, Side),
        time: Option<Timestamp>,
        bytes: u64,
    ) {
        let side = who.1;
        if !self.is_wanted(side) || self.options.form == Form::Raw {
            return;
        }
        self.have_turn(out, who, time);
        self.pause(out);
        self.offsets[side.index()] += bytes;
        let are = if bytes == 1 { "byte is" } else { "bytes are" };
        self.aside(out, &format!("[{bytes} {are} missing here: not in the capture]"));
    }

    /// Ends a line that was begun: what comes next is not to be run together with it.
    pub(super) fn pause(&mut self, out: &mut Vec<u8>) {
        self.release(out);
        if let Some(turn) = &mut self.turn
            && !turn.at_start
        {
            turn.at_start = true;
            out.push(b'\n');
        }
    }

    /// There is no more.
    pub(super) fn end(&mut self, out: &mut Vec<u8>) {
        self.pause(out);
    }

    /// Says who speaks, where that was somebody else before.
    fn have_turn(&mut self, out: &mut Vec<u8>, who: (&Conversation, Side), time: Option<Timestamp>) {
        let (conversation, side) = who;
        if self.turn.as_ref().is_some_and(|turn| turn.side == side) {
            return;
        }
        self.pause(out);
        let begun = self.begun.or(conversation.first).or(time);
        self.begun = begun;
        let [from, to] = [side, side.other()].map(|side| SocketAddr::from(conversation.end(side)));
        let mut words = format!("[{from} to {to}");
        if let (Some(begun), Some(time)) = (begun, time) {
            let micros = time.nanos_since(begun) / 1_000;
            words += &format!(
                ", {}{}.{:06} s",
                if micros < 0 { "-" } else { "" },
                micros.abs() / 1_000_000,
                micros.abs() % 1_000_000
            );
        }
        self.turn = Some(Turn { side, at_start: true });
        self.aside(out, &(words + "]"));
    }

    fn aside(&mut self, out: &mut Vec<u8>, words: &str) {
        self.colour(out, ASIDE);
        out.text(words);
        self.plain(out);
        out.push(b'\n');
    }

    fn colour(&self, out: &mut Vec<u8>, sgr: &str) {
        if self.options.colour {
            out.text("\x1b[");
            out.text(sgr);
            out.push(b'm');
        }
    }

    fn plain(&self, out: &mut Vec<u8>) {
        if self.options.colour {
            out.text("\x1b[0m");
        }
    }

    /// Nothing that a terminal would obey gets through.
    fn text(&mut self, out: &mut Vec<u8>, bytes: &[u8]) {
        let joined;
        let mut rest = bytes;
        if !self.held.is_empty() {
            joined = [&std::mem::take(&mut self.held)[..], bytes].concat();
            rest = &joined;
        }
        let before = out.len();
        while !rest.is_empty() {
            let (valid, broken) = match std::str::from_utf8(rest) {
                Ok(text) => (text, None),
                Err(error) => {
                    let valid = std::str::from_utf8(&rest[..error.valid_up_to()]).unwrap_or_default();
                    (valid, Some(error.error_len()))
                }
            };
            let mut characters = valid.chars().peekable();
            while let Some(character) = characters.next() {
                match character {
                    '\n' | '\t' => out.push(character as u8),
                    '\r' if characters.peek() == Some(&'\n') => {}
                    '\r' if characters.peek().is_none() && broken.is_none() => self.held.push(b'\r'),
                    _ if character.is_control() => out.push(b'.'),
                    _ => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
                }
            }
            rest = &rest[valid.len()..];
            match broken {
                None => break,
                // The end of the character may be in the next slice.
                Some(None) => {
                    self.held.extend_from_slice(rest);
                    break;
                }
                Some(Some(length)) => {
                    out.push(b'.');
                    rest = &rest[length..];
                }
            }
        }
        if let (Some(turn), true) = (&mut self.turn, out.len() > before) {
            turn.at_start = out.ends_with(b"\n");
        }
    }

    /// What was held back will not be completed.
    fn release(&mut self, out: &mut Vec<u8>) {
        if let (Some(turn), false) = (&mut self.turn, self.held.is_empty()) {
            turn.at_start = false;
            out.extend(self.held.drain(..).map(|_| b'.'));
        }
    }

    fn hex(&mut self, out: &mut Vec<u8>, side: Side, bytes: &[u8]) {
        for row in bytes.chunks(16) {
            if side == Side::Second {
                out.text("    ");
            }
            out.hex(self.offsets[side.index()], 8);
            out.push(b' ');
            for at in 0..16 {
                if at % 8 == 0 {
                    out.push(b' ');
                }
                match row.get(at) {
                    Some(byte) => out.hex((*byte).into(), 2),
                    None => out.text("  "),
                }
                out.push(b' ');
            }
            out.text(" |");
            out.extend(row.iter().map(|byte| if matches!(byte, b' '..=b'~') { *byte } else { b'.' }));
            out.text("|\n");
            self.offsets[side.index()] += row.len() as u64;
        }
    }
}
