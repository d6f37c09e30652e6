//! Gzip (RFC 1952): one member after another.

use flate2::write::MultiGzDecoder;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};

/// Decompresses what it reads, and hands out all that came before a damage before it tells of it: flate2's readers lose what they
/// had decompressed in the call that meets the damage, its writers have written it.
pub(super) struct Decoder<R> {
    source: BufReader<R>,
    decoder: MultiGzDecoder<Vec<u8>>,
    /// How much of what the decoder has written was handed out.
    at: usize,
    /// How the stream ends, once that is known.
    end: Option<io::Result<()>>,
}

impl<R: Read> Decoder<R> {
    pub(super) fn new(source: R) -> Self {
        let source = BufReader::with_capacity(1 << 16, source);
        Self { source, decoder: MultiGzDecoder::new(Vec::new()), at: 0, end: None }
    }

    pub(super) fn get_ref(&self) -> &R {
        self.source.get_ref()
    }

    /// Decompresses some more of the source, or finds its end.
    fn advance(&mut self) -> io::Result<()> {
        let input = self.source.fill_buf()?;
        if input.is_empty() {
            self.end = Some(self.finish());
            return Ok(());
        }
        // Flushed, because a pipe may stay silent now.
        match self.decoder.write(input).and_then(|taken| self.decoder.flush().map(|()| taken)) {
            Ok(taken) => self.source.consume(taken),
            Err(error) => {
                // Writes what is left, and fails again.
                let _ = self.decoder.try_finish();
                self.end = Some(Err(error));
            }
        }
        Ok(())
    }

    /// At the end of the source: whether the last member is whole.
    fn finish(&mut self) -> io::Result<()> {
        self.decoder.try_finish().map_err(|error| {
            // flate2 calls a trailer that is not all there a wrong one: only that takes one more byte.
            let is_cut = error.kind() == ErrorKind::InvalidInput && self.decoder.write(&[0]).is_ok();
            if is_cut { ErrorKind::UnexpectedEof.into() } else { error }
        })
    }
}

impl<R: Read> Read for Decoder<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let ready = &self.decoder.get_ref()[self.at..];
            if !ready.is_empty() {
                let length = ready.len().min(into.len());
                into[..length].copy_from_slice(&ready[..length]);
                self.at += length;
                return Ok(length);
            }
            self.decoder.get_mut().clear();
            self.at = 0;
            match self.end.replace(Ok(())) {
                Some(end) => return end.map(|()| 0),
                None => self.end = None,
            }
            self.advance()?;
        }
    }
}
