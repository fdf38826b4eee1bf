//! Epochs: what every opening of a database draws anew, above all that were ever used.
//!
//! A copy that is put back (a file, a directory, a base backup, a dump) cannot be told from an ordinary restart by
//! looking at it: whatever it says of itself was copied with it. So each opening begins an epoch of its own. An
//! ordinary restart costs readers nothing, since a position of an earlier epoch goes on where its chained hash lies on
//! the log; what was written after the copy was taken is not on it, and is reset.
//!
//! An epoch is the opening's time in milliseconds since 2024, times 1024, plus ten random bits. Tokens of locks and of runs
//! count on from it, so both grow over a copy that is put back as long as the clock is right, and a lock would have to be
//! granted a million times a second to catch up with a later opening. If the clock stands at or behind the epoch that
//! is kept, a random step of up to 2^26 is taken instead. Then a token that the lost history granted too comes again
//! with a probability of 2^-26 for each of its grants, and that alone would admit a stale writer: nothing else
//! depends on the clock.

use threadmill_proto::Millis;

/// The largest number that JSON carries exactly everywhere: 2^53 - 1.
const LARGEST: u64 = (1 << 53) - 1;

/// 2024-01-01T00:00:00Z. Times from there fit 41 bits until 2093.
const SINCE: Millis = 1_704_067_200_000;

const TIME_BITS: u32 = 41;
const RANDOM_BITS: u32 = 10;
const STEP_BITS: u32 = 26;

/// Epochs below this were counted from 1, and their tokens began at the epoch times 2^32.
const COUNTED: u64 = 1 << 21;

/// The epoch of a database that is being opened: above `kept`, the largest one that is known of, and its tokens.
/// `random` is 64 random bits. None if the numbers are used up, which takes a clock that is wrong by decades and then
/// many millions of restarts, or a number that this never gave.
#[must_use]
pub fn next_epoch(kept: u64, now: Millis, random: u64) -> Option<u64> {
    let below = if kept < COUNTED { kept << 32 } else { kept };
    let time = now.saturating_sub(SINCE).min((1 << TIME_BITS) - 1);
    let timed = (time << RANDOM_BITS) | (random & ((1 << RANDOM_BITS) - 1));
    let step = 1 + (random >> (64 - STEP_BITS));
    let next = if timed > below { timed } else { below.checked_add(step)? };
    // Room for the tokens and for what threads of earlier releases add of their own.
    (next <= LARGEST - (1 << 40)).then_some(next)
}

/// The next fencing token of a run, its first one from 0: above all that the run had, and above all that an earlier epoch
/// gave. So a token of a history that was lost is not given again, nor to a run that is started anew under a lost one's id.
#[must_use]
pub fn next_fence(fence: u64, epoch: u64) -> u64 {
    fence.max(epoch) + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = SINCE + 1_000_000_000;

    #[test]
    fn epochs_grow_with_the_clock_and_without_it() {
        let first = next_epoch(1, NOW, 5).expect("an epoch");
        assert_eq!(first, (1_000_000_000 << 10) | 5);
        let later = next_epoch(first, NOW + 1, 0).expect("an epoch");
        assert!(later > first);
        for now in [NOW, NOW - 1, 0] {
            let stuck = next_epoch(later, now, u64::MAX).expect("an epoch");
            assert_eq!(stuck, later + (1 << STEP_BITS));
        }
    }

    #[test]
    fn tokens_of_counted_epochs_are_below() {
        // The last token of epoch 7 is at most 7 << 32.
        assert!(next_epoch(7, 0, 0).expect("an epoch") > 7 << 32);
    }

    #[test]
    fn an_absurd_clock_or_number_overflows_nothing() {
        assert!(next_epoch(1, u64::MAX, u64::MAX).is_some_and(|epoch| epoch < LARGEST));
        for kept in [LARGEST, u64::MAX, COUNTED - 1] {
            assert_eq!(next_epoch(kept, NOW, u64::MAX), None, "{kept}");
        }
    }
}
