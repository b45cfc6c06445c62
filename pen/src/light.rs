//! What light there is at a moment of the day.

use glam::Vec3;
use serde::{Deserialize, Serialize};

use crate::chance::sway;
use crate::site::Lighting;

/// Where a picture's light comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LightKind {
    Day,
    /// A lamp in the dark.
    Lamp,
    /// The camera's own infrared light; pictures are grey.
    Infrared,
}

impl LightKind {
    /// Whether it is dark outside.
    pub fn is_night(self) -> bool {
        self != LightKind::Day
    }
}

/// Light on everything in front of a camera, linear.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Light {
    pub(crate) kind: LightKind,
    /// Towards the sun or the lamp.
    pub(crate) towards: Vec3,
    pub(crate) direct: Vec3,
    pub(crate) sky: Vec3,
    /// How soft shadows are, metres of blur a metre of height.
    pub(crate) soft: f32,
    pub(crate) exposure: f32,
    /// Of the sensor's noise in daylight.
    pub(crate) grain: f32,
}

const SUNRISE_H: f32 = 6.0;
const SUNSET_H: f32 = 20.0;
/// The lamp burns between these hours, when the sun does not do.
const LAMP_H: (f32, f32) = (4.5, 22.0);

impl Light {
    /// The light at `hour` of the local day; `now_s` counts on over days.
    pub(crate) fn at(hour: f32, now_s: f64, lighting: &Lighting, key: u64) -> Light {
        let day = (hour - SUNRISE_H) / (SUNSET_H - SUNRISE_H);
        let height = libm::sinf(std::f32::consts::PI * day.clamp(0.0, 1.0));
        if 0.1 < height {
            return Light::day(height, day, now_s, lighting, key);
        }
        if lighting.lamp && LAMP_H.0 <= hour && hour < LAMP_H.1 {
            let direct = Vec3::new(0.75, 0.62, 0.42);
            let sky = Vec3::new(0.26, 0.22, 0.16);
            let towards = Vec3::new(0.25, 0.2, 1.0).normalize();
            return Light {
                kind: LightKind::Lamp,
                towards,
                direct,
                sky,
                soft: 0.25,
                exposure: 0.95,
                grain: 2.2,
            };
        }
        Light {
            kind: LightKind::Infrared,
            towards: Vec3::Z,
            direct: Vec3::ZERO,
            sky: Vec3::splat(0.06),
            soft: 1.0,
            exposure: 1.0,
            grain: 2.7,
        }
    }

    fn day(height: f32, day: f32, now_s: f64, lighting: &Lighting, key: u64) -> Light {
        let clouds =
            (0.5 + 0.8 * sway(key ^ 0xC1, now_s, 5400.0) + 0.25 * sway(key ^ 0xC2, now_s, 400.0))
                .clamp(0.0, 1.0);
        let strength = (height).sqrt();
        let warm = Vec3::new(1.0, 0.72 + 0.25 * height, 0.45 + 0.45 * height);
        let elevation = 0.12 + 0.85 * height;
        let turn = lighting.south + (day - 0.5) * 3.0;
        let flat = libm::cosf(elevation);
        let towards =
            Vec3::new(libm::cosf(turn) * flat, libm::sinf(turn) * flat, libm::sinf(elevation));
        let sky = Vec3::new(0.62, 0.7, 0.82) * (0.5 * strength + 0.25 * clouds);
        let (direct, sky, soft) = match lighting.indoor {
            // Through windows and doors.
            true => {
                let lamp = if lighting.lamp && height < 0.45 { 0.35 } else { 0.0 };
                (
                    warm * (0.28 * strength),
                    sky * 0.85 + Vec3::new(lamp, 0.85 * lamp, 0.6 * lamp),
                    0.9,
                )
            }
            false => (warm * (1.5 * strength * (1.0 - 0.92 * clouds)), sky, 0.04 + 0.5 * clouds),
        };
        let level = (direct * towards.z * 0.8 + sky).element_sum() / 3.0;
        // Exposure follows, not quite.
        let exposure = 0.95 / libm::powf(level.max(0.05), 0.88);
        let towards = if lighting.indoor {
            Vec3::new(towards.x * 0.5, towards.y * 0.5, 1.0).normalize()
        } else {
            towards
        };
        Light {
            kind: LightKind::Day,
            towards,
            direct,
            sky,
            soft,
            exposure,
            grain: 1.0 + 0.8 * (1.0 - strength),
        }
    }
}
