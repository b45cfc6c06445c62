//! Chance that is the same for ever: a seed's numbers, and noise over space.

/// `SplitMix64`'s output function: every bit of the result depends on every bit given.
#[inline]
pub(crate) const fn mix(bits: u64) -> u64 {
    let bits = bits.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

/// From 0 to below 1, with 24 bits: exact in an `f32`.
#[inline]
pub(crate) fn unit(bits: u64) -> f32 {
    (bits >> 40) as f32 / 16_777_216.0
}

/// A row of numbers drawn from a seed (`SplitMix64`).
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    /// Numbers of their own for every list of `parts`.
    pub(crate) fn of(parts: &[u64]) -> Chance {
        Chance(parts.iter().fold(0, |key, part| mix(key ^ mix(*part))))
    }

    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// From 0 to below 1.
    pub(crate) fn unit(&mut self) -> f32 {
        unit(self.bits())
    }

    /// From `low` to below `high`.
    pub(crate) fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// Whether something happens that does so with this probability.
    pub(crate) fn happens(&mut self, probability: f32) -> bool {
        self.unit() < probability
    }

    /// A place in a list of `length`, which is not 0.
    pub(crate) fn place(&mut self, length: usize) -> usize {
        ((self.unit() * length as f32) as usize).min(length.saturating_sub(1))
    }

    /// The place of a weight in `weights`, drawn in proportion to it.
    pub(crate) fn weighted(&mut self, weights: &[f32]) -> usize {
        let mut left = self.unit() * weights.iter().sum::<f32>();
        for (place, weight) in weights.iter().enumerate() {
            left -= weight;
            if left < 0.0 {
                return place;
            }
        }
        weights.len().saturating_sub(1)
    }
}

#[inline]
fn corner(seed: u64, x: i32, y: i32, z: i32) -> f32 {
    let key = u64::from(x.cast_unsigned())
        ^ u64::from(y.cast_unsigned()).rotate_left(21)
        ^ u64::from(z.cast_unsigned()).rotate_left(42);
    unit(mix(seed ^ key.wrapping_mul(0x2545_F491_4F6C_DD1D)))
}

#[inline]
fn smooth(t: f32) -> f32 {
    t * t * (3.0 - 2.0 * t)
}

#[inline]
fn blend(a: f32, b: f32, t: f32) -> f32 {
    a + (b - a) * t
}

/// Value noise over space, 0 to 1: about one hill a unit.
pub(crate) fn noise(seed: u64, x: f32, y: f32, z: f32) -> f32 {
    let (fx, fy, fz) = (x.floor(), y.floor(), z.floor());
    let (ix, iy, iz) = (fx as i32, fy as i32, fz as i32);
    let (tx, ty, tz) = (smooth(x - fx), smooth(y - fy), smooth(z - fz));
    let row = |y, z| blend(corner(seed, ix, y, z), corner(seed, ix.wrapping_add(1), y, z), tx);
    let sheet = |z| blend(row(iy, z), row(iy.wrapping_add(1), z), ty);
    blend(sheet(iz), sheet(iz.wrapping_add(1)), tz)
}

/// Noise with detail: four octaves, each half as strong and twice as fine.
pub(crate) fn fractal(seed: u64, x: f32, y: f32, z: f32) -> f32 {
    let mut sum = 0.0;
    let (mut strength, mut scale) = (0.533_333_3, 1.0);
    for octave in 0..4 {
        sum += strength * noise(seed.wrapping_add(octave), x * scale, y * scale, z * scale);
        strength *= 0.5;
        scale *= 2.03;
    }
    sum
}

/// Noise over time, -1 to 1: about one turn each `period_s`.
pub(crate) fn sway(seed: u64, at_s: f64, period_s: f64) -> f32 {
    let turns = at_s / period_s;
    let whole = turns.floor();
    let bits = (whole as i64).cast_unsigned();
    let (a, b) = (unit(mix(seed ^ mix(bits))), unit(mix(seed ^ mix(bits.wrapping_add(1)))));
    2.0 * blend(a, b, smooth((turns - whole) as f32)) - 1.0
}
