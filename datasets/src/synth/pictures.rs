//! Smooth pictures.

use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, FixedSizeListArray, RecordBatch, StringArray, StructArray, UInt8Array};
use arrow::datatypes::{DataType, Field};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::gaussian::Classes;
use super::{assemble, draw_labels, normal, start};
use crate::picture::Picture;
use crate::{Error, Result};

/// Blobs that every picture is a weighted sum of, one in each cell of a grid of 3 × 3: apart, or their weights could not
/// be told from each other.
const BLOBS: usize = GRID * GRID;
const GRID: usize = 3;
/// Grey levels that one unit of a blob's weight adds at the blob's centre, before noise.
const CONTRAST: f64 = 24.0;
/// Standard deviation of each sample's own noise, grey levels.
const NOISE: f64 = 6.0;

/// Smooth blobs, each as long as a picture has samples: Gaussian bumps with a colour of their own.
fn draw_blobs(rng: &mut ChaCha8Rng, side: usize, channels: usize) -> Vec<Vec<f64>> {
    (0..BLOBS)
        .map(|blob| {
            let mut centre = |cell: usize| (cell as f64 + rng.random_range(0.3..0.7)) * side as f64 / GRID as f64;
            let (x0, y0) = (centre(blob % GRID), centre(blob / GRID));
            let width = side as f64 * rng.random_range(0.12..0.2);
            let colour: Vec<f64> = (0..channels).map(|_| rng.random_range(0.4..1.0)).collect();
            let bump =
                |x: usize, y: usize| (-((x as f64 + 0.5 - x0).powi(2) + (y as f64 + 0.5 - y0).powi(2)) / (2.0 * width * width)).exp();
            (0..side * side).flat_map(|at| colour.iter().map(move |shade| shade * bump(at % side, at / side))).collect()
        })
        .collect()
}

/// Pictures and their labels: weights of the blobs by class, on a grey ground with a slope of its own in each picture.
pub(super) fn render(rows: usize, side: usize, channels: usize, classes: usize, seed: u64) -> Result<(Vec<Picture>, Vec<usize>)> {
    let mut rng = start(seed, &[("side", side), ("classes", classes)])?;
    if channels != 1 && channels != 3 {
        return Err(Error::Setting(format!("pictures have 1 or 3 channels, not {channels}")));
    }
    let geometry = Classes::draw(&mut rng, BLOBS, classes);
    let blobs = draw_blobs(&mut rng, side, channels);
    let labels = draw_labels(&mut rng, rows, classes);
    let pictures = labels.iter().map(|&label| {
        let weights = geometry.row(&mut rng, label);
        let (ground, right, down) = (110.0 + 12.0 * normal(&mut rng), 10.0 * normal(&mut rng), 10.0 * normal(&mut rng));
        let pixels = (0..side * side * channels)
            .map(|at| {
                let (x, y) = (at / channels % side, at / channels / side);
                let slope = (right * (x as f64 / side as f64 - 0.5)) + (down * (y as f64 / side as f64 - 0.5));
                let content: f64 = weights.iter().zip(&blobs).map(|(weight, blob)| weight * blob[at]).sum();
                (ground + slope + CONTRAST * content + NOISE * normal(&mut rng)).round().clamp(0.0, 255.0) as u8
            })
            .collect();
        Picture { width: side, height: side, channels, pixels }
    });
    Ok((pictures.collect(), labels))
}

/// Square pictures in a column `image` as PNG files, `struct<bytes: binary, path: string>`: smooth blobs weighted by
/// class, on a ground and slope of each picture's own, with noise. `channels` is 1 or 3.
pub fn pictures(rows: usize, side: usize, channels: usize, classes: usize, seed: u64) -> Result<RecordBatch> {
    let (pictures, labels) = render(rows, side, channels, classes, seed)?;
    assemble(vec![("image".to_owned(), files(&pictures)?)], &labels)
}

/// Pictures as PNG files, `struct<bytes: binary, path: string>`.
pub(super) fn files(pictures: &[Picture]) -> Result<ArrayRef> {
    let mut files = Vec::with_capacity(pictures.len());
    for (row, picture) in pictures.iter().enumerate() {
        files.push(picture.encode().map_err(|error| Error::Cell { column: "image".to_owned(), row, reason: error.to_string() })?);
    }
    let bytes: ArrayRef = Arc::new(BinaryArray::from_iter_values(&files));
    let path: ArrayRef = Arc::new(StringArray::from_iter_values((0..pictures.len()).map(|row| format!("{row}.png"))));
    let fields = vec![Field::new("bytes", DataType::Binary, true), Field::new("path", DataType::Utf8, true)];
    Ok(Arc::new(StructArray::try_new(fields.into(), vec![bytes, path], None)?))
}

/// The same pictures as raw samples, `fixed_size_list<uint8>` of side · side · channels, row-major, channels last.
pub fn raw_pictures(rows: usize, side: usize, channels: usize, classes: usize, seed: u64) -> Result<RecordBatch> {
    let (pictures, labels) = render(rows, side, channels, classes, seed)?;
    let samples = UInt8Array::from_iter_values(pictures.iter().flat_map(|picture| picture.pixels.iter().copied()));
    let item = Arc::new(Field::new_list_field(DataType::UInt8, false));
    let size = i32::try_from(side * side * channels).map_err(|_| Error::Setting(format!("side {side} is too large")))?;
    let image: ArrayRef = Arc::new(FixedSizeListArray::try_new(item, size, Arc::new(samples), None)?);
    assemble(vec![("image".to_owned(), image)], &labels)
}

#[cfg(test)]
mod tests {
    use super::super::check::{labels, linear_accuracy};
    use super::*;
    use crate::picture::Pictures;

    #[test]
    fn content_predicts_the_label_in_any_shape() {
        for (side, channels, classes, seed) in [(8, 1, 2, 1), (8, 1, 10, 2), (6, 3, 4, 3)] {
            let batch = raw_pictures(3_000, side, channels, classes, seed).unwrap();
            let column = Pictures::open(&batch, "image").unwrap();
            let features: Vec<Vec<f64>> =
                (0..3_000).map(|row| column.get(row).unwrap().pixels.iter().map(|&p| f64::from(p)).collect()).collect();
            let accuracy = linear_accuracy(&features, &labels(&batch), classes);
            assert!((0.85..=0.95).contains(&accuracy), "side {side}, {channels} channels, {classes} classes: {accuracy}");
        }
    }

    #[test]
    fn files_and_samples_hold_the_same_pictures() {
        for channels in [1, 3] {
            let (files, samples) = (pictures(30, 9, channels, 3, 5).unwrap(), raw_pictures(30, 9, channels, 3, 5).unwrap());
            let (from_files, from_samples) = (Pictures::open(&files, "image").unwrap(), Pictures::open(&samples, "image").unwrap());
            for row in 0..30 {
                assert_eq!(from_files.get(row).unwrap(), from_samples.get(row).unwrap());
            }
            assert_ne!(files, pictures(30, 9, channels, 3, 6).unwrap());
        }
        assert!(pictures(5, 4, 2, 2, 1).is_err());
        assert!(pictures(5, 0, 1, 2, 1).is_err());
    }
}
