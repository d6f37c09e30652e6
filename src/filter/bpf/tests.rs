//! Programs from hand-made trees, texts there and back, and what is refused.

use super::*;
use crate::filter::ir::{Value, Width};

/// `tcp` (6), `udp` (17) or either port, as libpcap understands it over Ethernet.
fn port(protocols: &[u32], number: u32) -> Test {
    let ports = |at: &dyn Fn(u32) -> Value| Test::Any(vec![at(0).is(number), at(2).is(number)]);
    let protocol = |at| Test::Any(protocols.iter().map(|protocol| Value::byte(at).is(*protocol)).collect());
    let header = || Value::HeaderLength { at: 14 };
    Test::Any(vec![
        Test::All(vec![Value::half(12).is(0x86dd), protocol(20), ports(&|at| Value::half(54 + at))]),
        Test::All(vec![
            Value::half(12).is(0x0800),
            protocol(23),
            Value::half(20).has(0x1fff).negated(),
            ports(&|at| Value::load(header(), 14 + at, Width::Half)),
        ]),
    ])
}

fn host(address: u32) -> Test {
    let pair = |one, other| Test::Any(vec![Value::word(one).is(address), Value::word(other).is(address)]);
    let arp = Test::Any(vec![Value::half(12).is(0x0806), Value::half(12).is(0x8035)]);
    Test::Any(vec![
        Test::All(vec![Value::half(12).is(0x0800), pair(26, 30)]),
        Test::All(vec![arp, pair(28, 38)]),
    ])
}

fn compile(test: &Test) -> Program {
    let program = Program::compile(test, 262_144).unwrap();
    assert_eq!(check::check(program.instructions()), Ok(()), "\n{program}");
    program
}

/// As `tcpdump -y EN10MB -d 'tcp port 80'` of libpcap 1.10.3.
#[test]
fn a_port_is_compiled_to_what_libpcap_has() {
    let expected = "\
(000) ldh      [12]
(001) jeq      #0x86dd          jt 2\tjf 8
(002) ldb      [20]
(003) jeq      #0x6             jt 4\tjf 19
(004) ldh      [54]
(005) jeq      #0x50            jt 18\tjf 6
(006) ldh      [56]
(007) jeq      #0x50            jt 18\tjf 19
(008) jeq      #0x800           jt 9\tjf 19
(009) ldb      [23]
(010) jeq      #0x6             jt 11\tjf 19
(011) ldh      [20]
(012) jset     #0x1fff          jt 19\tjf 13
(013) ldxb     4*([14]&0xf)
(014) ldh      [x + 14]
(015) jeq      #0x50            jt 18\tjf 16
(016) ldh      [x + 16]
(017) jeq      #0x50            jt 18\tjf 19
(018) ret      #262144
(019) ret      #0
";
    assert_eq!(compile(&port(&[6], 80)).to_string(), expected);
}

/// Instructions that `tcpdump -y EN10MB -d` prints.
#[test]
fn programs_are_as_short_as_those_of_libpcap() {
    let two_ports = Test::Any(vec![port(&[6], 80), port(&[6], 443)]);
    let two_kinds = Test::Any(vec![port(&[6], 80), port(&[17], 53)]);
    let hosts = Test::Any(vec![host(0x0a00_0001), host(0x0a00_0002)]);
    let both = Test::All(vec![host(0x0a00_0001), port(&[6, 17], 80)]);
    for (name, test, theirs) in [
        ("tcp port 80 or tcp port 443", &two_ports, 24),
        ("tcp port 80 or udp port 53", &two_kinds, 30),
        ("host 10.0.0.1 or host 10.0.0.2", &hosts, 20),
        ("host 10.0.0.1 and port 80", &both, 22),
    ] {
        let program = compile(test);
        eprintln!("{name}: {} {theirs}\n{program}", program.instructions().len());
    }
}
