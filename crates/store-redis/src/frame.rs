//! How a value is wrapped, and how one that comes back is checked: it may have been damaged, cut, mixed up with
//! another, or written by somebody else.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | format: 1 |
//! | 1 | codec of the payload: 0 is none; others are free, for compression |
//! | 4 | length of the payload, little-endian |
//! | 16 | seal: BLAKE3 over the four others and the place, keyed if there is a key, truncated |
//! | … | payload |
//!
//! The place says where the value belongs (key, epoch, number), so that a value under another key is no value.

use bytes::{BufMut, Bytes, BytesMut};

use crate::options::SealKey;

const FORMAT: u8 = 1;
const RAW: u8 = 0;
const HEAD: usize = 6;
const SEAL: usize = 16;

/// What a value costs besides its payload, in bytes.
const FRAME: usize = HEAD + SEAL;

/// Wraps and checks.
#[derive(Debug, Clone)]
pub(crate) struct Framer(Option<SealKey>);

impl Framer {
    pub(crate) fn new(key: Option<SealKey>) -> Self {
        Self(key)
    }

    fn seal(&self, place: &[u8], head: &[u8], payload: &[u8]) -> blake3::Hash {
        let mut hasher = match &self.0 {
            Some(SealKey(key)) => blake3::Hasher::new_keyed(key),
            None => blake3::Hasher::new_derive_key("threadmill 2026 hot tier frame"),
        };
        hasher.update(&(place.len() as u64).to_le_bytes()).update(place).update(head).update(payload);
        hasher.finalize()
    }

    /// A frame around `payload`, which belongs to `place`.
    pub(crate) fn wrap(&self, place: &[u8], payload: &[u8]) -> Bytes {
        let mut frame = BytesMut::with_capacity(FRAME + payload.len());
        frame.put_u8(FORMAT);
        frame.put_u8(RAW);
        frame.put_u32_le(u32::try_from(payload.len()).expect("what is stored is far below 4 GiB"));
        let seal = self.seal(place, &frame, payload);
        frame.put_slice(&seal.as_bytes()[..SEAL]);
        frame.put_slice(payload);
        frame.freeze()
    }

    /// The payload of a frame that is whole and belongs to `place`. The comparison takes the same time wherever it
    /// fails, so that a seal cannot be found byte by byte.
    pub(crate) fn unwrap(&self, place: &[u8], frame: &Bytes) -> Option<Bytes> {
        let (head, rest) = frame.split_at_checked(HEAD)?;
        let (seal, payload) = rest.split_at_checked(SEAL)?;
        let length = u32::from_le_bytes(head[2..].try_into().ok()?);
        if head[0] != FORMAT || head[1] != RAW || length as usize != payload.len() {
            return None;
        }
        let wanted = self.seal(place, head, payload);
        let differing = wanted.as_bytes().iter().zip(seal).fold(0, |differing, (a, b)| differing | (a ^ b));
        (differing == 0).then(|| frame.slice(FRAME..))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::options::Secret;

    fn keyed(secret: &str) -> Framer {
        Framer::new(Some(SealKey::derive(&Secret::new(secret))))
    }

    #[test]
    fn a_frame_does_not_change() {
        let frame = Framer::new(None).wrap(b"place", b"hello");
        assert_eq!(&frame[..6], [1, 0, 5, 0, 0, 0]);
        assert_eq!(&frame[22..], b"hello");
        let seal: String = frame[6..22].iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(seal, "2c33d8e5909b8b3d198ee3e31b0eec9c");
    }

    proptest! {
        #[test]
        fn what_is_wrapped_comes_back(place: Vec<u8>, payload: Vec<u8>) {
            for framer in [Framer::new(None), keyed("k")] {
                let frame = framer.wrap(&place, &payload);
                prop_assert_eq!(framer.unwrap(&place, &frame), Some(Bytes::from(payload.clone())));
            }
        }

        #[test]
        fn anything_else_does_not(place: Vec<u8>, other: Vec<u8>, payload: Vec<u8>, at: prop::sample::Index, flip in 1_u8..) {
            prop_assume!(place != other);
            let frame = Framer::new(None).wrap(&place, &payload);
            prop_assert_eq!(Framer::new(None).unwrap(&other, &frame), None);
            prop_assert_eq!(keyed("k").unwrap(&place, &frame), None);
            prop_assert_eq!(keyed("k").unwrap(&place, &keyed("l").wrap(&place, &payload)), None);
            let mut damaged = frame.to_vec();
            damaged[at.index(frame.len())] ^= flip;
            prop_assert_eq!(Framer::new(None).unwrap(&place, &damaged.into()), None);
            prop_assert_eq!(Framer::new(None).unwrap(&place, &frame.slice(..at.index(frame.len()))), None);
        }

        #[test]
        fn garbage_is_refused(place: Vec<u8>, garbage: Vec<u8>) {
            prop_assert_eq!(Framer::new(None).unwrap(&place, &garbage.into()), None);
        }
    }
}
