//! What a file that is no capture is instead, as far as its first bytes tell.

/// Why a file with these first bytes is not read.
pub(super) fn reason(head: &[u8]) -> String {
    const ZSTD: &str = "Zstandard-compressed: build wharf with `--features zstd`, or pipe through `zstd -dc`";
    let known = match head {
        [b's', b'n', b'o', b'o', b'p', 0, ..] => "a snoop capture: convert it with `editcap -F pcapng`",
        [0x28, 0xB5, 0x2F, 0xFD, ..] => ZSTD,
        [b'B', b'Z', b'h', ..] => "bzip2-compressed: pipe it through `bzip2 -dc`",
        [0xFD, b'7', b'z', b'X', b'Z', ..] => "xz-compressed: pipe it through `xz -dc`",
        [0x04, 0x22, 0x4D, 0x18, ..] => "lz4-compressed: pipe it through `lz4 -dc`",
        [b'P', b'K', 3, 4, ..] => "a zip archive: unpack it first",
        [b'G', b'M', b'B', b'U', ..] | [b'R', b'T', b'S', b'S', ..] => {
            "a Microsoft Network Monitor capture: convert it with `editcap -F pcapng`"
        }
        [0x1F, 0x8B, ..] => "compressed twice",
        _ => {
            let head: Vec<String> = head.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
            return format!("it begins with {}, neither pcap nor pcapng", head.join(" "));
        }
    };
    known.to_owned()
}
