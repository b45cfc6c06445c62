//! Which posture an animal had, and which was detected.

use serde::{Deserialize, Serialize};

use crate::stats::to_f64;

/// Animals that were labelled and detected at one place, by their true posture
/// and the detected one.
///
/// Whoever was missed, or detected where nobody is, is in none of the four: this
/// tells of postures and not of finding animals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confusion {
    /// Truly lying, and detected as lying.
    pub lying_as_lying: u64,
    /// Truly lying, but detected as standing.
    pub lying_as_standing: u64,
    /// Truly standing, but detected as lying.
    pub standing_as_lying: u64,
    /// Truly standing, and detected as standing.
    pub standing_as_standing: u64,
}

impl Confusion {
    /// Animals that truly lie.
    pub fn lying(&self) -> u64 {
        self.lying_as_lying.saturating_add(self.lying_as_standing)
    }

    /// Animals that truly stand.
    pub fn standing(&self) -> u64 {
        self.standing_as_lying.saturating_add(self.standing_as_standing)
    }

    /// The share of truly lying animals that are detected as lying; none without
    /// any.
    pub fn sensitivity(&self) -> Option<f64> {
        quotient(self.lying_as_lying, self.lying())
    }

    /// The share of truly standing animals that are detected as standing; none
    /// without any.
    pub fn specificity(&self) -> Option<f64> {
        quotient(self.standing_as_standing, self.standing())
    }
}

fn quotient(part: u64, whole: u64) -> Option<f64> {
    (0 < whole).then(|| to_f64(part) / to_f64(whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sensitivity_is_of_the_lying_and_specificity_of_the_standing() {
        let confusion = Confusion {
            lying_as_lying: 3,
            lying_as_standing: 1,
            standing_as_lying: 3,
            standing_as_standing: 5,
        };
        assert_eq!((confusion.lying(), confusion.standing()), (4, 8));
        assert_eq!(confusion.sensitivity(), Some(0.75));
        assert_eq!(confusion.specificity(), Some(0.625));
    }

    #[test]
    fn of_nobody_there_is_no_share() {
        let lying = Confusion { lying_as_lying: 3, ..Confusion::default() };
        assert_eq!((lying.sensitivity(), lying.specificity()), (Some(1.0), None));
        let standing = Confusion { standing_as_lying: 3, ..Confusion::default() };
        assert_eq!((standing.sensitivity(), standing.specificity()), (None, Some(0.0)));
    }
}
