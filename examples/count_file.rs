//! Counts the packets of a capture file by port, every checksum verified, and prints the table and the account.
//!
//! ```sh
//! cargo run --release --example count_file -- day.pcapng
//! ```
#![allow(clippy::print_stdout)]

use std::error::Error;
use wharf::engine::Engine;
use wharf::sink::Count;
use wharf::source::CaptureFile;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("which file? give a pcap or pcapng")?;
    let mut count = Count::new();
    let report = Engine::builder().source(CaptureFile::open(&path)?).rest(&mut count).run()?;
    println!("{}", count.table());
    println!("{report}");
    Ok(())
}
