//! A line through samples over time, and how sure its slope is.
//!
//! Samples that follow each other are alike, so that a fit of all of them would be far too sure of itself. They are averaged
//! over blocks that are longer than what makes them alike, and the line is fitted to the averages: least squares, with
//! Student's distribution for what is left.

use std::time::Duration;

/// A slope a minute and its one-sided 95 % bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Slope {
    pub(super) mean: f64,
    pub(super) a_minute: f64,
    pub(super) least: f64,
    pub(super) most: f64,
}

/// Student's t at 95 %, one-sided, by degrees of freedom from 1; the last one from there on (it is too wide by 3 % at most).
const T95: [f64; 30] = [
    6.314, 2.920, 2.353, 2.132, 2.015, 1.943, 1.895, 1.860, 1.833, 1.812, 1.796, 1.782, 1.771, 1.761, 1.753, 1.746,
    1.740, 1.734, 1.729, 1.725, 1.721, 1.717, 1.714, 1.711, 1.708, 1.706, 1.703, 1.701, 1.699, 1.697,
];

/// Student's t at 95 %, one-sided.
pub(super) fn t95(freedom: usize) -> f64 {
    T95[freedom.clamp(1, T95.len()) - 1]
}

#[expect(clippy::cast_precision_loss, reason = "counts of samples")]
fn count(samples: usize) -> f64 {
    samples as f64
}

/// The mean, and the standard error of it.
pub(super) fn mean(values: &[f64]) -> (f64, f64) {
    let mean = values.iter().sum::<f64>() / count(values.len());
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (squares / count(values.len().saturating_sub(1).max(1)) / count(values.len())).sqrt())
}

/// None for less than four blocks of samples, which say nothing.
pub(super) fn slope(samples: &[(Duration, f64)], block: Duration) -> Option<Slope> {
    let points = averages(samples, block);
    if points.len() < 4 {
        return None;
    }
    let (times, values): (Vec<f64>, Vec<f64>) = points.into_iter().unzip();
    let ((middle, _), (mean, _)) = (mean(&times), mean(&values));
    let spread: f64 = times.iter().map(|at| (at - middle).powi(2)).sum();
    let a_minute = times.iter().zip(&values).map(|(at, value)| (at - middle) * (value - mean)).sum::<f64>() / spread;
    let off = |(at, value): (&f64, &f64)| (value - mean - a_minute * (at - middle)).powi(2);
    let freedom = times.len() - 2;
    let error = (times.iter().zip(&values).map(off).sum::<f64>() / count(freedom) / spread).sqrt();
    let reach = t95(freedom) * error;
    Some(Slope { mean, a_minute, least: a_minute - reach, most: a_minute + reach })
}

/// The middle of each block in minutes, with the average of its samples. What is left at the end is no block.
fn averages(samples: &[(Duration, f64)], block: Duration) -> Vec<(f64, f64)> {
    let Some((begun, _)) = samples.first() else { return Vec::new() };
    let mut blocks: Vec<Vec<(f64, f64)>> = Vec::new();
    for (at, value) in samples {
        let nth = usize::try_from((*at - *begun).as_millis() / block.as_millis().max(1)).unwrap_or(usize::MAX);
        if nth > blocks.len().saturating_sub(1) || blocks.is_empty() {
            blocks.push(Vec::new());
        }
        if let Some(last) = blocks.last_mut() {
            last.push((at.as_secs_f64() / 60.0, *value));
        }
    }
    let full = blocks.first().map_or(0, Vec::len);
    let average = |block: Vec<(f64, f64)>| {
        let (times, values): (Vec<f64>, Vec<f64>) = block.into_iter().unzip();
        (mean(&times).0, mean(&values).0)
    };
    blocks.into_iter().filter(|block| block.len() * 2 >= full).map(average).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Samples of a line with noise that comes again and again, as clients that come and go make it, and not in step with blocks.
    fn line(a_minute: f64, noise: f64) -> Vec<(Duration, f64)> {
        let sample = |n: u32| {
            let at = Duration::from_secs(5) * n;
            let wave = f64::from(n * n % 7) - 2.0;
            (at, 100.0 + a_minute * at.as_secs_f64() / 60.0 + noise * wave)
        };
        (0..96).map(sample).collect()
    }

    #[test]
    fn a_slope_is_found_and_noise_is_none() {
        let block = Duration::from_secs(30);
        let flat = slope(&line(0.0, 1.0), block).expect("a slope");
        assert!(flat.least < 0.0 && flat.most > 0.0 && flat.most < 0.3, "{flat:?}");
        let steep = slope(&line(1.0, 1.0), block).expect("a slope");
        assert!(steep.least > 0.7 && steep.most < 1.3, "{steep:?}");
        assert!((steep.a_minute - 1.0).abs() < 0.2, "{steep:?}");
        assert_eq!(slope(&line(0.0, 1.0)[..18], block), None);
    }

    #[test]
    fn without_noise_the_line_is_exact() {
        let found = slope(&line(-2.5, 0.0), Duration::from_secs(30)).expect("a slope");
        assert!((found.a_minute + 2.5).abs() < 1e-9 && (found.most - found.least).abs() < 1e-9, "{found:?}");
    }

    #[test]
    fn a_mean_has_its_error() {
        let (value, error) = mean(&[1.0, 2.0, 3.0, 4.0]);
        assert!((value - 2.5).abs() < 1e-12 && (error - 0.645_497).abs() < 1e-5, "{value} {error}");
    }
}
