//! Keys of Initial packets, made from the client's first destination connection id (RFC 9001 5.2, RFC 9369 3.3).

use super::QuicVersion;
use aes_gcm::aes::Aes128;
use aes_gcm::aes::cipher::{BlockCipherEncrypt, KeyInit};
use aes_gcm::{AeadInOut, Aes128Gcm};
use hkdf::Hkdf;
use sha2::Sha256;

/// Bytes of an AES-GCM tag.
const TAG: usize = 16;

/// Whose packets the keys open.
pub(super) const CLIENT: &[u8] = b"client in";

/// What the secrets of a version are made with.
struct Recipe {
    salt: [u8; 20],
    key: &'static [u8],
    iv: &'static [u8],
    header: &'static [u8],
}

/// RFC 9001 5.2 and 5.1.
const V1: Recipe = Recipe {
    salt: *b"\x38\x76\x2c\xf7\xf5\x59\x34\xb3\x4d\x17\x9a\xe6\xa4\xc8\x0c\xad\xcc\xbb\x7f\x0a",
    key: b"quic key",
    iv: b"quic iv",
    header: b"quic hp",
};

/// RFC 9369 3.3.1 and 3.3.2.
const V2: Recipe = Recipe {
    salt: *b"\x0d\xed\xe3\xde\xf7\x00\xa6\xdb\x81\x93\x81\xbe\x6e\x26\x9d\xcb\xf9\xbd\x2e\xd9",
    key: b"quicv2 key",
    iv: b"quicv2 iv",
    header: b"quicv2 hp",
};

/// Keys of one side's Initial packets.
pub(super) struct Keys {
    pub(super) key: [u8; 16],
    pub(super) iv: [u8; 12],
    pub(super) header: [u8; 16],
}

impl Keys {
    /// Those of the connection whose client first wrote to `destination`. `side` is a label of RFC 9001 5.2.
    pub(super) fn derive(version: QuicVersion, destination: &[u8], side: &[u8]) -> Option<Self> {
        let recipe = match version {
            QuicVersion::V1 => V1,
            QuicVersion::V2 => V2,
        };
        let initial = Hkdf::<Sha256>::new(Some(&recipe.salt), destination);
        let secret: [u8; 32] = expand(&initial, side)?;
        let secret = Hkdf::from_prk(&secret).ok()?;
        Some(Self {
            key: expand(&secret, recipe.key)?,
            iv: expand(&secret, recipe.iv)?,
            header: expand(&secret, recipe.header)?,
        })
    }

    /// What the header of a packet with this sample is masked with, RFC 9001 5.4.3.
    pub(super) fn header_mask(&self, sample: [u8; 16]) -> [u8; 16] {
        let mut block = sample.into();
        Aes128::new(&self.header.into()).encrypt_block(&mut block);
        block.into()
    }

    /// The payload behind `header`, which must be without its protection; `None` if the tag is not right.
    pub(super) fn open(&self, number: u64, header: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (sealed, tag) = sealed.split_last_chunk::<TAG>()?;
        let mut payload = sealed.to_vec();
        let cipher = Aes128Gcm::new(&self.key.into());
        cipher
            .decrypt_inout_detached(
                &self.nonce(number).into(),
                header,
                payload.as_mut_slice().into(),
                &(*tag).into(),
            )
            .ok()?;
        Some(payload)
    }

    /// RFC 9001 5.3: the number, right-aligned, over the initialisation vector.
    pub(super) fn nonce(&self, number: u64) -> [u8; 12] {
        let mut nonce = self.iv;
        for (byte, number) in nonce[4..].iter_mut().zip(number.to_be_bytes()) {
            *byte ^= number;
        }
        nonce
    }
}

/// HKDF-Expand-Label (RFC 8446 7.1) without a context.
fn expand<const N: usize>(secret: &Hkdf<Sha256>, label: &[u8]) -> Option<[u8; N]> {
    const PREFIX: &[u8] = b"tls13 ";
    let mut info = Vec::with_capacity(32);
    info.extend(u16::try_from(N).ok()?.to_be_bytes());
    info.push(u8::try_from(PREFIX.len() + label.len()).ok()?);
    info.extend_from_slice(PREFIX);
    info.extend_from_slice(label);
    info.push(0);
    let mut output = [0; N];
    secret.expand(&info, &mut output).ok()?;
    Some(output)
}
