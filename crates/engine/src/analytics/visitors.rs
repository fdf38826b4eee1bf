//! How many different visitors there were, without a list of who they are.
//!
//! A visitor is 32 bits of a hash under a key that belongs to the day and is thrown away with it. Up to [`FEW`] of them are
//! held one by one, so that a small number is exact: whether a group is large enough to be shown depends on it. More become a
//! HyperLogLog sketch of [`REGISTERS`] registers (Flajolet and others, 2007), which is off by 6.5 % as a rule. A list of
//! hashes grows with the users and a sketch does not; and two of them, of two nodes or of two hours, add up to the number
//! of different visitors, as counts do not. When the day is over only the number is kept.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use serde::{Deserialize, Serialize};

/// Visitors that are held one by one.
const FEW: usize = 64;
const REGISTERS: usize = 256;

/// Different visitors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(super) enum Visitors {
    Few(BTreeSet<u32>),
    Many(Box<[u8; REGISTERS]>),
}

impl Default for Visitors {
    fn default() -> Self {
        Self::Few(BTreeSet::new())
    }
}

/// Where a hash counts in a sketch, and what it says there: how many zeros it begins with.
fn register(hash: u32) -> (usize, u8) {
    let [place, ..] = hash.to_le_bytes();
    let rest = hash >> 8;
    #[expect(clippy::cast_possible_truncation, reason = "24 at most, and one")]
    let zeros = (rest.leading_zeros() - 8 + 1) as u8;
    (usize::from(place), zeros)
}

impl Visitors {
    /// Somebody was there.
    pub(super) fn see(&mut self, hash: u32) {
        match self {
            Self::Few(few) => {
                few.insert(hash);
                if few.len() > FEW {
                    let mut registers = Box::new([0; REGISTERS]);
                    few.iter().for_each(|hash| raise(&mut registers, *hash));
                    *self = Self::Many(registers);
                }
            }
            Self::Many(registers) => raise(registers, hash),
        }
    }

    /// Those of both.
    pub(super) fn merge(&mut self, other: &Self) {
        match other {
            Self::Few(few) => few.iter().for_each(|hash| self.see(*hash)),
            Self::Many(theirs) => {
                if let Self::Few(few) = self {
                    let mut registers = theirs.clone();
                    few.iter().for_each(|hash| raise(&mut registers, *hash));
                    *self = Self::Many(registers);
                } else if let Self::Many(ours) = self {
                    ours.iter_mut().zip(theirs.iter()).for_each(|(our, their)| *our = (*our).max(*their));
                }
            }
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        match self {
            Self::Few(few) => few.len() as u64,
            Self::Many(registers) => estimate(registers),
        }
    }
}

fn raise(registers: &mut [u8; REGISTERS], hash: u32) {
    let (place, zeros) = register(hash);
    registers[place] = registers[place].max(zeros);
}

#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an estimate")]
fn estimate(registers: &[u8; REGISTERS]) -> u64 {
    let all = REGISTERS as f64;
    let sum: f64 = registers.iter().map(|zeros| f64::from(-i32::from(*zeros)).exp2()).sum();
    let raw = 0.7213 / (1.0 + 1.079 / all) * all * all / sum;
    let empty = registers.iter().filter(|zeros| **zeros == 0).count();
    // Few for so many registers: those that are empty say more.
    let count = if raw <= 2.5 * all && empty > 0 { all * (all / empty as f64).ln() } else { raw };
    // There were more than are held one by one.
    (count.round() as u64).max(FEW as u64 + 1)
}

impl From<Visitors> for String {
    fn from(visitors: Visitors) -> Self {
        let (letter, bytes) = match visitors {
            Visitors::Few(few) => ('f', few.iter().flat_map(|hash| hash.to_le_bytes()).collect()),
            Visitors::Many(registers) => ('m', registers.to_vec()),
        };
        format!("{letter}{}", BASE64_STANDARD_NO_PAD.encode(bytes))
    }
}

impl TryFrom<String> for Visitors {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || "visitors that cannot be read".to_owned();
        let (letter, rest) = text.split_at_checked(1).ok_or_else(wrong)?;
        let bytes = BASE64_STANDARD_NO_PAD.decode(rest).map_err(|_| wrong())?;
        match letter {
            "f" if bytes.len() <= FEW * 4 && bytes.len() % 4 == 0 => {
                let (hashes, _) = bytes.as_chunks::<4>();
                Ok(Self::Few(hashes.iter().map(|hash| u32::from_le_bytes(*hash)).collect()))
            }
            "m" => Ok(Self::Many(bytes.into_boxed_slice().try_into().map_err(|_| wrong())?)),
            _ => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(user: u64) -> u32 {
        let bytes = blake3::hash(&user.to_le_bytes());
        let [a, b, c, d, ..] = *bytes.as_bytes();
        u32::from_le_bytes([a, b, c, d])
    }

    fn of(users: std::ops::Range<u64>) -> Visitors {
        let mut visitors = Visitors::default();
        users.for_each(|user| visitors.see(hash(user)));
        visitors
    }

    #[test]
    fn few_are_counted_one_by_one_and_many_within_a_tenth() {
        for users in [0, 1, 9, 10, 64] {
            let mut visitors = of(0..users);
            visitors.merge(&of(0..users));
            assert_eq!(visitors.count(), users);
        }
        for users in [65, 100, 300, 1_000, 20_000, 300_000] {
            let counted = of(0..users).count();
            assert!(counted.abs_diff(users) * 100 <= users * 15, "{counted} of {users}");
        }
    }

    #[test]
    fn those_of_two_nodes_are_not_counted_twice() {
        for (one, two, both) in
            [(0..10, 5..12, 12), (0..200, 100..110, 200), (100..110, 0..200, 200), (0..200, 0..200, 200)]
        {
            let mut all = of(one);
            all.merge(&of(two));
            assert_eq!(all, of(0..both), "in whatever order");
        }
    }

    #[test]
    fn what_is_stored_is_read_again_and_anything_else_is_not() {
        for users in [0, 7, 64, 500] {
            let visitors = of(0..users);
            let text = String::from(visitors.clone());
            assert!(text.len() <= 345, "{}", text.len());
            assert_eq!(Visitors::try_from(text), Ok(visitors));
        }
        let long = format!("f{}", BASE64_STANDARD_NO_PAD.encode([0; FEW * 4 + 4]));
        for text in ["", "f", "fAAA", "mAAAA", "x", "é", &long] {
            assert_eq!(Visitors::try_from(text.to_owned()).is_ok(), text == "f", "{text}");
        }
    }
}
