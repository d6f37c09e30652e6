//! A packet's bytes below its line, laid out as tcpdump does.

use crate::sink::format::Put;

const WIDTH: usize = 16;
/// Columns of the hexadecimal part of a full row: eight groups of four digits, each after a space.
const HEX_COLUMNS: usize = WIDTH / 2 * 5;

/// Sixteen bytes a row in groups of two; with `text`, the printable ones beside them.
pub(super) fn hex(out: &mut Vec<u8>, bytes: &[u8], text: bool) {
    for (row, bytes) in bytes.chunks(WIDTH).enumerate() {
        out.text("\t0x");
        out.hex((row * WIDTH) as u64, 4);
        out.text(": ");
        let before = out.len();
        for pair in bytes.chunks(2) {
            out.push(b' ');
            out.hex_bytes(pair);
        }
        if text {
            out.resize(before + HEX_COLUMNS + 2, b' ');
            out.extend(bytes.iter().map(|byte| if byte.is_ascii_graphic() { *byte } else { b'.' }));
        }
        out.push(b'\n');
    }
}

/// The bytes as text, line breaks kept; what is not printable is a dot.
pub(super) fn text(out: &mut Vec<u8>, bytes: &[u8]) {
    for (index, &byte) in bytes.iter().enumerate() {
        match byte {
            b'\r' if matches!(bytes.get(index + 1), None | Some(b'\n')) => {}
            b'\t' | b'\n' | b' ' => out.push(byte),
            _ if byte.is_ascii_graphic() => out.push(byte),
            _ => out.push(b'.'),
        }
    }
    out.push(b'\n');
}
