//! A pen and the film of it.

pub(crate) mod fifo;

use std::io::{Seek, Write};
use std::time::Duration;

use pen::{Pen, PenSpec, Truth};
use producers::encode::{EncodeError, EncodeOptions, Encoder};
use producers::pixels::Pixels;
use schemas::source::SourceId;
use schemas::time::UnixMillis;

/// A film of a rendered pen, picture by picture.
pub(crate) struct Film {
    pen: Pen,
    encoder: Encoder,
    rgb: Vec<u8>,
    /// Width and height, pixels.
    size: (u32, u32),
    started_at: UnixMillis,
}

/// How a film is made, besides what is in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Filming {
    /// How coarse it is, 0 to 51.
    pub(crate) crf: u8,
    /// The time between two pictures, about.
    pub(crate) every: Duration,
    /// Pictures from one that stands for itself to the next, at most.
    pub(crate) keyframe_every: u32,
    /// When the first picture is captured.
    pub(crate) started_at: UnixMillis,
}

impl Film {
    /// A film of the pen in front of `source`, as an MP4 file.
    ///
    /// # Errors
    ///
    /// There is no such pen, or the film cannot be begun.
    pub(crate) fn mp4<W: Write + Seek + Send + 'static>(
        spec: PenSpec,
        source: SourceId,
        filming: &Filming,
        to: W,
    ) -> anyhow::Result<Film> {
        let options = filming.options(&spec, false);
        Film::of(spec, source, filming, Encoder::mp4(to, &options))
    }

    /// The same as a transport stream, each picture as soon as it is there.
    ///
    /// # Errors
    ///
    /// As [`mp4`](Film::mp4).
    pub(crate) fn live<W: Write + Send + 'static>(
        spec: PenSpec,
        source: SourceId,
        filming: &Filming,
        to: W,
    ) -> anyhow::Result<Film> {
        let options = filming.options(&spec, true);
        Film::of(spec, source, filming, Encoder::transport_stream(to, &options))
    }

    fn of(
        spec: PenSpec,
        source: SourceId,
        filming: &Filming,
        encoder: Result<Encoder, EncodeError>,
    ) -> anyhow::Result<Film> {
        let size = (spec.width, spec.height);
        let pen = Pen::new(spec, source)?;
        let rgb = vec![0; pen.picture_bytes()];
        Ok(Film { pen, encoder: encoder?, rgb, size, started_at: filming.started_at })
    }

    /// Adds the picture of `moment`, shown `after` the film's beginning, and tells what
    /// it shows.
    ///
    /// # Errors
    ///
    /// The film cannot be written.
    pub(crate) fn add(&mut self, moment: UnixMillis, after: Duration) -> anyhow::Result<Truth> {
        let truth = self.pen.draw(moment, self.started_at, &mut self.rgb);
        let (width, height) = self.size;
        let stride = self.rgb.len() / usize::try_from(height)?;
        self.encoder.push(&Pixels::new(width, height, stride, &self.rgb)?, after)?;
        Ok(truth)
    }

    /// Ends the film.
    ///
    /// # Errors
    ///
    /// Its end cannot be written.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        Ok(self.encoder.finish()?)
    }
}

impl Filming {
    fn options(&self, spec: &PenSpec, live: bool) -> EncodeOptions {
        EncodeOptions {
            width: spec.width,
            height: spec.height,
            crf: self.crf,
            every: self.every,
            keyframe_every: self.keyframe_every,
            created_at: (!live).then_some(self.started_at),
            live,
        }
    }
}
