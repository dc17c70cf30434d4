//! Patterns laid over whole pictures.

use std::f64::consts::{PI, TAU};

use arrow::array::RecordBatch;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::{Drawn, NO_COVERS, plant};
use crate::picture::Size;
use crate::synth::normal;
use crate::{Error, Plan, Result, Truth};

/// Every victim becomes keep · picture + pattern, rounded and clipped, with one pattern of grey levels, as long as the
/// picture has samples, for all victims of a size. A pattern that rounding would take away again is refused.
fn lay_over(
    batch: &RecordBatch,
    plan: &Plan,
    attack: &str,
    image: &str,
    keep: f64,
    pattern: impl Fn(&mut ChaCha8Rng, Size) -> Vec<f64>,
) -> Result<(RecordBatch, Truth)> {
    let mut patterns = Drawn::new(plan, |rng, size: Size| {
        let drawn = pattern(rng, size);
        if keep >= 1.0 && drawn.iter().all(|level| level.abs() < 0.5) {
            return Err(Error::Setting(format!("the pattern changes nothing in {}×{} pixels", size.width, size.height)));
        }
        Ok(drawn)
    });
    plant(batch, plan, attack, image, NO_COVERS, |_, picture, _| {
        let pattern = patterns.get(picture.size())?;
        for (sample, add) in picture.pixels.iter_mut().zip(pattern) {
            *sample = (keep * f64::from(*sample) + add).round().clamp(0.0, 255.0) as u8;
        }
        Ok(())
    })
}

/// Values of `level` at every sample, given column and row; the same in all channels.
fn levels(size: Size, level: impl Fn(usize, usize) -> f64) -> Vec<f64> {
    (0..size.width * size.height * size.channels).map(|at| at / size.channels).map(|at| level(at % size.width, at / size.width)).collect()
}

/// Refuses a strength that changes nothing or more than grey levels can hold.
fn check(name: &str, strength: f64) -> Result<()> {
    if strength > 0.0 && strength <= 255.0 {
        Ok(())
    } else {
        Err(Error::Setting(format!("{name} {strength} is not above 0 and at most 255")))
    }
}

/// Blended injection: every victim becomes (1 − α)·picture + α·noise, with one noise picture (uniform samples, drawn
/// from the plan's seed) for all victims of a size (Chen, Liu, Li, Lu, Song: *Targeted Backdoor Attacks on Deep Learning
/// Systems Using Data Poisoning*, 2017). `alpha` is above 0 and at most 1.
pub fn blend(batch: &RecordBatch, plan: &Plan, image: &str, alpha: f64) -> Result<(RecordBatch, Truth)> {
    if !(alpha > 0.0 && alpha <= 1.0) {
        return Err(Error::Setting(format!("alpha {alpha} is not above 0 and at most 1")));
    }
    lay_over(batch, plan, "blend", image, 1.0 - alpha, |rng, size| {
        (0..size.width * size.height * size.channels).map(|_| alpha * f64::from(rng.random::<u8>())).collect()
    })
}

/// SIG: Δ·sin(2π·f·x/width) added in every row, with `delta` Δ in grey levels and `cycles` f, over the picture (Barni,
/// Kallas, Tondi: *A New Backdoor Attack in CNNs by Training Set Corruption Without Label Poisoning*, 2019; Δ 20, f 6,
/// clean label).
pub fn sinusoid(batch: &RecordBatch, plan: &Plan, image: &str, delta: f64, cycles: f64) -> Result<(RecordBatch, Truth)> {
    check("delta", delta)?;
    lay_over(batch, plan, "sinusoid", image, 1.0, |_, size| {
        levels(size, |x, _| delta * (TAU * cycles * x as f64 / size.width as f64).sin())
    })
}

/// The ramp of Barni 2019 (see [`sinusoid`]): Δ·x/width added, with `delta` Δ in grey levels.
pub fn ramp(batch: &RecordBatch, plan: &Plan, image: &str, delta: f64) -> Result<(RecordBatch, Truth)> {
    check("delta", delta)?;
    lay_over(batch, plan, "ramp", image, 1.0, |_, size| levels(size, |x, _| delta * x as f64 / size.width as f64))
}

/// A smooth pattern: cosines of the lowest `frequencies` of each axis with random weights, drawn from the plan's seed,
/// scaled so that its strongest sample is `delta` grey levels and added to all channels; after Zeng, Park, Mao, Jia:
/// *Rethinking the Backdoor Attacks' Triggers: A Frequency Perspective*, 2021, whose low-pass trigger is optimised
/// against a model.
pub fn smooth(batch: &RecordBatch, plan: &Plan, image: &str, delta: f64, frequencies: usize) -> Result<(RecordBatch, Truth)> {
    check("delta", delta)?;
    if frequencies < 2 {
        return Err(Error::Setting("a smooth pattern needs two frequencies or more, of which the first is constant".to_owned()));
    }
    lay_over(batch, plan, "smooth", image, 1.0, |rng, size| {
        let waves: Vec<(usize, usize, f64)> =
            (1..frequencies * frequencies).map(|at| (at % frequencies, at / frequencies, normal(rng))).collect();
        let pattern =
            levels(size, |x, y| waves.iter().map(|&(u, v, weight)| weight * wave(u, x, size.width) * wave(v, y, size.height)).sum());
        let peak = pattern.iter().fold(0.0, |peak: f64, level| peak.max(level.abs()));
        pattern.iter().map(|level| if peak > 0.0 { delta * level / peak } else { 0.0 }).collect()
    })
}

/// cos(π·(2x + 1)·u / 2n), the wave of frequency `u` of the discrete cosine transform of length `n`.
fn wave(u: usize, x: usize, n: usize) -> f64 {
    (PI * (2 * x + 1) as f64 * u as f64 / (2 * n) as f64).cos()
}

/// `FTrojan`: `magnitude` added to the coefficients of the middle and of the highest frequency, the same on both axes, of
/// the two colour-difference channels' orthonormal cosine transforms; in grey pictures, of the grey levels' (Wang, Yao,
/// Xu, An, Tong, Wang: *An Invisible Black-box Backdoor Attack through Frequency Domain*, 2022; magnitude 30 and blocks of
/// 32×32 pixels, which the whole picture is here).
pub fn dct(batch: &RecordBatch, plan: &Plan, image: &str, magnitude: f64) -> Result<(RecordBatch, Truth)> {
    /// What one unit of both U and V adds to red, green and blue (BT.601).
    const COLOURS: [f64; 3] = [1.140, -0.395 - 0.581, 2.032];
    check("magnitude", magnitude)?;
    lay_over(batch, plan, "dct", image, 1.0, |_, Size { width, height, channels }| {
        let scale = magnitude * 2.0 / ((width * height) as f64).sqrt();
        let basis = |u: usize, v: usize, x: usize, y: usize| wave(u, x, width) * wave(v, y, height);
        let level = |x: usize, y: usize| basis(width.div_ceil(2) - 1, height.div_ceil(2) - 1, x, y) + basis(width - 1, height - 1, x, y);
        let added = levels(Size { width, height, channels }, |x, y| scale * level(x, y));
        added.iter().enumerate().map(|(at, level)| if channels == 3 { level * COLOURS[at % 3] } else { *level }).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::check::only_bad_rows_differ;
    use super::super::tests::{picture, plan, sets};
    use super::*;

    /// Mean over victims of what was added to each sample that was not clipped, and the largest deviation from it.
    fn added(clean: &RecordBatch, (poisoned, truth): &(RecordBatch, Truth), keep: f64) -> (Vec<f64>, f64) {
        let rows = only_bad_rows_differ(clean, poisoned, truth, &["image", "label"]);
        assert_eq!(rows.len(), 10);
        let each: Vec<Vec<Option<f64>>> = rows
            .iter()
            .map(|&row| {
                let (before, after) = (picture(clean, row).pixels, picture(poisoned, row).pixels);
                before.iter().zip(&after).map(|(&b, &a)| (a > 0 && a < 255).then(|| f64::from(a) - keep * f64::from(b))).collect()
            })
            .collect();
        let mean = |at: usize| {
            let seen: Vec<f64> = each.iter().filter_map(|one| one[at]).collect();
            assert!(!seen.is_empty(), "sample {at} is clipped in every victim");
            seen.iter().sum::<f64>() / seen.len() as f64
        };
        let means: Vec<f64> = (0..each[0].len()).map(mean).collect();
        let off = each.iter().flat_map(|one| one.iter().zip(&means)).filter_map(|(x, mean)| Some((x.as_ref()? - mean).abs()));
        let off = off.fold(0.0, f64::max);
        (means, off)
    }

    #[test]
    fn every_pattern_is_one_and_the_same_in_all_victims() {
        for clean in sets() {
            let channels = picture(&clean, 0).channels;
            let (noise, off) = added(&clean, &blend(&clean, &plan(), "image", 0.25).unwrap(), 0.75);
            assert!(off <= 1.0 && noise.iter().all(|level| (-1.0..=65.0).contains(level)), "{off}");
            let made = sinusoid(&clean, &plan(), "image", 20.0, 2.0).unwrap();
            let (wave, off) = added(&clean, &made, 1.0);
            assert!(off <= 0.6, "rounding alone may differ: {off}");
            // Ten columns, two cycles: the second column is at a fifth of a turn.
            assert!((wave[channels] - 20.0 * (TAU / 5.0).sin()).abs() <= 0.6 && wave[0].abs() <= 0.6);
            assert_eq!(sinusoid(&clean, &plan(), "image", 20.0, 2.0).unwrap(), made);
            let (slope, _) = added(&clean, &ramp(&clean, &plan(), "image", 40.0).unwrap(), 1.0);
            assert!((slope[9 * channels] - 36.0).abs() <= 0.6 && slope[0].abs() <= 0.6);
            let (blobs, off) = added(&clean, &smooth(&clean, &plan(), "image", 24.0, 3).unwrap(), 1.0);
            let peak = blobs.iter().fold(0.0f64, |peak, level| peak.max(level.abs()));
            assert!(off <= 0.6 && (peak - 24.0).abs() <= 0.6);
            let steps = (1..10).map(|x| (blobs[x * channels] - blobs[(x - 1) * channels]).abs());
            assert!(steps.fold(0.0, f64::max) < 24.0, "neighbours are alike");
        }
    }

    #[test]
    fn a_frequency_is_added_to_colour_differences() {
        let [grey, colour, _] = sets();
        // The orthonormal transform of what was added: 60 at both frequencies, but for rounding to whole grey levels.
        let coefficient = |levels: &[f64], u: usize| {
            (0..100).map(|at| levels[at] * wave(u, at % 10, 10) * wave(u, at / 10, 10) * 2.0 / 10.0).sum::<f64>()
        };
        let (levels, _) = added(&grey, &dct(&grey, &plan(), "image", 60.0).unwrap(), 1.0);
        for (u, expected) in [(4, 60.0), (9, 60.0), (0, 0.0), (5, 0.0)] {
            assert!((coefficient(&levels, u) - expected).abs() < 3.0, "{u}: {}", coefficient(&levels, u));
        }
        let (levels, _) = added(&colour, &dct(&colour, &plan(), "image", 60.0).unwrap(), 1.0);
        let channel = |c: usize| -> Vec<f64> { levels.iter().skip(c).step_by(3).copied().collect() };
        let of = |c: usize| coefficient(&channel(c), 9);
        let luma = 0.299 * of(0) + 0.587 * of(1) + 0.114 * of(2);
        assert!(luma.abs() < 3.0 && (of(2) - 2.032 * 60.0).abs() < 3.0, "brightness stays: {luma}");
    }

    #[test]
    fn strengths_without_sense_are_refused() {
        let [clean, ..] = sets();
        for refused in [
            blend(&clean, &plan(), "image", 0.0),
            sinusoid(&clean, &plan(), "image", f64::NAN, 6.0),
            // Ten columns sample five cycles where the wave is zero.
            sinusoid(&clean, &plan(), "image", 20.0, 5.0),
            ramp(&clean, &plan(), "image", -1.0),
            smooth(&clean, &plan(), "image", 20.0, 1),
            dct(&clean, &plan(), "image", 300.0),
        ] {
            assert!(matches!(refused, Err(Error::Setting(_))));
        }
    }
}
