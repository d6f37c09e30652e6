//! Records of a capture file, handed out: in batches where they lie, or in chunks that leave with their memory.

use super::step::{More, Step, Stretch};
use super::{CaptureFile, Format, ReadAhead};
use crate::frame::{Batch, Interface, InterfaceStatistics};
use crate::source::{BATCH, Chunk, ChunkSource, Counters, Error, Fill, Progress, Source};

impl CaptureFile {
    /// Takes a batch of records off the buffer, until `limit`, the buffer's end, or what must begin a new batch.
    fn gather(&mut self, limit: usize) -> Option<Step> {
        let (before, annotations_before) = (self.records.len(), self.annotations.len());
        let full = before + limit;
        while self.records.len() < full && self.annotations.len() - annotations_before < BATCH {
            self.walk(full);
            if self.records.len() == full {
                break;
            }
            match self.step() {
                Step::Packet { mut record, length } => {
                    let start = self.buffer.start() as u32;
                    record.offset += start;
                    record.options_offset += if record.options_length > 0 { start } else { 0 };
                    self.frames += 1;
                    record.number = self.frames;
                    self.records.push(record);
                    self.buffer.consume(length);
                }
                Step::Skip { length } => self.buffer.consume(length),
                // Left for the next batch, before whose first frame it stands.
                Step::Annotation { .. } if self.records.len() > before => return None,
                Step::Annotation { annotation, length } => {
                    self.annotations.push(annotation);
                    self.buffer.consume(length);
                }
                step @ (Step::Need(_) | Step::Damaged(_)) => return Some(step),
            }
        }
        None
    }

    /// Takes ordinary packets in bulk, until there are `full` of them or something else is at the front.
    fn walk(&mut self, full: usize) {
        let (before, range) = (self.records.len(), self.buffer.range());
        let start = range.start;
        let stretch = Stretch { slab: self.buffer.slab(), range, room: full - before, number: self.frames };
        let next = match &self.format {
            Format::Pcap(pcap) => pcap.walk(stretch, &mut self.records),
            Format::PcapNg(pcapng) => pcapng.walk(stretch, &self.interfaces, &mut self.records),
            Format::Unknown => return,
        };
        self.frames += (self.records.len() - before) as u64;
        self.buffer.consume(next - start);
    }

    /// Deals with what stopped [`Self::gather`] before it had taken anything.
    fn get_on(&mut self, stopped_by: Option<Step>) -> Result<More, Error> {
        match stopped_by {
            Some(Step::Damaged(reason)) => Err(self.damaged(reason)),
            Some(Step::Need(bytes)) => self.read_more(bytes),
            _ => Ok(More::Bytes),
        }
    }

    /// Takes the chunk's lists to work on, or gives them back: if they went round they would be in other CPUs' caches.
    fn swap_lists(&mut self, chunk: &mut Chunk) {
        std::mem::swap(&mut self.records, &mut chunk.records);
        std::mem::swap(&mut self.annotations, &mut chunk.annotations);
    }

    /// Reads what the last record of a piece lacks; false when that cannot be had, or is not what stopped the walk.
    fn finish_piece(&mut self, stopped_by: &Option<Step>) -> bool {
        match stopped_by {
            Some(Step::Need(bytes)) if self.buffer.piece().is_some() && !self.buffer.is_done() => {
                matches!(self.buffer.read_from(&mut self.input, *bytes), Ok(1..))
            }
            _ => false,
        }
    }
}

impl Source for CaptureFile {
    fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }

    fn fill(&mut self, limit: usize) -> Result<Fill<'_>, Error> {
        self.records.clear();
        self.annotations.clear();
        while !self.ended {
            let before = (self.buffer.offset(), self.frames);
            let stopped_by = self.gather(limit.clamp(1, BATCH));
            self.check_mapping(before)?;
            // Whatever stopped the walk is met again at the next call, with nothing before it.
            if !self.records.is_empty() || !self.annotations.is_empty() {
                let batch = Batch::new(self.buffer.slab(), &self.records, &self.interfaces);
                let batch = batch.with_annotations(&self.annotations).followed(self.buffer.ahead());
                return Ok(Fill::Batch(batch));
            }
            if self.get_on(stopped_by)? == More::Silence {
                return Ok(Fill::Idle);
            }
        }
        Ok(Fill::End)
    }

    fn stop(&mut self) -> Result<(), Error> {
        self.ended = true;
        Ok(())
    }

    fn settle(&mut self) -> Result<(), Error> {
        self.check_mapping((self.buffer.offset(), self.frames))
    }

    fn counters(&mut self) -> Counters {
        let lost_earlier = if let Format::PcapNg(pcapng) = &self.format { pcapng.lost() } else { 0 };
        Counters { received: self.frames, lost_earlier, ..Counters::default() }
    }

    fn statistics(&self) -> &[Option<InterfaceStatistics>] {
        if let Format::PcapNg(pcapng) = &self.format { pcapng.said() } else { &[] }
    }

    fn progress(&self) -> Option<Progress> {
        let total = self.input.total?;
        let read = match self.input.positioned() {
            Some(file) => file.origin() + self.buffer.end_offset(),
            None => self.input.consumed(),
        };
        Some(Progress { read, total })
    }

    fn chunks(&mut self) -> Option<&mut dyn ChunkSource> {
        Some(self)
    }
}

impl ChunkSource for CaptureFile {
    /// One read's worth of records, in the memory it was read into.
    fn fill_chunk(&mut self, chunk: &mut Chunk, limit: u64) -> Result<bool, Error> {
        let fetched = chunk.fetched.take();
        let mut memory = chunk.take_memory();
        if let (Some(fetched), Some(due)) = (fetched, self.buffer.piece()) {
            if fetched.piece < due {
                // No record begins there: a large one covers it.
                chunk.slab = memory;
                return Ok(!self.ended);
            }
            if fetched.piece == due {
                self.buffer.take_fetched(&mut memory, fetched);
            }
        }
        self.records.clear();
        self.annotations.clear();
        self.swap_lists(chunk);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let before_all = (self.buffer.offset(), self.frames);
        while !self.ended && self.records.len() < limit {
            let before = (self.records.len(), self.annotations.len());
            let stopped_by = self.gather((limit - self.records.len()).min(BATCH));
            let now = (self.records.len(), self.annotations.len());
            if now != before {
                chunk.cut(now, &self.interfaces);
            }
            if stopped_by.is_none() {
                continue;
            }
            // As in `fill`, what stopped the walk is met again at the next call.
            let goes_on = if chunk.is_empty() {
                self.check_mapping(before_all)?;
                self.get_on(stopped_by)? != More::Silence
            } else {
                self.finish_piece(&stopped_by)
            };
            if !goes_on {
                break;
            }
        }
        self.swap_lists(chunk);
        let lease = self.buffer.exchange(&mut memory);
        chunk.slab = memory;
        if let Some(lease) = lease {
            self.check_mapping(before_all).inspect_err(|_| chunk.clear())?;
            chunk.lie_in(lease);
        }
        Ok(!self.ended || !chunk.is_empty())
    }

    fn ahead(&self) -> Option<ReadAhead> {
        Some(ReadAhead::new(self.input.positioned()?.clone(), self.buffer.size(), self.buffer.piece()?))
    }
}
