use proptest::prelude::*;

use super::*;

fn size(width: u32, height: u32) -> Size {
    Size { width, height }
}

fn input(size: Size, placement: Placement, channels: Channels, range: Range) -> InputFormat {
    InputFormat { size, placement, channels, range }
}

#[test]
fn the_picture_lies_where_its_family_of_models_wants_it() {
    let place = |picture, input, placement| {
        let Letterbox { scaled, left, top, .. } = Letterbox::new(picture, input, placement);
        (scaled.width, scaled.height, left, top)
    };
    let model = size(416, 416);
    assert_eq!(place(size(768, 576), model, Placement::TopLeft), (416, 312, 0, 0));
    assert_eq!(place(size(768, 576), model, Placement::Centre), (416, 312, 0, 52));
    assert_eq!(place(size(1080, 1920), size(640, 640), Placement::Centre), (360, 640, 140, 0));
    assert_eq!(place(size(1000, 333), size(640, 640), Placement::TopLeft), (640, 213, 0, 0));
    assert_eq!(place(size(2, 4000), size(64, 64), Placement::Centre), (1, 64, 31, 0));
    for picture in [size(640, 360), size(480, 640), size(3, 2000)] {
        assert_eq!(place(picture, size(416, 352), Placement::Stretch), (416, 352, 0, 0));
    }
    // 1366 * 416 / 1366 must not come out as 415.99.
    for width in 2..3000 {
        let Letterbox { scaled, .. } = Letterbox::new(size(width, 2), model, Placement::TopLeft);
        assert_eq!(scaled.width, 416, "{width}");
    }
}

#[test]
fn channels_ranges_and_grey_are_the_formats() {
    let picture = size(4, 2);
    let bytes: Vec<u8> = [200, 100, 50].repeat(8);
    let pixels = Pixels::new(4, 2, 12, &bytes).unwrap();
    let cases = [(Channels::Rgb, Range::Byte, 1.0), (Channels::Bgr, Range::Unit, 255.0)];
    for (channels, range, one) in cases {
        let format = input(size(4, 4), Placement::Centre, channels, range);
        let mut scaler = Resampler::new(picture, format);
        let mut tensor = vec![f32::NAN; 48];
        scaler.fill(&mut tensor);
        scaler.scale(&pixels, &mut tensor);
        let order = match channels {
            Channels::Rgb => [200.0, 100.0, 50.0],
            Channels::Bgr => [50.0, 100.0, 200.0],
        };
        for (plane, value) in tensor.chunks_exact(16).zip(order) {
            let (grey, value) = (114.0_f32 / one, value / one);
            let rows = [[grey; 4], [value; 4], [value; 4], [grey; 4]];
            assert_eq!(plane, rows.concat());
        }
    }
}

proptest! {
    #[test]
    fn a_box_comes_back_to_where_it_was(
        (width, height) in (2_u32..4000, 2_u32..4000),
        (x, y, w, h) in (0.0_f64..0.9, 0.0_f64..0.9, 0.01_f64..0.1, 0.01_f64..0.1),
        placement in prop::sample::select(vec![
            Placement::TopLeft, Placement::Centre, Placement::Stretch,
        ]),
    ) {
        let picture = size(width, height);
        let letterbox = Letterbox::new(picture, size(640, 416), placement);
        let Letterbox { scaled, left, top, scale, .. } = letterbox;
        prop_assert!(left + scaled.width <= 640 && top + scaled.height <= 416);
        #[expect(clippy::as_conversions, reason = "as a model would answer")]
        let to_input = |at: f64, side: u32, offset: u32, scale: f64| {
            (at * f64::from(side) * scale + f64::from(offset)) as f32
        };
        let corners = [
            to_input(x, width, left, scale[0]), to_input(y, height, top, scale[1]),
            to_input(x + w, width, left, scale[0]), to_input(y + h, height, top, scale[1]),
        ];
        let found = letterbox.to_picture(corners);
        // Rounding to an f32 may close a box that is far smaller than a pixel.
        if let Some(found) = found {
            for (found, true_side) in found.into_iter().zip([x, y, w, h]) {
                prop_assert!((f64::from(found) - true_side).abs() < 0.01, "{found} {true_side}");
            }
        } else {
            let (across, down) = (w * f64::from(width) * scale[0], h * f64::from(height) * scale[1]);
            prop_assert!(across < 0.01 || down < 0.01);
        }
    }

    #[test]
    fn any_corners_give_a_box_inside_or_none(corners in prop::array::uniform4(any::<f32>())) {
        let letterbox = Letterbox::new(size(768, 576), size(416, 416), Placement::Centre);
        if let Some([x, y, w, h]) = letterbox.to_picture(corners) {
            prop_assert!(0.0 <= x && 0.0 <= y && x + w <= 1.000_01 && y + h <= 1.000_01);
            prop_assert!(0.0 <= w && 0.0 <= h);
        }
    }

    #[test]
    fn a_scaled_picture_stays_between_its_extremes(
        (width, height) in (2_u32..40, 2_u32..40),
        (across, down) in (1_u32..50, 1_u32..50),
        bytes in prop::collection::vec(any::<u8>(), 40 * 40 * 3),
    ) {
        let format = input(size(across, down), Placement::TopLeft, Channels::Rgb, Range::Byte);
        let mut scaler = Resampler::new(size(width, height), format);
        let picture = Pixels::new(width, height, 3 * index(width), &bytes).unwrap();
        let mut tensor = vec![0.0; index(across * down) * 3];
        scaler.fill(&mut tensor);
        scaler.scale(&picture, &mut tensor);
        prop_assert!(tensor.iter().all(|value| (0.0..=255.0).contains(value)));
    }
}
