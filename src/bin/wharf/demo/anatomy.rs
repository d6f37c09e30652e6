//! One packet opened: what each layer adds to the message, field by field and byte by byte.

use super::paint::{Paint, Style};
use super::seen::Seen;
use super::story::{protocol, say, text};
use std::io::{self, Write};
use std::ops::Range;
use wharf::parse::Packet;

/// A layer of the packet, and what its header says.
struct Row {
    style: Style,
    name: &'static str,
    bytes: Range<usize>,
    fields: String,
}

/// Prints the layers from the message outwards, then the frame's bytes under the layers' names.
pub(super) fn show(
    out: &mut impl Write,
    paint: Paint,
    columns: Option<usize>,
    seen: &Seen,
) -> io::Result<()> {
    let Some(rows) = rows(seen) else { return Ok(()) };
    for row in &rows {
        let name = paint.as_(row.style, format_args!("{:<9}", row.name));
        writeln!(out, "   {name} {:>3} bytes  {}", row.bytes.len(), row.fields)?;
    }
    writeln!(out)?;
    for row in rows.iter().rev() {
        dump(out, paint, columns, row, seen.bytes())?;
    }
    let message = rows[0].bytes.len();
    let whole = rows[0].bytes.end;
    writeln!(
        out,
        "   {whole} bytes for a message of {message}: the other {} are the layers' own",
        whole - message
    )
}

/// Message, transport, network, link.
fn rows(seen: &Seen) -> Option<[Row; 4]> {
    let ip = seen.ip()?;
    let packet = seen.packet();
    let [start, payload, data, end] = [ip.start, ip.payload, ip.data, ip.end].map(|offset| offset as usize);
    let row = |style, name, bytes, fields| Row { style, name, bytes, fields };
    Some([
        row(
            Style::Application,
            "message",
            data..end,
            format!("{:?}, as the application wrote it", text(seen)),
        ),
        row(Style::Transport, protocol(seen.transport()), payload..data, transport(seen, &packet)?),
        row(Style::Network, "IPv4", start..payload, network(seen, &packet)?),
        row(Style::Link, "Ethernet", 0..start, link(&packet)?),
    ])
}

fn transport(seen: &Seen, packet: &Packet<'_>) -> Option<String> {
    let ip = seen.ip()?;
    let verdict = say(seen.verdicts.l4);
    if let Some(tcp) = packet.tcp(ip) {
        return Some(format!(
            "port {} -> {}, seq {}, ack {}, {}, window {}, checksum 0x{:04x} ({verdict})",
            ip.source_port,
            ip.destination_port,
            tcp.sequence(),
            tcp.acknowledgment(),
            tcp.flags(),
            tcp.window(),
            tcp.checksum(),
        ));
    }
    let udp = packet.udp(ip)?;
    Some(format!(
        "port {} -> {}, length {}, checksum 0x{:04x} ({verdict})",
        ip.source_port,
        ip.destination_port,
        udp.length(),
        udp.checksum(),
    ))
}

fn network(seen: &Seen, packet: &Packet<'_>) -> Option<String> {
    let ip = seen.ip()?;
    let ipv4 = packet.ipv4(ip)?;
    let (source, destination) = packet.addresses(ip)?;
    Some(format!(
        "{source} -> {destination}, TTL {}, protocol {} ({}), length {}, checksum 0x{:04x} ({})",
        ipv4.ttl(),
        ip.protocol,
        protocol(ip.transport),
        ipv4.total_length(),
        ipv4.checksum(),
        say(seen.verdicts.ip),
    ))
}

fn link(packet: &Packet<'_>) -> Option<String> {
    let ethernet = packet.ethernet()?;
    let (source, destination) = (ethernet.source(), ethernet.destination());
    Some(format!("{source} -> {destination}, EtherType 0x{:04x} (IPv4)", ethernet.ether_type()))
}

/// The bytes of one layer, 16 a row or as the terminal has room for 8, each with its offset in the frame.
fn dump(
    out: &mut impl Write,
    paint: Paint,
    columns: Option<usize>,
    row: &Row,
    frame: &[u8],
) -> io::Result<()> {
    // Around the bytes there are 21 characters, and each takes four.
    let each = if columns.is_some_and(|columns| columns < 21 + 4 * 16) { 8 } else { 16 };
    let bytes = frame.get(row.bytes.clone()).unwrap_or_default();
    for (index, line) in bytes.chunks(each).enumerate() {
        let name = if index == 0 { row.name } else { "" };
        let hexadecimal: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        let printable = |&byte: &u8| if (b' '..=b'~').contains(&byte) { char::from(byte) } else { '.' };
        let ascii: String = line.iter().map(printable).collect();
        let labelled = format!("{name:<9} {:<1$}", hexadecimal.join(" "), 3 * each - 1);
        writeln!(
            out,
            "   {:04x}  {}  {ascii}",
            row.bytes.start + each * index,
            paint.as_(row.style, labelled)
        )?;
    }
    Ok(())
}
