//! Which classes mean lying and which standing.

use std::sync::Arc;

use schemas::accuracy::{Confusion, Observed};

use crate::comparison::{Compared, Comparison};

/// The classes of each posture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Postures {
    pub lying: Vec<Arc<str>>,
    pub standing: Vec<Arc<str>>,
}

/// What an animal does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Posture {
    Lying,
    Standing,
}

impl Postures {
    /// The posture of each class of `comparison`; none for one that is neither.
    pub fn of(&self, comparison: &Comparison) -> Vec<Option<Posture>> {
        let posture =
            |class: &Arc<str>| match (self.lying.contains(class), self.standing.contains(class)) {
                (true, _) => Some(Posture::Lying),
                (_, true) => Some(Posture::Standing),
                _ => None,
            };
        comparison.classes.iter().map(posture).collect()
    }
}

/// Lying and standing animals among `counts`, which are by class.
pub(crate) fn observed(counts: &[u32], postures: &[Option<Posture>]) -> Observed {
    let sum = |wanted: Posture| {
        let of = counts.iter().zip(postures).filter(|(_, posture)| **posture == Some(wanted));
        of.map(|(animals, _)| u64::from(*animals)).sum()
    };
    Observed { lying: sum(Posture::Lying), standing: sum(Posture::Standing) }
}

/// How often each posture was taken for each, over the animals that were found.
pub(crate) fn confusion<'a>(
    pictures: impl IntoIterator<Item = &'a Compared>,
    postures: &[Option<Posture>],
) -> Confusion {
    let mut confusion = Confusion::default();
    let posture = |class: Option<usize>| class.and_then(|class| postures[class]);
    for outcome in pictures.into_iter().flat_map(|picture| &picture.outcomes) {
        let cell = match (posture(outcome.truth), posture(outcome.detected)) {
            (Some(Posture::Lying), Some(Posture::Lying)) => &mut confusion.lying_as_lying,
            (Some(Posture::Lying), Some(Posture::Standing)) => &mut confusion.lying_as_standing,
            (Some(Posture::Standing), Some(Posture::Lying)) => &mut confusion.standing_as_lying,
            (Some(Posture::Standing), Some(Posture::Standing)) => {
                &mut confusion.standing_as_standing
            }
            _ => continue,
        };
        *cell += 1;
    }
    confusion
}

/// The share of the animals found whose posture was right.
pub(crate) fn right(confusion: &Confusion) -> Option<f64> {
    let all = confusion.lying() + confusion.standing();
    let right = confusion.lying_as_lying + confusion.standing_as_standing;
    crate::number::quotient(schemas::stats::to_f64(right), schemas::stats::to_f64(all))
}
