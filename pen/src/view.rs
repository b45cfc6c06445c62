//! A pen in front of a camera: what it shows at a moment, and how that looks.

use std::collections::VecDeque;

use glam::{Mat3, Vec3};
use schemas::source::SourceId;
use schemas::time::UnixMillis;

use crate::chance::{Chance, mix};
use crate::day::{Day, Planner, local};
use crate::goat::{Looks, Part, Skin};
use crate::herd::{InvalidBudget, Rhythm};
use crate::light::{Light, LightKind};
use crate::moment::{Moment, moment};
use crate::raster::{Canvas, NOTHING, Placed, View};
use crate::scenery::{Texel, scenery};
use crate::sensor::Sensor;
use crate::shade::Shade;
use crate::site::Site;
use crate::truth::{Posture, TrueAnimal, Truth};

/// Most animals of a pen.
pub const ANIMALS_MAX: u32 = 30;

/// What decides how a pen looks and what happens in it.
#[derive(Clone, Debug, PartialEq)]
pub struct PenSpec {
    /// Another seed is another pen, camera, light and herd.
    pub seed: u64,
    /// 1 to [`ANIMALS_MAX`].
    pub animals: u32,
    /// Of the picture, pixels: even, 64 to 4096.
    pub width: u32,
    pub height: u32,
    /// Local time less UTC, minutes: when it is night.
    pub utc_offset_minutes: i32,
    pub rhythm: Rhythm,
}

/// A pen that cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum InvalidPen {
    #[error("{0} animals; a pen holds 1 to {ANIMALS_MAX}")]
    Animals(u32),
    #[error("pictures of {width} x {height}; sides must be even and from 64 to 4096 pixels")]
    Size { width: u32, height: u32 },
    #[error(transparent)]
    Budget(#[from] InvalidBudget),
    #[error(
        "milking at minute {0} of the day; a day has 1440, and the herd must be back before the last half hour"
    )]
    Milking(u32),
}

/// A pen, its herd and its camera.
pub struct Pen {
    spec: PenSpec,
    key: u64,
    site: Site,
    planner: Planner,
    /// The days that were asked for last.
    days: VecDeque<(i64, Day)>,
    looks: Vec<Looks>,
    view: View,
    scenery: Vec<Texel>,
    sensor: Sensor,
    shade: Shade,
    canvas: Canvas,
    linear: Vec<Vec3>,
    bodies: Vec<Placed>,
    parts: Vec<Part>,
}

impl std::fmt::Debug for Pen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pen").field("spec", &self.spec).finish_non_exhaustive()
    }
}

impl Pen {
    /// The pen that `spec` means in front of `source`.
    ///
    /// # Errors
    ///
    /// There is no such pen.
    pub fn new(spec: PenSpec, source: SourceId) -> Result<Pen, InvalidPen> {
        spec.check()?;
        let source = i64::from(source).cast_unsigned();
        let key = mix(spec.seed ^ mix(source));
        let (width, height) = (spec.width as usize, spec.height as usize);
        let (site, spots) = Site::new(key, spec.animals, width as f32 / height as f32);
        let mut chance = Chance::of(&[key, 0x8E6D]);
        let breed = chance.place(9);
        let kids = if chance.happens(0.35) { chance.between(0.1, 0.6) } else { 0.0 };
        let looks = (0..u64::from(spec.animals))
            .map(|number| Looks::new(mix(key ^ mix(number + 1)), chance.happens(kids), breed))
            .collect();
        let view = View { camera: site.camera, width, height };
        Ok(Pen {
            key,
            planner: Planner {
                key,
                animals: spec.animals as usize,
                rhythm: spec.rhythm.clone(),
                spots,
            },
            days: VecDeque::new(),
            looks,
            scenery: scenery(&site, &view),
            sensor: Sensor::new(key),
            shade: Shade::new(&site),
            canvas: Canvas::new(width * height),
            linear: vec![Vec3::ZERO; width * height],
            bodies: Vec::new(),
            parts: Vec::new(),
            view,
            site,
            spec,
        })
    }

    /// Bytes of a picture: packed 8-bit RGB.
    pub fn picture_bytes(&self) -> usize {
        3 * self.view.width * self.view.height
    }

    /// Draws the picture of `at` into `rgb`, and tells what it shows. `started_at` is the
    /// moment of the first picture.
    ///
    /// # Panics
    ///
    /// If `rgb` does not have [`picture_bytes`](Pen::picture_bytes).
    pub fn draw(&mut self, at: UnixMillis, started_at: UnixMillis, rgb: &mut [u8]) -> Truth {
        assert_eq!(rgb.len(), self.picture_bytes());
        let (_, second) = local(at, self.spec.utc_offset_minutes);
        let now_s = at.get() as f64 / 1000.0;
        let hour = (second / 3600.0) as f32;
        let light = Light::at(hour, now_s, &self.site.lighting, self.key);
        let herd = self.herd(at);
        let covered = self.place(&herd);
        self.shade.cast(&self.bodies, &light);
        self.light_up(&light);
        self.smooth_edges();
        let size = (self.view.width, self.view.height);
        self.sensor.expose(&self.linear, size, &light, at.get().cast_unsigned(), rgb);
        Truth {
            t_ms: at.get().saturating_sub(started_at.get()),
            captured_at: at,
            light: light.kind,
            night: light.kind.is_night(),
            animals: self.visible(&herd, &covered),
        }
    }

    /// Every animal in the pen at a moment, with its number.
    fn herd(&mut self, at: UnixMillis) -> Vec<(usize, Moment)> {
        let (number, second) = local(at, self.spec.utc_offset_minutes);
        if !self.days.iter().any(|(known, _)| *known == number) {
            if 2 <= self.days.len() {
                self.days.pop_front();
            }
            self.days.push_back((number, self.planner.plan(number)));
        }
        let Some((_, day)) = self.days.iter().find(|(known, _)| *known == number) else {
            return Vec::new();
        };
        let now_s = at.get() as f64 / 1000.0;
        (0..self.planner.animals)
            .filter_map(|animal| {
                let key = mix(self.key ^ mix(animal as u64 + 101));
                Some((animal, moment(day, animal, second, now_s, key)?))
            })
            .collect()
    }

    /// Puts all bodies onto the canvas, and tells how many pixels each would cover alone.
    fn place(&mut self, herd: &[(usize, Moment)]) -> Vec<u32> {
        self.canvas.clear(self.scenery.iter().map(|texel| texel.depth));
        self.bodies.clear();
        let mut covered = Vec::with_capacity(herd.len());
        for (animal, moment) in herd {
            self.looks[*animal].body(&moment.posture, &mut self.parts);
            let turn = Mat3::from_cols(
                Vec3::new(libm::cosf(moment.heading), libm::sinf(moment.heading), 0.0),
                Vec3::new(-libm::sinf(moment.heading), libm::cosf(moment.heading), 0.0),
                Vec3::Z,
            );
            let first = self.bodies.len();
            let at = moment.at.extend(0.0);
            self.bodies.extend(
                self.parts
                    .iter()
                    .map(|part| Placed::new(part, *animal as u32, at, turn, &self.view.camera)),
            );
            covered.push(self.canvas.draw(&self.view, &self.bodies[first..], first as u32));
        }
        covered
    }

    /// The light that comes from each pixel.
    fn light_up(&mut self, light: &Light) {
        let eye = self.view.camera.at;
        let headlight = light.kind == LightKind::Infrared;
        // Bright enough in the middle of the pen.
        let middle = self.site.middle().extend(0.3);
        let beam = 0.75 * eye.distance_squared(middle);
        for y in 0..self.view.height {
            for x in 0..self.view.width {
                let place = y * self.view.width + x;
                let part = self.canvas.part[place];
                let (mut colour, normal, at, (shadow, shut)) = if part == NOTHING {
                    let texel = &self.scenery[place];
                    let shade = match texel.at.z < 0.02 && texel.normal.z > 0.5 {
                        true => self.shade.at(texel.at.truncate()),
                        false => (0.0, 0.0),
                    };
                    (texel.colour, texel.normal, texel.at, shade)
                } else {
                    let body = &self.bodies[part as usize];
                    let at = eye + self.view.ray(x, y) * self.canvas.depth[place];
                    let (normal, on_coat) = body.surface(at);
                    let colour = self.looks[body.animal as usize].colour(body.skin, on_coat);
                    let low = 1.0 - (at.z / 0.35).clamp(0.0, 1.0);
                    (colour, normal, at, (0.0, 0.35 * low * (0.5 - 0.5 * normal.z)))
                };
                self.linear[place] = if headlight {
                    // Hair shines in infrared, whatever its colour.
                    if part != NOTHING && self.bodies[part as usize].skin != Skin::Hoof {
                        colour = colour * 0.55 + Vec3::splat(0.22);
                    }
                    let way = (eye - at).normalize_or(Vec3::Z);
                    let facing = normal.dot(way).max(0.0);
                    colour
                        * (beam / eye.distance_squared(at) * (0.12 + 0.88 * facing) + 0.05)
                        * (1.0 - 0.5 * shut)
                } else {
                    let open = (0.55 + 0.45 * normal.z) * (1.0 - shut);
                    let facing = normal.dot(light.towards).max(0.0) * (1.0 - shadow);
                    colour * (light.sky * open + light.direct * facing)
                };
            }
        }
    }

    /// A pixel at the edge of a body shows a little of what is beside it.
    fn smooth_edges(&mut self) {
        let width = self.view.width;
        let animal = |part: u32| match part {
            NOTHING => NOTHING,
            part => self.bodies[part as usize].animal,
        };
        for y in 1..self.view.height - 1 {
            for x in 1..width - 1 {
                let place = y * width + x;
                let part = self.canvas.part[place];
                let around = [place - 1, place + 1, place - width, place + width];
                if around.iter().all(|other| self.canvas.part[*other] == part) {
                    continue;
                }
                let own = animal(part);
                if around.iter().any(|other| animal(self.canvas.part[*other]) != own) {
                    let sum: Vec3 = around.iter().map(|other| self.linear[*other]).sum();
                    self.linear[place] = self.linear[place] * 0.5 + sum * 0.125;
                }
            }
        }
    }

    /// Which pixels show an animal.
    #[cfg(test)]
    pub(crate) fn canvas_parts(&self) -> Vec<bool> {
        self.canvas.part.iter().map(|part| *part != NOTHING).collect()
    }

    /// The boxes around what is to be seen of each animal.
    fn visible(&self, herd: &[(usize, Moment)], covered: &[u32]) -> Vec<TrueAnimal> {
        #[derive(Clone, Copy)]
        struct Seen {
            pixels: u32,
            low: (usize, usize),
            high: (usize, usize),
        }
        let nothing = Seen { pixels: 0, low: (usize::MAX, usize::MAX), high: (0, 0) };
        let mut seen = vec![nothing; self.looks.len()];
        for (place, part) in
            self.canvas.part.iter().enumerate().filter(|(_, part)| **part != NOTHING)
        {
            let (x, y) = (place % self.view.width, place / self.view.width);
            let of = &mut seen[self.bodies[*part as usize].animal as usize];
            of.pixels += 1;
            of.low = (of.low.0.min(x), of.low.1.min(y));
            of.high = (of.high.0.max(x), of.high.1.max(y));
        }
        let (width, height) = (self.view.width as f32, self.view.height as f32);
        let animals = herd.iter().zip(covered).filter_map(|((animal, moment), alone)| {
            let Seen { pixels, low, high } = seen[*animal];
            (0 < pixels).then(|| TrueAnimal {
                id: *animal as u32 + 1,
                posture: if moment.lies() { Posture::Lying } else { Posture::Standing },
                activity: moment.activity,
                x: low.0 as f32 / width,
                y: low.1 as f32 / height,
                w: (high.0 + 1 - low.0) as f32 / width,
                h: (high.1 + 1 - low.1) as f32 / height,
                visible: pixels as f32 / *alone as f32,
            })
        });
        animals.collect()
    }
}

impl PenSpec {
    /// Whether there can be such a pen.
    ///
    /// # Errors
    ///
    /// Says what cannot be.
    pub fn check(&self) -> Result<(), InvalidPen> {
        if !(1..=ANIMALS_MAX).contains(&self.animals) {
            return Err(InvalidPen::Animals(self.animals));
        }
        let fits = |side: u32| (64..=4096).contains(&side) && side.is_multiple_of(2);
        if !fits(self.width) || !fits(self.height) {
            return Err(InvalidPen::Size { width: self.width, height: self.height });
        }
        self.rhythm.budget.check()?;
        let back = |minute: &&u32| (**minute as f32 + self.rhythm.milking_minutes) < 1405.0;
        if let Some(minute) = self.rhythm.milkings.iter().find(|minute| !back(minute)) {
            return Err(InvalidPen::Milking(*minute));
        }
        Ok(())
    }
}
