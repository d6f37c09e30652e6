//! A worker's part of the flows: what its packets tell goes to the meters that all workers run.

use super::exchange::Exchange;
use super::see;
use crate::flow::Window;
use crate::sink::{Deliveries, Error, InterfaceStatistics, Mark, Sink};
use std::sync::Arc;

/// Sorts the packets of a worker by meter.
pub(super) struct FlowsPart {
    exchange: Arc<Exchange>,
    /// Its number, once it has begun.
    worker: Option<usize>,
    window: Window,
    ended: bool,
}

impl FlowsPart {
    pub(super) fn new(exchange: Arc<Exchange>) -> Self {
        let window = exchange.join();
        Self { exchange, worker: None, window, ended: false }
    }

    fn end(&mut self) {
        if !std::mem::replace(&mut self.ended, true) {
            self.exchange.leave();
        }
    }
}

impl Sink for FlowsPart {
    fn write(&mut self, packets: Deliveries<'_>) -> Result<(), Error> {
        see(&mut self.window, packets);
        Ok(())
    }

    fn mark(&mut self, mark: Mark) -> Result<(), Error> {
        let worker = *self.worker.get_or_insert_with(|| self.exchange.begin());
        match mark {
            Mark::Chunk(number) => {
                self.exchange.put(number, &mut self.window);
                self.exchange.run(worker, false);
            }
            Mark::End => {
                self.exchange.run(worker, true);
                self.end();
            }
        }
        Ok(())
    }

    fn finish(&mut self, _: &[InterfaceStatistics]) -> Result<(), Error> {
        Ok(())
    }
}

/// When its worker panics, nobody is to wait for it.
impl Drop for FlowsPart {
    fn drop(&mut self) {
        self.end();
    }
}
