use proptest::prelude::*;

use super::*;

fn size(width: u32, height: u32) -> Size {
    Size { width, height }
}

/// A picture whose every byte differs from its neighbours.
fn pattern(size: Size) -> Vec<u8> {
    let value = |x: u32, y: u32, c: u32| (x * 37 + y * 91 + c * 53 + (x * y) % 17 * 11) % 256;
    (0..size.height)
        .flat_map(|y| (0..size.width).flat_map(move |x| (0..3).map(move |c| value(x, y, c))))
        .map(|value| u8::try_from(value).unwrap())
        .collect()
}

/// The rows of `picture` stretched to `to`, as packed RGB.
fn stretched(picture: &Pixels<'_>, to: Size) -> Vec<u8> {
    let from = size(picture.width(), picture.height());
    let (mut bytes, mut rows) = (Vec::new(), Vec::new());
    Bilinear::new(from, to).scale(picture, |y, pixels| {
        rows.push(y);
        bytes.extend(pixels.iter().flat_map(|&[red, green, blue, _]| [red, green, blue]));
    });
    assert!(rows.into_iter().eq(0..index(to.height)));
    bytes
}

fn stretched_pattern(from: Size, to: Size) -> Vec<u8> {
    let bytes = pattern(from);
    let picture = Pixels::new(from.width, from.height, 3 * index(from.width), &bytes).unwrap();
    stretched(&picture, to)
}

/// What `OpenCV` computes, one byte after the other.
fn model(picture: &Pixels<'_>, to: Size) -> Vec<u8> {
    let across: Vec<Taps> = taps(picture.width(), to.width)
        .map(|taps| match taps {
            // Across, a pixel beyond the edge is the edge.
            Taps { first, .. } if first < 0 => Taps { first: 0, weights: [2048, 0] },
            Taps { first, .. } if i64::from(picture.width()) - 1 <= first => {
                Taps { first: i64::from(picture.width()) - 2, weights: [0, 2048] }
            }
            inside => inside,
        })
        .collect();
    let row = |y: i64| {
        // Down, both neighbours are the edge, and their weights stay.
        picture.row(usize::try_from(y.clamp(0, i64::from(picture.height()) - 1)).unwrap())
    };
    let mut bytes = Vec::new();
    for Taps { first: y, weights: [above, below] } in taps(picture.height(), to.height) {
        for Taps { first: x, weights: [left, right] } in &across {
            for channel in 0..3 {
                let byte =
                    |row: &[u8], x: i64| i64::from(row[usize::try_from(3 * x).unwrap() + channel]);
                let mixed = |row: &[u8]| (byte(row, *x) * left + byte(row, x + 1) * right) >> 4;
                let (upper, lower) = (mixed(row(y)), mixed(row(y + 1)));
                let sum = ((upper * above) >> 16) + ((lower * below) >> 16);
                bytes.push(u8::try_from((sum + 2) >> 2).unwrap());
            }
        }
    }
    bytes
}

/// A pixel's first neighbour, and the weights of this and the next.
struct Taps {
    first: i64,
    weights: [i64; 2],
}

#[expect(clippy::as_conversions, reason = "OpenCV's own arithmetic")]
fn taps(from: u32, to: u32) -> impl Iterator<Item = Taps> {
    (0..to).map(move |at| {
        let centre = (f64::from(at) + 0.5) * (f64::from(from) / f64::from(to)) - 0.5;
        let first = (centre as f32).floor();
        let into = centre as f32 - first;
        let weight = |part: f32| i64::from((part * 2048.0).round_ties_even() as i16);
        Taps { first: first as i64, weights: [weight(1.0 - into), weight(into)] }
    })
}

fn weighted(bytes: &[u8]) -> u64 {
    (1..).zip(bytes).map(|(at, byte): (u64, _)| at * u64::from(*byte)).sum()
}

/// The expected figures are those of `OpenCV` 4.12's `resize(.., INTER_LINEAR)`.
#[test]
fn scaling_is_that_of_opencv() {
    let small = stretched_pattern(size(7, 5), size(4, 3));
    assert_eq!(
        small,
        [
            45, 99, 151, 117, 159, 137, 113, 155, 208, 174, 120, 109, 204, 161, 54, 51, 104, 157,
            155, 208, 37, 98, 55, 108, 106, 160, 149, 71, 114, 92, 132, 174, 78, 146, 146, 92
        ]
    );
    assert_eq!(weighted(&stretched_pattern(size(5, 4), size(9, 7))), 2_200_642);
    assert_eq!(weighted(&stretched_pattern(size(64, 48), size(13, 9))), 8_045_186);
    // One side smaller and the other larger, as where a picture is stretched over an input.
    assert_eq!(weighted(&stretched_pattern(size(64, 30), size(41, 36))), 1_257_062_062);
    assert_eq!(weighted(&stretched_pattern(size(30, 64), size(36, 41))), 1_246_532_088);
}

#[test]
fn pictures_of_cameras_scale_to_inputs_of_models_to_the_bit() {
    let cases = [
        (size(768, 576), size(416, 312)),
        (size(1920, 1080), size(640, 360)),
        (size(352, 288), size(640, 524)),
        (size(641, 479), size(320, 239)),
    ];
    for (from, to) in cases {
        let bytes = pattern(from);
        let picture = Pixels::new(from.width, from.height, 3 * index(from.width), &bytes).unwrap();
        assert!(stretched(&picture, to) == model(&picture, to), "{from} to {to}");
    }
}

#[test]
fn what_was_scaled_before_leaves_no_trace() {
    let (from, to) = (size(31, 20), size(13, 27));
    let white = vec![255; 3 * 31 * 20];
    let pattern = pattern(from);
    let [white, pattern] = [&white, &pattern].map(|b| Pixels::new(31, 20, 93, b).unwrap());
    let mut bilinear = Bilinear::new(from, to);
    bilinear.scale(&white, |_, pixels| assert!(pixels.iter().all(|p| p[..3] == [255; 3])));
    let mut again = Vec::new();
    bilinear.scale(&pattern, |_, pixels| again.extend(pixels.iter().flat_map(|p| p[..3].to_vec())));
    assert_eq!(again, stretched(&pattern, to));
}

/// A picture's size, the bytes between its rows, and bytes enough.
fn pictures() -> impl Strategy<Value = (Size, usize, Vec<u8>)> {
    (2_u32..40, 2_u32..40, 0_usize..5).prop_flat_map(|(width, height, gap)| {
        let bytes = (3 * index(width) + gap) * index(height);
        // Black and white are where a sum would run over first.
        let byte = prop_oneof![any::<u8>(), Just(0), Just(255)];
        (Just(size(width, height)), Just(gap), prop::collection::vec(byte, bytes))
    })
}

proptest! {
    #[test]
    fn any_picture_scales_to_any_size_to_the_bit(
        (from, gap, bytes) in pictures(),
        (width, height) in (1_u32..90, 1_u32..90),
    ) {
        let stride = 3 * index(from.width) + gap;
        let picture = Pixels::new(from.width, from.height, stride, &bytes).unwrap();
        let to = size(width, height);
        prop_assert_eq!(stretched(&picture, to), model(&picture, to));
    }
}
