//! Shadows on the floor, as two maps of it: what keeps the direct light away, and what
//! keeps the sky away.

use glam::{Mat2, Vec2, Vec3};

use crate::light::Light;
use crate::raster::Placed;
use crate::site::Site;

/// Metres of a map's cell.
const CELL: f32 = 0.04;
/// Metres of floor around the pen that take shadows.
const AROUND: f32 = 1.2;

/// How dark the floor is, 0 to 1, cell by cell.
#[derive(Debug)]
pub(crate) struct Shade {
    columns: usize,
    rows: usize,
    direct: Vec<f32>,
    sky: Vec<f32>,
}

impl Shade {
    pub(crate) fn new(site: &Site) -> Shade {
        let cells = |length: f32| ((length + 2.0 * AROUND) / CELL).ceil() as usize;
        let (columns, rows) = (cells(site.width), cells(site.depth));
        let map = vec![0.0; columns * rows];
        Shade { columns, rows, direct: map.clone(), sky: map }
    }

    /// The shadows of these bodies in this light, instead of all earlier ones.
    pub(crate) fn cast(&mut self, bodies: &[Placed], light: &Light) {
        self.direct.fill(0.0);
        self.sky.fill(0.0);
        let slope = light.towards.truncate() / light.towards.z.max(0.12);
        let directed = light.direct != Vec3::ZERO;
        for body in bodies {
            let height = body.middle.z.max(0.0);
            if directed {
                let at = body.middle.truncate() - slope * height;
                let spread = 0.015 + light.soft * height;
                let map = (self.direct.as_mut_slice(), self.columns, self.rows);
                blot(map, at, flat(body, slope), spread, 1.0);
            }
            let strength = 0.62 * libm::expf(-height * 3.2);
            let map = (self.sky.as_mut_slice(), self.columns, self.rows);
            blot(
                map,
                body.middle.truncate(),
                flat(body, Vec2::ZERO),
                0.05 + 0.35 * height,
                strength,
            );
        }
    }

    /// How much of the direct light and of the sky's is kept from a place on the floor.
    pub(crate) fn at(&self, place: Vec2) -> (f32, f32) {
        let cell = (place + AROUND) / CELL - 0.5;
        let low = cell.floor();
        let (x, y) = (low.x as isize, low.y as isize);
        let columns = isize::try_from(self.columns).unwrap_or(0);
        let rows = isize::try_from(self.rows).unwrap_or(0);
        if x < 0 || y < 0 || columns <= x + 1 || rows <= y + 1 {
            return (0.0, 0.0);
        }
        let (x, y) = (x as usize, y as usize);
        let t = cell - low;
        let read = |map: &[f32]| {
            let at = y * self.columns + x;
            let (a, b) = (map[at], map[at + 1]);
            let (c, d) = (map[at + self.columns], map[at + self.columns + 1]);
            let (upper, lower) = (a + (b - a) * t.x, c + (d - c) * t.x);
            upper + (lower - upper) * t.y
        };
        (read(&self.direct), read(&self.sky))
    }
}

/// The shadow of an ellipsoid on the floor is an ellipse: the unit circle under this
/// matrix times its own transpose.
fn flat(body: &Placed, slope: Vec2) -> Mat2 {
    let drop = |axis: Vec3| axis.truncate() - slope * axis.z;
    let (a, b, c) = (drop(body.axes.x_axis), drop(body.axes.y_axis), drop(body.axes.z_axis));
    let outer = |v: Vec2| Mat2::from_cols(v * v.x, v * v.y);
    outer(a) + outer(b) + outer(c)
}

/// Darkens an ellipse, softly over `spread` metres.
fn blot(
    (map, columns, rows): (&mut [f32], usize, usize),
    at: Vec2,
    form: Mat2,
    spread: f32,
    strength: f32,
) {
    let form = form + Mat2::from_diagonal(Vec2::splat(spread * spread));
    let inverse = form.inverse();
    // The ellipse's shadow fades out at 1.7 of its radius.
    let reach = Vec2::new(form.x_axis.x.sqrt(), form.y_axis.y.sqrt()) * 1.7;
    let low = ((at - reach + AROUND) / CELL).floor().max(Vec2::ZERO);
    let high = ((at + reach + AROUND) / CELL).ceil().max(Vec2::ZERO);
    let (x_end, y_end) = ((high.x as usize).min(columns), (high.y as usize).min(rows));
    let radius = reach.min_element() / 1.7;
    let soft = (spread / radius.max(0.01)).clamp(0.05, 0.7);
    for y in low.y as usize..y_end {
        for x in low.x as usize..x_end {
            let place = (Vec2::new(x as f32, y as f32) + 0.5) * CELL - AROUND;
            let off = place - at;
            let away = off.dot(inverse * off).sqrt();
            let dark = ((1.0 + soft - away) / (2.0 * soft)).clamp(0.0, 1.0) * strength;
            let cell = &mut map[y * columns + x];
            *cell = cell.max(dark);
        }
    }
}
