//! The story told from captured packets: names, handshake, a message inside its headers, ports, verdicts.

use super::Cast;
use super::anatomy;
use super::paint::{Paint, Style};
use super::seen::Seen;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::SocketAddr;
use wharf::engine::Report;
use wharf::frame::Timestamp;
use wharf::parse::dns::DnsMessage;
use wharf::parse::{TcpHeader, Transport};
use wharf::verify::Verdict;

/// Everything needed to tell it.
pub(super) struct Story<'a> {
    pub(super) cast: &'a Cast,
    pub(super) packets: &'a [Seen],
    pub(super) report: &'a Report,
    pub(super) paint: Paint,
    /// Of the terminal, if it is told on one.
    pub(super) columns: Option<usize>,
}

impl Story<'_> {
    pub(super) fn tell(&self, out: &mut impl Write) -> io::Result<()> {
        self.names(out)?;
        self.conversation(out)?;
        self.message(out)?;
        self.datagrams(out)?;
        self.ports(out)?;
        self.verdicts(out)?;
        self.ledger(out)
    }

    fn heading(&self, out: &mut impl Write, title: &str, aside: &[&str]) -> io::Result<()> {
        writeln!(out, "\n{}", self.paint.as_(Style::Heading, title))?;
        let mut put = |line: &str| writeln!(out, "   {}", self.paint.as_(Style::Aside, line));
        let is_narrow = |columns: usize| aside.iter().any(|line| line.len() + 3 > columns);
        match self.columns {
            // One paragraph, to be broken elsewhere.
            Some(columns) if is_narrow(columns) => put(&aside.join(" ")),
            _ => aside.iter().try_for_each(|line| put(line)),
        }
    }

    fn names(&self, out: &mut impl Write) -> io::Result<()> {
        self.heading(
            out,
            "1. DNS: the phone book",
            &["The client knows a name; IP wants an address. One question, one answer, over UDP."],
        )?;
        let mut first = None;
        for seen in self.exchange(Transport::Udp, self.cast.dns_port) {
            let Ok(message) = DnsMessage::parse(seen.message()) else { continue };
            let what = if message.is_response() {
                let answers = message.answers().flatten();
                answers.map(|a| format!("{} has {} {}", a.name(), a.kind(), a.data())).collect::<Vec<_>>()
            } else {
                let questions = message.questions().flatten();
                questions.map(|q| format!("{}? {}", q.kind, q.name)).collect()
            };
            self.line(out, seen, &mut first, &what.join(", "))?;
        }
        Ok(())
    }

    fn conversation(&self, out: &mut impl Write) -> io::Result<()> {
        self.heading(
            out,
            "2. TCP: the three-way handshake, then the conversation",
            &[
                "IP only carries packets to an address: no connection, no delivery, no order. TCP adds those:",
                "both sides agree on where to count bytes from, then number and acknowledge every one.",
            ],
        )?;
        let mut first = None;
        let mut counting_from: BTreeMap<SocketAddr, u32> = BTreeMap::new();
        for seen in self.exchange(Transport::Tcp, self.cast.chat_port) {
            let (Some((from, to)), Some(ip)) = (seen.ends(), seen.ip()) else { continue };
            let packet = seen.packet();
            let Some(tcp) = packet.tcp(ip) else { continue };
            let start = *counting_from.entry(from).or_insert(tcp.sequence());
            let position = tcp.sequence().wrapping_sub(start);
            let acknowledged =
                counting_from.get(&to).map_or(0, |start| tcp.acknowledgment().wrapping_sub(*start));
            let meaning = meaning(&tcp, seen, position, acknowledged);
            self.line(out, seen, &mut first, &format!("{:<8} {meaning}", tcp.flags().to_string()))?;
        }
        Ok(())
    }

    /// The first segment of the chat that carries bytes, opened.
    fn message(&self, out: &mut impl Write) -> io::Result<()> {
        self.heading(
            out,
            "3. The message, and what it travels in",
            &["Application -> socket -> TCP -> IP -> Ethernet: each layer wraps the one above it."],
        )?;
        let chat = self.exchange(Transport::Tcp, self.cast.chat_port).find(|seen| !seen.message().is_empty());
        chat.map_or(Ok(()), |seen| anatomy::show(out, self.paint, self.columns, seen))
    }

    fn datagrams(&self, out: &mut impl Write) -> io::Result<()> {
        self.heading(
            out,
            "4. The same by UDP",
            &[
                "UDP adds ports and a checksum to IP, nothing else: no handshake, no acknowledgement, no promise.",
                "(QUIC builds on it: TCP's promises again, without TCP's extra round trip.)",
            ],
        )?;
        let mut first = None;
        for seen in self.exchange(Transport::Udp, self.cast.chat_port) {
            self.line(out, seen, &mut first, &format!("{:?}", text(seen)))?;
        }
        let packets = |transport| self.exchange(transport, self.cast.chat_port).count();
        writeln!(out, "   {} packets; TCP took {}\n", packets(Transport::Udp), packets(Transport::Tcp))?;
        let said = self.exchange(Transport::Udp, self.cast.chat_port).next();
        said.map_or(Ok(()), |seen| anatomy::show(out, self.paint, self.columns, seen))
    }

    fn ports(&self, out: &mut impl Write) -> io::Result<()> {
        self.heading(
            out,
            "5. Ports tell programs apart",
            &["IP knows hosts only. Behind one address many programs listen, each at its port:"],
        )?;
        let mut rows: BTreeMap<(u16, &str), (usize, u64)> = BTreeMap::new();
        for seen in self.packets {
            let Some(ip) = seen.ip() else { continue };
            // As a port splitter does it: by the server's port, whichever way the packet goes.
            let port = wharf::demux::service_port(ip).unwrap_or_default();
            let row = rows.entry((port, protocol(ip.transport))).or_default();
            row.0 += 1;
            row.1 += u64::from(seen.packet().frame().record.wire_length);
        }
        let all: usize = rows.values().map(|row| row.0).sum();
        writeln!(out, "   {:<6} {:>5} {:>8} {:>9} {:>7}", "proto", "port", "packets", "bytes", "share")?;
        for ((port, name), (packets, bytes)) in &rows {
            let share = 100.0 * *packets as f64 / all as f64;
            let bar = "#".repeat((share / 2.0).round() as usize);
            let line = format!("   {name:<6} {port:>5} {packets:>8} {bytes:>9} {share:>6.1}% {bar}");
            writeln!(out, "{}", line.trim_end())?;
        }
        let sent: usize = self.cast.burst.iter().map(|(_, datagrams)| datagrams).sum();
        let is_burst = |port: &u16| self.cast.burst.iter().any(|(burst, _)| burst == port);
        let seen: usize = rows.iter().filter(|((port, _), _)| is_burst(port)).map(|(_, row)| row.0).sum();
        let portless = self.packets.iter().filter(|seen| seen.ip().is_none()).count();
        if portless > 0 {
            writeln!(
                out,
                "   and {portless} without IP: ARP, asking which Ethernet address an IP address has"
            )?;
        }
        writeln!(out, "   the burst: {sent} datagrams sent to {} ports, {seen} seen", self.cast.burst.len())
    }

    fn verdicts(&self, out: &mut impl Write) -> io::Result<()> {
        let mut rows: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for seen in self.packets.iter().filter(|seen| seen.ip().is_some()) {
            *rows.entry(("IPv4", say(seen.verdicts.ip))).or_default() += 1;
            *rows.entry((protocol(seen.transport()), say(seen.verdicts.l4))).or_default() += 1;
        }
        let offloaded = self.packets.iter().any(|seen| seen.verdicts.l4 == Verdict::NotReady);
        let aside: &[&str] = if offloaded {
            &[
                "The kernel leaves TCP and UDP sums to the network device, and a veth pair has none: the fields",
                "hold a beginning, not a sum. That is offload, not damage, and is not called bad.",
            ]
        } else {
            &["Each sum was computed again and compared with what the packet says."]
        };
        self.heading(out, "6. Checksums: is what came what was sent?", aside)?;
        for ((what, verdict), packets) in &rows {
            writeln!(out, "   {what:<5} {packets:>5}  {verdict}")?;
        }
        Ok(())
    }

    fn ledger(&self, out: &mut impl Write) -> io::Result<()> {
        self.heading(out, "7. The ledger: every packet accounted for", &[])?;
        self.report.to_string().lines().try_for_each(|line| writeln!(out, "   {line}"))
    }

    /// The packets of one program's conversation.
    fn exchange(&self, transport: Transport, port: u16) -> impl Iterator<Item = &Seen> {
        self.packets.iter().filter(move |seen| seen.transport() == transport && seen.has_port(port))
    }

    /// One packet: time since the first one, who to whom, what.
    fn line(
        &self,
        out: &mut impl Write,
        seen: &Seen,
        first: &mut Option<Timestamp>,
        what: &str,
    ) -> io::Result<()> {
        let since = *first.get_or_insert(seen.time());
        let milliseconds = seen.time().nanos_since(since) as f64 / 1e6;
        let (from, to) =
            seen.ends().map_or_else(Default::default, |(from, to)| (self.actor(from), self.actor(to)));
        writeln!(out, "   {milliseconds:>+7.3} ms  {from:<12} -> {to:<12}  {what}")
    }

    /// `client` or `server`, with the port.
    fn actor(&self, end: SocketAddr) -> String {
        let who = if end.ip() == self.cast.client { "client" } else { "server" };
        format!("{who}:{}", end.port())
    }
}

/// What a segment says, in words. `position` and `acknowledged` count from each side's SYN.
fn meaning(tcp: &TcpHeader<'_>, seen: &Seen, position: u32, acknowledged: u32) -> String {
    let flags = tcp.flags();
    let length = seen.message().len() as u32;
    match (flags.syn(), flags.ack(), flags.fin()) {
        (true, false, _) => format!("may we talk? I count from {}", tcp.sequence()),
        (true, true, _) => format!(
            "yes; I count from {}, and you did from {}",
            tcp.sequence(),
            tcp.acknowledgment().wrapping_sub(1)
        ),
        (false, _, true) => "I have nothing more to say".to_owned(),
        (false, ..) if length > 0 => {
            format!("bytes {position} to {}: {:?}", position + length - 1, text(seen))
        }
        (false, ..) if (position, acknowledged) == (1, 1) => "agreed: the connection is open".to_owned(),
        (false, ..) => format!("I have everything before byte {acknowledged}"),
    }
}

/// What the application wrote, as text.
pub(super) fn text(seen: &Seen) -> String {
    String::from_utf8_lossy(seen.message()).into_owned()
}

pub(super) const fn protocol(transport: Transport) -> &'static str {
    match transport {
        Transport::Tcp => "TCP",
        Transport::Udp => "UDP",
        Transport::Icmp => "ICMP",
        _ => "other",
    }
}

/// A verdict in words.
pub(super) const fn say(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Good => "good",
        Verdict::Bad { .. } => "BAD",
        Verdict::Absent => "absent: the sender computed none",
        Verdict::NotReady => "offloaded, not computed yet",
        Verdict::Vouched => "good, says the device",
        Verdict::Fragment => "cannot tell: a fragment",
        Verdict::Truncated => "cannot tell: not all captured",
        Verdict::NotApplicable => "none",
        _ => "cannot tell",
    }
}
