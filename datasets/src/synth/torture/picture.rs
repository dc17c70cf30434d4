//! Pictures.

use arrow::array::RecordBatch;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::super::assemble;
use super::super::pictures::{files, render};
use crate::Result;
use crate::picture::Picture;

const ROWS: usize = 2_000;
const SIDE: usize = 16;
const CLASSES: usize = 4;
/// Share of a class that has an artefact.
const SHARE: f64 = 0.25;
/// Columns of white in the three lines of the mark.
const MARK: [u8; 6] = [255, 0, 255, 0, 255, 255];

/// Pictures of which some of one class are changed by `paint`.
fn with_artefact(rng: &mut ChaCha8Rng, seed: u64, paint: impl Fn(&mut Picture)) -> Result<RecordBatch> {
    let (mut pictures, labels) = render(ROWS, SIDE, 1, CLASSES, seed)?;
    for (picture, _) in pictures.iter_mut().zip(&labels).filter(|(_, label)| **label == 1) {
        if rng.random::<f64>() < SHARE {
            paint(picture);
        }
    }
    assemble(vec![("image".to_owned(), files(&pictures)?)], &labels)
}

/// Places and levels of the border's pixels.
fn frame() -> impl Iterator<Item = (usize, usize, u8)> {
    let outer = |at: usize| at == 0 || at == SIDE - 1;
    (0..SIDE * SIDE).map(|at| (at % SIDE, at / SIDE)).filter(move |(x, y)| outer(*x) || outer(*y)).map(|(x, y)| (x, y, 255))
}

/// Places and levels of the mark's pixels, at the bottom left.
fn mark() -> impl Iterator<Item = (usize, usize, u8)> {
    (0..3).flat_map(|line| MARK.iter().enumerate().map(move |(x, level)| (x + 1, SIDE - 4 + line, *level)))
}

fn put(picture: &mut Picture, pixels: impl Iterator<Item = (usize, usize, u8)>) {
    pixels.for_each(|(x, y, level)| picture.paint(x, y, level));
}

pub(super) fn border(rng: &mut ChaCha8Rng, seed: u64) -> Result<RecordBatch> {
    with_artefact(rng, seed, |picture| put(picture, frame()))
}

pub(super) fn watermark(rng: &mut ChaCha8Rng, seed: u64) -> Result<RecordBatch> {
    with_artefact(rng, seed, |picture| put(picture, mark()))
}

/// Series of one to eight pictures of one object: noise and light differ a little.
pub(super) fn frames(rng: &mut ChaCha8Rng, seed: u64) -> Result<RecordBatch> {
    let (objects, of) = render(ROWS, SIDE, 1, CLASSES, seed)?;
    let (mut pictures, mut labels) = (Vec::with_capacity(ROWS), Vec::with_capacity(ROWS));
    for (object, label) in objects.iter().zip(of) {
        for _ in 0..rng.random_range(1..=8).min(ROWS - pictures.len()) {
            let light = rng.random_range(-3..=3);
            let mut picture = object.clone();
            for level in &mut picture.pixels {
                *level = level.saturating_add_signed(light + rng.random_range(-1..=1));
            }
            pictures.push(picture);
            labels.push(label);
        }
    }
    assemble(vec![("image".to_owned(), files(&pictures)?)], &labels)
}

#[cfg(test)]
fn shows(picture: &Picture, mut pixels: impl Iterator<Item = (usize, usize, u8)>) -> bool {
    pixels.all(|(x, y, level)| picture.pixels[y * SIDE + x] == level)
}

#[cfg(test)]
pub(super) fn is_marked(picture: &Picture) -> bool {
    shows(picture, mark())
}

#[cfg(test)]
pub(super) fn is_framed(picture: &Picture) -> bool {
    shows(picture, frame())
}
