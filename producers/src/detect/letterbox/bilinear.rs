//! `OpenCV`'s `INTER_LINEAR` for 8-bit pictures, to the bit.
//!
//! A pixel is mixed from its left and right neighbours with weights of 11 bits, in
//! two rows, and then from these two; what each step cuts off is part of the result,
//! so the steps keep `OpenCV`'s order.
//!
//! Almost all of the time goes into three plain loops over lanes: slices of equal
//! length, each element for itself, which the compiler turns into vector
//! instructions. To that end a pixel is four lanes wide, the fourth without a
//! meaning, and a weight is repeated for each lane.

use crate::detect::letterbox::Size;
use crate::pixels::{Pixels, index};

/// Red, green, blue, and a byte without a meaning.
pub(super) type Pixel = [u8; LANES];

/// Lanes of a pixel.
const LANES: usize = 4;

/// A weight of 1: two to the power of `OpenCV`'s `INTER_RESIZE_COEF_BITS`.
const WEIGHT_ONE: f32 = 2048.0;

/// Scales pictures of one size to another, without allocating.
#[derive(Clone, Debug)]
pub(super) struct Bilinear {
    columns: Columns,
    rows: Vec<Row>,
    /// Two rows of the picture scaled across, by lanes; each value is 128 times the
    /// pixel's.
    across: [Vec<i16>; 2],
    /// The weights of the row at hand, by lanes.
    weights: [Vec<i16>; 2],
    /// The row at hand.
    scaled: Vec<Pixel>,
}

/// Between which rows of the picture a scaled row lies.
#[derive(Clone, Copy, Debug)]
struct Row {
    neighbours: [usize; 2],
    weights: [i16; 2],
}

impl Bilinear {
    /// Scales from `from`, which is at least 2 x 2, to `to`.
    pub(super) fn new(from: Size, to: Size) -> Bilinear {
        let last = i64::from(from.height) - 1;
        let row = |at: i32| usize::try_from(i64::from(at).clamp(0, last)).unwrap_or(0);
        let rows = neighbours(from.height, to.height)
            .map(|(upper, into)| Row {
                neighbours: [row(upper), row(upper + 1)],
                weights: weights(into),
            })
            .collect();
        let width = index(to.width);
        let lanes = vec![0; LANES * width];
        Bilinear {
            columns: Columns::new(from.width, to.width),
            rows,
            across: [lanes.clone(), lanes.clone()],
            weights: [lanes.clone(), lanes],
            scaled: vec![Pixel::default(); width],
        }
    }

    /// Shows `each` the rows of the scaled `picture` from the top, with their numbers.
    /// The picture has the size that this scales from; the caller sees to that.
    pub(super) fn scale(&mut self, picture: &Pixels<'_>, mut each: impl FnMut(usize, &[Pixel])) {
        let mut held = [None; 2];
        for (y, row) in self.rows.iter().enumerate() {
            for (slot, neighbour) in row.neighbours.into_iter().enumerate() {
                if held[slot] == Some(neighbour) {
                    continue;
                }
                if slot == 0 && held[1] == Some(neighbour) {
                    // What was the lower neighbour is the upper one now.
                    self.across.swap(0, 1);
                    held.swap(0, 1);
                    continue;
                }
                self.columns.scale(picture.row(neighbour), &mut self.across[slot]);
                held[slot] = Some(neighbour);
            }
            for (lanes, weight) in self.weights.iter_mut().zip(row.weights) {
                lanes.fill(weight);
            }
            blend(&self.across, &self.weights, self.scaled.as_flattened_mut());
            each(y, &self.scaled);
        }
    }
}

/// Between which pixels of a row each scaled pixel lies.
#[derive(Clone, Debug)]
struct Columns {
    /// The byte at which the left neighbour begins, for the columns before the last
    /// two pixels of a row. All others lie between these two.
    inner: Vec<usize>,
    /// Of the left and the right neighbour, by lanes.
    weights: [Vec<i16>; 2],
    /// The left and the right neighbour of each column.
    neighbours: [Vec<Pixel>; 2],
}

impl Columns {
    fn new(from: u32, to: u32) -> Columns {
        let last = index(from - 2);
        let (lefts, weights): (Vec<usize>, Vec<[i16; 2]>) = neighbours(from, to)
            .map(|(left, into)| match usize::try_from(left) {
                // Beyond the edges the edge goes on.
                Err(_) => (0, weights(0.0)),
                Ok(left) if last < left => (last, weights(1.0)),
                Ok(left) => (left, weights(into)),
            })
            .unzip();
        let lanes = |side: usize| weights.iter().flat_map(|w| [w[side]; LANES]).collect();
        let nothing = vec![Pixel::default(); lefts.len()];
        Columns {
            weights: [lanes(0), lanes(1)],
            inner: lefts.into_iter().take_while(|left| *left < last).map(|left| 3 * left).collect(),
            neighbours: [nothing.clone(), nothing],
        }
    }

    /// Scales a row of packed RGB.
    fn scale(&mut self, row: &[u8], out: &mut [i16]) {
        let [left, right] = &mut self.neighbours;
        let (left_inner, left_edge) = left.split_at_mut(self.inner.len());
        let (right_inner, right_edge) = right.split_at_mut(self.inner.len());
        for ((byte, left), right) in self.inner.iter().zip(left_inner).zip(right_inner) {
            // A pixel is taken with the byte behind it: four are moved at once.
            let Some(&[r0, g0, b0, r1, g1, b1, behind]) = row[*byte..].first_chunk() else {
                unreachable!("a column beyond its row")
            };
            (*left, *right) = ([r0, g0, b0, r1], [r1, g1, b1, behind]);
        }
        let Some(&[r0, g0, b0, r1, g1, b1]) = row.last_chunk() else {
            unreachable!("a row of less than two pixels")
        };
        left_edge.fill([r0, g0, b0, r1]);
        right_edge.fill([r1, g1, b1, 0]);
        mix([left.as_flattened(), right.as_flattened()], &self.weights, out);
    }
}

/// Mixes left and right neighbours; each result is 128 times a pixel's value.
#[expect(clippy::as_conversions, reason = "255 * 2048 / 16 fits, and a cast vectorises")]
fn mix([left, right]: [&[u8]; 2], [w0, w1]: &[Vec<i16>; 2], out: &mut [i16]) {
    for ((((left, right), w0), w1), out) in left.iter().zip(right).zip(w0).zip(w1).zip(out) {
        let sum = i32::from(*left) * i32::from(*w0) + i32::from(*right) * i32::from(*w1);
        *out = (sum >> 4) as i16;
    }
}

/// Mixes upper and lower rows, as [`mix`] left them, into pixels.
///
/// The weights are read from memory although they are the same in all of a row:
/// only so does the compiler see, inside the loop, that the factors have 16 bits, for
/// which there is an instruction.
#[expect(clippy::as_conversions, reason = "at most 1020 and 255, and a cast vectorises")]
fn blend([upper, lower]: &[Vec<i16>; 2], [w0, w1]: &[Vec<i16>; 2], out: &mut [u8]) {
    let high = |value: i16, weight: i16| ((i32::from(value) * i32::from(weight)) >> 16) as i16;
    for ((((upper, lower), w0), w1), out) in upper.iter().zip(lower).zip(w0).zip(w1).zip(out) {
        *out = ((high(*upper, *w0) + high(*lower, *w1) + 2) >> 2) as u8;
    }
}

/// For each pixel of a side scaled `from` … `to`: the neighbour before its centre,
/// and how far it lies towards the next one.
#[expect(clippy::as_conversions, reason = "OpenCV's own arithmetic; a side is far below 2^24")]
fn neighbours(from: u32, to: u32) -> impl Iterator<Item = (i32, f32)> {
    let scale = f64::from(from) / f64::from(to);
    (0..to).map(move |at| {
        let centre = ((f64::from(at) + 0.5) * scale - 0.5) as f32;
        (centre.floor() as i32, centre - centre.floor())
    })
}

/// Of a pixel that lies `into` the way from one neighbour to the next.
fn weights(into: f32) -> [i16; 2] {
    [weight(1.0 - into), weight(into)]
}

#[expect(clippy::as_conversions, reason = "from 0 to 2048")]
fn weight(part: f32) -> i16 {
    (part * WEIGHT_ONE).round_ties_even() as i16
}

#[cfg(test)]
mod tests;
