//! Parquet: flow records as a table by columns, for DuckDB, Spark, ClickHouse.

mod columns;

use super::FlowExport;
use crate::flow::FlowRecord;
use crate::sink::Error;
use columns::{COLUMNS, Column};
use parquet::basic::Compression;
use parquet::column::writer::ColumnWriter;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Records in memory until they are written: some 50 MB of them. A file has its end, without which nobody reads it, only
/// after [`FlowExport::finish`].
const GROUP: usize = 1 << 16;

/// Writes flow records to a Parquet file: the columns of [`FlowFormat::Csv`](crate::sink::FlowFormat), with types. Times are
/// nanoseconds in UTC; columns are compressed with Snappy.
///
/// ```
/// use wharf::sink::{FlowExport, Parquet};
///
/// let directory = tempfile::tempdir()?;
/// let path = directory.path().join("flows.parquet");
/// let mut parquet = Parquet::create(&path)?; // then `write` a record each, and
/// parquet.finish()?;
/// assert!(std::fs::read(path)?.ends_with(b"PAR1"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Parquet {
    /// `None` once it is complete, or has failed.
    writer: Option<SerializedFileWriter<File>>,
    name: String,
    columns: Vec<Column>,
    /// Records in the columns.
    waiting: usize,
    written: u64,
}

impl Parquet {
    /// Writes to a file.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn create(path: impl AsRef<Path>) -> Result<Self, Error> {
        let name = path.as_ref().display().to_string();
        let file = File::create(path).map_err(|source| Error::Io { path: name.clone(), source })?;
        let open = || {
            let fields = COLUMNS.iter().map(|(field, _)| format!("{field};")).collect::<String>();
            let schema = parse_message_type(&format!("message flow {{ {fields} }}"))?;
            let properties = WriterProperties::builder()
                .set_compression(Compression::SNAPPY)
                .set_created_by(concat!("wharf ", env!("CARGO_PKG_VERSION")).to_owned());
            SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties.build()))
        };
        let writer = open().map_err(|error| failed(&name, error))?;
        let columns = COLUMNS.iter().map(|(field, _)| Column::of(field)).collect();
        Ok(Self { writer: Some(writer), name, columns, waiting: 0, written: 0 })
    }

    /// How many records are in the file.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written
    }

    /// What waits becomes a row group.
    fn write_group(&mut self) -> Result<(), Error> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        let columns = &mut self.columns;
        let mut write = || {
            let mut group = writer.next_row_group()?;
            for column in &mut *columns {
                let Some(mut out) = group.next_column()? else { break };
                match (out.untyped(), &*column) {
                    (ColumnWriter::Int32ColumnWriter(out), Column::Int32 { values, there }) => {
                        out.write_batch(values, there.levels(), None)?
                    }
                    (ColumnWriter::Int64ColumnWriter(out), Column::Int64 { values, there }) => {
                        out.write_batch(values, there.levels(), None)?
                    }
                    (ColumnWriter::ByteArrayColumnWriter(out), Column::Text { values, there }) => {
                        out.write_batch(values, there.levels(), None)?
                    }
                    _ => return Err(ParquetError::General("a column of another type".to_owned())),
                };
                out.close()?;
                column.clear();
            }
            group.close()
        };
        if let Err(error) = write() {
            // What is in the file now cannot be gone on with.
            self.writer = None;
            return Err(failed(&self.name, error));
        }
        self.written += std::mem::take(&mut self.waiting) as u64;
        Ok(())
    }
}

impl FlowExport for Parquet {
    fn write(&mut self, record: &FlowRecord) -> Result<(), Error> {
        for (column, (_, cell)) in self.columns.iter_mut().zip(COLUMNS) {
            column.push(cell(record));
        }
        self.waiting += 1;
        if self.waiting >= GROUP { self.write_group() } else { Ok(()) }
    }

    fn finish(&mut self) -> Result<(), Error> {
        if self.waiting > 0 {
            self.write_group()?;
        }
        let closed = self.writer.take().map(SerializedFileWriter::close).transpose();
        closed.map(|_| ()).map_err(|error| failed(&self.name, error))
    }

    fn account(&self) -> String {
        format!("parquet: {} records written", self.written)
    }
}

/// The system's own word, where there is one.
fn failed(name: &str, error: ParquetError) -> Error {
    let source = match error {
        ParquetError::External(source) => match source.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(other) => io::Error::other(other),
        },
        other => io::Error::other(other),
    };
    Error::Io { path: name.to_owned(), source }
}
