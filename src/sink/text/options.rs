//! What a line of text is to show. Passive data.

/// How the time stands at the start of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TimeStyle {
    /// `12:34:56.123456` in the local time zone (the variable `TZ` or `/etc/localtime`).
    #[default]
    TimeOfDay,
    /// Nothing (`-t`).
    None,
    /// Seconds since 1970: `1700000000.123456` (`-tt`).
    Epoch,
    /// Since the line before (`-ttt`).
    SincePrevious,
    /// Date and time of day (`-tttt`).
    DateAndTime,
    /// Since the first line (`-ttttt`).
    SinceFirst,
}

/// Which bytes follow a line, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Dump {
    /// None.
    #[default]
    None,
    /// Hexadecimal (`-x`; `-xx` with the link-layer header).
    Hex {
        /// From the link-layer header on, not from the network header.
        link_header: bool,
    },
    /// Hexadecimal and text side by side (`-X`, `-XX`).
    HexAndText {
        /// From the link-layer header on.
        link_header: bool,
    },
    /// As text (`-A`, `-AA`).
    Text {
        /// From the link-layer header on.
        link_header: bool,
    },
}

/// Options of the [`Text`](super::Text) sink.
///
/// ```
/// use wharf::sink::text::{Dump, TextOptions, TimeStyle};
/// let options = TextOptions { numeric: true, time: TimeStyle::Epoch, ..TextOptions::default() };
/// assert_eq!(options.dump, Dump::None);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TextOptions {
    /// Time format.
    pub time: TimeStyle,
    /// Nine digits of a second instead of six.
    pub nanoseconds: bool,
    /// Times of day in UTC, not in the local zone.
    pub utc: bool,
    /// Ports and protocols as numbers, never by name (`-n`).
    ///
    /// Names come from `/etc/services`, read once. Addresses are always numbers: looking a name up
    /// would send packets of our own onto the network that is being watched, wait for each answer,
    /// and tell whoever owns the name that someone is looking.
    pub numeric: bool,
    /// 1 for the header fields that usually do not matter (`-v`), 2 and more for all.
    pub verbosity: u8,
    /// Less about the protocol (`-q`).
    pub quick: bool,
    /// The link-layer header at the start of the line (`-e`).
    pub link_header: bool,
    /// The packet's number at the start of the line (`-#`).
    pub number: bool,
    /// TCP sequence numbers as sent, not counted from the start of the connection (`-S`).
    pub absolute_sequence: bool,
    /// Bytes after the line.
    pub dump: Dump,
    /// Hand every line on at once, not a batch of them (`-l`).
    pub line_buffered: bool,
}
