//! The packets of the last seconds.

use crate::flow::FlowKey;
use crate::frame::{Frame, PacketOptions, Record};
use std::collections::VecDeque;

/// A packet that has not been decided on.
pub(super) struct Held {
    record: Record,
    /// The captured bytes, and the options behind them.
    bytes: Box<[u8]>,
    pub(super) flow: Option<FlowKey>,
    /// Nanoseconds since the first packet of the run.
    pub(super) time: i64,
    /// It wants an answer.
    pub(super) asks: bool,
}

impl Held {
    pub(super) fn new(frame: &Frame<'_>, flow: Option<FlowKey>, time: i64, asks: bool) -> Self {
        let bytes = [frame.data, frame.options.raw].concat().into_boxed_slice();
        Self { record: frame.record, bytes, flow, time, asks }
    }

    pub(super) fn frame(&self) -> Frame<'_> {
        let captured = self.bytes.len().min(self.record.captured as usize);
        let (data, raw) = self.bytes.split_at(captured);
        Frame {
            data,
            options: PacketOptions { raw, big_endian: self.record.options_big_endian },
            record: self.record,
        }
    }

    /// What it takes: itself, its bytes and the allocator's own.
    fn memory(&self) -> usize {
        size_of::<Self>() + self.bytes.len() + 16
    }
}

/// Packets in the order they came, within a bound.
pub(super) struct Memory {
    packets: VecDeque<Held>,
    bytes: usize,
    most: usize,
}

impl Memory {
    pub(super) fn new(most: usize) -> Self {
        Self { packets: VecDeque::new(), bytes: 0, most }
    }

    pub(super) fn push(&mut self, held: Held) {
        self.bytes += held.memory();
        self.packets.push_back(held);
    }

    pub(super) fn pop(&mut self) -> Option<Held> {
        let held = self.packets.pop_front()?;
        self.bytes -= held.memory();
        Some(held)
    }

    /// When the oldest came.
    pub(super) fn oldest(&self) -> Option<i64> {
        self.packets.front().map(|held| held.time)
    }

    /// There is more than there may be.
    pub(super) fn is_full(&self) -> bool {
        self.bytes > self.most
    }
}
