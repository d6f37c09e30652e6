//! The extensions of a hello that tell whom it is for.

use super::{Version, is_grease};
use crate::parse::cursor::Cursor;
use std::ops::Range;

/// Extension types (IANA "TLS ExtensionType Values").
const SERVER_NAME: u16 = 0;
const ALPN: u16 = 16;
const SUPPORTED_VERSIONS: u16 = 43;

/// The only kind of server name, RFC 6066 3.
const HOST_NAME: u8 = 0;

/// Where in the hello's body the lists are, each checked to its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Extensions {
    server_name: Option<Range<usize>>,
    alpn: Option<Range<usize>>,
    versions: Option<Range<usize>>,
}

impl Extensions {
    /// Looks through `list`, which begins at `start` of the body. `None` where a length overruns or one of ours
    /// is there twice (RFC 8446 4.2 forbids it: two readers could take a different one each).
    pub(super) fn find(list: &[u8], start: usize) -> Option<Self> {
        let mut found = Self::default();
        let mut rest = Cursor(list);
        while !rest.is_empty() {
            let kind = rest.u16()?;
            let data = rest.vector16()?;
            let (place, inner) = match kind {
                SERVER_NAME => (&mut found.server_name, host_name(data)?),
                ALPN => (&mut found.alpn, protocols(data)?),
                SUPPORTED_VERSIONS => (&mut found.versions, versions(data)?),
                _ => continue,
            };
            // What was taken of an extension is its end.
            let end = start + list.len() - rest.0.len();
            if place.replace(end - inner.len()..end).is_some() {
                return None;
            }
        }
        Some(found)
    }

    pub(super) fn server_name<'a>(&self, body: &'a [u8]) -> Option<&'a [u8]> {
        let mut rest = Cursor(body.get(self.server_name.clone()?)?);
        loop {
            let (kind, name) = (rest.u8()?, rest.vector16()?);
            if kind == HOST_NAME {
                return Some(name);
            }
        }
    }

    pub(super) fn alpn<'a>(&self, body: &'a [u8]) -> Alpn<'a> {
        Alpn(Cursor(self.alpn.clone().and_then(|range| body.get(range)).unwrap_or_default()))
    }

    pub(super) fn versions<'a>(&self, body: &'a [u8], legacy: Version) -> Versions<'a> {
        match self.versions.clone().and_then(|range| body.get(range)) {
            Some(list) => Versions { list: Cursor(list), legacy: None },
            None => Versions { list: Cursor(&[]), legacy: Some(legacy) },
        }
    }
}

/// `ServerNameList`, RFC 6066 3: one name of a kind at most.
fn host_name(data: &[u8]) -> Option<&[u8]> {
    let list = whole(data, Cursor::vector16)?;
    let mut rest = Cursor(list);
    let mut hosts = 0;
    while !rest.is_empty() {
        hosts += usize::from(rest.u8()? == HOST_NAME);
        rest.vector16()?;
    }
    (hosts <= 1).then_some(list)
}

/// `ProtocolNameList`, RFC 7301 3.1: no name is empty.
fn protocols(data: &[u8]) -> Option<&[u8]> {
    let list = whole(data, Cursor::vector16)?;
    let mut rest = Cursor(list);
    while !rest.is_empty() {
        rest.vector8().filter(|name| !name.is_empty())?;
    }
    Some(list)
}

/// `SupportedVersions`, RFC 8446 4.2.1.
fn versions(data: &[u8]) -> Option<&[u8]> {
    whole(data, Cursor::vector8).filter(|list| list.len() >= 2 && list.len() % 2 == 0)
}

/// The vector that fills all of `data`.
fn whole<'a>(data: &'a [u8], vector: impl FnOnce(&mut Cursor<'a>) -> Option<&'a [u8]>) -> Option<&'a [u8]> {
    let mut rest = Cursor(data);
    vector(&mut rest).filter(|_| rest.is_empty())
}

/// Names of application protocols, such as `h2` and `http/1.1`.
#[derive(Clone, Debug)]
pub struct Alpn<'a>(Cursor<'a>);

impl<'a> Iterator for Alpn<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            match self.0.vector8()? {
                &[first, second] if is_grease(u16::from_be_bytes([first, second])) => {}
                name => return Some(name),
            }
        }
    }
}

/// Versions of TLS.
#[derive(Clone, Debug)]
pub struct Versions<'a> {
    list: Cursor<'a>,
    legacy: Option<Version>,
}

impl Iterator for Versions<'_> {
    type Item = Version;

    fn next(&mut self) -> Option<Version> {
        self.legacy.take().or_else(|| {
            std::iter::from_fn(|| self.list.u16()).map(Version).find(|version| !version.is_grease())
        })
    }
}
