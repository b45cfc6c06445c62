//! Everything that does not move, seen by the camera once: for each pixel what is
//! there, how far away, and how it would answer to light.

use glam::{Vec2, Vec3};

use crate::chance::{Chance, fractal, noise};
use crate::raster::{View, screen_box};
use crate::site::{Floor, Furniture, Site};

/// What one pixel of the empty pen shows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Texel {
    /// Linear colour.
    pub(crate) colour: Vec3,
    pub(crate) normal: Vec3,
    /// Metres in the pen.
    pub(crate) at: Vec3,
    /// Metres along the camera's direction.
    pub(crate) depth: f32,
}

/// A box along the axes.
struct Block {
    low: Vec3,
    high: Vec3,
    colour: Vec3,
    /// How strong the grain of its surface is, and how long along x.
    grain: f32,
    stretch: f32,
}

/// The empty pen in front of a camera, row by row.
pub(crate) fn scenery(site: &Site, view: &View) -> Vec<Texel> {
    let floor = FloorLook::new(site);
    let mut texels: Vec<Texel> = Vec::with_capacity(view.width * view.height);
    for y in 0..view.height {
        for x in 0..view.width {
            texels.push(floor.texel(site, view.ray(x, y)));
        }
    }
    for block in blocks(site) {
        let corners = (0..8).map(|corner| {
            let pick =
                |bit: u8, low: f32, high: f32| if corner >> bit & 1 == 0 { low } else { high };
            Vec3::new(
                pick(0, block.low.x, block.high.x),
                pick(1, block.low.y, block.high.y),
                pick(2, block.low.z, block.high.z),
            )
        });
        let Some((columns, rows)) = screen_box(view, corners) else { continue };
        for y in rows {
            for x in columns.clone() {
                let texel = &mut texels[y * view.width + x];
                if let Some((depth, normal)) = block.hit(site.camera.at, view.ray(x, y))
                    && depth < texel.depth
                {
                    let at = site.camera.at + view.ray(x, y) * depth;
                    *texel = Texel { colour: block.look(site.key, at), normal, at, depth };
                }
            }
        }
    }
    texels
}

impl Block {
    fn new(low: Vec3, high: Vec3, colour: Vec3, grain: f32, stretch: f32) -> Block {
        Block { low, high, colour, grain, stretch }
    }

    /// Where a ray meets it (slab method), and the normal there.
    fn hit(&self, from: Vec3, ray: Vec3) -> Option<(f32, Vec3)> {
        let inverse = ray.recip();
        let (a, b) = ((self.low - from) * inverse, (self.high - from) * inverse);
        let (near, far) = (a.min(b), a.max(b));
        let (enter, leave) = (near.max_element(), far.min_element());
        if leave < enter || enter <= 0.05 {
            return None;
        }
        let axis = if near.y.max(near.z) <= near.x {
            Vec3::X
        } else if near.z <= near.y {
            Vec3::Y
        } else {
            Vec3::Z
        };
        Some((enter, axis * -ray.dot(axis).signum()))
    }

    fn look(&self, key: u64, at: Vec3) -> Vec3 {
        let s = Vec3::new(9.0 / self.stretch, 9.0, 24.0);
        let rough = fractal(key ^ 0xB0, at.x * s.x, at.y * s.y, at.z * s.z);
        self.colour * (1.0 + self.grain * (rough - 0.5) * 2.0)
    }
}

const HAY: Vec3 = Vec3::new(0.34, 0.29, 0.1);

fn blocks(site: &Site) -> Vec<Block> {
    let mut blocks = Vec::new();
    let (width, depth) = (site.width, site.depth);
    let mut chance = Chance::of(&[site.key, 0xB10C]);
    for furniture in &site.furniture {
        match *furniture {
            Furniture::Feeder { from, to, faces } => {
                let (low, high) = (from.min(to), from.max(to));
                let thick = faces.abs() * 0.05;
                let wall = Vec3::new(0.4, 0.38, 0.35) * chance.between(0.4, 1.2);
                let height = chance.between(0.3, 0.5);
                blocks.push(Block::new(
                    low.extend(0.0),
                    (high + thick).extend(height),
                    wall,
                    0.25,
                    1.0,
                ));
                // Behind it, hay.
                let behind = [low - faces * 0.05, high - faces * 0.5];
                let (low, high) = (behind[0].min(behind[1]), behind[0].max(behind[1]));
                blocks.push(Block::new(low.extend(0.0), high.extend(height * 0.8), HAY, 1.1, 0.35));
            }
            Furniture::Trough { at, radius } => {
                let rim = Vec3::new(0.2, 0.22, 0.26) * chance.between(0.5, 1.6);
                let (low, high) = (at - radius, at + radius);
                blocks.push(Block::new(low.extend(0.0), high.extend(0.34), rim, 0.1, 1.0));
                let water = Vec3::new(0.07, 0.09, 0.11);
                blocks.push(Block::new(
                    (low + 0.04).extend(0.3),
                    (high - 0.04).extend(0.345),
                    water,
                    0.2,
                    1.0,
                ));
            }
            Furniture::Brush { at, radius } => {
                let bristles = [
                    Vec3::new(0.3, 0.05, 0.04),
                    Vec3::new(0.05, 0.2, 0.07),
                    Vec3::new(0.28, 0.22, 0.05),
                ];
                let colour = bristles[chance.place(bristles.len())];
                let r = radius * 0.8;
                blocks.push(Block::new(
                    (at - r).extend(0.0),
                    (at + r).extend(0.95),
                    colour,
                    0.9,
                    0.2,
                ));
                let post = radius * 0.3;
                blocks.push(Block::new(
                    (at - post).extend(0.0),
                    (at + post).extend(1.2),
                    Vec3::splat(0.2),
                    0.1,
                    1.0,
                ));
            }
            Furniture::Bale { at, half } => {
                let (low, high) = (at - half.truncate(), at + half.truncate());
                blocks.push(Block::new(
                    low.extend(0.0),
                    high.extend(2.0 * half.z),
                    HAY * 1.1,
                    0.9,
                    1.5,
                ));
            }
        }
    }
    let behind = depth + 0.62;
    if 0.0 < site.wall {
        let high = Vec3::new(width + 1.2, behind + 0.1, site.wall);
        blocks.push(Block::new(Vec3::new(-1.2, behind, 0.0), high, site.paint, 0.3, 3.0));
    } else {
        fence(site, Vec2::new(0.0, behind), Vec2::new(width, behind), &mut blocks);
    }
    fence(site, Vec2::ZERO, Vec2::new(width, 0.0), &mut blocks);
    fence(site, Vec2::new(0.0, 0.0), Vec2::new(0.0, behind), &mut blocks);
    fence(site, Vec2::new(width, 0.0), Vec2::new(width, behind), &mut blocks);
    blocks
}

fn fence(site: &Site, from: Vec2, to: Vec2, blocks: &mut Vec<Block>) {
    let length = from.distance(to);
    let count = (length / 1.8).ceil().max(1.0) as u32;
    let top = site.rails.last().copied().unwrap_or(1.0);
    for post in 0..=count {
        let at = from.lerp(to, post as f32 / count as f32);
        let half = Vec2::splat(0.035);
        let high = (at + half).extend(top + 0.1);
        blocks.push(Block::new((at - half).extend(0.0), high, site.paint, 0.35, 1.0));
    }
    for rail in &site.rails {
        let low = (from.min(to) - 0.014).extend(rail - 0.022);
        let high = (from.max(to) + 0.014).extend(rail + 0.022);
        blocks.push(Block::new(low, high, site.paint, 0.3, 4.0));
    }
}

/// How the floor looks.
struct FloorLook {
    base: Vec3,
    other: Vec3,
    soil: f32,
}

impl FloorLook {
    fn new(site: &Site) -> FloorLook {
        let mut chance = Chance::of(&[site.key, 0xF100]);
        let (base, other) = match site.floor {
            Floor::Concrete => (Vec3::new(0.3, 0.29, 0.27), Vec3::new(0.17, 0.16, 0.14)),
            Floor::Straw => (Vec3::new(0.5, 0.38, 0.16), Vec3::new(0.2, 0.13, 0.06)),
            Floor::Earth => (Vec3::new(0.19, 0.13, 0.085), Vec3::new(0.1, 0.07, 0.045)),
            Floor::Slats => (Vec3::new(0.3, 0.24, 0.17), Vec3::new(0.2, 0.16, 0.12)),
            Floor::Grass => (Vec3::new(0.09, 0.17, 0.04), Vec3::new(0.16, 0.14, 0.06)),
        };
        let shade = chance.between(0.7, 1.3);
        FloorLook { base: base * shade, other: other * shade, soil: chance.between(0.3, 0.75) }
    }

    /// What a ray to the floor shows; above the horizon, something far away.
    fn texel(&self, site: &Site, ray: Vec3) -> Texel {
        let from = site.camera.at;
        let depth = if ray.z < -1e-3 { -from.z / ray.z } else { f32::INFINITY };
        if 60.0 < depth {
            let at = from + ray * 60.0;
            let colour = site.paint * (0.5 + noise(site.key, ray.x * 5.0, ray.z * 8.0, 0.0));
            return Texel { colour, normal: Vec3::Z, at, depth: 60.0 };
        }
        let at = from + ray * depth;
        let inside =
            (-0.1..site.width + 0.1).contains(&at.x) && (-0.1..site.depth + 0.1).contains(&at.y);
        let colour = if inside { self.inside(site, at) } else { outside(site, at) };
        Texel { colour, normal: Vec3::Z, at, depth }
    }

    fn inside(&self, site: &Site, at: Vec3) -> Vec3 {
        let key = site.key;
        let patches = fractal(key ^ 0xF1, at.x * 0.9, at.y * 0.9, 0.0);
        let fine = match site.floor {
            // Blades that lie in all directions.
            Floor::Straw | Floor::Grass => {
                let blades = [0.3_f32, 1.35, 2.5].into_iter().zip(0_u64..).map(|(turn, layer)| {
                    let bent = turn + 0.7 * noise(key ^ 0xF2, at.x * 1.3, at.y * 1.3, turn);
                    let (sin, cos) = (libm::sinf(bent), libm::cosf(bent));
                    let (u, v) = (at.x * cos + at.y * sin, at.y * cos - at.x * sin);
                    noise(key ^ (0xF3 + layer), u * 75.0, v * 11.0, turn)
                });
                0.1 + 1.25 * blades.fold(0.0, f32::max)
            }
            _ => 0.75 + 0.5 * fractal(key ^ 0xF3, at.x * 22.0, at.y * 22.0, 0.0),
        };
        let soiled = ((patches - 0.5) * 5.0 + self.soil).clamp(0.0, 1.0);
        let mut colour = self.base.lerp(self.other, soiled) * fine;
        if site.floor == Floor::Slats && (at.x / 0.16).rem_euclid(1.0) < 0.17 {
            colour *= 0.15;
        }
        let dung = fractal(key ^ 0xF5, at.x * 4.0, at.y * 4.0, 0.0);
        if 0.71 < dung {
            colour = colour.lerp(Vec3::new(0.05, 0.038, 0.025), 0.8);
        }
        colour
    }
}

fn outside(site: &Site, at: Vec3) -> Vec3 {
    let rough = fractal(site.key ^ 0xF7, at.x * 6.0, at.y * 6.0, 0.0);
    let earth = Vec3::new(0.2, 0.17, 0.13);
    let green = Vec3::new(0.1, 0.15, 0.05);
    let mix = noise(site.key ^ 0xF8, at.x * 0.4, at.y * 0.4, 0.0);
    let ground = if site.lighting.indoor { earth } else { earth.lerp(green, mix) };
    ground * (0.6 + 0.8 * rough)
}
