//! Flow records as Parquet: read by the crate's own reader, and by pyarrow and DuckDB where Python has them, with the values
//! that the CSV of the same run has.

#[path = "support/oracles.rs"]
mod oracles;
#[path = "support/records.rs"]
mod records;

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;
use wharf::engine::Engine;
use wharf::flow::FlowRecord;
use wharf::sink::{CaptureFileWriter, FlowExport, Parquet};
use wharf::source::synthetic::{Protocol, Synthetic, Traffic};

/// A capture, and its flows as CSV and as Parquet.
fn files(frames: u64, flows: u32) -> (TempDir, String, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let capture = directory.path().join("in.pcapng");
    let traffic = Traffic {
        frames,
        distinct: frames.min(200_000) as usize,
        flows,
        ipv6_percent: 20,
        vlan_percent: 20,
        tunnel_percent: 10,
        protocols: vec![(Protocol::Tcp, 3), (Protocol::Udp, 2), (Protocol::Icmp, 1)],
        ..Traffic::default()
    };
    let writer = CaptureFileWriter::create(&capture).unwrap();
    Engine::builder().source(Synthetic::new(&traffic)).rest(writer).run().unwrap();
    let parquet = directory.path().join("flows.parquet");
    let output = Command::new(env!("CARGO_BIN_EXE_wharf"))
        .args(["flows", "--csv", "-r"])
        .arg(&capture)
        .arg("--parquet")
        .arg(&parquet)
        .output()
        .unwrap();
    let (csv, told) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{told}");
    let rows = csv.lines().count() - 1;
    assert!(told.contains(&format!("parquet: {rows} records written")), "{told}");
    (directory, csv, parquet)
}

/// Rows of CSV by the names of its columns. No cell here has a line's end.
fn rows(csv: &str) -> Vec<BTreeMap<String, String>> {
    let mut lines = csv.lines().map(cells);
    let names = lines.next().unwrap();
    lines.map(|row| names.iter().cloned().zip(row).collect()).collect()
}

fn cells(line: &str) -> Vec<String> {
    let (mut cells, mut quoted) = (vec![String::new()], false);
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(String::new()),
            c => cells.last_mut().unwrap().push(c),
        }
    }
    cells
}

/// As CSV has it.
fn shown(name: &str, field: &Field) -> String {
    let nanos = |nanos: i64| format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000);
    match field {
        Field::Null => String::new(),
        Field::Str(text) => text.clone(),
        Field::Long(number) if name == "duration_ns" || name == "handshake_ns" => nanos(*number),
        Field::Long(number) if ["first", "last"].contains(&name) => nanos(*number),
        Field::Int(number) => number.to_string(),
        Field::Long(number) => number.to_string(),
        Field::UShort(number) => number.to_string(),
        Field::UInt(number) => number.to_string(),
        other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn every_value_is_that_of_the_csv() {
    let (_directory, csv, path) = files(30_000, 5_000);
    let expected = rows(&csv);
    let reader = SerializedFileReader::new(File::open(&path).unwrap()).unwrap();
    let mut compared = 0;
    for (row, expected) in reader.get_row_iter(None).unwrap().zip(&expected) {
        let row = row.unwrap();
        let mut cells: BTreeMap<String, String> =
            row.get_column_iter().map(|(name, field)| (name.clone(), shown(name, field))).collect();
        for (theirs, ours) in [("duration", "duration_ns"), ("handshake", "handshake_ns")] {
            let cell = cells.remove(ours).unwrap();
            cells.insert(theirs.to_owned(), cell);
        }
        // CSV has both tags in one cell.
        let inner = cells.remove("inner_vlan").unwrap();
        if !inner.is_empty() {
            cells.get_mut("vlan").unwrap().push_str(&format!(".{inner}"));
        }
        assert_eq!(&cells, expected);
        compared += 1;
    }
    assert_eq!(compared, expected.len());
    assert!(compared > 4_000, "{compared}");
}

#[test]
fn memory_is_bounded_by_row_groups() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("flows.parquet");
    let mut parquet = Parquet::create(&path).unwrap();
    let ends = (([10, 0, 0, 1].into(), 40_000), ([192, 0, 2, 7].into(), 443));
    let mut record = FlowRecord {
        packets: [0, 1],
        bytes: [u64::MAX, 0],
        icmp_errors: [u32::MAX, 0],
        ..records::record(ends.0, ends.1, 17)
    };
    for at in 0..100_000 {
        record.packets[0] = at;
        parquet.write(&record).unwrap();
    }
    parquet.finish().unwrap();
    assert_eq!(parquet.written(), 100_000);
    let reader = SerializedFileReader::new(File::open(&path).unwrap()).unwrap();
    let groups = reader.metadata().row_groups();
    let sizes: Vec<i64> = groups.iter().map(|group| group.num_rows()).collect();
    assert_eq!(sizes, [1 << 16, 100_000 - (1 << 16)]);
    let row = reader.get_row_iter(None).unwrap().nth(70_000).unwrap().unwrap();
    let cell = |name: &str| row.get_column_iter().find(|(column, _)| *column == name).unwrap().1.clone();
    // What is greater than a column can hold is its greatest value; unsigned ones keep their bits.
    assert_eq!((cell("packets_a"), cell("bytes_a")), (Field::Long(70_000), Field::Long(i64::MAX)));
    assert_eq!((cell("icmp_errors_a"), cell("first")), (Field::UInt(u32::MAX), Field::Null));
}

#[test]
fn other_programs_read_it() {
    let (_directory, csv, path) = files(30_000, 5_000);
    let expected = rows(&csv);
    let sum = |name: &str| expected.iter().map(|row| row[name].parse::<u64>().unwrap()).sum::<u64>();
    let row = format!("{} {} {}", expected.len(), sum("bytes_a"), sum("packets_b"));
    let python = std::env::var("WHARF_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let run = |module: &str, script: &str| {
        let has = Command::new(&python).args(["-c", &format!("import {module}")]).output();
        if !has.is_ok_and(|output| output.status.success()) {
            oracles::missing(&format!("no Python with {module} (WHARF_PYTHON names one)"));
            return None;
        }
        let output = Command::new(&python).args(["-c", script]).arg(&path).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Some(String::from_utf8(output.stdout).unwrap().trim().to_owned())
    };
    let told = run(
        "pyarrow",
        "import sys, pyarrow.parquet as q, pyarrow.compute as c\n\
         t = q.read_table(sys.argv[1])\n\
         print(t.num_rows, c.sum(t['bytes_a']), c.sum(t['packets_b']))\n\
         print(t.schema.field('first').type, t.schema.field('sport').type, t.schema.field('src').type)",
    );
    let types = "timestamp[ns, tz=UTC] uint16 string";
    assert!(told.as_ref().is_none_or(|told| *told == format!("{row}\n{types}")), "{told:?}");
    let told = run(
        "duckdb",
        "import sys, duckdb\n\
         print(*duckdb.sql(f\"select count(*), sum(bytes_a), sum(packets_b) from '{sys.argv[1]}'\").fetchall()[0])",
    );
    assert!(told.as_ref().is_none_or(|told| *told == row), "{told:?}, not {row}");
}

#[test]
fn a_file_that_cannot_be_made_is_told_before_anything_is_read() {
    let (_directory, _, parquet) = files(100, 10);
    let capture = parquet.with_file_name("in.pcapng");
    let run = |target: &Path| {
        let output = Command::new(env!("CARGO_BIN_EXE_wharf"))
            .args(["flows", "-r"])
            .arg(&capture)
            .arg("--parquet")
            .arg(target)
            .output()
            .unwrap();
        (output.status.code(), output.stdout.len(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, shown, told) = run(&capture.with_file_name("no").join("flows.parquet"));
    assert!(code == Some(1) && shown == 0 && told.contains("no/flows.parquet: "), "{told}");
    let (code, shown, told) = run(&capture);
    assert!(code == Some(1) && shown == 0, "it is not written over: {code:?} {told}");
}
