//! Herds with a known truth, and a detector with known faults.

use std::sync::Arc;

use accuracy::area::Area;
use accuracy::comparison::{Found, Seen};
use accuracy::labels::{Form, Label, Labels, Role, TrueBox, Truth};
use accuracy::picture::PictureId;
use schemas::frame::Detection;
use schemas::time::UnixMillis;

/// Numbers that are the same for the same seed (splitmix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u32::try_from((z ^ (z >> 31)) % u64::from(bound)).unwrap()
    }

    fn one_in(&mut self, n: u32) -> bool {
        self.below(n) == 0
    }

    fn fraction(&mut self) -> f64 {
        f64::from(self.below(1_000_000)) / 1e6
    }
}

pub(crate) const CLASSES: [&str; 4] = ["standing", "lying", "kid", "never"];

/// When frames were taken.
#[derive(Clone, Copy)]
pub(crate) enum Times {
    /// Some in each of many minutes, over hours.
    Event,
    /// Within one video.
    Video,
    /// Single pictures.
    None,
}

fn picture(times: Times, n: i64, random: &mut Random) -> PictureId {
    let jitter = i64::from(random.below(900));
    match times {
        Times::Event => {
            PictureId::captured(UnixMillis::new(1_772_408_970_000 + n * 17_000 + jitter))
        }
        Times::Video => PictureId::of_video(n * 7_000 + jitter),
        Times::None => {
            PictureId { name: Some(format!("picture-{n}").into()), ..PictureId::default() }
        }
    }
}

/// So many frames of up to `animals` animals, and what a detector with faults says.
pub(crate) fn herd(
    random: &mut Random,
    frames: i64,
    animals: u32,
    times: Times,
) -> (Labels, Vec<Seen>) {
    let (mut pictures, mut seen) = (Vec::new(), Vec::new());
    for n in 0..frames {
        let id = picture(times, n, random);
        let night = matches!(times, Times::Event).then(|| n % 5 == 0);
        let (mut boxes, mut found, mut occluded) = (Vec::new(), Vec::new(), 0);
        let here = if random.one_in(9) { 0 } else { random.below(animals + 1) };
        for _ in 0..here {
            let area = Area {
                x: random.fraction() * 0.8,
                y: random.fraction() * 0.8,
                w: 0.05 + random.fraction() * 0.1,
                h: 0.05 + random.fraction() * 0.1,
            };
            let class = CLASSES[usize::try_from(random.below(3)).unwrap()];
            let hidden = random.one_in(12);
            occluded += u32::from(hidden || random.one_in(6));
            let role = if hidden { Role::Hidden } else { Role::Expected };
            boxes.push(TrueBox { class: class.into(), area, role });
            if !random.one_in(8) {
                let wrong = random.one_in(6);
                let class =
                    if wrong { CLASSES[usize::try_from(random.below(3)).unwrap()] } else { class };
                found.push(detection(class, area, random));
            }
        }
        if random.one_in(3) {
            let area =
                Area { x: random.fraction() * 0.8, y: random.fraction() * 0.8, w: 0.1, h: 0.1 };
            found.push(detection("lying", area, random));
        }
        pictures.push(Label {
            picture: id.clone(),
            origin: format!("frame {n}"),
            truth: Truth::Boxes(boxes),
            night,
            occluded: (here != 0).then(|| f64::from(occluded) / f64::from(here)),
        });
        seen.push(Seen { picture: id, found: Found::Boxes(found) });
    }
    let classes = CLASSES.map(Arc::from).to_vec();
    (Labels { form: Form::Yolo, classes, classes_guessed: false, pictures }, seen)
}

/// Nearly `area`.
#[expect(clippy::as_conversions, reason = "a test's box may be rounded")]
fn detection(class: &str, area: Area, random: &mut Random) -> Detection {
    let mut near = |value: f64| (value + (random.fraction() - 0.5) * 0.02) as f32;
    let [x, y, w, h] = [area.x, area.y, area.w, area.h].map(&mut near);
    Detection { class: class.into(), confidence: 0.5, x, y, w, h }
}
