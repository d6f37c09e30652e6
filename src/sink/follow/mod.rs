//! One conversation, as its two ends had it.

mod conversations;
mod show;

pub use conversations::{Conversation, Conversations};
pub use show::{Form, ShowOptions};

use super::lines::Lines;
use super::{Deliveries, Error, InterfaceStatistics, Sink};
use crate::flow::FlowKey;
use crate::flow::fragments::{self, Defragmenter, Outcome};
use crate::flow::reassembly::{Options, Reassembler, Segment, Side, Slice, What};
use crate::frame::Timestamp;
use crate::parse::{IpLayer, Packet, Transport};
use conversations::Met;
use show::Show;
use std::io::Write;

/// Which conversation to follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// The first in which anybody says anything.
    #[default]
    First,
    /// That of this [number](Conversation::number).
    Number(u64),
}

/// Writes what the two ends of a TCP or UDP conversation said, each in turn, as it became known.
///
/// TCP is put in order first, IP fragments are put together; what is missing is told in its place. Everything else passes
/// unseen.
///
/// ```
/// use wharf::engine::Engine;
/// use wharf::sink::Follow;
/// use wharf::sink::follow::{Choice, ShowOptions};
/// use wharf::source::synthetic::{Synthetic, Traffic};
///
/// let mut text = Vec::new();
/// let mut follow = Follow::new(&mut text, Choice::First, ShowOptions::default());
/// Engine::builder().source(Synthetic::new(&Traffic { frames: 100, ..Traffic::default() })).rest(&mut follow).run()?;
/// assert!(follow.followed().is_some());
/// drop(follow);
/// assert!(text.starts_with(b"[10."), "an address of who speaks: {}", String::from_utf8_lossy(&text));
/// # Ok::<(), wharf::engine::Error>(())
/// ```
pub struct Follow<W> {
    lines: Lines<W>,
    show: Show,
    conversations: Conversations,
    /// By the conversation's number; of TCP.
    reassembler: Reassembler<u64>,
    defragmenter: Defragmenter,
    chosen: Option<u64>,
    said: [u64; 2],
    missing: [u64; 2],
}

impl<W: Write> Follow<W> {
    /// Follows a conversation onto a writer, which errors call standard output.
    #[must_use]
    pub fn new(writer: W, choice: Choice, options: ShowOptions) -> Self {
        let chosen = match choice {
            Choice::First => None,
            Choice::Number(number) => Some(number),
        };
        Self {
            lines: Lines::new(writer),
            show: Show::new(options),
            conversations: Conversations::new(),
            reassembler: Reassembler::new(Options::default()),
            defragmenter: Defragmenter::new(fragments::Options::default()),
            chosen,
            said: [0; 2],
            missing: [0; 2],
        }
    }

    /// The conversation that is followed, if it has been met.
    #[must_use]
    pub fn followed(&self) -> Option<&Conversation> {
        self.chosen.and_then(|number| self.conversations.get(number))
    }

    /// All conversations met.
    #[must_use]
    pub fn conversations(&self) -> &Conversations {
        &self.conversations
    }

    /// Bytes shown of each end, that which sent first first, and bytes told as missing.
    #[must_use]
    pub fn shown(&self) -> [(u64, u64); 2] {
        [(self.said[0], self.missing[0]), (self.said[1], self.missing[1])]
    }

    fn packet(&mut self, packet: &Packet<'_>) {
        let time = packet.frame().record.time;
        match self.defragmenter.packet(packet) {
            Outcome::Kept => {}
            Outcome::Whole => {
                if let Some(keyed) = FlowKey::of(packet) {
                    self.take(packet, keyed.ip, (keyed.key, keyed.reversed), time);
                }
            }
            Outcome::Complete(carried) => {
                let layers = carried.layers();
                let whole = Packet::new(carried.frame(), &layers);
                if let (Some(of), Some(seen)) = (FlowKey::of(&whole), FlowKey::of(packet)) {
                    self.take(&whole, of.ip, (of.key.seen_as(&seen.key), of.reversed), time);
                }
            }
        }
    }

    fn take(
        &mut self,
        packet: &Packet<'_>,
        ip: &IpLayer,
        (key, reversed): (FlowKey, bool),
        time: Option<Timestamp>,
    ) {
        let Some(Met { number, side }) = self.conversations.packet(packet, ip, key, reversed, time) else {
            return;
        };
        if self.chosen.is_some_and(|chosen| chosen != number) {
            return;
        }
        match Segment::of(packet, ip) {
            Some(segment) => {
                let mut heard = Heard {
                    show: &mut self.show,
                    out: &mut self.lines.buffer,
                    conversations: &self.conversations,
                    chosen: &mut self.chosen,
                    said: &mut self.said,
                    missing: &mut self.missing,
                };
                self.reassembler.segment(&number, side, &segment, time, |slice| heard.slice(&slice));
            }
            None if ip.transport == Transport::Udp || ip.transport == Transport::UdpLite => {
                let (bytes, length) = (packet.payload(ip), packet.payload_length(ip));
                let mut heard = Heard {
                    show: &mut self.show,
                    out: &mut self.lines.buffer,
                    conversations: &self.conversations,
                    chosen: &mut self.chosen,
                    said: &mut self.said,
                    missing: &mut self.missing,
                };
                heard.datagram(number, side, time, (bytes, length));
            }
            None => {}
        }
    }
}

/// What takes what was heard to where it is shown.
struct Heard<'a> {
    show: &'a mut Show,
    out: &'a mut Vec<u8>,
    conversations: &'a Conversations,
    chosen: &'a mut Option<u64>,
    said: &'a mut [u64; 2],
    missing: &'a mut [u64; 2],
}

impl Heard<'_> {
    /// Sides are those of a [`Conversation`]: who sent first is the first.
    fn slice(&mut self, slice: &Slice<'_, u64>) {
        let number = *slice.key;
        if let What::Data(_) = slice.what {
            // Somebody has said something: that is the one.
            self.chosen.get_or_insert(number);
        }
        if *self.chosen != Some(number) {
            return;
        }
        let Some(conversation) = self.conversations.get(number) else { return };
        match slice.what {
            What::Data(bytes) => {
                self.said[slice.side.index()] += bytes.len() as u64;
                self.show.bytes(self.out, (conversation, slice.side), slice.time, bytes);
            }
            What::Missing(bytes) => {
                self.missing[slice.side.index()] += bytes;
                self.show.missing(self.out, (conversation, slice.side), slice.time, bytes);
            }
            What::End(_) => {}
        }
    }

    fn datagram(&mut self, number: u64, side: Side, time: Option<Timestamp>, (bytes, length): (&[u8], u32)) {
        if length == 0 {
            return;
        }
        self.chosen.get_or_insert(number);
        let Some(conversation) = self.conversations.get(number) else { return };
        if !bytes.is_empty() {
            self.said[side.index()] += bytes.len() as u64;
            self.show.bytes(self.out, (conversation, side), time, bytes);
        }
        let missing = u64::from(length).saturating_sub(bytes.len() as u64);
        if missing > 0 {
            self.missing[side.index()] += missing;
            self.show.missing(self.out, (conversation, side), time, missing);
        }
        self.show.pause(self.out);
    }
}

impl<W: Write> Sink for Follow<W> {
    fn write(&mut self, packets: Deliveries<'_>) -> Result<(), Error> {
        packets.iter().for_each(|delivery| self.packet(&delivery.packet));
        self.lines.write(packets.len())?;
        self.lines.flush()
    }

    fn finish(&mut self, _: &[InterfaceStatistics]) -> Result<(), Error> {
        let mut heard = Heard {
            show: &mut self.show,
            out: &mut self.lines.buffer,
            conversations: &self.conversations,
            chosen: &mut self.chosen,
            said: &mut self.said,
            missing: &mut self.missing,
        };
        self.reassembler.finish(|slice| heard.slice(&slice));
        self.show.end(&mut self.lines.buffer);
        self.lines.write(0)?;
        self.lines.flush()
    }

    fn kept(&self) -> Option<u64> {
        Some(self.lines.kept())
    }
}
