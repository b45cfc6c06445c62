//! One animal: its build and coat, and its body in a posture, as ellipsoids.
//!
//! Each part of a body is an ellipsoid around a bone. Both postures have the same
//! bones, so getting up and lying down are the ways between them.

use glam::{Mat3, Vec3};

use crate::chance::{Chance, fractal, noise};

/// What a part is covered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Skin {
    Trunk,
    Neck,
    Head,
    Muzzle,
    Ear,
    Horn,
    Leg,
    Hoof,
    Udder,
}

/// The patterns that goats' coats have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pattern {
    Plain,
    /// Another colour on the legs, the face and along the back.
    Points,
    Pied,
    /// A head of another colour.
    Hooded,
    Roan,
}

/// How an animal looks; it keeps it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Looks {
    /// Of the size of a grown goat, 0.72 m at the withers.
    pub(crate) size: f32,
    pub(crate) stout: f32,
    horned: bool,
    bearded_udder: f32,
    pattern: Pattern,
    /// Linear colours.
    coat: Vec3,
    marks: Vec3,
    key: u64,
}

const COATS: [Vec3; 9] = [
    Vec3::new(0.78, 0.74, 0.66),
    Vec3::new(0.64, 0.56, 0.44),
    Vec3::new(0.33, 0.18, 0.09),
    Vec3::new(0.20, 0.10, 0.05),
    Vec3::new(0.035, 0.033, 0.033),
    Vec3::new(0.45, 0.33, 0.20),
    Vec3::new(0.24, 0.23, 0.22),
    Vec3::new(0.42, 0.40, 0.38),
    Vec3::new(0.09, 0.07, 0.05),
];

impl Looks {
    pub(crate) fn new(key: u64, young: bool, breed: usize) -> Looks {
        let mut chance = Chance::of(&[key, 0x60A7]);
        // A herd is mostly of its breed.
        let coat =
            if chance.happens(0.6) { breed % COATS.len() } else { chance.place(COATS.len()) };
        let marks = chance.place(COATS.len());
        let patterns =
            [Pattern::Plain, Pattern::Points, Pattern::Pied, Pattern::Hooded, Pattern::Roan];
        let shade = chance.between(0.8, 1.2);
        let size = if young { chance.between(0.55, 0.8) } else { chance.between(0.86, 1.14) };
        Looks {
            size,
            stout: chance.between(0.86, 1.18),
            horned: chance.happens(0.55) && !young,
            bearded_udder: if young { 0.0 } else { chance.between(0.3, 1.0) },
            pattern: patterns[chance.weighted(&[0.34, 0.24, 0.2, 0.1, 0.12])],
            coat: COATS[coat] * shade,
            marks: COATS[marks] * shade,
            key,
        }
    }

    /// The linear colour of the body at `at`, a point of the standing animal.
    pub(crate) fn colour(&self, skin: Skin, at: Vec3) -> Vec3 {
        let hair = 0.82 + 0.36 * fractal(self.key ^ 1, at.x * 14.0, at.y * 30.0, at.z * 22.0);
        let dirt = noise(self.key ^ 2, at.x * 5.0, at.y * 5.0, at.z * 5.0);
        let colour = match skin {
            Skin::Horn => Vec3::new(0.23, 0.2, 0.16),
            Skin::Hoof => Vec3::splat(0.05),
            Skin::Udder => Vec3::new(0.55, 0.36, 0.3),
            _ if self.marked(skin, at) => self.marks,
            _ => self.coat,
        };
        let soiled = matches!(skin, Skin::Leg) || (skin == Skin::Trunk && at.z < 0.42);
        let mud = if soiled { 0.45 * (dirt - 0.45).max(0.0) } else { 0.0 };
        (colour * hair).lerp(Vec3::new(0.11, 0.085, 0.06), mud)
    }

    fn marked(&self, skin: Skin, at: Vec3) -> bool {
        match self.pattern {
            Pattern::Plain => false,
            Pattern::Points => match skin {
                Skin::Leg | Skin::Muzzle | Skin::Ear => true,
                Skin::Trunk => at.y.abs() < 0.035 && 0.6 < at.z,
                Skin::Head => 0.028 < at.y.abs() && at.y.abs() < 0.05,
                _ => false,
            },
            Pattern::Pied => 0.52 < fractal(self.key, at.x * 3.4, at.y * 3.4, at.z * 3.4),
            Pattern::Hooded => {
                matches!(skin, Skin::Head | Skin::Muzzle | Skin::Ear)
                    || (skin == Skin::Neck && 0.66 < at.z)
            }
            Pattern::Roan => 0.55 < noise(self.key, at.x * 60.0, at.y * 60.0, at.z * 60.0),
        }
    }
}

/// How an animal holds itself at a moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Posture {
    /// 0 stands, 1 lies.
    pub(crate) down: f32,
    /// Phase of the step, radians, and how far the legs swing, radians.
    pub(crate) step: f32,
    pub(crate) swing: f32,
    /// Of the neck: radians up from level, and to the left.
    pub(crate) neck_up: f32,
    pub(crate) neck_left: f32,
    /// Of the head against level: down, radians.
    pub(crate) nod: f32,
    /// Which side it lies on: -1 or 1.
    pub(crate) side: f32,
    pub(crate) breath: f32,
}

/// An ellipsoid of a body, in the animal's metres: x ahead, y left, z up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    pub(crate) skin: Skin,
    pub(crate) middle: Vec3,
    /// Columns are the half axes.
    pub(crate) axes: Mat3,
    /// Its middle and half axes on the standing animal, for the coat's pattern.
    pub(crate) rest: Vec3,
    pub(crate) half: Vec3,
}

/// A bone of a posture: from, to, and the radii across it (sideways, upright).
#[derive(Clone, Copy)]
struct Bone(Vec3, Vec3, f32, f32);

impl Bone {
    fn lerp(self, to: Bone, t: f32) -> Bone {
        let blend = |a: f32, b: f32| a + (b - a) * t;
        Bone(self.0.lerp(to.0, t), self.1.lerp(to.1, t), blend(self.2, to.2), blend(self.3, to.3))
    }
}

const fn v(x: f32, y: f32, z: f32) -> Vec3 {
    Vec3::new(x, y, z)
}

/// Trunk: chest, barrel and rump, standing and lying.
const TRUNK: [(Bone, Bone); 3] = [
    (
        Bone(v(0.36, 0.0, 0.56), v(0.04, 0.0, 0.53), 0.145, 0.195),
        Bone(v(0.36, 0.0, 0.24), v(0.04, 0.0, 0.22), 0.16, 0.19),
    ),
    (
        Bone(v(0.34, 0.0, 0.54), v(-0.36, 0.0, 0.52), 0.175, 0.195),
        Bone(v(0.34, 0.0, 0.21), v(-0.36, 0.0, 0.2), 0.205, 0.19),
    ),
    (
        Bone(v(-0.08, 0.0, 0.55), v(-0.44, 0.0, 0.56), 0.15, 0.175),
        Bone(v(-0.08, 0.0, 0.22), v(-0.44, 0.0, 0.2), 0.17, 0.175),
    ),
];

/// Where the neck begins, standing and lying.
const NECK: (Vec3, Vec3) = (v(0.27, 0.0, 0.63), v(0.27, 0.0, 0.31));

impl Looks {
    /// The body in a posture. Always the same parts in the same order.
    pub(crate) fn body(&self, posture: &Posture, parts: &mut Vec<Part>) {
        parts.clear();
        let down = posture.down;
        let stout = self.stout * (1.0 + 0.012 * posture.breath);
        let mut add = |skin, standing: Bone, now: Bone| {
            let (_, rest, half) = ellipsoid(standing);
            let (axes, middle, _) = ellipsoid(now);
            parts.push(Part { skin, middle, axes, rest, half });
        };
        for (standing, lying) in TRUNK {
            let broad = |bone: Bone| Bone(bone.0, bone.1, bone.2 * stout, bone.3 * stout);
            let mut now = broad(standing).lerp(broad(lying), down);
            // Lying it leans on a hip.
            now.0.y += 0.02 * posture.side * down;
            now.1.y -= 0.05 * posture.side * down;
            add(Skin::Trunk, broad(standing), now);
        }
        self.front(posture, &mut add);
        for (front, left) in [(true, true), (true, false), (false, true), (false, false)] {
            leg(front, left, posture, &mut add);
        }
        let tail = Bone(v(-0.44, 0.0, 0.62), v(-0.52, 0.0, 0.56), 0.03, 0.03);
        let tail_down = Bone(v(-0.44, 0.0, 0.27), v(-0.54, 0.0, 0.2), 0.03, 0.03);
        add(Skin::Trunk, tail, tail.lerp(tail_down, down));
        if 0.0 < self.bearded_udder {
            let r = 0.05 + 0.05 * self.bearded_udder;
            let udder = Bone(v(-0.12, 0.0, 0.35), v(-0.28, 0.0, 0.34), r, r);
            let udder_down = Bone(v(-0.2, 0.0, 0.1), v(-0.34, 0.0, 0.1), r, r * 0.8);
            add(Skin::Udder, udder, udder.lerp(udder_down, down));
        }
        for part in parts.iter_mut() {
            part.middle *= self.size;
            part.axes *= self.size;
        }
    }

    /// Neck, head, ears and horns.
    fn front(&self, posture: &Posture, add: &mut impl FnMut(Skin, Bone, Bone)) {
        let direction = |up: f32, left: f32| {
            v(libm::cosf(up) * libm::cosf(left), libm::cosf(up) * libm::sinf(left), libm::sinf(up))
        };
        let held = |base: Vec3, up: f32, left: f32, nod: f32| {
            let top = base + direction(up, left) * 0.3;
            let ahead = direction(-nod, left);
            let across = v(-libm::sinf(left), libm::cosf(left), 0.0);
            (base, top, ahead, across)
        };
        let rest = held(NECK.0, 0.9, 0.0, 0.55);
        let base = NECK.0.lerp(NECK.1, posture.down);
        let now = held(base, posture.neck_up, posture.neck_left, posture.nod);
        let of = |(base, top, ahead, across): (Vec3, Vec3, Vec3, Vec3)| {
            let over = ahead.cross(across);
            let crown = top + over * 0.01;
            let ear = |side: f32| {
                let root = crown + across * (0.05 * side);
                Bone(root, root + across * (0.15 * side) - over * 0.045, 0.03, 0.014)
            };
            let horn = |side: f32| {
                let root = crown + across * (0.028 * side) + over * 0.05;
                Bone(root, root + over * 0.12 - ahead * 0.11 + across * (0.03 * side), 0.017, 0.017)
            };
            let mut bones = vec![
                (Skin::Neck, Bone(base, top, 0.085, 0.11)),
                (Skin::Head, Bone(top - ahead * 0.07, top + ahead * 0.17, 0.062, 0.078)),
                (
                    Skin::Muzzle,
                    Bone(top + ahead * 0.1, top + ahead * 0.24 - over * 0.015, 0.042, 0.046),
                ),
                (Skin::Ear, ear(1.0)),
                (Skin::Ear, ear(-1.0)),
            ];
            if self.horned {
                bones.extend([(Skin::Horn, horn(1.0)), (Skin::Horn, horn(-1.0))]);
            }
            bones
        };
        for ((skin, standing), (_, bone)) in of(rest).into_iter().zip(of(now)) {
            add(skin, standing, bone);
        }
    }
}

/// Upper and lower half of a leg, and its hoof.
fn leg(front: bool, left: bool, posture: &Posture, add: &mut impl FnMut(Skin, Bone, Bone)) {
    let y = if left { 0.105 } else { -0.105 };
    let hip = if front { v(0.24, y, 0.46) } else { v(-0.31, y, 0.5) };
    let phase = if front == left { 0.0 } else { std::f32::consts::PI };
    let swung = posture.swing * libm::sinf(posture.step + phase);
    let stand = |swing: f32| {
        let lift = 0.05 * (swing * 1.5).max(0.0) * f32::from(u8::from(0.01 < posture.swing));
        let knee = hip + v(0.2 * swing + if front { 0.01 } else { -0.05 }, 0.0, -0.22);
        let hoof = v(hip.x + 0.42 * swing, y, 0.03 + lift);
        (knee, hoof)
    };
    let thick = if front { 0.055 } else { 0.075 };
    let bones = |(knee, hoof): (Vec3, Vec3)| {
        [
            (Skin::Leg, Bone(hip, knee, thick, thick * 1.25)),
            (Skin::Leg, Bone(knee + v(0.0, 0.0, 0.03), hoof, 0.027, 0.03)),
            (Skin::Hoof, Bone(hoof - v(0.02, 0.0, 0.0), hoof + v(0.035, 0.0, -0.01), 0.026, 0.028)),
        ]
    };
    // Lying, the legs are folded under the body; the hind ones show on one side.
    let out = if left { 1.0 } else { -1.0 };
    let wide = if out * posture.side > 0.0 { 0.27 } else { 0.17 };
    let lying = match front {
        true => [
            Bone(v(0.24, y * 1.3, 0.16), v(0.42, y * 1.4, 0.09), 0.05, 0.06),
            Bone(v(0.42, y * 1.4, 0.06), v(0.22, y * 1.5, 0.035), 0.035, 0.035),
            Bone(v(0.21, y * 1.5, 0.03), v(0.16, y * 1.5, 0.03), 0.026, 0.026),
        ],
        false => [
            Bone(v(-0.34, out * wide * 0.7, 0.16), v(-0.06, out * wide, 0.12), 0.07, 0.11),
            Bone(v(-0.06, out * wide, 0.06), v(-0.26, out * (wide + 0.03), 0.035), 0.03, 0.035),
            Bone(
                v(-0.06, out * (wide + 0.02), 0.03),
                v(0.0, out * (wide + 0.02), 0.03),
                0.026,
                0.026,
            ),
        ],
    };
    let (rest, now) = (bones(stand(0.0)), bones(stand(swung)));
    for (((skin, rest), (_, now)), lying) in rest.into_iter().zip(now).zip(lying) {
        add(skin, rest, now.lerp(lying, posture.down));
    }
}

/// Half axes, middle and their lengths of the ellipsoid around a bone: a little longer
/// than it.
fn ellipsoid(Bone(from, to, across, upright): Bone) -> (Mat3, Vec3, Vec3) {
    let along = to - from;
    let half = along.length() * 0.5 + 0.6 * across.min(upright);
    let ahead = along.normalize_or(Vec3::X);
    let side = Vec3::Z.cross(ahead).try_normalize().unwrap_or(Vec3::Y);
    let over = ahead.cross(side);
    let axes = Mat3::from_cols(ahead * half, side * across, over * upright);
    (axes, (from + to) * 0.5, Vec3::new(half, across, upright))
}
