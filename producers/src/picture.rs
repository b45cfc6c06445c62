//! Pictures that come as files, from anybody.
//!
//! # Invariants
//!
//! - However large a file says it is, no more memory is taken than one picture
//!   may have: its size is read first.
//! - One picture is decoded at a time.

use std::io::Cursor;
use std::sync::{Mutex, PoisonError};

use image::error::{ImageError, LimitErrorKind};
use image::{ImageFormat, ImageReader, Limits, RgbImage};
use schemas::frame::{Detection, Jpeg};
use schemas::picture::{PictureFault, Pictures, Verified};

use crate::annotate;
use crate::pixels::{Pixels, index};

/// Longest side, pixels.
const SIDE_MAX: u32 = 8192;

/// Memory that decoding may take, bytes: some twenty million pixels.
const MEMORY_MAX: u64 = 64 << 20;

/// Decodes JPEG and PNG files.
#[derive(Debug, Default)]
pub struct Decoder {
    one_at_a_time: Mutex<()>,
}

impl Decoder {
    fn decoded(&self, bytes: &[u8]) -> Result<(RgbImage, ImageFormat), PictureFault> {
        let Ok(format @ (ImageFormat::Jpeg | ImageFormat::Png)) = image::guess_format(bytes) else {
            return Err(PictureFault::Format);
        };
        if format == ImageFormat::Jpeg && !has_end(bytes) {
            return Err(PictureFault::Damaged("it breaks off".to_owned()));
        }
        let mut limits = Limits::default();
        limits.max_image_width = Some(SIDE_MAX);
        limits.max_image_height = Some(SIDE_MAX);
        limits.max_alloc = Some(MEMORY_MAX);
        let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
        reader.limits(limits);
        let picture = reader.decode().map_err(|error| fault(&error))?;
        Ok((picture.into_rgb8(), format))
    }
}

impl Pictures for Decoder {
    fn verified(&self, bytes: &[u8]) -> Result<Verified, PictureFault> {
        let _alone = self.one_at_a_time.lock().unwrap_or_else(PoisonError::into_inner);
        let (picture, format) = self.decoded(bytes)?;
        let (width, height) = picture.dimensions();
        let whole = (format == ImageFormat::Jpeg).then(|| Jpeg::try_from(bytes).ok()).flatten();
        let jpeg = match whole {
            Some(jpeg) => jpeg,
            None => on_pixels(&picture, annotate::snapshot)?,
        };
        Ok(Verified { jpeg, width, height })
    }

    fn annotated(&self, picture: &Jpeg, detections: &[Detection]) -> Result<Vec<u8>, PictureFault> {
        let _alone = self.one_at_a_time.lock().unwrap_or_else(PoisonError::into_inner);
        let (picture, _) = self.decoded(picture.bytes())?;
        on_pixels(&picture, |pixels| annotate::annotated_jpeg(pixels, detections))
    }
}

/// Whether a JPEG's last picture comes to its end; the decoder would make up the
/// rest. What is compressed never looks like a marker.
fn has_end(jpeg: &[u8]) -> bool {
    let last = |marker: [u8; 2]| jpeg.windows(2).rposition(|two| two == marker);
    let (scan, end) = (last([0xFF, 0xDA]), last([0xFF, 0xD9]));
    scan < end
}

fn on_pixels<T, E: ToString>(
    picture: &RgbImage,
    call: impl FnOnce(&Pixels<'_>) -> Result<T, E>,
) -> Result<T, PictureFault> {
    let (width, height) = picture.dimensions();
    let pixels = Pixels::new(width, height, index(width) * 3, picture.as_raw())
        .map_err(|error| PictureFault::Damaged(error.to_string()))?;
    call(&pixels).map_err(|error| PictureFault::Damaged(error.to_string()))
}

fn fault(error: &ImageError) -> PictureFault {
    match error {
        ImageError::Limits(limit) => match limit.kind() {
            LimitErrorKind::DimensionError | LimitErrorKind::InsufficientMemory => {
                PictureFault::TooLarge { max: SIDE_MAX }
            }
            _ => PictureFault::Damaged(error.to_string()),
        },
        _ => PictureFault::Damaged(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use image::{ExtendedColorType, ImageEncoder, Rgb};

    use super::*;

    fn encoded(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Vec::new();
        let picture = RgbImage::from_fn(width, height, |x, _| Rgb([u8::from(x % 2 == 0) * 200; 3]));
        picture.write_to(&mut Cursor::new(&mut bytes), format).unwrap();
        bytes
    }

    #[test]
    fn a_jpeg_is_kept_as_it_came_and_a_png_becomes_one() {
        let decoder = Decoder::default();
        let jpeg = encoded(40, 30, ImageFormat::Jpeg);
        let verified = decoder.verified(&jpeg).unwrap();
        assert_eq!((verified.width, verified.height), (40, 30));
        assert_eq!(verified.jpeg.bytes(), jpeg);

        let verified = decoder.verified(&encoded(41, 30, ImageFormat::Png)).unwrap();
        assert_eq!((verified.width, verified.height), (41, 30));
        assert_eq!(decoder.verified(verified.jpeg.bytes()).unwrap().width, 41);
    }

    #[test]
    fn what_is_no_picture_is_told_apart() {
        let decoder = Decoder::default();
        assert_eq!(decoder.verified(b"").unwrap_err(), PictureFault::Format);
        assert_eq!(decoder.verified(b"GIF89a.......").unwrap_err(), PictureFault::Format);
        for format in [ImageFormat::Jpeg, ImageFormat::Png] {
            let whole = encoded(200, 200, format);
            let cut = decoder.verified(&whole[..whole.len() / 3]).unwrap_err();
            assert!(matches!(cut, PictureFault::Damaged(_)), "{format:?}: {cut}");
        }
    }

    /// A few bytes that claim to be more pixels than any memory holds.
    #[test]
    fn a_bomb_is_refused_before_it_is_unpacked() {
        let mut long = Vec::new();
        // All of one colour: some 100 KB for a hundred million pixels.
        let rows = vec![0_u8; 10_000 * 10_000];
        image::codecs::png::PngEncoder::new(&mut long)
            .write_image(&rows, 10_000, 10_000, ExtendedColorType::L8)
            .unwrap();
        assert!(long.len() < 1 << 20);
        let too_large = Err(PictureFault::TooLarge { max: SIDE_MAX });
        assert_eq!(Decoder::default().verified(&long), too_large);
        let wide = encoded(8000, 8000, ImageFormat::Png);
        assert_eq!(Decoder::default().verified(&wide), too_large);
    }

    #[test]
    fn boxes_are_drawn_onto_a_picture_that_was_kept() {
        let decoder = Decoder::default();
        let kept = Jpeg::try_from(&*encoded(200, 100, ImageFormat::Jpeg)).unwrap();
        let (x, y, w, h) = (0.25, 0.5, 0.25, 0.4);
        let lying = Detection { class: "lying".into(), confidence: 0.87, x, y, w, h };
        let plain = decoder.annotated(&kept, &[]).unwrap();
        assert_ne!(decoder.annotated(&kept, &[lying]).unwrap(), plain);
        let broken = Jpeg::try_from(&[0xFF, 0xD8, 0xFF, 0xDA, 0xFF, 0xD9][..]).unwrap();
        assert!(decoder.annotated(&broken, &[]).is_err());
    }
}
