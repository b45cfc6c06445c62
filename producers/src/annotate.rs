//! Pictures for people: boxes with class and confidence drawn onto them, as JPEG.

mod font;

use std::fs;
use std::path::{Path, PathBuf};

use image::codecs::jpeg::JpegEncoder;
use image::imageops::thumbnail;
use image::{ExtendedColorType, Rgb, RgbImage};
use schemas::frame::{Detection, Jpeg};

use crate::pixels::{Pixels, index};

/// Why a picture could not be saved.
#[derive(Debug, thiserror::Error)]
pub enum AnnotateError {
    #[error("could not encode a picture of {width} x {height} as JPEG")]
    Encode { width: u32, height: u32, source: image::ImageError },
    #[error("could not save the picture {}", path.display())]
    Save { path: PathBuf, source: std::io::Error },
}

/// The quality of every JPEG, of 100: no visible loss at a third of the size of 95.
const QUALITY: u8 = 85;

/// `pixels` as JPEG.
///
/// # Errors
///
/// A side is longer than JPEG allows, 65535 pixels.
pub fn jpeg(pixels: &Pixels<'_>) -> Result<Vec<u8>, AnnotateError> {
    encode(&copy(pixels))
}

/// `pixels` as a frame carries them: a picture that is too long is halved until
/// it is not.
///
/// # Errors
///
/// A side is longer than JPEG allows, 65535 pixels.
pub fn snapshot(pixels: &Pixels<'_>) -> Result<Jpeg, AnnotateError> {
    let mut picture = copy(pixels);
    loop {
        let bytes = encode(&picture)?;
        // It begins like a JPEG, so all that can be wrong with it is its length.
        if let Ok(image) = Jpeg::try_from(bytes.as_slice()) {
            return Ok(image);
        }
        let (width, height) = picture.dimensions();
        picture = thumbnail(&picture, width.div_ceil(2), height.div_ceil(2));
    }
}

/// `pixels` with `detections` drawn onto them, as JPEG.
///
/// # Errors
///
/// A side is longer than JPEG allows, 65535 pixels.
pub fn annotated_jpeg(
    pixels: &Pixels<'_>,
    detections: &[Detection],
) -> Result<Vec<u8>, AnnotateError> {
    let mut picture = copy(pixels);
    // The surest last, on top.
    detections.iter().rev().for_each(|detection| draw(&mut picture, detection));
    encode(&picture)
}

/// Saves `pixels` with `detections` drawn onto them as a JPEG file.
///
/// # Errors
///
/// The picture cannot be encoded, or not written to `path`.
pub fn save(
    path: &Path,
    pixels: &Pixels<'_>,
    detections: &[Detection],
) -> Result<(), AnnotateError> {
    let bytes = annotated_jpeg(pixels, detections)?;
    fs::write(path, bytes).map_err(|source| AnnotateError::Save { path: path.to_owned(), source })
}

fn copy(pixels: &Pixels<'_>) -> RgbImage {
    let mut picture = RgbImage::new(pixels.width(), pixels.height());
    let width = index(pixels.width()) * 3;
    for (row, out) in pixels.rows().zip(picture.chunks_exact_mut(width)) {
        out.copy_from_slice(row);
    }
    picture
}

fn encode(picture: &RgbImage) -> Result<Vec<u8>, AnnotateError> {
    let (width, height) = picture.dimensions();
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, QUALITY)
        .encode(picture, width, height, ExtendedColorType::Rgb8)
        .map_err(|source| AnnotateError::Encode { width, height, source })?;
    Ok(bytes)
}

/// Colours that tell from each other and from hay; a class keeps its own.
const COLOURS: [[u8; 3]; 8] = [
    [230, 57, 70],
    [29, 129, 233],
    [255, 183, 3],
    [42, 178, 106],
    [155, 93, 229],
    [255, 119, 0],
    [0, 187, 194],
    [240, 98, 170],
];

fn colour(class: &str) -> [u8; 3] {
    // The class's own, in every picture and every process: a sum of its bytes.
    let sum = class.bytes().fold(0_usize, |sum, byte| sum * 31 % 4093 + usize::from(byte));
    COLOURS[sum % COLOURS.len()]
}

fn draw(picture: &mut RgbImage, detection: &Detection) {
    let (width, height) = picture.dimensions();
    let (left, top) = (at(detection.x, width), at(detection.y, height));
    let (right, bottom) =
        (at(detection.x + detection.w, width), at(detection.y + detection.h, height));
    // Readable on a small picture, not lost on a large one.
    let scale = (width.min(height) / 400).max(1);
    let colour = colour(&detection.class);
    let area = Area { left, top, right: right.max(left + 1), bottom: bottom.max(top + 1) };
    frame(picture, area, scale + 1, colour);

    let text = format!("{} {:.2}", detection.class, detection.confidence);
    let letters = u32::try_from(text.chars().count()).unwrap_or(0);
    let (across, down) = ((letters * (font::WIDTH + 1) + 1) * scale, (font::HEIGHT + 2) * scale);
    // Above the box where there is room, else inside it; never off the picture.
    let label_top = if down <= top { top - down } else { top };
    let label_left = left.min(width.saturating_sub(across));
    let label = Area {
        left: label_left,
        top: label_top,
        right: label_left + across,
        bottom: label_top + down,
    };
    fill(picture, label, colour);
    let ink = if bright(colour) { [0, 0, 0] } else { [255, 255, 255] };
    write(picture, (label_left + scale, label_top + scale), &text, scale, ink);
}

#[derive(Clone, Copy)]
struct Area {
    left: u32,
    top: u32,
    right: u32,
    bottom: u32,
}

/// A fraction of a side, in pixels.
#[expect(clippy::as_conversions, reason = "held between 0 and the side first")]
fn at(fraction: f32, side: u32) -> u32 {
    (f64::from(fraction.clamp(0.0, 1.0)) * f64::from(side)).round() as u32
}

fn bright([r, g, b]: [u8; 3]) -> bool {
    140 < (u32::from(r) * 3 + u32::from(g) * 6 + u32::from(b)) / 10
}

fn frame(picture: &mut RgbImage, area: Area, thickness: u32, colour: [u8; 3]) {
    let Area { left, top, right, bottom } = area;
    fill(picture, Area { bottom: bottom.min(top + thickness), ..area }, colour);
    fill(picture, Area { top: top.max(bottom.saturating_sub(thickness)), ..area }, colour);
    fill(picture, Area { right: right.min(left + thickness), ..area }, colour);
    fill(picture, Area { left: left.max(right.saturating_sub(thickness)), ..area }, colour);
}

fn fill(picture: &mut RgbImage, area: Area, colour: [u8; 3]) {
    let (width, height) = picture.dimensions();
    for y in area.top..area.bottom.min(height) {
        for x in area.left..area.right.min(width) {
            picture.put_pixel(x, y, Rgb(colour));
        }
    }
}

fn write(picture: &mut RgbImage, from: (u32, u32), text: &str, scale: u32, colour: [u8; 3]) {
    let (mut left, top) = from;
    for letter in text.chars() {
        for (x, column) in (0..).zip(font::columns(letter)) {
            for y in (0..font::HEIGHT).filter(|y| column >> y & 1 == 1) {
                let (dot_left, dot_top) = (left + x * scale, top + y * scale);
                let dot = Area {
                    left: dot_left,
                    top: dot_top,
                    right: dot_left + scale,
                    bottom: dot_top + scale,
                };
                fill(picture, dot, colour);
            }
        }
        left += (font::WIDTH + 1) * scale;
    }
}

#[cfg(test)]
mod tests {
    use schemas::frame::IMAGE_BYTES_MAX;

    use super::*;

    fn detection(x: f32, y: f32, w: f32, h: f32) -> Detection {
        Detection { class: "lying".into(), confidence: 0.87, x, y, w, h }
    }

    #[test]
    fn a_label_can_be_read() {
        let mut picture = RgbImage::new(48, 9);
        write(&mut picture, (1, 1), "chèvre 7", 1, [255; 3]);
        let rows: Vec<String> = picture
            .rows()
            .map(|row| row.map(|dot| if dot.0[0] == 0 { ' ' } else { '#' }).collect::<String>())
            .map(|row| row.trim_end().to_owned())
            .collect();
        let expected = [
            "",
            "      #                                   #####",
            "      #                                       #",
            " ###  # ##   ###  #   # # ##   ###           #",
            "#     ##  # #   # #   # ##  # #   #         #",
            "#     #   # ##### #   # #     #####        #",
            "#   # #   # #      # #  #     #            #",
            " ###  #   #  ###    #   #      ###         #",
            "",
        ];
        // One dot off the edge, as a label is written.
        let expected: Vec<String> =
            expected.iter().map(|row| format!(" {row}").trim_end().to_owned()).collect();
        assert_eq!(rows, expected);
    }

    #[test]
    fn a_box_is_drawn_where_it_is_and_nowhere_else() {
        let grey = vec![90_u8; 200 * 100 * 3];
        let pixels = Pixels::new(200, 100, 600, &grey).unwrap();
        let bytes = annotated_jpeg(&pixels, &[detection(0.25, 0.5, 0.25, 0.4)]).unwrap();
        let drawn = image::load_from_memory(&bytes).unwrap().to_rgb8();
        assert_eq!(drawn.dimensions(), (200, 100));
        let changed = |x, y| drawn.get_pixel(x, y).0.iter().any(|v| v.abs_diff(90) > 40);
        for (x, y) in [(51, 70), (99, 70), (75, 51), (75, 89)] {
            assert!(changed(x, y), "the edge at {x}, {y}");
        }
        for (x, y) in [(75, 70), (10, 10), (150, 70), (75, 97)] {
            assert!(!changed(x, y), "{x}, {y} is no edge");
        }
    }

    #[test]
    fn a_picture_that_is_too_long_for_a_frame_is_halved_until_it_is_not() {
        // Noise, which no encoder makes short.
        let mut state = 1_u32;
        let mut noise = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        };
        let noise: Vec<u8> = (0..2001 * 1001 * 3).map(|_| noise()).collect();
        let pixels = Pixels::new(2001, 1001, 6003, &noise).unwrap();
        assert!(IMAGE_BYTES_MAX < jpeg(&pixels).unwrap().len());
        let kept = snapshot(&pixels).unwrap();
        let small = image::load_from_memory(kept.bytes()).unwrap();
        assert_eq!((small.width(), small.height()), (1001, 501));

        let grey = vec![90_u8; 200 * 100 * 3];
        let pixels = Pixels::new(200, 100, 600, &grey).unwrap();
        assert_eq!(snapshot(&pixels).unwrap().bytes(), jpeg(&pixels).unwrap());
    }

    #[test]
    fn boxes_at_the_edges_of_small_pictures_do_no_harm() {
        let black = vec![0_u8; 3 * 3 * 3];
        let pixels = Pixels::new(3, 3, 9, &black).unwrap();
        for (x, y, w, h) in [(0.0, 0.0, 1.0, 1.0), (1.0, 1.0, 0.0, 0.0), (0.99, 0.0, 0.02, 1.01)] {
            annotated_jpeg(&pixels, &[detection(x, y, w, h)]).unwrap();
        }
        assert_eq!(image::load_from_memory(&jpeg(&pixels).unwrap()).unwrap().width(), 3);
    }
}
