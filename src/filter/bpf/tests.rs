//! Programs from hand-made trees, texts there and back, and what is refused.

use super::*;
use crate::filter::ir::{Local, Operator, Relation, Value, Width};

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

/// Instructions that `tcpdump -y EN10MB -d` prints; for two hosts one more than its 17, as no block is asked for twice here.
#[test]
fn programs_are_as_short_as_those_of_libpcap() {
    let two_ports = Test::Any(vec![port(&[6], 80), port(&[6], 443)]);
    let two_kinds = Test::Any(vec![port(&[6], 80), port(&[17], 53)]);
    let hosts = Test::Any(vec![host(0x0a00_0001), host(0x0a00_0002)]);
    let both = Test::All(vec![host(0x0a00_0001), port(&[6, 17], 80)]);
    for (name, test, theirs) in [
        ("tcp port 80 or tcp port 443", &two_ports, 24),
        ("tcp port 80 or udp port 53", &two_kinds, 33),
        ("host 10.0.0.1 or host 10.0.0.2", &hosts, 18),
        ("host 10.0.0.1 and port 80", &both, 19),
    ] {
        let program = compile(test);
        assert!(program.instructions().len() <= theirs, "{name}, more than {theirs}:\n{program}");
    }
}

fn instruction(code: u16, then: u8, otherwise: u8, constant: u32) -> Instruction {
    Instruction { code, then, otherwise, constant }
}

const END: Instruction = Instruction { code: 0x06, then: 0, otherwise: 0, constant: 1 };

#[test]
fn what_the_kernel_refuses_is_refused() {
    use Invalid::{Division, Jump, Length, Memory, NoEnd, Offset, Opcode, Shift, Unwritten};
    for (program, expected) in [
        (vec![], Length(0)),
        (vec![END; LONGEST + 1], Length(LONGEST + 1)),
        (vec![instruction(0x20, 0, 0, 12)], NoEnd),
        (vec![instruction(0x3f, 0, 0, 0), END], Opcode { at: 0, code: 0x3f }),
        (vec![instruction(0x15, 1, 0, 0), END], Jump(0)),
        (vec![instruction(0x15, 0, 1, 0), END], Jump(0)),
        (vec![instruction(0x05, 0, 0, 1), END], Jump(0)),
        // Back, as libpcap's `protochain` does.
        (vec![END, instruction(0x05, 0, 0, u32::MAX), END], Jump(1)),
        (vec![instruction(0x34, 0, 0, 0), END], Division(0)),
        (vec![instruction(0x94, 0, 0, 0), END], Division(0)),
        (vec![instruction(0x64, 0, 0, 32), END], Shift(0)),
        (vec![instruction(0x02, 0, 0, 16), END], Memory { at: 0, word: 16 }),
        (vec![instruction(0x60, 0, 0, 3), END], Unwritten { at: 0, word: 3 }),
        // Written on one of two ways.
        (
            vec![instruction(0x15, 0, 1, 0), instruction(0x02, 0, 0, 3), instruction(0x61, 0, 0, 3), END],
            Unwritten { at: 2, word: 3 },
        ),
        (vec![instruction(0x20, 0, 0, (-4096_i32 + 12) as u32), END], Offset { at: 0, offset: 0xffff_f00c }),
    ] {
        assert_eq!(Program::new(program), Err(expected));
    }
    let written =
        vec![instruction(0x02, 0, 0, 3), instruction(0x15, 0, 0, 0), instruction(0x60, 0, 0, 3), END];
    assert!(Program::new(written).is_ok());
}

#[test]
fn programs_are_read_as_they_are_printed() {
    let program = compile(&port(&[6, 17], 53));
    for text in [program.show(Form::Decimal), program.show(Form::Decimal).replace('\n', ",")] {
        assert_eq!(Program::read(&text), Ok(program.clone()));
    }
    assert_eq!(program.show(Form::C).lines().next(), Some("{ 0x28, 0, 0, 0x0000000c },"));
    for (text, expected) in [
        ("", "no number of instructions (1 to 4096) at the beginning: expected what `tcpdump -ddd` prints"),
        (
            "tcp port 80",
            "no number of instructions (1 to 4096) at the beginning: expected what `tcpdump -ddd` prints",
        ),
        ("2\n6 0 0 0\n", "2 instructions announced, 1 there"),
        ("1\n6 0 0 0\n6 0 0 0\n", "1 instructions announced, 2 there"),
        ("1\n6 0 0\n", "line 2: an instruction is four numbers (code, jt, jf, k), not \"6 0 0\""),
        ("1\n6 0 256 0\n", "line 2: an instruction is four numbers (code, jt, jf, k), not \"6 0 256 0\""),
        ("1\n32 0 0 0\n", "the last instruction does not end the program (ret)"),
    ] {
        assert_eq!(Program::read(text).unwrap_err().to_string(), expected);
    }
}

/// Every kind of instruction, as `tcpdump -d` names it.
#[test]
fn instructions_have_their_names() {
    let names = [
        (0x00, 7, "ld       #0x7"),
        (0x80, 0, "ld       #pktlen"),
        (0x20, 0xffff_f030, "ld       [-4048]"),
        (0x48, 14, "ldh      [x + 14]"),
        (0xb1, 14, "ldxb     4*([14]&0xf)"),
        (0x61, 2, "ldx      M[2]"),
        (0x03, 2, "stx      M[2]"),
        (0x04, 2, "add      #2"),
        (0x0c, 0, "add      x"),
        (0x14, 2, "sub      #2"),
        (0x54, 31, "and      #0x1f"),
        (0xa4, 31, "xor      #0x1f"),
        (0x74, 3, "rsh      #3"),
        (0x84, 0, "neg      "),
        (0x87, 0, "txa      "),
        (0x05, 4, "ja       5"),
        (0x16, 0, "ret      "),
    ];
    for (code, constant, name) in names {
        let text = print::print(&[instruction(code, 0, 0, constant)], Form::Assembly);
        assert_eq!(text, format!("(000) {name}\n"));
    }
}

/// Values that BPF has but two registers for: `b - a` with both behind variable headers, negated, divided and chosen.
#[test]
fn values_of_every_kind_are_calculated() {
    let header = || Value::HeaderLength { at: 0 };
    let byte = |at| Value::load(header(), at, Width::Byte);
    let join = |left: Value, operator, right: Value| left.join(operator, right);
    let is = |value: Value, number| value.compare(Relation::Equal, Value::Constant(number));
    let local = Local(0);
    let chosen = Value::Choose {
        when: Box::new(Value::byte(1).is(7)),
        then: Box::new(byte(2)),
        otherwise: Box::new(Value::Negate(Box::new(byte(3)))),
    };
    // A header of 4 bytes, and behind it 10, 3, 200, 9.
    let frame = [0x41, 7, 0, 0, 10, 3, 200, 9];
    let other = [0x41, 8, 0, 0, 10, 3, 200, 9];
    let twice = join(Value::Local(local), Operator::Add, Value::Local(local));
    for (test, expected) in [
        (is(join(byte(0), Operator::Subtract, byte(1)), 7), [true, true]),
        (is(join(byte(1), Operator::Subtract, byte(0)), 7_u32.wrapping_neg()), [true, true]),
        (is(join(byte(2), Operator::Divide, byte(3)), 22), [true, true]),
        (is(join(byte(2), Operator::Remainder, byte(3)), 2), [true, true]),
        // By 0: the frame is rejected, whatever stands before.
        (is(join(byte(2), Operator::Divide, Value::byte(2)), 0).negated(), [false, false]),
        (is(join(byte(2), Operator::ShiftLeft, Value::Constant(32)), 0), [true, true]),
        (
            is(
                join(
                    join(byte(0), Operator::Multiply, byte(1)),
                    Operator::Xor,
                    join(byte(2), Operator::Or, byte(3)),
                ),
                30 ^ 201,
            ),
            [true, true],
        ),
        (Test::Let { local, value: chosen.clone(), body: Box::new(is(twice, 400)) }, [true, false]),
        (is(chosen, 9_u32.wrapping_neg()), [false, true]),
        (byte(0).compare(Relation::Greater, byte(1)), [true, true]),
        (byte(0).compare(Relation::Less, byte(1)), [false, false]),
        (byte(0).compare(Relation::LessOrEqual, byte(0)), [true, true]),
        // Beyond the end, asked for or not.
        (Test::Any(vec![byte(0).is(10), byte(9).is(0)]), [true, true]),
        (Test::Any(vec![byte(9).is(0), byte(0).is(10)]), [false, false]),
        (is(join(byte(9), Operator::And, Value::Constant(0)), 0), [false, false]),
    ] {
        let program = compile(&test);
        let evaluator = crate::filter::evaluate::Evaluator::new(&test, crate::frame::LinkType::RAW).unwrap();
        for (bytes, expected) in [frame, other].iter().zip(expected) {
            let seen = Seen { bytes, ..Seen::default() };
            assert_eq!(program.run(&seen) != 0, expected, "{test:?}\n{program}");
            let frame = crate::frame::Frame::new(crate::frame::LinkType::RAW, bytes);
            assert_eq!(evaluator.matches_frame(&frame), expected, "{test:?}");
        }
    }
}

/// Deep trees do not exhaust the stack, and a broken one is an error.
#[test]
fn trees_of_the_greatest_depth_are_compiled() {
    let deep = (0..Test::DEPTH).fold(Value::byte(0).is(1), |test, _| Test::All(vec![test.negated()]));
    assert!(Program::compile(&deep, 1).is_ok());
    let lost = Value::Local(Local(7)).is(1);
    assert_eq!(Program::compile(&lost, 1), Err(CompileError::Broken));
}
