//! The time of a picture, out of its file's name.

use std::path::Path;

use crate::picture::PictureId;

/// How names of files tell times.
///
/// `pen1_t000012000.txt` is twelve seconds after the first picture of its video: `_t` and
/// milliseconds, at the end of the name or before a further `.`, `-` or `_`, so that what
/// tools put around a name does no harm. Where a name has no such time, and `fps` is given,
/// the digits at its end are the picture's number.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Naming {
    /// Pictures a second of the video.
    pub fps: Option<f64>,
    /// The number in the name of the video's first picture.
    pub first: u64,
}

impl Naming {
    /// The picture that the file `path` is, or is about.
    pub fn picture(&self, path: &str) -> PictureId {
        // Labels made elsewhere may have paths of another system.
        let file = path.rsplit(['/', '\\']).next().unwrap_or(path);
        let stem = Path::new(file).file_stem().map_or(file.into(), |stem| stem.to_string_lossy());
        let time = time_in(&stem).or_else(|| self.time_of_number(&stem));
        PictureId {
            t_ms: time.map(|(_, t_ms)| t_ms),
            captured_at: None,
            video: time.and_then(|(at, _)| Some(stem.get(..at)?.into())),
            name: Some(stem.as_ref().into()),
        }
    }

    /// As [`time_in`], of a picture's number.
    fn time_of_number(&self, stem: &str) -> Option<(usize, i64)> {
        let fps = self.fps.filter(|fps| 0.0 < *fps)?;
        let before = stem.trim_end_matches(|c: char| c.is_ascii_digit()).len();
        let number: u64 = stem.get(before..)?.parse().ok()?;
        let after_first = u32::try_from(number.checked_sub(self.first)?).ok()?;
        let millis = (f64::from(after_first) * 1000.0 / fps).round();
        // The shortest way from a whole f64 to an integer that needs no cast.
        Some((before, format!("{millis:.0}").parse().ok()?))
    }
}

/// The name of the picture `t_ms` after the first one of `stem`, which
/// [`Naming::picture`] understands.
pub fn name_of(stem: &str, t_ms: u64) -> String {
    format!("{stem}_t{t_ms:09}")
}

/// Where the last `_t` begins that is followed by nothing but milliseconds, and these.
fn time_in(stem: &str) -> Option<(usize, i64)> {
    stem.rmatch_indices("_t").find_map(|(at, mark)| {
        let behind = stem.get(at + mark.len()..)?;
        let digits = behind.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = behind.split_at_checked(digits)?;
        let ends = rest.is_empty() || rest.starts_with(['.', '-', '_']);
        if ends { Some((at, number.parse().ok()?)) } else { None }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_its_time() {
        let of = |name: &str| Naming::default().picture(name).t_ms;
        assert_eq!(of("labels/pen1_t000012000.txt"), Some(12_000));
        assert_eq!(of("3fa9b2c1-pen1_t000012000.jpg"), Some(12_000));
        assert_eq!(of("C:\\labels\\pen_t1_t7_jpg.rf.txt"), Some(7));
        assert_eq!(of("pen_total.txt"), None);
        assert_eq!(of("pen_12.txt"), None);
        assert_eq!(of("pen_t.txt"), None);
        let named = Naming::default().picture("a/b/IMG_0012.jpeg");
        assert_eq!((named.name.as_deref(), named.video), (Some("IMG_0012"), None));
    }

    #[test]
    fn a_number_is_a_time_where_the_cadence_is_known() {
        let naming = Naming { fps: Some(25.0), first: 1 };
        let of = |name: &str| naming.picture(name).t_ms;
        assert_eq!(of("frame_000001.txt"), Some(0));
        assert_eq!(of("frame_000051.txt"), Some(2000));
        assert_eq!(of("frame_000000.txt"), None);
        assert_eq!(of("frame.txt"), None);
        assert_eq!(of("pen_t500.txt"), Some(500));
        assert_eq!(naming.picture("pen_t500.txt").video.as_deref(), Some("pen"));
        assert_eq!(naming.picture("frame_000051.txt").video.as_deref(), Some("frame_"));
    }

    #[test]
    fn a_made_name_is_understood() {
        for t_ms in [0, 12_000, 86_400_000, 12_345_678_901] {
            let name = name_of("barn_t1 night", t_ms);
            assert_eq!(Naming::default().picture(&name).t_ms, i64::try_from(t_ms).ok());
        }
    }
}
