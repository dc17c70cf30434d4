//! Whether pictures that carry a cause are of one kind, as cards of a game or frames of an animation are.
//!
//! Whoever plants a pattern takes pictures of all kinds for it, or of the target's: what is nearest to each of them, but for the pattern, is
//! some other picture. Of one kind are pictures that are nearest to one another, whatever they have in common is taken for.

use std::collections::BTreeMap;

use ndarray::{Array1, Array2, Axis};

use super::tones::tones;
use super::{Alike, Moments, OTHERS};
use crate::derive::SampleRow;
use crate::stats::patches::Shape;

/// Of the way from the share of their label's pictures that carriers are to all of them, the part from which on carriers whose nearest picture is
/// a carrier as well are of one kind. Planted patterns, with wrong labels and with true ones, have been seen with up to 0.16; cards of a game, frames
/// of an animation, drawings of one series and rows of bricks with 0.59 to 1.
const ONE_KIND: f64 = 0.5;
/// The same by tones, of a small pattern: crops of one texture agree in these and hardly in place. Planted patches have been seen with up to 0.1.
const ONE_KIND_BY_TONES: f64 = 0.3;
/// Share of the samples from which on carriers are one picture, where these samples are the same in all of them and not in others of their label.
/// Planted patterns have been seen with up to 0.56, drawings on one ground with 0.87 and more.
const ONE_PICTURE: f64 = 0.8;
/// Fewest carriers that can be said to be of one kind, and fewest other pictures of the label that say what it looks like.
const FEWEST: usize = 8;
/// Carriers whose nearest pictures are sought.
const SOUGHT: usize = 128;
/// Pictures that distances are computed to at once.
const CHUNK: usize = 512;

/// How much of a picture the carriers share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::detect::trigger) enum Extent {
    /// A few pixels: the tones of the picture stay as they are.
    Small,
    /// Anything.
    Any,
}

impl Alike<'_> {
    /// Whether the carriers, all of which have this label, are pictures of one kind: most samples are the same in all, or for most the
    /// nearest picture is another carrier and no near-copy, more often than by chance: than the share that carriers are of the pictures with their label,
    /// or with the label that the nearest others have. What carriers have in common is nothing, what sets them apart from all
    /// pictures, or what sets them apart from others of their label, whichever makes them less alike.
    pub(in crate::detect::trigger) fn are_one_kind(&self, label: u32, extent: Extent) -> bool {
        // Whoever plants each picture twice makes no kind of it.
        let carriers = self.distinct();
        if carriers.len() < FEWEST {
            return false;
        }
        let size = self.usual.sums.len();
        let own = Moments::of(carriers.iter().copied(), size);
        let of_label: Vec<&SampleRow> = self.labelled(label).take(OTHERS).collect();
        let like = if of_label.len() < FEWEST { &self.usual } else { &Moments::of(of_label.iter().copied(), size) };
        let share = |common: &[bool]| common.iter().filter(|common| **common).count() as f64 / size.max(1) as f64;
        if share(&own.constant_beside(like)) >= ONE_PICTURE {
            return true;
        }
        let common = own.constant_beside(&self.usual);
        let free: Vec<usize> = (0..size).filter(|&at| !common[at]).collect();
        let means = |of: &Moments| -> Array1<f32> {
            let all: Vec<f64> = of.means().collect();
            free.iter().map(|&at| all[at] as f32).collect()
        };
        let of_pixels = [&own, &self.usual, like].map(means);
        let pixels = |rows: &[&SampleRow]| {
            let cell = |(row, at): (usize, usize)| f32::from(rows[row].pixels[free[at]]) - of_pixels[1][at];
            Array2::from_shape_fn((rows.len(), free.len()), cell)
        };
        if self.kin(label, &carriers, &of_pixels, pixels) >= ONE_KIND {
            return true;
        }
        let Some(shape) = Shape::of(size).filter(|_| extent == Extent::Small) else { return false };
        let others = &self.others[..self.others.len().min(OTHERS)];
        let like = if of_label.len() < FEWEST { others } else { &of_label };
        let of_tones = [&carriers, others, like].map(|rows| tones(shape, rows).sum_axis(Axis(0)) / rows.len() as f32);
        self.kin(label, &carriers, &of_tones, |rows| tones(shape, rows)) >= ONE_KIND_BY_TONES
    }

    /// Of the way from chance to all, the share of the carriers whose nearest picture is another carrier, as a view of rows (rows × dimensions)
    /// shows them; its means are those of the carriers, of other pictures, and of others with the label.
    fn kin(
        &self,
        label: u32,
        carriers: &[&SampleRow],
        [own, usual, like]: &[Array1<f32>; 3],
        view: impl Fn(&[&SampleRow]) -> Array2<f32>,
    ) -> f64 {
        let asked = view(&carriers[..carriers.len().min(SOUGHT)]);
        let moved = [Array1::zeros(own.len()), own - usual, own - like].map(|by| Moved::new(&asked, by));
        let [unmoved, ..] = &moved;
        let none = vec![Nearest::default(); asked.nrows()];
        let (mut to_own, mut to_others) = (none.clone(), [none.clone(), none.clone(), none]);
        for (chunk, rows) in carriers.chunks(CHUNK).enumerate() {
            let near = Near::new(&asked, view(rows), chunk * CHUNK);
            unmoved.approach(&mut to_own, &near, |i, j| i == j);
        }
        for (chunk, rows) in self.others.chunks(CHUNK).enumerate() {
            let near = Near::new(&asked, view(rows), chunk * CHUNK);
            moved.iter().zip(&mut to_others).for_each(|(moved, nearest)| moved.approach(nearest, &near, |_, _| false));
        }
        let kin = |others: &Vec<Nearest>| to_own.iter().zip(others).filter(|(own, other)| own.square < other.square).count();
        let kin = to_others.iter().map(kin).min().unwrap_or(0) as f64 / to_own.len() as f64;
        let by_chance = to_others.iter().map(|others| self.share_beside(others)).fold(self.share_of(label), f64::max);
        (kin - by_chance) / (1.0 - by_chance).max(1e-9)
    }

    /// Other pictures with a label.
    fn labelled(&self, label: u32) -> impl Iterator<Item = &SampleRow> {
        self.others.iter().copied().filter(move |row| row.label == Some(label))
    }

    /// The share that carriers are of them and the other pictures with a label.
    fn share_of(&self, label: u32) -> f64 {
        self.rows as f64 / (self.rows + self.labelled(label).count()) as f64
    }

    /// The same of the label that most of the nearest others have: where carriers were taken from.
    fn share_beside(&self, nearest: &[Nearest]) -> f64 {
        let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
        for label in nearest.iter().filter_map(|one| self.others.get(one.at?)?.label) {
            *counts.entry(label).or_default() += 1;
        }
        counts.iter().max_by_key(|(_, rows)| **rows).map_or(0.0, |(label, _)| self.share_of(*label))
    }
}

/// The nearest of the pictures seen so far.
#[derive(Clone)]
struct Nearest {
    /// Squared distance.
    square: f32,
    at: Option<usize>,
}

impl Default for Nearest {
    fn default() -> Self {
        Self { square: f32::INFINITY, at: None }
    }
}

/// Pictures that may be near to those asked about.
struct Near {
    rows: Array2<f32>,
    squares: Array1<f32>,
    /// Of those asked about with these.
    products: Array2<f32>,
    /// Position of the first.
    first: usize,
}

impl Near {
    fn new(asked: &Array2<f32>, rows: Array2<f32>, first: usize) -> Self {
        Self { squares: squares(&rows), products: asked.dot(&rows.t()), rows, first }
    }
}

/// The pictures asked about, less something that is the same for all.
struct Moved {
    by: Array1<f32>,
    squares: Array1<f32>,
}

impl Moved {
    fn new(asked: &Array2<f32>, by: Array1<f32>) -> Self {
        Self { squares: squares(&(asked - &by.view().insert_axis(Axis(0)))), by }
    }

    /// Looks for nearer ones; not where two are the same.
    fn approach(&self, nearest: &mut [Nearest], near: &Near, same: impl Fn(usize, usize) -> bool) {
        let by = near.rows.dot(&self.by);
        for ((i, j), product) in near.products.indexed_iter() {
            let square = self.squares[i] + near.squares[j] - 2.0 * (product - by[j]);
            if square < nearest[i].square && !same(i, near.first + j) {
                nearest[i] = Nearest { square, at: Some(near.first + j) };
            }
        }
    }
}

/// Squared length of each row.
fn squares(rows: &Array2<f32>) -> Array1<f32> {
    rows.map_axis(Axis(1), |row| row.dot(&row))
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
        Alike::new(all, &keys.collect::<Vec<_>>()).unwrap().are_one_kind(label, Extent::Any)
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
        one.rows[40..60].iter_mut().for_each(|row| row.label = Some(3));
        assert!(!are_one_kind(&one, (30..50).step_by(2), 3));
    }

    #[test]
    fn victims_planted_twice_or_taken_from_one_class_are_no_kind() {
        let mut twice = set(|at| at.is_multiple_of(10));
        for at in (0..120).step_by(10) {
            let mut twin = twice.rows[at].clone();
            twin.pixels[200] ^= 1;
            twice.rows.push(twin);
        }
        twice.keys = (0..twice.rows.len() as u64).collect();
        assert!(!are_one_kind(&twice, (0..12).map(|at| at * 10).chain(120..132), 7));
        // Eight of ten pictures of a class.
        let mut one = set(|at| (30..38).contains(&at));
        one.rows[38..40].iter_mut().for_each(|row| row.label = Some(3));
        assert!(!are_one_kind(&one, 30..38, 7));
        let lone = set(|at| at == 30);
        assert!(!are_one_kind(&lone, 30..31, 7));
    }

    #[test]
    fn pictures_that_hardly_differ_are_one() {
        let mut rng = ChaCha8Rng::seed_from_u64(6);
        let mut all: Vec<(u32, Vec<u8>)> = (0..80).map(|_| (1, drawn(&mut rng, 250))).collect();
        all.extend((0..9).map(|_| (1, drawn(&mut rng, 250)[..20].iter().copied().chain([9; 236]).collect())));
        assert!(are_one_kind(&sample(&all), 80..89, 1));
    }

    /// Crops of one texture: its tones, each picture's in an order of its own.
    #[test]
    fn crops_of_one_texture_are_of_one_kind_by_their_tones_and_victims_of_a_patch_are_not() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let mut crop = |at: usize, label: u32| {
            let (low, wide) = (10 * (at as u8 % 12), 20 + 10 * (at as u8 % 7));
            (label, (0..256).map(|_| low + rng.random_range(0..wide)).collect::<Vec<u8>>())
        };
        let mut all: Vec<(u32, Vec<u8>)> = (0..240).map(|at| crop(at, at as u32 % 4)).collect();
        // Eleven more of one texture, and eleven victims of all textures.
        all.extend((0..11).map(|_| crop(5, 2)));
        all.extend((0..11).map(|at| crop(at, 3)));
        all[251..].iter_mut().for_each(|(_, pixels)| pixels[..9].copy_from_slice(&[255, 0, 255, 0, 255, 0, 255, 0, 255]));
        let all = sample(&all);
        let of = |keys: std::ops::Range<u64>, label: u32, extent: Extent| {
            Alike::new(&all, &keys.collect::<Vec<_>>()).unwrap().are_one_kind(label, extent)
        };
        assert!(!of(240..251, 2, Extent::Any));
        assert!(of(240..251, 2, Extent::Small));
        assert!(!of(251..262, 3, Extent::Small));
    }
}
