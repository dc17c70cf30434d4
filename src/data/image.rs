//! Images: decoding with limits, since a small file can claim a huge picture.

use std::io::Cursor;

use image::codecs::png::PngEncoder;
use image::imageops::thumbnail;
use image::{DynamicImage, ExtendedColorType, GrayImage, ImageEncoder, ImageReader, Limits, RgbImage};

/// Pictures with more pixels than this are not decoded; they are counted and reported.
pub const MAX_IMAGE_PIXELS: u64 = 1 << 24;

/// A decoded picture, 8 bits a sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Columns of pixels.
    pub width: usize,
    /// Rows of pixels.
    pub height: usize,
    /// Samples a pixel: 1 (grey) or 3 (RGB).
    pub channels: usize,
    /// Samples, row-major, channels last; `height · width · channels` of them.
    pub pixels: Vec<u8>,
}

impl Image {
    /// Decodes PNG or JPEG bytes; the reason as a sentence fragment if that fails.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|e| e.to_string())?;
        let mut limits = Limits::default();
        limits.max_alloc = Some(MAX_IMAGE_PIXELS * 8);
        limits.max_image_width = Some(1 << 15);
        limits.max_image_height = Some(1 << 15);
        reader.limits(limits);
        let image = reader.decode().map_err(|e| e.to_string())?;
        Ok(Self::from_dynamic(image))
    }

    fn from_dynamic(image: DynamicImage) -> Self {
        let (width, height) = (image.width() as usize, image.height() as usize);
        let grey = matches!(
            image,
            DynamicImage::ImageLuma8(_) | DynamicImage::ImageLuma16(_) | DynamicImage::ImageLumaA8(_) | DynamicImage::ImageLumaA16(_)
        );
        let (channels, pixels) = if grey { (1, image.into_luma8().into_raw()) } else { (3, image.into_rgb8().into_raw()) };
        Self { width, height, channels, pixels }
    }

    /// The picture as PNG; nothing where its samples do not fill it.
    #[must_use]
    pub fn to_png(&self) -> Option<Vec<u8>> {
        let kind = if self.channels == 1 { ExtendedColorType::L8 } else { ExtendedColorType::Rgb8 };
        let mut bytes = Vec::new();
        let (width, height) = (u32::try_from(self.width).ok()?, u32::try_from(self.height).ok()?);
        if self.pixels.len() != self.width * self.height * self.channels {
            return None;
        }
        PngEncoder::new(&mut bytes).write_image(&self.pixels, width, height, kind).ok()?;
        Some(bytes)
    }

    /// The picture with no side longer than `most`.
    #[must_use]
    pub fn shrunk(&self, most: usize) -> std::borrow::Cow<'_, Self> {
        let longest = self.width.max(self.height);
        let scaled = |side: usize| u32::try_from((side * most / longest.max(1)).max(1)).ok();
        let small = || {
            let (width, height) = (scaled(self.width)?, scaled(self.height)?);
            let (w, h) = (u32::try_from(self.width).ok()?, u32::try_from(self.height).ok()?);
            let pixels = if self.channels == 1 {
                thumbnail(&GrayImage::from_raw(w, h, self.pixels.clone())?, width, height).into_raw()
            } else {
                thumbnail(&RgbImage::from_raw(w, h, self.pixels.clone())?, width, height).into_raw()
            };
            Some(Self { width: width as usize, height: height as usize, channels: self.channels, pixels })
        };
        let small = if longest > most { small() } else { None };
        small.map_or(std::borrow::Cow::Borrowed(self), std::borrow::Cow::Owned)
    }

    /// Reads raw samples as a square picture, grey or RGB, if their number allows it.
    #[must_use]
    pub fn from_raw(samples: &[u8]) -> Option<Self> {
        [1, 3].into_iter().find_map(|channels| {
            let side = ((samples.len() / channels) as f64).sqrt() as usize;
            (side > 0 && side * side * channels == samples.len()).then(|| Self {
                width: side,
                height: side,
                channels,
                pixels: samples.to_vec(),
            })
        })
    }

    /// The sample at a place.
    #[must_use]
    pub fn at(&self, x: usize, y: usize, channel: usize) -> u8 {
        self.pixels[(y * self.width + x) * self.channels + channel]
    }

    /// Mean of each cell of a `side` × `side` grid laid over the picture, per channel, 0 to 255; cells of small
    /// pictures repeat pixels. Length `side · side · channels`.
    #[must_use]
    pub fn area(&self, side: usize) -> Vec<f32> {
        let mut out = Vec::with_capacity(side * side * self.channels);
        let span = |cell: usize, length: usize| {
            let from = (cell * length / side).min(length - 1);
            from..((cell + 1) * length).div_ceil(side).clamp(from + 1, length)
        };
        for cy in 0..side {
            for cx in 0..side {
                let (xs, ys) = (span(cx, self.width), span(cy, self.height));
                let pixels = (xs.len() * ys.len()) as f32;
                for c in 0..self.channels {
                    let sum: u32 = ys.clone().flat_map(|y| xs.clone().map(move |x| (x, y))).map(|(x, y)| u32::from(self.at(x, y, c))).sum();
                    out.push(sum as f32 / pixels);
                }
            }
        }
        out
    }

    /// The picture as grey or RGB samples: a grey picture repeats its channel, an RGB one is averaged by luma.
    #[must_use]
    pub fn with_channels(&self, channels: usize) -> std::borrow::Cow<'_, Self> {
        if channels == self.channels {
            return std::borrow::Cow::Borrowed(self);
        }
        let pixels = if channels == 3 {
            self.pixels.iter().flat_map(|&p| [p, p, p]).collect()
        } else {
            self.pixels
                .chunks_exact(3)
                .map(|p| ((u32::from(p[0]) * 299 + u32::from(p[1]) * 587 + u32::from(p[2]) * 114) / 1000) as u8)
                .collect()
        };
        std::borrow::Cow::Owned(Self { width: self.width, height: self.height, channels, pixels })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_samples_become_square_pictures() {
        let grey = Image::from_raw(&[0; 784]).unwrap();
        assert_eq!((grey.width, grey.channels), (28, 1));
        let colour = Image::from_raw(&[0; 3072]).unwrap();
        assert_eq!((colour.width, colour.channels), (32, 3));
        assert!(Image::from_raw(&[0; 7]).is_none());
        assert!(Image::from_raw(&[]).is_none());
    }

    #[test]
    fn a_picture_shrinks_to_its_longest_side() {
        let wide = Image { width: 40, height: 10, channels: 3, pixels: vec![200; 1_200] };
        let small = wide.shrunk(20);
        assert_eq!((small.width, small.height, small.pixels.len()), (20, 5, 300));
        assert!(small.pixels.iter().all(|p| *p == 200));
        assert_eq!(*wide.shrunk(40), wide);
    }

    #[test]
    fn area_means_cover_every_pixel_once_when_sizes_divide() {
        let image = Image { width: 4, height: 4, channels: 1, pixels: (0..16).collect() };
        assert_eq!(image.area(2), vec![2.5, 4.5, 10.5, 12.5]);
        assert_eq!(image.area(1), vec![7.5]);
    }

    #[test]
    fn garbage_is_refused_with_a_reason() {
        assert!(Image::decode(b"not a picture").is_err());
        assert!(Image::decode(&[]).is_err());
    }
}
