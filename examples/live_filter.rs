//! Prints the packets of an interface that match an expression of pcap-filter(7), until ^C or a hundred of them.
//!
//! The kernel asks first where it can, so that other packets cost nothing; the engine asks all the same.
//!
//! ```sh
//! cargo build --release --example live_filter
//! sudo target/release/examples/live_filter eth0 'tcp port 443 and not net 10.0.0.0/8'
//! ```
#![allow(clippy::print_stdout)]

use std::error::Error;
use wharf::engine::Engine;
use wharf::filter::Filter;
use wharf::parse::Packet;
use wharf::sink::each;
use wharf::source::packet::Capture;

/// Most bytes of a packet that the kernel's program keeps.
const WHOLE: u32 = 262_144;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(interface), Some(expression)) = (arguments.next(), arguments.next()) else {
        return Err("which packets of which interface? give its name and an expression".into());
    };
    let filter: Filter = expression.parse()?;
    let mut options = Capture::on(&interface);
    // A program that the kernel cannot have is no error: the engine does without it.
    if let Ok(program) = filter.socket_program(options.link_type()?, WHOLE) {
        options = options.only_wanted(program.instructions().to_vec(), expression);
    }
    let report = Engine::builder()
        .source(options.open()?)
        .filter(filter)
        .limit(100)
        .rest(each(|packet: &Packet<'_>| println!("{packet}")))
        .run()?;
    println!("{report}");
    Ok(())
}
