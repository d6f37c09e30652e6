//! The columns of a flow, and their values on the way to a file.

use crate::flow::{FlowRecord, TcpStory, Trouble};
use crate::frame::Timestamp;
use crate::parse::protocol_name;
use crate::sink::flow_story;
use crate::sink::flows::has_ports;
use parquet::data_type::ByteArray;
use std::time::Duration;

/// A value of a record.
pub(super) enum Cell {
    Null,
    Number(i64),
    Text(String),
}

/// What a record has in a column.
pub(super) type Value = fn(&FlowRecord) -> Cell;

/// Each column as the schema's language has it, and its value. `a` is what the source sent, `b` what the destination did.
pub(super) const COLUMNS: &[(&str, Value)] = &[
    ("required binary proto (STRING)", |flow| {
        let number = flow.key.protocol();
        Cell::Text(protocol_name(number).map_or_else(|| number.to_string(), str::to_owned))
    }),
    ("required binary src (STRING)", |flow| Cell::Text(flow.source().0.to_string())),
    ("optional int32 sport (INTEGER(16,false))", |flow| port(flow, flow.source().1)),
    ("required binary dst (STRING)", |flow| Cell::Text(flow.destination().0.to_string())),
    ("optional int32 dport (INTEGER(16,false))", |flow| port(flow, flow.destination().1)),
    ("optional int32 vlan (INTEGER(16,false))", |flow| number(flow.key.vlans()[0])),
    ("optional int32 inner_vlan (INTEGER(16,false))", |flow| number(flow.key.vlans()[1])),
    ("optional binary tunnel (STRING)", |flow| text(flow.key.tunnel().map(|tunnel| tunnel.kind.key()))),
    ("optional int64 tunnel_id", |flow| number(flow.key.tunnel().map(|tunnel| tunnel.id))),
    ("required int64 packets_a", |flow| count(flow.packets[0])),
    ("required int64 packets_b", |flow| count(flow.packets[1])),
    ("required int64 bytes_a", |flow| count(flow.bytes[0])),
    ("required int64 bytes_b", |flow| count(flow.bytes[1])),
    ("required int64 payload_a", |flow| count(flow.payload[0])),
    ("required int64 payload_b", |flow| count(flow.payload[1])),
    ("required int32 tcp_flags_a (INTEGER(16,false))", |flow| count(flow.tcp_flags[0].0)),
    ("required int32 tcp_flags_b (INTEGER(16,false))", |flow| count(flow.tcp_flags[1].0)),
    ("optional int64 first (TIMESTAMP(NANOS,true))", |flow| time(flow.first)),
    ("optional int64 last (TIMESTAMP(NANOS,true))", |flow| time(flow.last)),
    ("required int64 duration_ns", |flow| Cell::Number(nanos(flow.duration()))),
    ("required binary community_id (STRING)", |flow| Cell::Text(flow.community_id.to_string())),
    ("required binary end (STRING)", |flow| text(Some(flow.end.key()))),
    ("optional binary tcp_state (STRING)", |flow| text(flow.tcp.as_deref().map(|tcp| tcp.state.key()))),
    ("optional int64 handshake_ns", |flow| number(flow.tcp.as_deref().and_then(handshake).map(nanos))),
    ("optional int32 retransmissions_a (INTEGER(32,false))", |flow| {
        trouble(flow, 0, |side| side.retransmissions)
    }),
    ("optional int32 retransmissions_b (INTEGER(32,false))", |flow| {
        trouble(flow, 1, |side| side.retransmissions)
    }),
    ("optional int32 out_of_order_a (INTEGER(32,false))", |flow| trouble(flow, 0, |side| side.out_of_order)),
    ("optional int32 out_of_order_b (INTEGER(32,false))", |flow| trouble(flow, 1, |side| side.out_of_order)),
    ("optional int32 lost_a (INTEGER(32,false))", |flow| trouble(flow, 0, |side| side.gaps.lost)),
    ("optional int32 lost_b (INTEGER(32,false))", |flow| trouble(flow, 1, |side| side.gaps.lost)),
    ("required int32 icmp_errors_a (INTEGER(32,false))", |flow| count(flow.icmp_errors[0])),
    ("required int32 icmp_errors_b (INTEGER(32,false))", |flow| count(flow.icmp_errors[1])),
    ("required int32 bad_checksums_a (INTEGER(32,false))", |flow| count(flow.bad_checksums[0])),
    ("required int32 bad_checksums_b (INTEGER(32,false))", |flow| count(flow.bad_checksums[1])),
    ("optional binary name (STRING)", |flow| {
        text(flow.names.as_deref().and_then(|names| names.server.as_deref()))
    }),
    ("optional binary name_from (STRING)", |flow| {
        text(flow.names.as_deref().and_then(|names| names.server_from))
    }),
    ("optional binary application (STRING)", |flow| {
        text(flow.names.as_deref().and_then(|names| names.application.as_deref()))
    }),
    ("required binary story (STRING)", |flow| Cell::Text(flow_story(flow))),
];

fn count(value: impl TryInto<i64>) -> Cell {
    Cell::Number(value.try_into().unwrap_or(i64::MAX))
}

fn number(value: Option<impl TryInto<i64>>) -> Cell {
    value.map_or(Cell::Null, count)
}

fn text(value: Option<&str>) -> Cell {
    value.map_or(Cell::Null, |text| Cell::Text(text.to_owned()))
}

fn port(flow: &FlowRecord, port: u16) -> Cell {
    number(has_ports(flow).then_some(port))
}

fn nanos(time: Duration) -> i64 {
    time.as_nanos().try_into().unwrap_or(i64::MAX)
}

/// Nanoseconds since 1970: from 1677 to 2262.
fn time(time: Option<Timestamp>) -> Cell {
    number(time.and_then(|time| time.seconds.checked_mul(1_000_000_000)?.checked_add(time.nanos.into())))
}

/// Both halves of the handshake.
fn handshake(tcp: &TcpStory) -> Option<Duration> {
    let steps = tcp.handshake?;
    Some(steps.answered_after? + steps.confirmed_after?)
}

fn trouble(flow: &FlowRecord, side: usize, of: fn(&Trouble) -> u32) -> Cell {
    number(flow.tcp.as_deref().map(|tcp| of(&tcp.sides[side].trouble)))
}

/// Values of one column, those that are there, and where they are.
pub(super) enum Column {
    Int32 { values: Vec<i32>, there: There },
    Int64 { values: Vec<i64>, there: There },
    Text { values: Vec<ByteArray>, there: There },
}

/// 1 for a value, 0 for none; of a required column nothing.
pub(super) struct There(Option<Vec<i16>>);

impl There {
    pub(super) fn levels(&self) -> Option<&[i16]> {
        self.0.as_deref()
    }

    fn push(&mut self, level: i16) {
        if let Some(levels) = &mut self.0 {
            levels.push(level);
        }
    }
}

impl Column {
    /// Of the declaration in [`COLUMNS`].
    pub(super) fn of(declaration: &str) -> Self {
        let there = There(declaration.starts_with("optional").then(Vec::new));
        match declaration.split(' ').nth(1) {
            Some("int32") => Self::Int32 { values: Vec::new(), there },
            Some("int64") => Self::Int64 { values: Vec::new(), there },
            _ => Self::Text { values: Vec::new(), there },
        }
    }

    pub(super) fn push(&mut self, cell: Cell) {
        match (&mut *self, &cell) {
            // Unsigned numbers keep their bits.
            (Self::Int32 { values, .. }, Cell::Number(number)) => values.push(*number as i32),
            (Self::Int64 { values, .. }, Cell::Number(number)) => values.push(*number),
            (Self::Text { values, .. }, Cell::Text(text)) => values.push(text.as_str().into()),
            _ => {}
        }
        let (Self::Int32 { there, .. } | Self::Int64 { there, .. } | Self::Text { there, .. }) = self;
        there.push(i16::from(!matches!(cell, Cell::Null)));
    }

    pub(super) fn clear(&mut self) {
        let there = match self {
            Self::Int32 { values, there } => {
                values.clear();
                there
            }
            Self::Int64 { values, there } => {
                values.clear();
                there
            }
            Self::Text { values, there } => {
                values.clear();
                there
            }
        };
        there.0.iter_mut().for_each(Vec::clear);
    }
}
