//! How a picture is looked at: all of it, or its fine structure, which is what is left without most of what is natural in it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Largest difference from its surroundings that a pixel may have.
const MOST: f32 = 30.0;

/// Side and channels of a square picture of 1 or 3 channels from the number of its samples; `None` where it is not one.
pub(super) fn shape(samples: usize) -> Option<(usize, usize)> {
    [1, 3].into_iter().find_map(|channels| {
        let side = (samples / channels).isqrt();
        (side > 0 && side * side * channels == samples).then_some((side, channels))
    })
}

/// The number of samples that most pictures have.
pub(super) fn usual<'a>(pictures: impl Iterator<Item = &'a [u8]>) -> Option<usize> {
    let mut seen: BTreeMap<usize, usize> = BTreeMap::new();
    for samples in pictures.map(<[u8]>::len).filter(|n| shape(*n).is_some()) {
        *seen.entry(samples).or_default() += 1;
    }
    seen.into_iter().max_by_key(|(_, n)| *n).map(|(samples, _)| samples)
}

/// How a picture is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum View {
    /// Each pixel less the mean of the 3×3 pixels around it (edges repeat), at most [`MOST`] either way. Natural pictures vary slowly.
    Fine,
    /// Each pixel as it is: smooth patterns have no fine structure, yet show where pictures hardly vary.
    Whole,
}

/// All ways of looking.
pub(super) const VIEWS: [View; 2] = [View::Fine, View::Whole];

impl View {
    /// The picture's pixels, channels averaged: side × side, in rows. Empty where the samples are not a square picture.
    pub(super) fn of(self, samples: &[u8]) -> Vec<f32> {
        let Some((side, channels)) = shape(samples.len()) else { return Vec::new() };
        let grey: Vec<f32> =
            samples.chunks_exact(channels).map(|pixel| pixel.iter().map(|&v| f32::from(v)).sum::<f32>() / channels as f32).collect();
        match self {
            Self::Fine => high_pass(&grey, side),
            Self::Whole => grey,
        }
    }

    /// What a pattern of this kind is called where it has no place.
    pub(super) fn pattern(self) -> &'static str {
        match self {
            Self::Fine => "a faint pattern over the picture",
            Self::Whole => "a smooth pattern over the picture",
        }
    }
}

fn high_pass(grey: &[f32], side: usize) -> Vec<f32> {
    let around = |at: usize| [at.saturating_sub(1), at, (at + 1).min(side - 1)];
    let mut out = Vec::with_capacity(grey.len());
    for y in 0..side {
        for x in 0..side {
            let sum: f32 = around(y).into_iter().flat_map(|y| around(x).map(move |x| y * side + x)).map(|at| grey[at]).sum();
            out.push((grey[y * side + x] - sum / 9.0).clamp(-MOST, MOST));
        }
    }
    out
}

/// Where a pattern (side × side) stands out by half of its largest difference: x, y, width and height.
pub(super) fn extent(pattern: &[f32], side: usize) -> Option<[usize; 4]> {
    let most = pattern.iter().fold(0.0, |most: f32, x| most.max(x.abs()));
    let places = || (0..pattern.len()).filter(|&at| most > 0.0 && pattern[at].abs() >= most / 2.0).map(|at| (at % side, at / side));
    let (left, right) = (places().map(|p| p.0).min()?, places().map(|p| p.0).max()?);
    let (top, bottom) = (places().map(|p| p.1).min()?, places().map(|p| p.1).max()?);
    Some([left, top, right + 1 - left, bottom + 1 - top])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_follow_from_sample_counts() {
        assert_eq!([784, 3_072, 3_136, 10, 0].map(shape), [Some((28, 1)), Some((32, 3)), Some((56, 1)), None, None]);
        assert_eq!(usual([&[0; 16][..], &[0; 27], &[0; 27], &[0; 5]].into_iter()), Some(27));
        assert_eq!(usual(std::iter::empty()), None);
    }

    #[test]
    fn a_dot_stands_out_and_a_flat_picture_does_not() {
        let fine = |picture: &[u8]| View::Fine.of(picture);
        let mut picture = [100; 64];
        assert!(fine(&picture).iter().all(|x| x.abs() < 1e-4));
        assert_eq!(extent(&fine(&[0; 64]), 8), None);
        picture[3 * 8 + 5] = 118;
        let dot = fine(&picture);
        assert!((dot[29] - 16.0).abs() < 1e-4 && (dot[20] + 2.0).abs() < 1e-4);
        assert_eq!(extent(&dot, 8), Some([5, 3, 1, 1]));
        assert!(fine(&[0; 7]).is_empty());
    }

    #[test]
    fn the_whole_is_the_mean_of_the_channels() {
        assert_eq!(View::Whole.of(&[0, 30, 60, 9, 9, 9, 0, 0, 3, 255, 255, 255]), [30.0, 9.0, 1.0, 255.0]);
    }
}
