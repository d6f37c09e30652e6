//! A sink of one's own: which server names clients ask for in TLS hellos that are whole in a packet, and how often.
//!
//! A sink gets batches of parsed packets whose checksums have been verified. It is asked for nothing else than to take
//! them, and to finish.
//!
//! ```sh
//! cargo run --release --example custom_sink -- day.pcapng
//! ```
#![allow(clippy::print_stdout)]

use std::collections::BTreeMap;
use std::error::Error;
use wharf::engine::Engine;
use wharf::parse::Prefix;
use wharf::parse::tls::ClientHello;
use wharf::sink::{self, Deliveries, InterfaceStatistics, Sink};
use wharf::source::CaptureFile;

/// Hellos by the name of the server in them.
#[derive(Default)]
struct Names(BTreeMap<String, u64>);

impl Sink for &mut Names {
    fn write(&mut self, packets: Deliveries<'_>) -> Result<(), sink::Error> {
        for delivery in packets.iter() {
            let packet = &delivery.packet;
            let Some(ip) = packet.innermost() else { continue };
            if let Prefix::Complete(hello) = ClientHello::read(packet.payload(ip))
                && let Some(name) = hello.server_name()
            {
                *self.0.entry(name.to_owned()).or_default() += 1;
            }
        }
        Ok(())
    }

    fn finish(&mut self, _: &[InterfaceStatistics]) -> Result<(), sink::Error> {
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("which file? give a pcap or pcapng")?;
    let mut names = Names::default();
    // Rules choose packets, a sink each: these to that one, and nobody wants the others.
    let report = Engine::builder()
        .source(CaptureFile::open(&path)?)
        .output("tcp/443,8443".parse()?, &mut names)
        .run()?;
    names.0.iter().for_each(|(name, hellos)| println!("{hellos:6}  {name}"));
    println!("{report}");
    Ok(())
}
