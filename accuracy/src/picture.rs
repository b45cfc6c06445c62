//! Which picture: what labels and detections know each other by.

use std::fmt;
use std::sync::Arc;

use schemas::time::UnixMillis;

/// Says which picture a label, or a detector's answer, is about: by as much as is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PictureId {
    /// Milliseconds after the first picture of its video.
    pub t_ms: Option<i64>,
    /// Event time.
    pub captured_at: Option<UnixMillis>,
    /// Its video, where the file's name begins with that: pictures of several videos may have
    /// the same times.
    pub video: Option<Arc<str>>,
    /// The file's name without folder and ending.
    pub name: Option<Arc<str>>,
}

impl PictureId {
    /// The picture so long after the first one of a video.
    pub fn of_video(t_ms: i64) -> PictureId {
        PictureId { t_ms: Some(t_ms), ..PictureId::default() }
    }

    /// The picture that was captured at this moment.
    pub fn captured(at: UnixMillis) -> PictureId {
        PictureId { captured_at: Some(at), ..PictureId::default() }
    }

    /// Completes one time by the other, with `start`, the event time of the video's first
    /// picture.
    pub fn begun_at(&mut self, start: UnixMillis) {
        match (self.t_ms, self.captured_at) {
            (Some(t_ms), None) => {
                self.captured_at = Some(UnixMillis::new(start.get().saturating_add(t_ms)));
            }
            (None, Some(at)) => self.t_ms = Some(at.get().saturating_sub(start.get())),
            _ => {}
        }
    }

    /// Where the picture stands in time, in milliseconds: event time if it is known, else
    /// the time in its video. Pictures of one report are all told by the same.
    pub fn clock_ms(&self) -> Option<i64> {
        self.captured_at.map(UnixMillis::get).or(self.t_ms)
    }
}

impl fmt::Display for PictureId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.name, self.captured_at, self.t_ms) {
            (Some(name), _, _) => f.write_str(name),
            (None, Some(at), _) => at.fmt(f),
            (None, None, Some(t_ms)) => write!(f, "t={t_ms} ms"),
            (None, None, None) => f.write_str("a picture without time and name"),
        }
    }
}
