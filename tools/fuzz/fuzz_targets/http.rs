//! The head of an HTTP/1 request: what is said of a prefix is never taken back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wharf::parse::Prefix;
use wharf::parse::http::Request;

fuzz_target!(|bytes: &[u8]| {
    let whole = Request::read(bytes);
    if let Prefix::Complete(request) = &whole {
        let texts = [Some(request.method()), Some(request.target()), request.host(), request.authority()];
        assert!(texts.into_iter().flatten().all(|text| text.bytes().all(|byte| byte.is_ascii_graphic())));
    }
    for end in 0..bytes.len().min(600) {
        match (Request::read(&bytes[..end]), &whole) {
            (Prefix::NeedMore { length }, _) => assert!(length > end),
            (Prefix::Complete(early), Prefix::Complete(late)) => assert_eq!(&early, late),
            (Prefix::Other(early), Prefix::Other(late)) => assert_eq!(&early, late),
            (early, late) => panic!("{early:?} at {end}, {late:?} at the end"),
        }
    }
});
