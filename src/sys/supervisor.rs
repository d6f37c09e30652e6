//! What a service manager is told (`sd_notify(3)`).

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Tells the manager that `NOTIFY_SOCKET` names a state, such as `READY=1`. False where it names none.
///
/// # Errors
/// As `sendto(2)`.
pub fn notify(state: &str) -> io::Result<bool> {
    let Some(place) = std::env::var_os("NOTIFY_SOCKET").filter(|place| !place.is_empty()) else {
        return Ok(false);
    };
    // An at sign stands for the zero byte with which a name begins that is not in the file system.
    let address = match place.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(&place)?,
    };
    UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address)?;
    Ok(true)
}
