//! Which way up a picture is: phones and some cameras film as they are held, and say how what
//! they filmed is to be turned.

use crate::pixels::{InvalidPixels, Pixels};

/// How a picture is turned to be upright, clockwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Turn {
    #[default]
    None,
    Quarter,
    Half,
    ThreeQuarters,
}

impl Turn {
    /// Of a display matrix: nine numbers of 32 bits in this machine's order, of which the
    /// first two of the first two rows turn. What mirrors or turns by other angles is not
    /// followed.
    pub(crate) fn of_matrix(bytes: &[u8]) -> Turn {
        let number = |at: usize| {
            let four = bytes.get(4 * at..4 * at + 4)?.try_into().ok()?;
            Some(i32::from_ne_bytes(four).signum())
        };
        match (number(0), number(1), number(3), number(4)) {
            (Some(0), Some(1), Some(-1), Some(0)) => Turn::Quarter,
            (Some(-1), Some(0), Some(0), Some(-1)) => Turn::Half,
            (Some(0), Some(-1), Some(1), Some(0)) => Turn::ThreeQuarters,
            _ => Turn::None,
        }
    }

    /// Width and height once it is turned.
    pub(crate) fn size(self, (width, height): (u32, u32)) -> (u32, u32) {
        match self {
            Turn::None | Turn::Half => (width, height),
            Turn::Quarter | Turn::ThreeQuarters => (height, width),
        }
    }

    /// `pixels` upright, in `room` if they have to be turned.
    pub(crate) fn upright<'a>(
        self,
        pixels: Pixels<'a>,
        room: &'a mut Vec<u8>,
    ) -> Result<Pixels<'a>, InvalidPixels> {
        if self == Turn::None {
            return Ok(pixels);
        }
        let (width, height) = self.size((pixels.width(), pixels.height()));
        room.clear();
        for y in 0..height {
            for x in 0..width {
                let (from_x, from_y) = match self {
                    Turn::None => (x, y),
                    Turn::Quarter => (y, width - 1 - x),
                    Turn::Half => (width - 1 - x, height - 1 - y),
                    Turn::ThreeQuarters => (height - 1 - y, x),
                };
                room.extend_from_slice(pixel(&pixels, from_x, from_y));
            }
        }
        let stride = room.len() / usize::try_from(height.max(1)).unwrap_or(1);
        Pixels::new(width, height, stride, room)
    }
}

fn pixel<'a>(pixels: &Pixels<'a>, x: u32, y: u32) -> &'a [u8] {
    let place = |side: u32| usize::try_from(side).unwrap_or(0);
    &pixels.row(place(y))[3 * place(x)..3 * place(x) + 3]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Letters for pixels: each its own colour.
    fn turned(turn: Turn, rows: &[&str]) -> Vec<String> {
        let rgb: Vec<u8> = rows.concat().bytes().flat_map(|letter| [letter; 3]).collect();
        let (width, height) = (rows[0].len(), rows.len());
        let size = (u32::try_from(width).unwrap(), u32::try_from(height).unwrap());
        let pixels = Pixels::new(size.0, size.1, 3 * width, &rgb).unwrap();
        let mut room = Vec::new();
        let upright = turn.upright(pixels, &mut room).unwrap();
        assert_eq!((upright.width(), upright.height()), turn.size(size));
        let row = |y| upright.row(y).iter().step_by(3).map(|letter| char::from(*letter)).collect();
        (0..usize::try_from(upright.height()).unwrap()).map(row).collect()
    }

    #[test]
    fn a_picture_is_turned_clockwise() {
        let rows = ["abc", "def"];
        assert_eq!(turned(Turn::None, &rows), rows);
        assert_eq!(turned(Turn::Quarter, &rows), ["da", "eb", "fc"]);
        assert_eq!(turned(Turn::Half, &rows), ["fed", "cba"]);
        assert_eq!(turned(Turn::ThreeQuarters, &rows), ["cf", "be", "ad"]);
    }

    #[test]
    fn a_matrix_tells_the_turn() {
        let of = |numbers: [i32; 9]| {
            Turn::of_matrix(&numbers.iter().flat_map(|n| n.to_ne_bytes()).collect::<Vec<_>>())
        };
        let one = 1 << 16;
        assert_eq!(of([one, 0, 0, 0, one, 0, 0, 0, 1 << 30]), Turn::None);
        assert_eq!(of([0, one, 0, -one, 0, 0, 480 * one, 0, 1 << 30]), Turn::Quarter);
        assert_eq!(of([-one, 0, 0, 0, -one, 0, 0, 0, 1 << 30]), Turn::Half);
        assert_eq!(of([0, -one, 0, one, 0, 0, 0, 0, 1 << 30]), Turn::ThreeQuarters);
        assert_eq!(of([-one, 0, 0, 0, one, 0, 0, 0, 1 << 30]), Turn::None, "mirrored");
        assert_eq!(Turn::of_matrix(&[0; 7]), Turn::None);
    }
}
