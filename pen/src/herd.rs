//! What a herd does with its day, as a user says it.

use serde::{Deserialize, Serialize};

use crate::spots::SpotKind;

/// What an animal is busy with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activity {
    Lying,
    Standing,
    Eating,
    Drinking,
    Brushing,
    /// On the way from one spot to the next.
    Walking,
    /// Not in the pen: being milked.
    Away,
}

impl Activity {
    /// What a bout in the pen can be of.
    pub(crate) const IN_PEN: [Activity; 5] = [
        Activity::Lying,
        Activity::Standing,
        Activity::Eating,
        Activity::Drinking,
        Activity::Brushing,
    ];

    /// How long a bout lasts, least and most minutes.
    pub(crate) const fn minutes(self) -> (f32, f32) {
        match self {
            Activity::Lying => (20.0, 60.0),
            Activity::Eating => (5.0, 25.0),
            Activity::Drinking | Activity::Brushing => (0.5, 2.5),
            Activity::Standing | Activity::Walking | Activity::Away => (2.0, 15.0),
        }
    }

    pub(crate) const fn spot(self) -> SpotKind {
        match self {
            Activity::Eating => SpotKind::Feeder,
            Activity::Drinking => SpotKind::Trough,
            Activity::Brushing => SpotKind::Brush,
            Activity::Lying | Activity::Standing | Activity::Walking | Activity::Away => {
                SpotKind::Ground
            }
        }
    }
}

/// The shares of its time in the pen that an animal spends so; what is left it stands
/// or walks.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Budget {
    pub lying: f32,
    pub eating: f32,
    pub drinking: f32,
    pub brushing: f32,
}

impl Default for Budget {
    fn default() -> Budget {
        Budget { lying: 0.5, eating: 0.25, drinking: 0.015, brushing: 0.01 }
    }
}

/// Shares that cannot be a day's.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum InvalidBudget {
    #[error("a share of {0} is not from 0 to 1")]
    Share(f32),
    #[error("the shares add up to {0}, which leaves no time to stand; keep them below 1")]
    Sum(f32),
}

impl Budget {
    /// Whether these shares fit into a day.
    ///
    /// # Errors
    ///
    /// A share is not from 0 to 1, or together they are 1 or more.
    pub fn check(&self) -> Result<(), InvalidBudget> {
        let shares = [self.lying, self.eating, self.drinking, self.brushing];
        if let Some(share) = shares.iter().find(|share| !(0.0..=1.0).contains(*share)) {
            return Err(InvalidBudget::Share(*share));
        }
        match shares.iter().sum::<f32>() {
            sum if sum < 1.0 => Ok(()),
            sum => Err(InvalidBudget::Sum(sum)),
        }
    }

    pub(crate) fn of(&self, activity: Activity) -> f32 {
        match activity {
            Activity::Lying => self.lying,
            Activity::Eating => self.eating,
            Activity::Drinking => self.drinking,
            Activity::Brushing => self.brushing,
            Activity::Standing | Activity::Walking | Activity::Away => {
                (1.0 - self.lying - self.eating - self.drinking - self.brushing).max(0.0)
            }
        }
    }
}

/// When a herd does what.
#[derive(Clone, Debug, PartialEq)]
pub struct Rhythm {
    pub budget: Budget,
    /// When the herd leaves to be milked, minutes of the local day.
    pub milkings: Vec<u32>,
    /// How long it is away.
    pub milking_minutes: f32,
}

impl Default for Rhythm {
    /// Milked at 06:30 and 17:00, for half an hour.
    fn default() -> Rhythm {
        Rhythm { budget: Budget::default(), milkings: vec![390, 1020], milking_minutes: 30.0 }
    }
}
