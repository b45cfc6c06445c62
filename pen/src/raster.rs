//! Ellipsoids onto pixels, the nearest in front.

use std::ops::Range;

use glam::{Mat3, Vec2, Vec3};

use crate::camera::Camera;
use crate::goat::{Part, Skin};

/// A camera and its picture's size, pixels.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) camera: Camera,
    pub(crate) width: usize,
    pub(crate) height: usize,
}

impl View {
    /// The way that a pixel's middle sees.
    #[inline]
    pub(crate) fn ray(&self, x: usize, y: usize) -> Vec3 {
        let scale = 2.0 / self.width as f32;
        let at = Vec2::new(
            (x as f32 + 0.5) * scale - 1.0,
            (y as f32 + 0.5 - 0.5 * self.height as f32) * scale,
        );
        self.camera.ray(at)
    }

    /// A point's place, pixels.
    fn pixel(&self, point: Vec3) -> Option<Vec2> {
        let (at, _) = self.camera.project(point)?;
        let half = 0.5 * self.width as f32;
        Some(Vec2::new((at.x + 1.0) * half, at.y * half + 0.5 * self.height as f32))
    }
}

/// The columns and rows that hold all points; `None` if none is in the picture. A point
/// behind the camera may be anywhere.
pub(crate) fn screen_box(
    view: &View,
    points: impl Iterator<Item = Vec3>,
) -> Option<(Range<usize>, Range<usize>)> {
    let (mut low, mut high) = (Vec2::MAX, Vec2::MIN);
    for point in points {
        let Some(pixel) = view.pixel(point) else {
            return Some((0..view.width, 0..view.height));
        };
        (low, high) = (low.min(pixel), high.max(pixel));
    }
    let side = |low: f32, high: f32, length: usize| {
        let from = low.floor().clamp(0.0, length as f32) as usize;
        let to = (high.ceil() + 1.0).clamp(0.0, length as f32) as usize;
        from..to
    };
    let columns = side(low.x, high.x, view.width);
    let rows = side(low.y, high.y, view.height);
    (!columns.is_empty() && !rows.is_empty()).then_some((columns, rows))
}

/// An ellipsoid in the pen, ready to be met by the camera's rays.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placed {
    pub(crate) skin: Skin,
    pub(crate) animal: u32,
    pub(crate) middle: Vec3,
    pub(crate) axes: Mat3,
    /// To the unit sphere.
    inverse: Mat3,
    /// The camera, seen from the unit sphere.
    eye: Vec3,
    rest: Vec3,
    half: Vec3,
}

impl Placed {
    /// A part of the animal that stands at `at` and is turned by `turn`.
    pub(crate) fn new(part: &Part, animal: u32, at: Vec3, turn: Mat3, camera: &Camera) -> Placed {
        let middle = at + turn * part.middle;
        let axes = turn * part.axes;
        let inverse = axes.inverse();
        let eye = inverse * (camera.at - middle);
        Placed {
            skin: part.skin,
            animal,
            middle,
            axes,
            inverse,
            eye,
            rest: part.rest,
            half: part.half,
        }
    }

    /// How far along a ray of the camera it begins.
    #[inline]
    fn hit(&self, ray: Vec3) -> Option<f32> {
        let way = self.inverse * ray;
        let (a, b) = (way.length_squared(), self.eye.dot(way));
        let c = self.eye.length_squared() - 1.0;
        let root = b * b - a * c;
        if root <= 0.0 {
            return None;
        }
        let depth = (-b - root.sqrt()) / a;
        (0.05 < depth).then_some(depth)
    }

    /// The outward normal at a point of it, and that point on the standing animal.
    pub(crate) fn surface(&self, point: Vec3) -> (Vec3, Vec3) {
        let unit = self.inverse * (point - self.middle);
        let normal = (self.inverse.transpose() * unit).normalize_or(Vec3::Z);
        (normal, self.rest + unit * self.half)
    }

    fn corners(&self) -> impl Iterator<Item = Vec3> {
        (0..8).map(|corner| {
            let sign = |bit: u8| if corner >> bit & 1 == 0 { -1.0 } else { 1.0 };
            self.middle + self.axes * Vec3::new(sign(0), sign(1), sign(2))
        })
    }
}

/// The number of no part.
pub(crate) const NOTHING: u32 = u32::MAX;

/// For each pixel the nearest part and its depth.
#[derive(Debug)]
pub(crate) struct Canvas {
    pub(crate) depth: Vec<f32>,
    pub(crate) part: Vec<u32>,
    /// One animal alone, before it is known what hides it.
    alone: Vec<(f32, u32)>,
}

impl Canvas {
    pub(crate) fn new(pixels: usize) -> Canvas {
        Canvas {
            depth: vec![0.0; pixels],
            part: vec![NOTHING; pixels],
            alone: vec![(f32::INFINITY, NOTHING); pixels],
        }
    }

    /// Begins with what does not move.
    pub(crate) fn clear(&mut self, depths: impl Iterator<Item = f32>) {
        self.part.fill(NOTHING);
        for (to, depth) in self.depth.iter_mut().zip(depths) {
            *to = depth;
        }
    }

    /// Draws one animal's parts, whose numbers begin with `first`, and tells how many
    /// pixels it would cover if nothing hid it.
    pub(crate) fn draw(&mut self, view: &View, parts: &[Placed], first: u32) -> u32 {
        let (mut columns, mut rows) = (view.width..0, view.height..0);
        for (number, part) in (first..).zip(parts) {
            let Some((across, down)) = screen_box(view, part.corners()) else { continue };
            columns = columns.start.min(across.start)..columns.end.max(across.end);
            rows = rows.start.min(down.start)..rows.end.max(down.end);
            for y in down {
                for x in across.clone() {
                    let Some(depth) = part.hit(view.ray(x, y)) else { continue };
                    let pixel = &mut self.alone[y * view.width + x];
                    if depth < pixel.0 {
                        *pixel = (depth, number);
                    }
                }
            }
        }
        let mut covered = 0;
        for y in rows {
            for place in y * view.width + columns.start..y * view.width + columns.end {
                let (depth, number) = self.alone[place];
                if number == NOTHING {
                    continue;
                }
                covered += 1;
                self.alone[place] = (f32::INFINITY, NOTHING);
                if depth < self.depth[place] {
                    self.depth[place] = depth;
                    self.part[place] = number;
                }
            }
        }
        covered
    }
}
