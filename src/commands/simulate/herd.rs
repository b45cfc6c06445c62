//! What a user says about a rendered herd.

use std::collections::BTreeSet;

use pen::{Budget, PenSpec, Rhythm};

/// Width and height of a picture, pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PictureSize {
    pub(crate) width: u32,
    pub(crate) height: u32,
}

impl std::str::FromStr for PictureSize {
    type Err = String;

    fn from_str(text: &str) -> Result<PictureSize, String> {
        let wanted = || format!("{text:?} is no size; write width x height, for example 1280x720");
        let (width, height) = text.split_once('x').ok_or_else(wanted)?;
        let side = |text: &str| text.trim().parse().map_err(|_| wanted());
        Ok(PictureSize { width: side(width)?, height: side(height)? })
    }
}

/// A time of day, minutes since midnight.
fn time_of_day(text: &str) -> Result<u32, String> {
    let wanted = || format!("{text:?} is no time of day; write for example 06:30");
    let (hours, minutes) = text.split_once(':').ok_or_else(wanted)?;
    let number = |text: &str| text.parse::<u32>().map_err(|_| wanted());
    match (number(hours)?, number(minutes)?) {
        (hours @ 0..=23, minutes @ 0..=59) => Ok(60 * hours + minutes),
        _ => Err(wanted()),
    }
}

/// The herd's day.
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "The herd's day")]
pub(crate) struct DayArgs {
    /// Share of its time that an animal lies, most of it at night and after
    /// midday
    #[arg(long, value_name = "SHARE", default_value_t = 0.5)]
    lying: f32,

    /// Share of its time that an animal eats
    #[arg(long, value_name = "SHARE", default_value_t = 0.25)]
    eating: f32,

    /// Share of its time that an animal drinks
    #[arg(long, value_name = "SHARE", default_value_t = 0.015)]
    drinking: f32,

    /// Share of its time that an animal rubs itself at the brush
    #[arg(long, value_name = "SHARE", default_value_t = 0.01)]
    brushing: f32,

    /// When the herd leaves to be milked; "" for never
    #[arg(long, value_name = "HH:MM,…", default_value = "06:30,17:00")]
    milking: String,

    /// How long the herd is away then, minutes
    #[arg(long, value_name = "MINUTES", default_value_t = 30.0)]
    milking_minutes: f32,

    /// Local time less UTC, minutes: when it is night
    #[arg(long, value_name = "MINUTES", default_value_t = 0, allow_negative_numbers = true)]
    utc_offset: i32,
}

impl DayArgs {
    pub(crate) fn rhythm(&self) -> anyhow::Result<Rhythm> {
        let times = self.milking.split(',').map(str::trim).filter(|time| !time.is_empty());
        let milkings: BTreeSet<u32> =
            times.map(time_of_day).collect::<Result<_, _>>().map_err(anyhow::Error::msg)?;
        Ok(Rhythm {
            budget: Budget {
                lying: self.lying,
                eating: self.eating,
                drinking: self.drinking,
                brushing: self.brushing,
            },
            milkings: milkings.into_iter().collect(),
            milking_minutes: self.milking_minutes,
        })
    }

    /// The pens of this day, of this many animals in pictures of this size.
    ///
    /// # Errors
    ///
    /// There can be no such pen.
    pub(crate) fn spec(
        &self,
        seed: u64,
        animals: u32,
        size: PictureSize,
    ) -> anyhow::Result<PenSpec> {
        let spec = PenSpec {
            seed,
            animals,
            width: size.width,
            height: size.height,
            utc_offset_minutes: self.utc_offset,
            rhythm: self.rhythm()?,
        };
        // Before a file of an earlier run is written over.
        spec.check()?;
        Ok(spec)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_are_read_or_said_to_be_none() {
        let size = "1280x720".parse();
        assert_eq!(size, Ok(PictureSize { width: 1280, height: 720 }));
        assert!("1280".parse::<PictureSize>().unwrap_err().contains("1280x720"));
        assert_eq!(time_of_day("06:30"), Ok(390));
        for wrong in ["", "6", "24:00", "12:60", "a:b"] {
            assert!(time_of_day(wrong).is_err(), "{wrong}");
        }
    }
}
