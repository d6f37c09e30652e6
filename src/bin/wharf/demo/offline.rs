//! The same story from frames built here, for machines that forbid namespaces.

use super::Cast;
use std::net::Ipv4Addr;
use wharf::build::{Checksum, DnsMessage, DnsRecord, DnsType, Ethernet, Ipv4, Stack, Tcp, Udp};
use wharf::frame::{Batch, Interface, LinkType, Record, Timestamp};
use wharf::source::{BATCH, Counters, Error, Fill, Source};

/// The client's port for everything: one is enough for a story.
const CLIENT_PORT: u16 = 40_210;
/// Where the two count their bytes from.
const CLIENT_START: u32 = 1_000_000;
const SERVER_START: u32 = 5_000_000;
/// Time between two frames, in nanoseconds: what a wire across a room takes.
const STEP: u64 = 48_000;

/// Frames written in advance, as a source.
pub(super) struct Script {
    client: Ipv4Addr,
    server: Ipv4Addr,
    slab: Vec<u8>,
    records: Vec<Record>,
    handed_out: usize,
    interfaces: [Interface; 1],
    stack: Stack,
}

#[derive(Clone, Copy)]
enum From {
    Client,
    Server,
}

impl Script {
    pub(super) fn new(cast: &Cast) -> Self {
        let interface =
            Interface { name: Some("script".into()), link_type: LinkType::ETHERNET, ..Interface::default() };
        let mut script = Self {
            client: cast.client,
            server: cast.server,
            slab: Vec::new(),
            records: Vec::new(),
            handed_out: 0,
            interfaces: [interface],
            stack: Stack::new(),
        };
        script.names(cast);
        script.chat(cast);
        script.datagram(From::Client, cast.chat_port, cast.said.as_bytes());
        script.datagram(From::Server, cast.chat_port, cast.answered.as_bytes());
        for (port, datagrams) in cast.burst {
            for number in 0..*datagrams {
                let message = format!("datagram {number} for port {port}");
                script.datagram(From::Client, *port, message.as_bytes());
            }
        }
        script
    }

    fn names(&mut self, cast: &Cast) {
        let Ok(query) = DnsMessage::query(0x7768, cast.name, DnsType::A) else { return };
        self.datagram(From::Client, cast.dns_port, query.bytes());
        if let Ok(response) = DnsMessage::response(&query).answer(60, DnsRecord::A(cast.server)) {
            self.datagram(From::Server, cast.dns_port, response.bytes());
        }
    }

    /// Handshake, a message each way, and the orderly end.
    fn chat(&mut self, cast: &Cast) {
        let said = cast.said.len() as u32;
        let answered = cast.answered.len() as u32;
        let (client, server) = (CLIENT_START + 1, SERVER_START + 1);
        let (mine, theirs) = (client + said, server + answered);
        let talk = Tcp::PSH | Tcp::ACK;
        let steps: [(From, u16, u32, u32, &[u8]); 11] = [
            (From::Client, Tcp::SYN, CLIENT_START, 0, b""),
            (From::Server, Tcp::SYN | Tcp::ACK, SERVER_START, client, b""),
            (From::Client, Tcp::ACK, client, server, b""),
            (From::Client, talk, client, server, cast.said.as_bytes()),
            (From::Server, Tcp::ACK, server, mine, b""),
            (From::Server, talk, server, mine, cast.answered.as_bytes()),
            (From::Client, Tcp::ACK, mine, theirs, b""),
            (From::Client, Tcp::FIN | Tcp::ACK, mine, theirs, b""),
            (From::Server, Tcp::ACK, theirs, mine + 1, b""),
            (From::Server, Tcp::FIN | Tcp::ACK, theirs, mine + 1, b""),
            (From::Client, Tcp::ACK, mine + 1, theirs + 1, b""),
        ];
        for (from, flags, sequence, acknowledgment, message) in steps {
            let (source, destination) = ports(from, cast.chat_port);
            let header = Tcp::new(source, destination).flags(flags).sequence(sequence);
            self.stack.message(message);
            self.send(from, header.acknowledgment(acknowledgment));
        }
    }

    fn datagram(&mut self, from: From, server_port: u16, message: &[u8]) {
        let (source, destination) = ports(from, server_port);
        self.stack.message(message);
        self.send(from, Udp::new(source, destination).checksum(Checksum::Right));
    }

    /// Wraps what is in the stack in transport, network and link, and puts the frame behind the others.
    fn send(&mut self, from: From, transport: impl wharf::build::Header) {
        const CLIENT_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
        const SERVER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
        let (network, link) = match from {
            From::Client => (Ipv4::new(self.client, self.server), Ethernet::new(CLIENT_MAC, SERVER_MAC)),
            From::Server => (Ipv4::new(self.server, self.client), Ethernet::new(SERVER_MAC, CLIENT_MAC)),
        };
        let frame = self.stack.wrap(transport).wrap(network).wrap(link).bytes();
        let (number, length) = (self.records.len() as u64 + 1, frame.len() as u32);
        self.records.push(Record {
            offset: self.slab.len() as u32,
            captured: length,
            wire_length: length,
            number,
            time: Some(Timestamp::new(0, (number * STEP) as u32)),
            link_type: LinkType::ETHERNET,
            ..Record::default()
        });
        self.slab.extend_from_slice(frame);
    }
}

/// Source and destination port.
const fn ports(from: From, server_port: u16) -> (u16, u16) {
    match from {
        From::Client => (CLIENT_PORT, server_port),
        From::Server => (server_port, CLIENT_PORT),
    }
}

impl Source for Script {
    fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }

    fn fill(&mut self, limit: usize) -> Result<Fill<'_>, Error> {
        let records = &self.records[self.handed_out..];
        let records = &records[..records.len().min(limit).min(BATCH)];
        self.handed_out += records.len();
        if records.is_empty() {
            return Ok(Fill::End);
        }
        Ok(Fill::Batch(Batch::new(&self.slab, records, &self.interfaces)))
    }

    fn stop(&mut self) -> Result<(), Error> {
        self.handed_out = self.records.len();
        Ok(())
    }

    fn counters(&mut self) -> Counters {
        Counters { received: self.handed_out as u64, ..Counters::default() }
    }
}
