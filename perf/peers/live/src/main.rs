//! Bare loops: what the kernel's interfaces cost when nobody does anything else.
//!
//! `wharf-live-peers sendmmsg|txring|xdp IF COUNT LENGTHS` sends COUNT frames whose lengths are LENGTHS (`60:7,590:4,1514:1`),
//! 4,096 distinct ones again and again, and prints frames a second.
//!
//! `wharf-live-peers capture IF` counts what passes until SIGINT. `wharf-live-peers cost ID COST COMMAND...` writes a command's
//! process id to the file ID, and its nanoseconds of CPU to the file COST.

mod capture;
mod cost;
mod sendmmsg;
mod socket;
mod txring;
mod xdp;

use std::env;
use std::time::Instant;

/// Distinct frames.
const DISTINCT: usize = 4_096;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["sendmmsg", interface, count, lengths] => run(sendmmsg::send, interface, count, lengths),
        ["txring", interface, count, lengths] => run(txring::send, interface, count, lengths),
        ["xdp", interface, count, lengths] => run(xdp::send, interface, count, lengths),
        ["capture", interface] => capture::count(interface),
        ["cost", id, cost, ref command @ ..] if !command.is_empty() => cost::run(id, cost, command),
        _ => {
            eprintln!(
                "usage: wharf-live-peers sendmmsg|txring|xdp IF COUNT LENGTHS | capture IF | cost ID COST COMMAND..."
            );
            std::process::exit(2);
        }
    }
}

fn run(send: fn(&str, &[Vec<u8>], usize), interface: &str, count: &str, lengths: &str) {
    let count: usize = count.parse().expect("COUNT is a number");
    let frames = frames(lengths);
    let begun = Instant::now();
    send(interface, &frames, count);
    println!("{:.0}", count as f64 / begun.elapsed().as_secs_f64());
}

/// UDP to nobody, lengths in turn by their weights.
fn frames(lengths: &str) -> Vec<Vec<u8>> {
    let weighted = lengths.split(',').flat_map(|part| {
        let (length, weight) = part.split_once(':').unwrap_or((part, "1"));
        let number = |text: &str| text.parse::<usize>().expect("LENGTHS are such as 60:7,1514:1");
        std::iter::repeat_n(number(length), number(weight))
    });
    let weighted: Vec<usize> = weighted.collect();
    let frame = |number: usize| {
        let length = weighted[number % weighted.len()];
        let mut frame = vec![2, 0, 0, 2, 0, 1, 2, 0, 0, 1, 0, 0, 0x08, 0x00, 0x45, 0];
        frame.extend((length as u16 - 14).to_be_bytes());
        frame.extend([0, 0, 0, 0, 64, 17, 0, 0, 10, 1, (number >> 8) as u8, number as u8, 10, 2, 0, 1]);
        frame.extend([0xc0, 0, 0x27, 0x0f]);
        frame.extend((length as u16 - 34).to_be_bytes());
        frame.resize(length, 0x5a);
        frame
    };
    (0..DISTINCT).map(frame).collect()
}
