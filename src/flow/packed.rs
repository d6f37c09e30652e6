//! Keys as the table holds them: sixteen bytes, and hashed with a secret.

use super::key::{FlowKey, Keyed, has_sound_length, is_behind_all_tags};
use crate::parse::{IpLayer, IpVersion, Packet};

/// A flow's key in sixteen bytes: the key itself where it is short enough (IPv4, at most one VLAN tag, no tunnel), else a
/// digest of it with a secret seed. Two keys of which the digest is the same would be taken for one; of a milliard flows
/// any two are so with a probability below 2^-60, and nobody who does not know the seed can make it likelier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Packed(pub(super) u128);

/// In the lowest byte: the key itself, or a digest.
const WHOLE: u64 = 1;
const DIGEST: u64 = 2;

/// What nobody outside knows: whoever did could send flows that all fall into one bucket.
#[derive(Clone, Copy, Debug)]
pub struct Seed([u64; 4]);

impl Seed {
    /// From the system's source of randomness, as the standard library's maps have it.
    #[must_use]
    pub fn random() -> Self {
        use std::hash::{BuildHasher, RandomState};
        let state = RandomState::new();
        Self::fixed(state.hash_one(0_u8)).mixed(state.hash_one(1_u8))
    }

    /// For runs that are to be the same again, such as benchmarks.
    #[must_use]
    pub fn fixed(seed: u64) -> Self {
        Self(std::array::from_fn(|at| fold(seed ^ SALT[at], SALT[(at + 1) % 4] | 1)))
    }

    fn mixed(self, more: u64) -> Self {
        Self(self.0.map(|word| fold(word ^ more, SALT[0]) ^ word))
    }

    /// The hash of sixteen bytes: what a [`Table`](super::Table) with this seed makes of a key.
    #[inline(always)]
    #[must_use]
    pub fn hash(&self, key: u128) -> u64 {
        let mixed = fold(key as u64 ^ self.0[0], (key >> 64) as u64 ^ self.0[1]);
        fold(mixed ^ self.0[2], SALT[2])
    }

    /// Another hash of the same, whose upper bits have nothing to do with the places that a table gives a key.
    #[inline(always)]
    pub(super) fn share(&self, key: u128) -> u64 {
        fold(self.hash(key) ^ self.0[3], SALT[3])
    }

    /// 128 bits of a longer key: two hashes that have nothing in common but the key.
    fn digest(&self, words: &[u64; 6]) -> [u64; 2] {
        let [s, t, u, v] = self.0;
        let hash = |s: u64, t: u64, u: u64| {
            let pairs = words.as_chunks::<2>().0.iter().zip(&SALT);
            pairs.fold(u, |hash, ([a, b], salt)| {
                fold(hash ^ a ^ s, b ^ t).wrapping_add(fold(hash ^ salt, u | 1))
            })
        };
        [hash(s, t, u), hash(v, u ^ SALT[3], t)]
    }
}

/// Digits of the fractional part of pi: numbers without a purpose of their own.
const SALT: [u64; 4] =
    [0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344, 0xa409_3822_299f_31d0, 0x082e_fa98_ec4e_6c89];

/// Both halves of a product, joined.
#[inline(always)]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

impl Packed {
    /// The key of a packet, and whether the upper end sent it; with the key written out where it is not whole.
    #[inline]
    pub(super) fn of(
        packet: &Packet<'_>,
        ip: &IpLayer,
        seed: &Seed,
    ) -> Option<(Self, bool, Option<FlowKey>)> {
        let layers = packet.layers();
        let plain = ip.version == IpVersion::V4
            && layers.vlan_count <= 1
            && ip.start == outer_start(packet)
            && is_behind_all_tags(packet, ip);
        let ports = ip.transport.has_ports().then_some((ip.source_port, ip.destination_port));
        if let (true, Some((source_port, destination_port))) = (plain && has_sound_length(packet, ip), ports)
        {
            let data = packet.frame().data.get(..ip.end as usize)?;
            let source = word(data, ip.start + 12)?;
            let destination = word(data, ip.pseudo_destination)?;
            let vlan = if layers.vlan_count == 0 { 0 } else { FlowKey::tagged(layers.vlan_tags[0]) };
            let (key, reversed) =
                Self::of_ipv4((source, destination), (source_port, destination_port), vlan, ip.protocol);
            return Some((key, reversed, None));
        }
        let Keyed { key, reversed, .. } = FlowKey::of_layer(packet, ip)?;
        let packed = Self::short(&key);
        Some(match packed {
            Some(packed) => (packed, reversed, None),
            None => (Self::digest(&key, seed), reversed, Some(key)),
        })
    }

    /// From addresses and ports, those of the source first; and whether that is the upper end.
    #[inline(always)]
    pub(super) fn of_ipv4(
        (source, destination): (u32, u32),
        (source_port, destination_port): (u16, u16),
        vlan: u16,
        protocol: u8,
    ) -> (Self, bool) {
        let a = u64::from(source) << 16 | u64::from(source_port);
        let b = u64::from(destination) << 16 | u64::from(destination_port);
        let reversed = b < a;
        (Self::whole(a.min(b), a.max(b), vlan, protocol), reversed)
    }

    /// From the two ends, each an address and a port in 48 bits.
    #[inline(always)]
    fn whole(lower: u64, upper: u64, vlan: u16, protocol: u8) -> Self {
        let addresses = (lower >> 16) << 32 | upper >> 16;
        let ports = (lower & 0xffff) << 16 | upper & 0xffff;
        let others = ports << 32 | u64::from(vlan) << 16 | u64::from(protocol) << 8 | WHOLE;
        Self(u128::from(others) << 64 | u128::from(addresses))
    }

    /// Of a key that is short enough.
    fn short(key: &FlowKey) -> Option<Self> {
        let [vlan, second] = key.vlan_tags();
        if key.ip_version() != IpVersion::V4 || second != 0 || key.tunnel().is_some() {
            return None;
        }
        let end = |upper: bool| {
            let address = key.addresses()[usize::from(upper)];
            let address = u32::from_be_bytes([address[0], address[1], address[2], address[3]]);
            u64::from(address) << 16 | u64::from(key.end(upper).1)
        };
        Some(Self::whole(end(false), end(true), vlan, key.protocol()))
    }

    pub(super) fn digest(key: &FlowKey, seed: &Seed) -> Self {
        let [high, low] = seed.digest(&key.words());
        Self(u128::from(high & !0xff | DIGEST) << 64 | u128::from(low))
    }

    /// Of any key.
    pub(super) fn pack(key: &FlowKey, seed: &Seed) -> Self {
        Self::short(key).unwrap_or_else(|| Self::digest(key, seed))
    }

    /// A number that tells flows apart and does not depend on a seed: of a key that is whole.
    #[inline(always)]
    pub(super) fn spread(self) -> u64 {
        ((self.0 as u64) ^ (self.0 >> 64) as u64).wrapping_mul(SALT[0] | 1)
    }

    /// The key, of one that is whole.
    pub(super) fn unpack(self) -> Option<FlowKey> {
        let (addresses, others) = (self.0 as u64, (self.0 >> 64) as u64);
        if others & 0xff != WHOLE {
            return None;
        }
        let end = |address: u64, port: u64| ((address as u32).to_be_bytes().into(), port as u16);
        let (lower, upper) = (end(addresses >> 32, others >> 48), end(addresses, others >> 32 & 0xffff));
        let (vlan, protocol) = ((others >> 16) as u16, (others >> 8) as u8);
        Some(FlowKey::ordered(lower, upper, protocol, [vlan, 0]))
    }
}

fn outer_start(packet: &Packet<'_>) -> u32 {
    packet.outer().map_or(u32::MAX, |outer| outer.start)
}

#[inline(always)]
fn word(data: &[u8], at: u32) -> Option<u32> {
    data.get(at as usize..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Findings;
    use crate::source::synthetic::{Protocol, Synthetic, Traffic};
    use std::collections::HashMap;

    /// Whatever the way it was packed, a key is the same and comes back.
    #[test]
    fn packed_keys_are_the_keys() {
        let seed = Seed::random();
        let traffic = Traffic {
            distinct: 250,
            flows: 200,
            ipv6_percent: 30,
            vlan_percent: 30,
            protocols: vec![(Protocol::Tcp, 1), (Protocol::Udp, 1), (Protocol::Icmp, 1)],
            ..Traffic::default()
        };
        let source = Synthetic::new(&traffic);
        let (batch, mut findings) = (source.table(), Findings::new());
        findings.read(batch);
        let (mut keys, mut whole) = (HashMap::new(), 0);
        for index in 0..batch.len() {
            let frame = batch.frame(index);
            let packet = Packet::new(frame, findings.layers(&frame, index));
            let Keyed { key, reversed, ip } = FlowKey::of(&packet).unwrap();
            let (packed, turned, long) = Packed::of(&packet, &ip, &seed).unwrap();
            assert_eq!((packed, turned), (Packed::pack(&key, &seed), reversed));
            assert_eq!(packed.unpack().or(long), Some(key));
            assert_eq!(*keys.entry(packed.0).or_insert(key), key);
            whole += usize::from(long.is_none());
        }
        assert!(keys.len() > 100 && (100..240).contains(&whole), "{} keys, {whole} whole", keys.len());
    }

    /// Keys that differ in few bits are the common ones, and the ones that somebody sends on purpose.
    #[test]
    fn hashes_of_similar_keys_are_spread() {
        for seed in [Seed::fixed(1), Seed::fixed(2), Seed::random()] {
            for step in [1_u128, 1 << 32, 1 << 64, 1 << 96, 1 << 112, (1 << 32) + 1, (1 << 96) + (1 << 112)] {
                let mut buckets = vec![0_u32; 1024];
                let mut tags = vec![0_u32; 1024];
                for key in 0..16_384_u128 {
                    let hash = seed.hash(key.wrapping_mul(step));
                    buckets[((hash as u32) >> 22) as usize] += 1;
                    tags[(hash >> 54) as usize] += 1;
                }
                // 16 on average; a fair throw has 40 nowhere.
                assert!(buckets.iter().chain(&tags).all(|&count| count < 40), "{step:x}");
            }
        }
    }
}
