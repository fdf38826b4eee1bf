//! How a value is wrapped, and how one that comes back is checked: it may have been damaged, cut, mixed up with
//! another, or written by somebody else.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | format: 1 |
//! | 1 | codec of the payload: 0 is none; others are free, for compression |
//! | 4 | length of the payload, little-endian |
//! | 16 | seal: BLAKE3 over the four others and the place, keyed, truncated |
//! | … | payload |
//!
//! The place says where the value belongs (key, epoch, number), so that a value under another key is no value. Releases
//! before 0.2 wrote values without a key unless they were given one: those do not verify.

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
pub(crate) struct Framer(SealKey);

impl Framer {
    pub(crate) fn new(key: SealKey) -> Self {
        Self(key)
    }

    fn seal(&self, place: &[u8], head: &[u8], payload: &[u8]) -> blake3::Hash {
        let SealKey(key) = &self.0;
        let mut hasher = blake3::Hasher::new_keyed(key);
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
        Framer::new(SealKey::derive(&Secret::new(secret)))
    }

    /// As the first release wrote it without a key, and as anybody can.
    fn unkeyed(place: &[u8], payload: &[u8]) -> Bytes {
        let mut frame = vec![FORMAT, RAW];
        frame.extend(u32::try_from(payload.len()).expect("it is short").to_le_bytes());
        let mut hasher = blake3::Hasher::new_derive_key("threadmill 2026 hot tier frame");
        hasher.update(&(place.len() as u64).to_le_bytes()).update(place).update(&frame).update(payload);
        frame.extend(&hasher.finalize().as_bytes()[..SEAL]);
        frame.extend(payload);
        frame.into()
    }

    #[test]
    fn a_frame_does_not_change() {
        let frame = keyed("k").wrap(b"place", b"hello");
        assert_eq!(&frame[..6], [1, 0, 5, 0, 0, 0]);
        assert_eq!(&frame[22..], b"hello");
        let seal: String = frame[6..22].iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(seal, "9eb087a1a8d95b2633846b8b61fe48f9");
    }

    proptest! {
        #[test]
        fn what_is_wrapped_comes_back(place: Vec<u8>, payload: Vec<u8>) {
            let frame = keyed("k").wrap(&place, &payload);
            prop_assert_eq!(keyed("k").unwrap(&place, &frame), Some(Bytes::from(payload)));
        }

        #[test]
        fn anything_else_does_not(place: Vec<u8>, other: Vec<u8>, payload: Vec<u8>, at: prop::sample::Index, flip in 1_u8..) {
            prop_assume!(place != other);
            let frame = keyed("k").wrap(&place, &payload);
            prop_assert_eq!(keyed("k").unwrap(&other, &frame), None);
            prop_assert_eq!(keyed("k").unwrap(&place, &keyed("l").wrap(&place, &payload)), None);
            prop_assert_eq!(keyed("k").unwrap(&place, &unkeyed(&place, &payload)), None);
            let mut damaged = frame.to_vec();
            damaged[at.index(frame.len())] ^= flip;
            prop_assert_eq!(keyed("k").unwrap(&place, &damaged.into()), None);
            prop_assert_eq!(keyed("k").unwrap(&place, &frame.slice(..at.index(frame.len()))), None);
        }

        #[test]
        fn garbage_is_refused(place: Vec<u8>, garbage: Vec<u8>) {
            prop_assert_eq!(keyed("k").unwrap(&place, &garbage.into()), None);
        }
    }
}
