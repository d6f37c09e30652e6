//! What a device does for the kernel, each of it switched on or off (`ETHTOOL_GFEATURES`).

use super::Ethtool;
use super::room::Room;
use super::statistics::Strings;
use std::collections::BTreeMap;
use std::io;

/// `ETHTOOL_GFEATURES`, `ETHTOOL_SFEATURES`.
const GET_FEATURES: u32 = 0x3a;
const SET_FEATURES: u32 = 0x3b;

/// State of one feature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Feature {
    /// In effect.
    pub active: bool,
    /// It can be switched.
    pub changeable: bool,
}

impl Ethtool {
    /// Every feature the kernel knows by its name there, such as `rx-gro` (`ethtool -k` shows the same, some under names
    /// of its own).
    ///
    /// # Errors
    /// As `ioctl(2)`: `ENODEV` when there is no such interface.
    pub fn features(&self, name: &str) -> io::Result<BTreeMap<String, Feature>> {
        let names = self.strings(name, Strings::Features)?;
        let blocks = names.len().div_ceil(32);
        let mut room = Room::new()?;
        room.put(0, GET_FEATURES);
        room.put(1, blocks as u32);
        self.ask(name, &mut room)?;
        // A block of 32 features: available, requested, active, never changed.
        let bit = |index: usize, field: usize| room.word(2 + index / 32 * 4 + field) & 1 << (index % 32) != 0;
        let state = |index| Feature { active: bit(index, 2), changeable: bit(index, 0) && !bit(index, 3) };
        let named = names.into_iter().enumerate().filter(|(_, feature)| !feature.is_empty());
        Ok(named.map(|(index, feature)| (feature, state(index))).collect())
    }

    /// Switches a feature by the name it has in [`Ethtool::features`].
    ///
    /// # Errors
    /// `NotFound` when the kernel knows none of that name, `PermissionDenied` without `CAP_NET_ADMIN`; `Unsupported` when
    /// the device keeps it as it is.
    pub fn set_feature(&self, name: &str, feature: &str, on: bool) -> io::Result<()> {
        let names = self.strings(name, Strings::Features)?;
        let index = names.iter().position(|known| known == feature).ok_or(io::ErrorKind::NotFound)?;
        let blocks = names.len().div_ceil(32);
        let mut room = Room::new()?;
        room.put(0, SET_FEATURES);
        room.put(1, blocks as u32);
        // A block: which to change, to what.
        let (place, bit) = (2 + index / 32 * 2, 1 << (index % 32));
        room.put(place, bit);
        room.put(place + 1, if on { bit } else { 0 });
        self.ask(name, &mut room)?;
        match self.features(name)?.get(feature) {
            Some(state) if state.active == on => Ok(()),
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_segments_and_keeps_it_to_itself() {
        let ethtool = Ethtool::open().unwrap();
        let features = ethtool.features("lo").unwrap();
        // NETIF_F_LOOPBACK is what makes it one, and fixed.
        assert_eq!(features["loopback"], Feature { active: true, changeable: false });
        assert!(
            features.contains_key("rx-gro") && features.contains_key("tx-tcp-segmentation"),
            "{features:?}"
        );
        assert!(ethtool.features("no-such-interface").is_err());
        assert!(ethtool.features("a name much longer than an interface's").is_err());
        let unknown = ethtool.set_feature("lo", "rx-wishes", true).unwrap_err();
        assert_eq!(unknown.kind(), io::ErrorKind::NotFound);
    }
}
