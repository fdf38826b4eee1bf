//! Tests that may be looked at as often as one likes.
//!
//! **A difference.** The confidence sequence is Robbins' normal mixture (Howard, Ramdas, McAuliffe and Sekhon 2021,
//! "Time-uniform, nonparametric, nonasymptotic confidence sequences", eq. 14) over the estimate's own variance, which makes
//! it an asymptotic confidence sequence (Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas 2024, "Time-uniform central limit
//! theory and asymptotic confidence sequences"). With V the variance of the estimate, I = 1/V and φ fixed beforehand it is
//! the estimate ± √V · √((1 + φV) · ln((1 + 1/(φV)) / α²)): with probability 1 − α the truth is inside at *all* times. It is
//! tightest where the standard error is a quarter of 1/√φ.
//!
//! Requests of one user are not independent, and it is users who were placed by chance. So V is taken between buckets of
//! users (the sums of each bucket against the ratio of all, as a cluster-robust variance does): a user who fails again and
//! again, or a hundred complaints of one person, make V large instead of the difference certain. Few buckets make V itself
//! uncertain; the bound is then widened as Student's t is against the normal (the first term of its Cornish-Fisher
//! expansion). A share is not believed to vary less than independent trials would.
//!
//! **A skewed sample.** If not as many users are seen on a side as were placed there, something ate the others and nothing
//! may be concluded. The test is the sequential multinomial one of Lindon and Malek (2022, "Anytime-valid inference for
//! multinomial count data"): a Bayes factor against the placed share, by Ville's inequality above 1/α with probability α at
//! most, ever.

/// Weight of the prior of the sample test, in users: about how far from the placed share it looks.
const PRIOR: f64 = 100.0;

/// A ratio of sums, how certain it is, and of how much.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Estimate {
    /// The ratio.
    pub(super) rate: f64,
    /// Its variance, between buckets.
    pub(super) variance: f64,
    /// Buckets with anything in them, less one.
    pub(super) degrees: f64,
    /// What was counted.
    pub(super) trials: f64,
    /// The sum of what was seen.
    pub(super) sum: f64,
}

/// The estimate of buckets, each with how many trials and what sum; `None` without two buckets that have any.
pub(super) fn estimate(buckets: impl Iterator<Item = (f64, f64)> + Clone) -> Option<Estimate> {
    let full = buckets.filter(|(trials, sum)| *trials > 0.0 || *sum > 0.0);
    let (many, trials, sum) =
        full.clone().fold((0.0, 0.0, 0.0), |(m, n, s), (trials, sum)| (m + 1.0, n + trials, s + sum));
    if many < 2.0 || trials <= 0.0 {
        return None;
    }
    let rate = sum / trials;
    let squares: f64 = full.map(|(trials, sum)| (sum - rate * trials).powi(2)).sum();
    let variance = many / (many - 1.0) * squares / (trials * trials);
    Some(Estimate { rate, variance, degrees: many - 1.0, trials, sum })
}

/// The least variance of a share: that of independent trials, with one more seen and one more not.
pub(super) fn least_variance(trials: f64, pooled_sum: f64, pooled_trials: f64) -> f64 {
    let share = ((pooled_sum + 1.0) / (pooled_trials + 2.0)).clamp(0.0, 1.0);
    share * (1.0 - share) / trials
}

/// How far the truth may be from an estimate, at any time, but for a probability of `alpha`. `margin` is the difference that
/// matters: the bound is tightest where that can be told.
pub(super) fn radius(variance: f64, degrees: f64, alpha: f64, margin: f64) -> f64 {
    let scaled = (variance / (margin * margin)).max(f64::MIN_POSITIVE);
    let bound = ((1.0 + scaled) * ((1.0 / scaled).ln_1p() - 2.0 * alpha.ln())).sqrt();
    let widened = bound * (1.0 + (bound * bound + 1.0) / (4.0 * degrees));
    widened * variance.sqrt()
}

/// The logarithm of the evidence that users did not come as they were placed: `share` of them on the new side.
pub(super) fn skew(old: u64, new: u64, share: f64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "there are a few thousand")]
    let rising = |from: f64, times: u64| (0..times).map(|step| (from + step as f64).ln()).sum::<f64>();
    #[expect(clippy::cast_precision_loss, reason = "there are a few thousand")]
    let placed = new as f64 * share.ln() + old as f64 * (1.0 - share).ln();
    rising(PRIOR * share, new) + rising(PRIOR * (1.0 - share), old) - rising(PRIOR, old + new) - placed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_that_of_the_paper_and_tightest_at_a_quarter_of_the_margin() {
        // Eq. 14 for a sum of variance 100, φ = 1 and α = 0.05, many degrees: √(101 · ln(101 / 0.05²)) / 100.
        let wanted = (101.0_f64 * (101.0_f64 / 0.0025).ln()).sqrt() / 100.0;
        assert!((radius(0.01, 1e12, 0.05, 1.0) - wanted).abs() < 1e-9);
        let relative = |error: f64| radius(error * error, 1e9, 0.001, 1.0) / error;
        assert!(relative(0.25) < relative(0.02) && relative(0.25) < relative(2.0));
        assert!(radius(0.01, 5.0, 0.05, 1.0) > 1.5 * radius(0.01, 500.0, 0.05, 1.0), "few buckets widen it");
    }

    #[test]
    fn one_user_who_always_fails_makes_nothing_certain() {
        let even = estimate((0..64).map(|_| (100.0, 6.0))).expect("an estimate");
        let one = estimate((0..64).map(|at| (100.0, if at == 0 { 384.0 } else { 0.0 }))).expect("an estimate");
        assert!((even.rate - one.rate).abs() < 1e-12, "as many failures");
        assert!(even.variance < 1e-12 && one.variance.sqrt() > 0.9 * one.rate);
        assert_eq!(estimate([(5.0, 1.0), (0.0, 0.0)].into_iter()), None, "one bucket says nothing of how they differ");
    }

    #[test]
    fn a_sample_as_placed_is_believed_and_a_skewed_one_is_not() {
        let limit = 1000.0_f64.ln();
        assert!(skew(3800, 200, 0.05) < 0.0 && skew(3010, 990, 0.25) < 0.0);
        assert!(skew(900, 100, 0.05) > limit, "10 % where 5 % were placed");
        assert!(skew(850, 150, 0.25) > limit, "15 % where 25 % were placed");
        assert!(skew(20, 3, 0.05) < limit, "a handful says nothing");
    }
}
