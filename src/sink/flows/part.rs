//! A worker's part of the flows: what its packets tell goes to the meters that all workers run.

use super::exchange::Exchange;
use super::see::{Scout, see};
use crate::flow::Window;
use crate::sink::{Chunked, Deliveries, Error, InterfaceStatistics, Mark, Sink};
use std::sync::Arc;

/// Sorts the packets of a worker by meter.
pub(super) struct FlowsPart {
    exchange: Arc<Exchange>,
    /// Its number, once it has begun.
    worker: Option<usize>,
    window: Window,
    scout: Option<Scout>,
    ended: bool,
}

impl FlowsPart {
    /// Without or with a scout for names, among those of others.
    pub(super) fn new(exchange: Arc<Exchange>, scout: Option<Scout>) -> Self {
        let window = exchange.join();
        Self { exchange, worker: None, window, scout, ended: false }
    }

    fn end(&mut self) {
        if !std::mem::replace(&mut self.ended, true) {
            self.exchange.leave();
        }
    }
}

impl Sink for FlowsPart {
    fn write(&mut self, packets: Deliveries<'_>) -> Result<(), Error> {
        see(&mut self.window, packets, self.scout.as_mut());
        Ok(())
    }

    fn look_back(&mut self, number: Option<u64>, chunk: &dyn Chunked) -> Result<(), Error> {
        if let Some(scout) = &mut self.scout {
            self.exchange.sifted(number);
            scout.look_back(&mut self.window, chunk);
        }
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
