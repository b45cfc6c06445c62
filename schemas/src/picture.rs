//! What is done with the pixels of a picture that came as a file: looked at before
//! it is taken, and drawn upon for people. Those who have pixels do it for those
//! who have none.

use crate::frame::{Detection, Jpeg};

/// Whoever decodes pictures. Calls block, and take memory for one picture at a
/// time, however many come at once.
pub trait Pictures: Send + Sync {
    /// Reads `bytes`, a JPEG or PNG file, to its end; what frames carry of it.
    ///
    /// # Errors
    ///
    /// It is neither, is damaged, or is larger than pictures are.
    fn verified(&self, bytes: &[u8]) -> Result<Verified, PictureFault>;

    /// `picture` with `detections` drawn onto it, as JPEG.
    ///
    /// # Errors
    ///
    /// It is damaged.
    fn annotated(&self, picture: &Jpeg, detections: &[Detection]) -> Result<Vec<u8>, PictureFault>;
}

/// A picture that was read to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The file itself where it is a JPEG that a frame may carry, else made anew.
    pub jpeg: Jpeg,
    /// Of the picture as it came, pixels.
    pub width: u32,
    /// Of the picture as it came, pixels.
    pub height: u32,
}

/// Why a picture is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PictureFault {
    #[error("it is no JPEG and no PNG")]
    Format,
    #[error("its sides are longer than {max} pixels, or it takes more memory than pictures may")]
    TooLarge { max: u32 },
    #[error("it is damaged: {0}")]
    Damaged(String),
}
