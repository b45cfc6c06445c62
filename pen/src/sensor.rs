//! From light to the numbers of a picture: exposure, a lens that is not quite sharp,
//! vignetting, colour, grain, gamma.

use glam::Vec3;

use crate::chance::{Chance, mix};
use crate::light::{Light, LightKind};

/// A camera's own ways; it keeps them.
#[derive(Clone, Debug)]
pub(crate) struct Sensor {
    key: u64,
    /// Of the picture next to a pixel, how much bleeds into it.
    blur: f32,
    vignette: f32,
    balance: Vec3,
    saturation: f32,
    /// Standard deviation of the grain in daylight, of 255.
    grain: f32,
    gain: f32,
    /// Light to 8 bits, from 0 to 2.
    gamma: Vec<f32>,
}

const GAMMA_STEPS: usize = 2048;
const BRIGHTEST: f32 = 2.0;

impl Sensor {
    pub(crate) fn new(key: u64) -> Sensor {
        let mut chance = Chance::of(&[key, 0x5E50]);
        let contrast = chance.between(0.85, 1.2);
        let gamma = (0..GAMMA_STEPS).map(|step| {
            let light = BRIGHTEST * step as f32 / (GAMMA_STEPS - 1) as f32;
            // Highlights roll off instead of being cut.
            let rolled = light / (1.0 + 0.35 * light * light / (1.0 + light));
            let curve = libm::powf(rolled.clamp(0.0, 1.0), 1.0 / 2.2);
            255.0 * ((curve - 0.5) * contrast + 0.5)
        });
        Sensor {
            key,
            blur: chance.between(0.04, 0.22),
            vignette: chance.between(0.05, 0.4),
            balance: Vec3::new(chance.between(0.88, 1.12), 1.0, chance.between(0.85, 1.15)),
            saturation: chance.between(0.6, 1.1),

            grain: chance.between(0.8, 3.2),
            gain: chance.between(0.75, 1.25),
            gamma: gamma.collect(),
        }
    }

    /// Writes the picture `rgb` of the light that fell on each pixel.
    pub(crate) fn expose(
        &self,
        linear: &[Vec3],
        (width, height): (usize, usize),
        light: &Light,
        moment: u64,
        rgb: &mut [u8],
    ) {
        let grey = light.kind == LightKind::Infrared;
        let gain = self.gain * light.exposure;
        let grain = self.grain * light.grain * 1.73 / 32_768.0;
        let (half_w, half_h) = (0.5 * width as f32, 0.5 * height as f32);
        let key = mix(self.key ^ mix(moment));
        for y in 0..height {
            let (above, below) = (y.saturating_sub(1) * width, (y + 1).min(height - 1) * width);
            let down = (y as f32 - half_h) / half_w;
            for x in 0..width {
                let place = y * width + x;
                let (left, right) = (x.saturating_sub(1), (x + 1).min(width - 1));
                let around = linear[above + x]
                    + linear[below + x]
                    + linear[y * width + left]
                    + linear[y * width + right];
                let mut seen = linear[place] * (1.0 - self.blur * 2.0) + around * (self.blur * 0.5);
                let across = (x as f32 - half_w) / half_w;
                seen *= gain * (1.0 - self.vignette * (across * across + down * down) * 0.75);
                let bright = seen.dot(Vec3::new(0.3, 0.55, 0.15));
                seen = match grey {
                    true => Vec3::splat(bright),
                    false => {
                        (Vec3::splat(bright) + (seen - bright) * self.saturation) * self.balance
                    }
                };
                let noise = mix(key ^ (place as u64));
                let part = |shift: u32| (noise >> shift & 0xFFFF) as f32 - 32_767.5;
                let shared = part(0);
                for (channel, value) in seen.to_array().into_iter().enumerate() {
                    let own = if grey {
                        shared
                    } else {
                        0.6 * shared + 0.8 * part(16 * channel as u32 + 16)
                    };
                    let noisy = self.curve(value) + own * grain;
                    rgb[place * 3 + channel] = noisy.clamp(0.0, 255.0) as u8;
                }
            }
        }
    }

    fn curve(&self, light: f32) -> f32 {
        let at = (light.clamp(0.0, BRIGHTEST) / BRIGHTEST) * (GAMMA_STEPS - 1) as f32;
        let low = (at as usize).min(GAMMA_STEPS - 2);
        let (a, b) = (self.gamma[low], self.gamma[low + 1]);
        a + (b - a) * (at - low as f32)
    }
}
