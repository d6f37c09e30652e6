//! Protocols of text lines: HTTP, SIP, SMTP and their kin.

use super::printer::Printer;
use super::span::Span;
use crate::sink::format::show;

/// The first word of a request, by protocol: other lines are not taken for the start of a message.
const METHODS: &[&str] = &[
    "GET",
    "PUT",
    "COPY",
    "HEAD",
    "LOCK",
    "MOVE",
    "POLL",
    "POST",
    "BCOPY",
    "BMOVE",
    "MKCOL",
    "TRACE",
    "LABEL",
    "MERGE",
    "DELETE",
    "SEARCH",
    "UNLOCK",
    "REPORT",
    "UPDATE",
    "NOTIFY",
    "BDELETE",
    "CONNECT",
    "OPTIONS",
    "CHECKIN",
    "PROPFIND",
    "CHECKOUT",
    "CCM_POST",
    "SUBSCRIBE",
    "PROPPATCH",
    "BPROPFIND",
    "BPROPPATCH",
    "UNCHECKOUT",
    "MKACTIVITY",
    "MKWORKSPACE",
    "UNSUBSCRIBE",
    "RPC_CONNECT",
    "VERSION-CONTROL",
    "BASELINE-CONTROL",
    // RTSP and SIP.
    "DESCRIBE",
    "ANNOUNCE",
    "GET_PARAMETER",
    "PAUSE",
    "PLAY",
    "RECORD",
    "REDIRECT",
    "SETUP",
    "SET_PARAMETER",
    "TEARDOWN",
    "ACK",
    "BYE",
    "CANCEL",
    "DO",
    "INFO",
    "INVITE",
    "MESSAGE",
    "PRACK",
    "QAUTH",
    "REFER",
    "REGISTER",
    "SPRACK",
    "PUBLISH",
];

impl Printer<'_> {
    pub(super) fn named_text(&mut self, name: &str, data: Span<'_>, requests: bool) {
        show!(self.out, ": ");
        self.text_protocol(name, data, requests);
    }

    /// A protocol of text lines: its name, then the first line (every line with `-v`). With `requests`
    /// only where that begins with a method or a status.
    pub(super) fn text_protocol(&mut self, name: &str, data: Span<'_>, requests: bool) {
        show!(self.out, name);
        if requests && !begins_a_message(data.bytes) {
            return;
        }
        if self.verbose() {
            show!(self.out, ", length: ", data.length);
        }
        if data.bytes.is_empty() && data.length > 0 {
            return self.text_truncated(name);
        }
        let mut rest = data.bytes;
        loop {
            let line = match line(rest) {
                Line::Whole(line, after) => {
                    rest = after;
                    line
                }
                Line::Cut(line) => {
                    self.text_line(line);
                    return self.text_truncated(name);
                }
                Line::Binary => return,
            };
            self.text_line(line);
            if !self.verbose() || rest.is_empty() {
                return;
            }
        }
    }

    fn text_truncated(&mut self, name: &str) {
        show!(self.out, " [|");
        self.out.extend(name.bytes().map(|byte| byte.to_ascii_lowercase()));
        show!(self.out, "]");
    }

    fn text_line(&mut self, line: &[u8]) {
        show!(self.out, if self.verbose() { "\n\t" } else { ": " });
        self.out.extend_from_slice(line);
    }
}

/// The first word is a method, or the second a status of three digits.
fn begins_a_message(bytes: &[u8]) -> bool {
    let mut words = bytes.split(|byte| byte.is_ascii_whitespace());
    let first = words.next().unwrap_or_default();
    if METHODS.iter().any(|method| method.as_bytes().eq_ignore_ascii_case(first)) {
        return true;
    }
    words.next().is_some_and(|word| word.len() == 3 && word.iter().all(u8::is_ascii_digit))
}

/// What stands at the start of some text.
pub(super) enum Line<'a> {
    /// A line, and what comes after its end.
    Whole(&'a [u8], &'a [u8]),
    /// A line that has no end here.
    Cut(&'a [u8]),
    /// No text.
    Binary,
}

pub(super) fn line(bytes: &[u8]) -> Line<'_> {
    for (index, &byte) in bytes.iter().enumerate() {
        match byte {
            b'\n' => return Line::Whole(&bytes[..index], &bytes[index + 1..]),
            b'\r' if bytes.get(index + 1) == Some(&b'\n') => {
                return Line::Whole(&bytes[..index], &bytes[index + 2..]);
            }
            b'\t' | b' '..=b'~' => {}
            _ => return Line::Binary,
        }
    }
    if bytes.is_empty() { Line::Binary } else { Line::Cut(bytes) }
}
