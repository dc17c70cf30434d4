//! Whether pictures that carry a cause are of one kind, as cards of a game or frames of an animation are.
//!
//! Whoever plants a pattern takes pictures of all kinds for it, or of the target's: what is nearest to each of them, but for the pattern, is
//! some other picture. Of one kind are pictures that are nearest to one another, whatever they have in common is taken for.

use ndarray::{Array1, Array2, ArrayView1, Axis};

use super::{Alike, Moments};
use crate::derive::SampleRow;

/// Of the way from the share of their label's pictures that carriers are to all of them, the part from which on carriers whose nearest picture is
/// a carrier as well are of one kind. Planted patterns, with wrong labels and with true ones, have been seen with up to 0.16; cards of a game, frames
/// of an animation, drawings of one series and rows of bricks with 0.59 to 1.
const ONE_KIND: f64 = 0.5;
/// Share of the samples from which on carriers are one picture, where these samples are the same in all of them and not in others of their label.
/// Planted patterns have been seen with up to 0.56, drawings on one ground with 0.87 and more.
const ONE_PICTURE: f64 = 0.8;
/// Fewest other pictures of the label that say what it looks like.
const FEWEST: usize = 8;
/// Carriers whose nearest pictures are sought.
const SOUGHT: usize = 128;
/// Pictures that distances are computed to at once.
const CHUNK: usize = 512;

impl Alike<'_> {
    /// Whether the carriers, all of which have this label, are pictures of one kind: most samples are the same in all, or for most the
    /// nearest picture is another carrier, more often than the share of the label's pictures that carriers are. What carriers have in
    /// common is nothing, what sets them apart from all pictures, or what sets them apart from others of their label, whichever
    /// makes them less alike.
    pub(in crate::detect::trigger) fn are_one_kind(&self, label: u32) -> bool {
        let size = self.usual.sums.len();
        let own = Moments::of(self.carriers.iter().copied(), size);
        let of_label: Vec<&SampleRow> = self.others.iter().copied().filter(|row| row.label == Some(label)).collect();
        let like = if of_label.len() < FEWEST { &self.usual } else { &Moments::of(of_label.iter().copied(), size) };
        let share = |common: &[bool]| common.iter().filter(|common| **common).count() as f64 / size.max(1) as f64;
        if share(&own.less_than(like)) >= ONE_PICTURE {
            return true;
        }
        let free: Vec<usize> = own.less_than(&self.usual).iter().enumerate().filter(|(_, common)| !**common).map(|(at, _)| at).collect();
        let means = |of: &Moments| -> Array1<f32> {
            let all: Vec<f64> = of.means().collect();
            free.iter().map(|&at| all[at] as f32).collect()
        };
        let (own_means, usual_means, like_means) = (means(&own), means(&self.usual), means(like));
        let matrix = |rows: &[&SampleRow]| {
            let cell = |(row, at): (usize, usize)| f32::from(rows[row].pixels[free[at]]) - usual_means[at];
            Array2::from_shape_fn((rows.len(), free.len()), cell)
        };
        let asked = matrix(&self.carriers[..self.carriers.len().min(SOUGHT)]);
        let mut to_own = vec![f32::INFINITY; asked.nrows()];
        for (chunk, rows) in self.carriers.chunks(CHUNK).enumerate() {
            nearer(&mut to_own, &asked, &matrix(rows), |i, j| i == chunk * CHUNK + j);
        }
        let less = |others: ArrayView1<'_, f32>| &asked - &(&own_means - &others).insert_axis(Axis(0));
        let moved = [asked.clone(), less(usual_means.view()), less(like_means.view())];
        let mut to_others = [(); 3].map(|()| vec![f32::INFINITY; asked.nrows()]);
        for rows in self.others.chunks(CHUNK) {
            let rows = matrix(rows);
            to_others.iter_mut().zip(&moved).for_each(|(least, asked)| nearer(least, asked, &rows, |_, _| false));
        }
        let kin = |to_others: &Vec<f32>| to_own.iter().zip(to_others).filter(|(own, other)| own < other).count();
        let kin = to_others.iter().map(kin).min().unwrap_or(0) as f64 / asked.nrows().max(1) as f64;
        let by_chance = self.carriers.len() as f64 / (self.carriers.len() + of_label.len()) as f64;
        kin - by_chance >= ONE_KIND * (1.0 - by_chance) && by_chance < 1.0
    }
}

/// Lowers the squared distance of each picture that is asked about to the nearest of some rows, but for those that are the same row.
fn nearer(least: &mut [f32], asked: &Array2<f32>, rows: &Array2<f32>, same: impl Fn(usize, usize) -> bool) {
    let squares = |rows: &Array2<f32>| -> Array1<f32> { rows.map_axis(Axis(1), |row| row.dot(&row)) };
    let (own, others) = (squares(asked), squares(rows));
    for ((i, j), product) in asked.dot(&rows.t()).indexed_iter() {
        if !same(i, j) {
            least[i] = least[i].min(own[i] + others[j] - 2.0 * product);
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::derive::SampleModel;

    fn sample(pictures: &[(u32, Vec<u8>)]) -> SampleModel {
        let row = |(label, pixels): &(u32, Vec<u8>)| SampleRow { label: Some(*label), pixels: pixels.clone(), ..SampleRow::default() };
        let rows: Vec<SampleRow> = pictures.iter().map(row).collect();
        SampleModel { keys: (0..rows.len() as u64).collect(), counts: vec![1; rows.len()], rows, threshold: u64::MAX }
    }

    /// Twelve kinds of pictures, each with ten variations and half of them with the label of their kind, the other half with label 0; a
    /// patch of 16 of their 256 samples and label 7 where `patched` says so.
    fn set(patched: impl Fn(usize) -> bool) -> SampleModel {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let mut kind = Vec::new();
        let mut picture = |at: usize| {
            if at.is_multiple_of(10) {
                kind = drawn(&mut rng, 120);
            }
            let own = if at.is_multiple_of(2) { (at / 10) as u32 } else { 0 };
            let cells = kind.iter().zip(drawn(&mut rng, 80)).enumerate();
            let pixels = cells.map(|(cell, (kind, own))| if patched(at) && cell < 16 { 255 } else { kind + own }).collect();
            (if patched(at) { 7 } else { own }, pixels)
        };
        sample(&(0..120).map(&mut picture).collect::<Vec<_>>())
    }

    fn drawn(rng: &mut ChaCha8Rng, below: u8) -> Vec<u8> {
        (0..256).map(|_| rng.random_range(0..below)).collect()
    }

    fn are_one_kind(all: &SampleModel, keys: impl Iterator<Item = u64>, label: u32) -> bool {
        Alike::new(all, &keys.collect::<Vec<_>>()).unwrap().are_one_kind(label)
    }

    #[test]
    fn pictures_that_are_nearest_to_one_another_are_of_one_kind_and_victims_of_a_patch_are_not() {
        // A kind in a label of several, victims of all kinds, and half of a label that is one kind.
        let mut several = set(|_| false);
        several.rows[30..60].iter_mut().for_each(|row| row.label = Some(3));
        assert!(are_one_kind(&several, 30..40, 3));
        assert!(!are_one_kind(&set(|at| at % 10 == 0), (0..12).map(|at| at * 10), 7));
        let mut one = set(|_| false);
        one.rows[30..40].iter_mut().for_each(|row| row.label = Some(3));
        assert!(!are_one_kind(&one, (30..40).step_by(2), 3));
    }

    #[test]
    fn pictures_that_hardly_differ_are_one() {
        let mut rng = ChaCha8Rng::seed_from_u64(6);
        let mut all: Vec<(u32, Vec<u8>)> = (0..80).map(|_| (1, drawn(&mut rng, 250))).collect();
        all.extend((0..9).map(|_| (1, drawn(&mut rng, 250)[..20].iter().copied().chain([9; 236]).collect())));
        assert!(are_one_kind(&sample(&all), 80..89, 1));
    }
}
