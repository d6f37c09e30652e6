//! The hello of a TLS stream: what is said of a prefix is never taken back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wharf::parse::Prefix;
use wharf::parse::tls::ClientHello;

fn show(hello: &ClientHello<'_>) -> (Option<String>, usize, usize) {
    let name = hello.server_name().map(str::to_owned);
    assert!(
        name.as_ref().is_none_or(|name| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic()))
    );
    (name, hello.alpn().count(), hello.versions().count())
}

fuzz_target!(|bytes: &[u8]| {
    let _ = ClientHello::read_unframed(bytes).complete().map(|hello| show(&hello));
    let whole = ClientHello::read(bytes);
    // Grown as it asks to be.
    let mut have = 0;
    let grown = loop {
        match ClientHello::read(&bytes[..have]) {
            Prefix::NeedMore { length } => {
                assert!(length > have, "{length} of {have}");
                if length > bytes.len() {
                    break Prefix::NeedMore { length };
                }
                have = length;
            }
            told => break told,
        }
    };
    match (&whole, &grown) {
        (Prefix::Complete(one), Prefix::Complete(other)) => assert_eq!(show(one), show(other)),
        (Prefix::Other(_), Prefix::Other(_)) | (Prefix::NeedMore { .. }, Prefix::NeedMore { .. }) => {}
        // The end of a malformed record may be beyond what was asked for.
        (Prefix::Other(_), Prefix::NeedMore { .. }) => {}
        _ => panic!("{whole:?}, but {grown:?} as it grows"),
    }
});
