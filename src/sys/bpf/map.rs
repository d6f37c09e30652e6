//! Tables that programs and this process share.

use super::abi::{Element, MapCreate, command, name};
use super::{address, call, create};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// `BPF_MAP_TYPE_ARRAY`, `BPF_MAP_TYPE_SOCKMAP` and `BPF_MAP_TYPE_XSKMAP` of `linux/bpf.h`, Linux 6.1.
const ARRAY: u32 = 2;
const SOCKMAP: u32 = 15;
const XSKMAP: u32 = 17;

/// A table with keys from 0 up. It lives as long as a descriptor, a program or an element of a map refers to it.
#[derive(Debug)]
pub struct Map {
    file: OwnedFd,
    value_size: usize,
}

impl Map {
    /// An array of `entries` values of `value_size` bytes each, all 0.
    ///
    /// # Errors
    /// As `bpf(BPF_MAP_CREATE)`: `PermissionDenied` without `CAP_BPF`, or (before Linux 5.11) where the limit on
    /// locked memory is too low.
    pub fn array(label: &str, value_size: u32, entries: u32) -> io::Result<Self> {
        Self::create(ARRAY, label, value_size, entries)
    }

    /// Room for `entries` AF_XDP sockets, where `bpf_redirect_map` finds them.
    ///
    /// # Errors
    /// As [`Self::array`].
    pub fn of_xdp_sockets(label: &str, entries: u32) -> io::Result<Self> {
        Self::create(XSKMAP, label, 4, entries)
    }

    /// Room for `entries` listening or UDP sockets, among which a `sk_lookup` program chooses.
    ///
    /// # Errors
    /// As [`Self::array`].
    pub fn of_sockets(label: &str, entries: u32) -> io::Result<Self> {
        Self::create(SOCKMAP, label, 4, entries)
    }

    fn create(kind: u32, label: &str, value_size: u32, max_entries: u32) -> io::Result<Self> {
        let mut attribute = MapCreate {
            kind,
            key_size: 4,
            value_size,
            max_entries,
            name: name(label),
            ..MapCreate::default()
        };
        // SAFETY: this attribute holds no address, and the command makes a descriptor.
        let file = unsafe { create(command::MAP_CREATE, &mut attribute) }?;
        Ok(Self { file, value_size: value_size as usize })
    }

    /// Bytes of a value.
    #[must_use]
    pub fn value_size(&self) -> usize {
        self.value_size
    }

    /// Puts a value of [`Self::value_size`] bytes in. A program that reads meanwhile may see some of its bytes old.
    ///
    /// # Errors
    /// `InvalidInput` for a value of another size; as `bpf(BPF_MAP_UPDATE_ELEM)`: `E2BIG` for a key beyond the last.
    pub fn set(&self, key: u32, value: &[u8]) -> io::Result<()> {
        self.check(value)?;
        self.element(command::MAP_UPDATE_ELEM, key, address(value))
    }

    /// Puts a socket in, by its descriptor.
    ///
    /// # Errors
    /// As [`Self::set`]; `EOPNOTSUPP` where the map or the descriptor is of another kind.
    pub fn set_socket(&self, key: u32, socket: impl AsFd) -> io::Result<()> {
        self.set(key, &socket.as_fd().as_raw_fd().to_ne_bytes())
    }

    /// Reads a value of [`Self::value_size`] bytes.
    ///
    /// # Errors
    /// As [`Self::set`], `NotFound` for a key beyond the last.
    pub fn get(&self, key: u32, value: &mut [u8]) -> io::Result<()> {
        self.check(value)?;
        self.element(command::MAP_LOOKUP_ELEM, key, value.as_mut_ptr() as usize as u64)
    }

    /// Takes an element out of a map of sockets.
    ///
    /// # Errors
    /// As `bpf(BPF_MAP_DELETE_ELEM)`; `InvalidInput` for an array.
    pub fn remove(&self, key: u32) -> io::Result<()> {
        self.element(command::MAP_DELETE_ELEM, key, 0)
    }

    fn check(&self, value: &[u8]) -> io::Result<()> {
        if value.len() == self.value_size { Ok(()) } else { Err(io::ErrorKind::InvalidInput.into()) }
    }

    /// `value` is the address of [`Self::value_size`] bytes that the command may read or write, or 0.
    fn element(&self, command: u32, key: u32, value: u64) -> io::Result<()> {
        let map = self.file.as_raw_fd() as u32;
        let mut attribute = Element { map, key: address(&key), value, ..Element::default() };
        // SAFETY: this map was made by `create`, so its keys are four bytes, those of `key`, and its values `value_size`,
        // which the callers have checked of what `value` points to. Both live through the call.
        unsafe { call(command, &mut attribute) }.map(drop)
    }
}

/// What keeps the map, for whoever is not to look into it.
impl From<Map> for OwnedFd {
    fn from(map: Map) -> Self {
        map.file
    }
}

impl AsFd for Map {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl AsRawFd for Map {
    fn as_raw_fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }
}
