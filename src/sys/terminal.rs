//! How large the terminal is that standard output goes to.

use std::os::fd::{AsRawFd, BorrowedFd};

/// Columns and rows of a terminal; `None` of what is none, and where it does not know.
#[must_use]
pub fn size(terminal: BorrowedFd<'_>) -> Option<(usize, usize)> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCGWINSZ (`asm-generic/ioctls.h`) writes one `struct winsize` where its argument points to, which is valid for
    // that; the descriptor is open, as it is borrowed.
    let failed = unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) } != 0;
    let (columns, rows) = (size.ws_col.into(), size.ws_row.into());
    (!failed && columns > 0 && rows > 0).then_some((columns, rows))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn what_is_no_terminal_has_no_size() {
        assert_eq!(size(std::fs::File::open("/dev/null").unwrap().as_fd()), None);
    }
}
