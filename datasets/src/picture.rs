//! Picture columns: encoded files in a struct, or raw samples.

use std::io::Cursor;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, FixedSizeListArray, LargeBinaryArray, RecordBatch, StructArray, UInt8Array};
use arrow::datatypes::{DataType, UInt8Type};
use image::{DynamicImage, ExtendedColorType, ImageEncoder, ImageReader, codecs::png::PngEncoder};

use crate::column::{find, put_back, rows_of, wrong_type};
use crate::{Error, Result};

/// The shape of a picture: all that a pattern drawn for it depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Size {
    pub(crate) width: usize,
    pub(crate) height: usize,
    /// 1 (grey) or 3 (RGB).
    pub(crate) channels: usize,
}

/// A decoded picture, 8 bits a sample, row-major, channels last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Picture {
    pub(crate) width: usize,
    pub(crate) height: usize,
    /// 1 (grey) or 3 (RGB).
    pub(crate) channels: usize,
    pub(crate) pixels: Vec<u8>,
}

impl Picture {
    fn decode(bytes: &[u8]) -> Result<Self, image::ImageError> {
        let image = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?.decode()?;
        let (width, height) = (image.width() as usize, image.height() as usize);
        Ok(match image {
            DynamicImage::ImageLuma8(grey) => Self { width, height, channels: 1, pixels: grey.into_raw() },
            other => Self { width, height, channels: 3, pixels: other.into_rgb8().into_raw() },
        })
    }

    pub(crate) fn size(&self) -> Size {
        Size { width: self.width, height: self.height, channels: self.channels }
    }

    /// PNG bytes.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, image::ImageError> {
        let colour = if self.channels == 1 { ExtendedColorType::L8 } else { ExtendedColorType::Rgb8 };
        let mut bytes = Vec::new();
        PngEncoder::new(&mut bytes).write_image(&self.pixels, self.width as u32, self.height as u32, colour)?;
        Ok(bytes)
    }

    /// Raw samples as a square picture, grey or RGB, if their number allows it.
    fn from_raw(pixels: &[u8]) -> Option<Self> {
        [1, 3].into_iter().find_map(|channels| {
            let side = (pixels.len() / channels).isqrt();
            (side > 0 && side * side * channels == pixels.len()).then(|| Self {
                width: side,
                height: side,
                channels,
                pixels: pixels.to_vec(),
            })
        })
    }

    /// Sets all channels of a pixel.
    pub(crate) fn paint(&mut self, x: usize, y: usize, level: u8) {
        let at = (y * self.width + x) * self.channels;
        self.pixels[at..at + self.channels].fill(level);
    }
}

const EXPECTED: &str = "pictures as struct<bytes, path> or fixed_size_list<uint8>";

/// A picture column: a struct with PNG or JPEG files in its binary field `bytes`, or a fixed-size list of uint8 with
/// the samples of square grey or RGB pictures.
pub(crate) struct Pictures<'a> {
    pub(crate) index: usize,
    column: &'a ArrayRef,
    name: String,
}

impl<'a> Pictures<'a> {
    pub(crate) fn open(batch: &'a RecordBatch, name: &str) -> Result<Self> {
        let (index, column) = find(batch, name)?;
        let fits = match column.data_type() {
            DataType::Struct(fields) => {
                fields.find("bytes").is_some_and(|(_, bytes)| matches!(bytes.data_type(), DataType::Binary | DataType::LargeBinary))
            }
            DataType::FixedSizeList(item, _) => *item.data_type() == DataType::UInt8,
            _ => false,
        };
        if fits { Ok(Self { index, column, name: name.to_owned() }) } else { Err(wrong_type(name, EXPECTED, column)) }
    }

    fn bytes(&self) -> Option<&'a ArrayRef> {
        self.column.as_struct_opt().and_then(|pictures| pictures.column_by_name("bytes"))
    }

    /// Is there a picture in that row?
    pub(crate) fn has(&self, row: usize) -> bool {
        self.column.is_valid(row) && self.bytes().is_none_or(|bytes| bytes.is_valid(row))
    }

    /// The picture of a row that [`has`](Self::has) one.
    pub(crate) fn get(&self, row: usize) -> Result<Picture> {
        let fail = |reason: String| Error::Cell { column: self.name.clone(), row, reason };
        if let Some(bytes) = self.bytes() {
            let file = match bytes.data_type() {
                DataType::Binary => bytes.as_binary::<i32>().value(row),
                _ => bytes.as_binary::<i64>().value(row),
            };
            return Picture::decode(file).map_err(|error| fail(error.to_string()));
        }
        let samples = self.column.as_fixed_size_list().value(row);
        let samples = samples.as_primitive::<UInt8Type>();
        Picture::from_raw(samples.values()).ok_or_else(|| fail(format!("{} samples make no square picture", samples.len())))
    }

    /// The column with other pictures of the same sizes in some rows, encoded as PNG where it holds files; every other
    /// field of those rows stays.
    pub(crate) fn replaced(&self, rows: &[usize], pictures: &[Picture]) -> Result<ArrayRef> {
        let old = rows_of(self.column, rows)?;
        let new: ArrayRef = if let Some(old) = old.as_struct_opt() {
            let mut files = Vec::with_capacity(rows.len());
            for (picture, &row) in pictures.iter().zip(rows) {
                let encoded = picture.encode();
                files.push(encoded.map_err(|error| Error::Cell { column: self.name.clone(), row, reason: error.to_string() })?);
            }
            let (fields, mut columns, nulls) = old.clone().into_parts();
            for (field, column) in fields.iter().zip(&mut columns).filter(|(field, _)| field.name() == "bytes") {
                *column = match field.data_type() {
                    DataType::Binary => Arc::new(BinaryArray::from_iter_values(&files)),
                    _ => Arc::new(LargeBinaryArray::from_iter_values(&files)),
                };
            }
            Arc::new(StructArray::try_new(fields, columns, nulls)?)
        } else if let DataType::FixedSizeList(item, size) = self.column.data_type() {
            let samples = UInt8Array::from_iter_values(pictures.iter().flat_map(|picture| picture.pixels.iter().copied()));
            Arc::new(FixedSizeListArray::try_new(item.clone(), *size, Arc::new(samples), None)?)
        } else {
            return Err(wrong_type(&self.name, EXPECTED, self.column));
        };
        put_back(self.column, rows, &new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_survive_encoding() {
        for channels in [1, 3] {
            let picture = Picture { width: 4, height: 2, channels, pixels: (0..8 * channels as u8).collect() };
            assert_eq!(Picture::decode(&picture.encode().unwrap()).unwrap(), picture);
        }
    }

    #[test]
    fn raw_samples_are_square_or_refused() {
        assert_eq!(Picture::from_raw(&[0; 784]).map(|p| (p.width, p.channels)), Some((28, 1)));
        assert_eq!(Picture::from_raw(&[0; 3072]).map(|p| (p.width, p.channels)), Some((32, 3)));
        assert_eq!(Picture::from_raw(&[0; 7]), None);
        assert_eq!(Picture::from_raw(&[]), None);
    }
}
