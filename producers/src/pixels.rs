//! A picture's pixels, which stay in this crate.

/// A picture of packed 8-bit RGB, borrowed from whoever decoded it.
#[derive(Clone, Copy, Debug)]
pub struct Pixels<'a> {
    width: u32,
    height: u32,
    /// Bytes from one row to the next; at least `3 * width`.
    stride: usize,
    rgb: &'a [u8],
}

/// Bytes that are not the picture they are said to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{bytes} bytes are no RGB picture of {width} x {height} with rows of {stride} bytes")]
pub struct InvalidPixels {
    bytes: usize,
    width: u32,
    height: u32,
    stride: usize,
}

impl<'a> Pixels<'a> {
    /// A picture of `width` by `height`, a row every `stride` bytes of `rgb`.
    ///
    /// # Errors
    ///
    /// A side is 0, rows overlap, or `rgb` ends before the last row.
    pub fn new(
        width: u32,
        height: u32,
        stride: usize,
        rgb: &'a [u8],
    ) -> Result<Pixels<'a>, InvalidPixels> {
        let invalid = InvalidPixels { bytes: rgb.len(), width, height, stride };
        let row = index(width) * 3;
        let needed = index(height)
            .checked_sub(1)
            .and_then(|rows| rows.checked_mul(stride))
            .and_then(|bytes| bytes.checked_add(row))
            .ok_or(invalid)?;
        if row == 0 || stride < row || rgb.len() < needed {
            return Err(invalid);
        }
        Ok(Pixels { width, height, stride, rgb })
    }

    pub fn width(&self) -> u32 {
        self.width
    }

    pub fn height(&self) -> u32 {
        self.height
    }

    /// The `3 * width` bytes of row `y`, from the top.
    ///
    /// # Panics
    ///
    /// If `y` is not below the height.
    #[inline]
    pub fn row(&self, y: usize) -> &'a [u8] {
        &self.rgb[y * self.stride..][..index(self.width) * 3]
    }

    /// All rows, from the top.
    pub fn rows(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let this = *self;
        (0..index(this.height)).map(move |y| this.row(y))
    }
}

/// A picture's side as an index.
#[inline]
pub(crate) fn index(side: u32) -> usize {
    usize::try_from(side).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_lie_within_the_bytes() {
        let bytes: Vec<u8> = (0..20).collect();
        let picture = Pixels::new(2, 3, 7, &bytes).unwrap();
        assert_eq!(
            picture.rows().collect::<Vec<_>>(),
            [&bytes[..6], &bytes[7..13], &bytes[14..20]]
        );
        assert!(Pixels::new(2, 3, 7, &bytes[..19]).is_err());
        assert!(Pixels::new(2, 3, 5, &bytes).is_err());
        assert!(Pixels::new(0, 3, 7, &bytes).is_err());
        assert!(Pixels::new(2, 0, 7, &bytes).is_err());
        assert!(Pixels::new(2, u32::MAX, usize::MAX, &bytes).is_err());
    }
}
