//! The pen itself: its floor, fence and furniture, and where its camera hangs. All
//! drawn from the seed.

use std::f32::consts::TAU;

use glam::{Vec2, Vec3};

use crate::camera::Camera;
use crate::chance::Chance;
use crate::spots::{SpotKind, Spots};

/// What stands in a pen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Furniture {
    /// Hay behind a low wall, eaten from the side it faces.
    Feeder {
        from: Vec2,
        to: Vec2,
        faces: Vec2,
    },
    Trough {
        at: Vec2,
        radius: f32,
    },
    Brush {
        at: Vec2,
        radius: f32,
    },
    Bale {
        at: Vec2,
        half: Vec3,
    },
}

impl Furniture {
    /// Metres from `at` to its edge.
    pub(crate) fn distance(&self, at: Vec2) -> f32 {
        match *self {
            Furniture::Feeder { from, to, .. } => {
                let along = (to - from).normalize_or_zero();
                let reach = (at - from).dot(along).clamp(0.0, from.distance(to));
                at.distance(from + along * reach) - 0.3
            }
            Furniture::Trough { at: middle, radius } | Furniture::Brush { at: middle, radius } => {
                at.distance(middle) - radius
            }
            Furniture::Bale { at: middle, half } => at.distance(middle) - half.truncate().length(),
        }
    }
}

/// What the floor is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Floor {
    Concrete,
    Straw,
    Earth,
    Slats,
    Grass,
}

const FLOORS: [Floor; 5] =
    [Floor::Straw, Floor::Concrete, Floor::Earth, Floor::Slats, Floor::Grass];

/// How the pen is lit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Lighting {
    /// A roof keeps the sun out.
    pub(crate) indoor: bool,
    /// A lamp burns in the evening.
    pub(crate) lamp: bool,
    /// Where the sun is at noon, radians from the x axis.
    pub(crate) south: f32,
}

/// A pen, metres: the floor is `width` along x and `depth` along y, and z points up.
/// Its camera looks over the fence at y = 0.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    pub(crate) key: u64,
    pub(crate) width: f32,
    pub(crate) depth: f32,
    pub(crate) furniture: Vec<Furniture>,
    /// Behind the fence, where the herd waits to be milked.
    pub(crate) gate: Vec2,
    pub(crate) floor: Floor,
    /// Height of a wall at the back; 0 is a fence.
    pub(crate) wall: f32,
    /// Heights of the fence's rails.
    pub(crate) rails: Vec<f32>,
    /// Linear colour of walls and fence.
    pub(crate) paint: Vec3,
    pub(crate) lighting: Lighting,
    pub(crate) camera: Camera,
}

/// Floor that one animal has, square metres.
const ROOM: (f32, f32) = (1.8, 3.4);

impl Site {
    /// The pen that `key` means, with room for `animals`, seen in pictures of `aspect`
    /// (width over height), and where in it an animal can be: larger, if need be, until
    /// there are more spots on the ground than animals.
    pub(crate) fn new(key: u64, animals: u32, aspect: f32) -> (Site, Spots) {
        let mut larger = 1.0;
        loop {
            let site = Site::of_size(key, animals, aspect, larger);
            let spots = Spots::of_site(&site, &mut Chance::of(&[key, 0x8E6D]));
            if animals as usize + 1 < spots.of(SpotKind::Ground).len() {
                return (site, spots);
            }
            larger *= 1.1;
        }
    }

    fn of_size(key: u64, animals: u32, aspect: f32, larger: f32) -> Site {
        let mut chance = Chance::of(&[key, 0x517E]);
        let room = larger * (animals.max(3) as f32 * chance.between(ROOM.0, ROOM.1)).max(11.0);
        let shape = chance.between(1.1, 1.8);
        let (width, depth) = ((room * shape).sqrt(), libm::sqrtf(room / shape));
        let furniture = furniture(width, depth, &mut chance);
        let floor = FLOORS[chance.weighted(&[0.4, 0.2, 0.18, 0.12, 0.1])];
        let indoor = floor != Floor::Grass && chance.happens(0.6);
        let wall = match indoor || chance.happens(0.3) {
            true => chance.between(0.9, 2.2),
            false => 0.0,
        };
        let rails = match chance.place(3) {
            0 => vec![0.45, 0.95],
            1 => vec![0.3, 0.6, 0.9],
            _ => vec![0.25, 0.55, 0.85, 1.15],
        };
        let tone = chance.between(0.06, 0.5);
        let warm = chance.between(-0.25, 0.35);
        let paint = Vec3::new(tone * (1.0 + warm), tone, tone * (1.0 - warm));
        let lighting = Lighting {
            indoor,
            lamp: indoor && chance.happens(0.7),
            south: chance.between(0.0, TAU),
        };
        let camera = camera(width, depth, aspect, &mut chance);
        Site {
            key,
            width,
            depth,
            furniture,
            gate: Vec2::new(-1.1, depth * chance.between(0.3, 0.7)),
            floor,
            wall,
            rails,
            paint,
            lighting,
            camera,
        }
    }

    pub(crate) fn middle(&self) -> Vec2 {
        Vec2::new(self.width, self.depth) * 0.5
    }
}

fn furniture(width: f32, depth: f32, chance: &mut Chance) -> Vec<Furniture> {
    let mut furniture = Vec::new();
    let (low, high) = (chance.between(0.08, 0.2), chance.between(0.7, 0.95));
    // Along the back, or along one side.
    let feeder = match chance.place(3) {
        0 => (Vec2::new(width, low * depth), Vec2::new(width, high * depth), Vec2::NEG_X),
        _ => (Vec2::new(low * width, depth), Vec2::new(high * width, depth), Vec2::NEG_Y),
    };
    furniture.push(Furniture::Feeder { from: feeder.0, to: feeder.1, faces: feeder.2 });
    let radius = chance.between(0.16, 0.28);
    furniture.push(Furniture::Trough {
        at: Vec2::new(radius + 0.1, depth - radius - chance.between(0.1, 0.6)),
        radius,
    });
    let brush = Vec2::new(width * chance.between(0.3, 0.75), depth * chance.between(0.25, 0.6));
    furniture.push(Furniture::Brush { at: brush, radius: chance.between(0.08, 0.14) });
    if chance.happens(0.4) && 9.0 < width * depth {
        let half = Vec3::new(chance.between(0.25, 0.5), 0.22, chance.between(0.15, 0.25));
        let at = Vec2::new(width * chance.between(0.2, 0.8), depth * chance.between(0.4, 0.8));
        furniture.push(Furniture::Bale { at, half });
    }
    furniture
}

fn camera(width: f32, depth: f32, aspect: f32, chance: &mut Chance) -> Camera {
    let along = match chance.place(3) {
        0 => chance.between(0.02, 0.22),
        1 => chance.between(0.78, 0.98),
        _ => chance.between(0.3, 0.7),
    };
    let back = chance.between(0.12, 0.4) * width;
    let height = chance.between(2.0, 3.0) + 0.36 * depth;
    let at = Vec3::new(along * width, -back, height);
    let mut corners = Vec::new();
    for x in [0.0, width] {
        for y in [0.0, depth] {
            corners.extend([Vec3::new(x, y, 0.0), Vec3::new(x, y, 0.7)]);
        }
    }
    let tilt = chance.between(-0.03, 0.03);
    Camera::on(at, &corners, aspect, tilt, chance.between(0.98, 1.08))
}
