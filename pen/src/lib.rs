#![doc = include_str!("../README.md")]
#![expect(
    clippy::as_conversions,
    reason = "pixels and places are numbers between floats and integers"
)]

mod camera;
mod chance;
mod day;
mod goat;
mod herd;
mod light;
mod moment;
mod raster;
mod scenery;
mod sensor;
mod shade;
mod site;
mod spots;
mod truth;
mod view;

#[cfg(test)]
mod tests;

pub use herd::{Activity, Budget, InvalidBudget, Rhythm};
pub use light::LightKind;
pub use truth::{Posture, TrueAnimal, Truth, VISIBLE_MIN};
pub use view::{ANIMALS_MAX, InvalidPen, Pen, PenSpec};
