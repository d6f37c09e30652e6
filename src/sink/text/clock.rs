//! Times at the start of a line.

use super::options::{TextOptions, TimeStyle};
use crate::frame::Timestamp;
use crate::sink::format::Put;
use jiff::tz::TimeZone;

/// Writes times, remembering what the styles need: the zone, the first and the last time seen.
#[derive(Debug)]
pub(super) struct Clock {
    zone: TimeZone,
    /// The last second written and its local text: frames of one second share the conversion.
    cached: Option<(i64, Vec<u8>)>,
    first: Option<Timestamp>,
    previous: Option<Timestamp>,
}

const DAY: i64 = 86_400;

impl Clock {
    pub(super) fn new(zone: TimeZone) -> Self {
        Self { zone, cached: None, first: None, previous: None }
    }

    /// The time and a space after it; nothing for [`TimeStyle::None`]. A frame without a time (pcapng's
    /// simple packet block) says so.
    pub(super) fn write(&mut self, out: &mut Vec<u8>, time: Option<Timestamp>, options: &TextOptions) {
        if options.time == TimeStyle::None {
            return;
        }
        let Some(time) = time else { return out.text("(no time) ") };
        match options.time {
            TimeStyle::TimeOfDay => self.local(out, time.seconds, false),
            TimeStyle::DateAndTime => self.local(out, time.seconds, true),
            TimeStyle::Epoch => signed(out, time.seconds),
            TimeStyle::SincePrevious => {
                let previous = self.previous.replace(time).unwrap_or(time);
                return span(out, time, previous, options);
            }
            TimeStyle::SinceFirst => {
                let first = *self.first.get_or_insert(time);
                return span(out, time, first, options);
            }
            TimeStyle::None => {}
        }
        fraction(out, time.nanos, options);
    }

    fn local(&mut self, out: &mut Vec<u8>, seconds: i64, date: bool) {
        if let Some((cached, text)) = &self.cached
            && *cached == seconds
        {
            return out.extend_from_slice(text);
        }
        let mut text = self.cached.take().map_or_else(Vec::new, |(_, text)| text);
        text.clear();
        // Seconds no calendar reaches are shown in UTC; asked for them, jiff allocates its error.
        let calendar = jiff::Timestamp::MIN.as_second()..=jiff::Timestamp::MAX.as_second();
        let instant = calendar.contains(&seconds).then(|| jiff::Timestamp::from_second(seconds));
        let offset = match instant {
            Some(Ok(instant)) => i64::from(self.zone.to_offset(instant).seconds()),
            _ => 0,
        };
        let local = seconds.saturating_add(offset);
        if date {
            let (year, month, day) = civil(local.div_euclid(DAY));
            if year < 0 {
                text.push(b'-');
            }
            text.decimal_padded(year.unsigned_abs(), 4);
            text.push(b'-');
            text.decimal_padded(month, 2);
            text.push(b'-');
            text.decimal_padded(day, 2);
            text.push(b' ');
        }
        time_of_day(&mut text, local.rem_euclid(DAY).unsigned_abs());
        out.extend_from_slice(&text);
        self.cached = Some((seconds, text));
    }
}

/// `HH:MM:SS`; hours may be more than two digits.
fn time_of_day(out: &mut Vec<u8>, seconds: u64) {
    out.decimal_padded(seconds / 3600, 2);
    out.push(b':');
    out.decimal_padded(seconds / 60 % 60, 2);
    out.push(b':');
    out.decimal_padded(seconds % 60, 2);
}

fn fraction(out: &mut Vec<u8>, nanos: u32, options: &TextOptions) {
    out.push(b'.');
    if options.nanoseconds {
        out.decimal_padded(u64::from(nanos), 9);
    } else {
        out.decimal_padded(u64::from(nanos / 1000), 6);
    }
    out.push(b' ');
}

fn signed(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    out.decimal(value.unsigned_abs());
}

/// From `earlier` to `time`, with a sign or a space before it.
fn span(out: &mut Vec<u8>, time: Timestamp, earlier: Timestamp, options: &TextOptions) {
    let nanos = time.nanos_since(earlier);
    out.push(if nanos < 0 { b'-' } else { b' ' });
    let nanos = nanos.unsigned_abs();
    time_of_day(out, nanos / 1_000_000_000);
    fraction(out, (nanos % 1_000_000_000) as u32, options);
}

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar: the year begins in
/// March here, so that the leap day is its last, and 400 years are 146,097 days.
fn civil(days: i64) -> (i64, u64, u64) {
    let shifted = days.saturating_add(719_468);
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month.unsigned_abs(), day.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(zone: TimeZone, options: &TextOptions, times: &[Option<Timestamp>]) -> Vec<String> {
        let mut clock = Clock::new(zone);
        let write = |time: &Option<Timestamp>| {
            let mut out = Vec::new();
            clock.write(&mut out, *time, options);
            String::from_utf8(out).unwrap()
        };
        times.iter().map(write).collect()
    }

    fn options(time: TimeStyle) -> TextOptions {
        TextOptions { time, ..TextOptions::default() }
    }

    #[test]
    fn styles() {
        let times =
            [Timestamp::new(1_362_692_526, 869_344_999), Timestamp::new(1_362_692_526, 1_000)].map(Some);
        let utc = |style| written(TimeZone::UTC, &options(style), &times).concat();
        assert_eq!(utc(TimeStyle::TimeOfDay), "21:42:06.869344 21:42:06.000001 ");
        assert_eq!(utc(TimeStyle::None), "");
        assert_eq!(utc(TimeStyle::Epoch), "1362692526.869344 1362692526.000001 ");
        assert_eq!(utc(TimeStyle::SincePrevious), " 00:00:00.000000 -00:00:00.869343 ");
        assert_eq!(utc(TimeStyle::DateAndTime), "2013-03-07 21:42:06.869344 2013-03-07 21:42:06.000001 ");
        let nano = TextOptions { nanoseconds: true, ..options(TimeStyle::SinceFirst) };
        assert_eq!(written(TimeZone::UTC, &nano, &times[..1]), [" 00:00:00.000000000 "]);
        assert_eq!(written(TimeZone::UTC, &nano, &[None]), ["(no time) "]);
    }

    #[test]
    fn the_zone_is_applied_second_by_second() {
        // Both sides of the hour that Berlin skipped: 2024-03-31 01:00 UTC.
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let times = [1_711_846_799, 1_711_846_800].map(|seconds| Some(Timestamp::new(seconds, 0)));
        let lines = written(zone, &options(TimeStyle::DateAndTime), &times);
        assert_eq!(lines, ["2024-03-31 01:59:59.000000 ", "2024-03-31 03:00:00.000000 "]);
    }

    #[test]
    fn dates_from_far_away() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(11_016), (2000, 2, 29));
        assert_eq!(civil(-1), (1969, 12, 31));
        assert_eq!(civil(-719_529), (-1, 12, 31));
        for seconds in [i64::MIN, i64::MAX] {
            let time = [Some(Timestamp { seconds, nanos: 0 })];
            assert!(written(TimeZone::UTC, &options(TimeStyle::DateAndTime), &time)[0].contains(':'));
        }
    }
}
