//! Where in a pen an animal can be.

use std::f32::consts::{FRAC_PI_2, PI};

use glam::Vec2;

use crate::chance::Chance;
use crate::site::{Furniture, Site};

/// What a spot is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SpotKind {
    /// To stand and lie on.
    Ground,
    Feeder,
    Trough,
    Brush,
    Gate,
}

/// A place for one animal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spot {
    /// Its number among the pen's.
    pub(crate) place: usize,
    /// Metres on the floor.
    pub(crate) at: Vec2,
    /// Where the animal looks, radians from the x axis.
    pub(crate) heading: f32,
}

/// All spots of a pen.
#[derive(Clone, Debug)]
pub(crate) struct Spots(Vec<(SpotKind, Spot)>);

/// Metres from one spot on the ground to the next, at least.
const APART: f32 = 0.78;
/// Metres between an animal's middle and a fence, at least.
const MARGIN: f32 = 0.45;

impl Spots {
    pub(crate) fn of_site(site: &Site, chance: &mut Chance) -> Spots {
        let mut spots = Spots(Vec::new());
        for furniture in &site.furniture {
            spots.beside(furniture, site, chance);
        }
        let (columns, rows) = (steps(site.width), steps(site.depth));
        for column in 0..columns {
            for row in 0..rows {
                let jitter = Vec2::new(chance.between(-0.5, 0.5), chance.between(-0.5, 0.5));
                let cell = Vec2::new(
                    (site.width - 2.0 * MARGIN) / columns as f32,
                    (site.depth - 2.0 * MARGIN) / rows as f32,
                );
                let middle = Vec2::new(column as f32 + 0.5, row as f32 + 0.5);
                let at = Vec2::splat(MARGIN)
                    + cell * middle
                    + jitter * (cell - APART * 0.8).max(Vec2::ZERO);
                let heading = chance.between(-PI, PI);
                if site.furniture.iter().all(|thing| 0.55 < thing.distance(at)) {
                    spots.push(SpotKind::Ground, at, heading);
                }
            }
        }
        let gate = site.gate;
        spots.push(SpotKind::Gate, gate, 0.0);
        spots
    }

    fn beside(&mut self, furniture: &Furniture, site: &Site, chance: &mut Chance) {
        match furniture {
            Furniture::Feeder { from, to, faces } => {
                let room = from.distance(*to);
                let count = (room / 0.5).floor().max(1.0);
                for number in 0..count as u32 {
                    let along = (number as f32 + 0.5) / count;
                    let at = from.lerp(*to, along) + *faces * 0.78;
                    self.push(SpotKind::Feeder, at, towards(-*faces) + chance.between(-0.12, 0.12));
                }
            }
            Furniture::Trough { at, radius } | Furniture::Brush { at, radius } => {
                let brush = matches!(furniture, Furniture::Brush { .. });
                for turn in [-0.9_f32, 0.9] {
                    let inward = towards(site.middle() - *at) + turn;
                    let away = Vec2::new(libm::cosf(inward), libm::sinf(inward));
                    let (kind, apart, heading) = match brush {
                        true => (SpotKind::Brush, radius + 0.24, inward + FRAC_PI_2),
                        false => (SpotKind::Trough, radius + 0.62, inward + PI),
                    };
                    self.push(kind, *at + away * apart, heading);
                }
            }
            Furniture::Bale { .. } => {}
        }
    }

    fn push(&mut self, kind: SpotKind, at: Vec2, heading: f32) {
        let place = self.0.len();
        self.0.push((kind, Spot { place, at, heading }));
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The numbers of all spots of this kind.
    pub(crate) fn of(&self, kind: SpotKind) -> Vec<usize> {
        let of_kind = self.0.iter().filter(|(other, _)| *other == kind);
        of_kind.map(|(_, spot)| spot.place).collect()
    }

    pub(crate) fn get(&self, place: usize) -> Spot {
        self.0[place].1
    }

    pub(crate) fn gate(&self) -> Spot {
        self.0[self.0.len() - 1].1
    }
}

/// The angle of a direction.
pub(crate) fn towards(direction: Vec2) -> f32 {
    libm::atan2f(direction.y, direction.x)
}

fn steps(length: f32) -> u32 {
    ((length - 2.0 * MARGIN) / APART).floor().max(1.0) as u32
}
