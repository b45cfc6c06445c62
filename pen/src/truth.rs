//! What a picture shows, known from how it was made.

use schemas::time::UnixMillis;
use serde::{Deserialize, Serialize};

use crate::herd::Activity;
use crate::light::LightKind;

/// What detectors tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Posture {
    Standing,
    Lying,
}

impl Posture {
    /// The name that frames and models use.
    pub fn name(self) -> &'static str {
        match self {
            Posture::Standing => "standing",
            Posture::Lying => "lying",
        }
    }

    /// The number that label files use.
    pub fn class(self) -> u8 {
        match self {
            Posture::Standing => 0,
            Posture::Lying => 1,
        }
    }
}

/// How much of an animal must be visible, 0 to 1, for a detector to be asked for it: of less,
/// people would not agree either.
pub const VISIBLE_MIN: f32 = 0.25;

/// One animal of a picture, and where it is seen: the box around its visible pixels, top
/// left corner and size in fractions of the picture.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrueAnimal {
    /// The same animal in all pictures, from 1.
    pub id: u32,
    #[serde(rename = "class")]
    pub posture: Posture,
    #[serde(rename = "behaviour")]
    pub activity: Activity,
    pub x: f32,
    pub y: f32,
    pub w: f32,
    pub h: f32,
    /// How much of what it would cover in the picture alone is not hidden, 0 to 1.
    pub visible: f32,
}

/// One picture's truth: a line of a truth file. Animals that are hidden to the last
/// pixel are not in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Truth {
    /// From the first picture, milliseconds.
    pub t_ms: i64,
    pub captured_at: UnixMillis,
    pub light: LightKind,
    pub night: bool,
    pub animals: Vec<TrueAnimal>,
}
