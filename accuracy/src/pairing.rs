//! Which label is about which picture.
//!
//! Pictures and labels that have names go by these, if any of them are the same: pictures in
//! a folder may be of several videos, whose times say nothing of each other. Else they go by
//! the time in their video, by event time, or by name: the first that both sides know. Times
//! agree if they are nearest to each other and not further apart than a tolerance; names must
//! be equal. A picture has one label at most.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::picture::PictureId;

/// What tells a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Time,
    CapturedAt,
    Name,
}

impl By {
    const ALL: [By; 3] = [By::Time, By::CapturedAt, By::Name];

    fn name(self) -> &'static str {
        match self {
            By::Time => "a time in the video",
            By::CapturedAt => "an event time",
            By::Name => "a name",
        }
    }

    fn is_known(self, picture: &PictureId) -> bool {
        match self {
            By::Name => picture.name.is_some(),
            _ => self.clock(picture).is_some(),
        }
    }

    fn clock(self, picture: &PictureId) -> Option<i64> {
        match self {
            By::Time => picture.t_ms,
            By::CapturedAt => picture.captured_at.map(|at| at.get()),
            By::Name => None,
        }
    }
}

/// Labels with their pictures, as places in the two lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pairs {
    /// Label and picture, in the order of the labels.
    pub pairs: Vec<(usize, usize)>,
    pub labels_alone: usize,
    pub pictures_alone: usize,
}

/// Why labels and pictures cannot be brought together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PairingError {
    #[error(
        "labels and pictures cannot be brought together: the labels are told by {labels}, the \
         pictures by {pictures}; if one has times in a video and the other event times, say when \
         the video began with --start TIME"
    )]
    NothingInCommon { labels: String, pictures: String },
    #[error(
        "two pictures are called {name}, so that nothing tells which one its label is about; give \
         one of them, and its label, another name"
    )]
    Namesakes { name: String },
    #[error(
        "two labels are about {picture}: {first} and {second}; if the labels are of several videos, choose one with --named PREFIX"
    )]
    Twice { picture: String, first: String, second: String },
    #[error(
        "{first} and {second} have the same time, so they are of two videos, and no label has the \
         name of a picture: give pictures of one video, or labels with the pictures' names"
    )]
    SeveralVideos { first: String, second: String },
}

/// What every one of `pictures` is told by.
fn known(pictures: &[&PictureId]) -> Vec<By> {
    let all = |by: &By| pictures.iter().all(|picture| by.is_known(picture));
    By::ALL.into_iter().filter(all).collect()
}

/// Whether a label and a picture have one name.
fn namesakes(labels: &[&PictureId], pictures: &[&PictureId]) -> bool {
    let named: HashSet<_> = pictures.iter().filter_map(|picture| picture.name.as_ref()).collect();
    labels.iter().any(|label| label.name.as_ref().is_some_and(|name| named.contains(name)))
}

/// Two files with one time in a video.
fn twins<'a>(pictures: &[&'a PictureId]) -> Option<(&'a PictureId, &'a PictureId)> {
    let mut first = HashMap::new();
    pictures.iter().filter(|picture| picture.name.is_some()).find_map(|picture| {
        let before: &PictureId = first.insert(picture.t_ms?, *picture)?;
        Some((before, *picture))
    })
}

/// Brings labels and pictures together.
///
/// # Errors
///
/// They have nothing in common, two labels are about one picture, or nothing tells two
/// pictures apart; `origin` says where a label is from.
pub fn pair(
    labels: &[&PictureId],
    pictures: &[&PictureId],
    tolerance_ms: i64,
    origin: impl Fn(usize) -> String,
) -> Result<Pairs, PairingError> {
    let (of_labels, of_pictures) = (known(labels), known(pictures));
    let common = of_labels.iter().copied().filter(|by| of_pictures.contains(by));
    let by_name_first = |by: &By| *by == By::Name && namesakes(labels, pictures);
    let Some(by) = common.clone().find(by_name_first).or(common.clone().next()) else {
        let told = |known: &[By]| match known {
            [] => "nothing that all of them have".to_owned(),
            _ => known.iter().map(|by| by.name()).collect::<Vec<_>>().join(" and "),
        };
        let (labels, pictures) = (told(&of_labels), told(&of_pictures));
        return Err(PairingError::NothingInCommon { labels, pictures });
    };
    let mut first = HashMap::new();
    for (at, label) in labels.iter().enumerate() {
        let key = (by.clock(label), (by == By::Name).then_some(&label.name));
        if let Some(before) = first.insert(key, at) {
            let (first, second) = (origin(before), origin(at));
            return Err(PairingError::Twice { picture: label.to_string(), first, second });
        }
    }
    if let (By::Time, Some((first, second))) = (by, twins(pictures)) {
        let (first, second) = (first.to_string(), second.to_string());
        return Err(PairingError::SeveralVideos { first, second });
    }
    let pairs = match by {
        By::Name => by_name(labels, pictures)?,
        _ => {
            let clock =
                |of: &[&PictureId]| -> Vec<i64> { of.iter().filter_map(|p| by.clock(p)).collect() };
            by_time(&clock(labels), &clock(pictures), tolerance_ms)
        }
    };
    Ok(Pairs {
        labels_alone: labels.len() - pairs.len(),
        pictures_alone: pictures.len() - pairs.len(),
        pairs,
    })
}

fn by_name(
    labels: &[&PictureId],
    pictures: &[&PictureId],
) -> Result<Vec<(usize, usize)>, PairingError> {
    let mut named = HashMap::new();
    for (at, picture) in pictures.iter().enumerate() {
        if named.insert(&picture.name, at).is_some() {
            return Err(PairingError::Namesakes { name: picture.to_string() });
        }
    }
    let pair = |(at, label): (usize, &&PictureId)| Some((at, *named.get(&label.name)?));
    Ok(labels.iter().enumerate().filter_map(pair).collect())
}

/// The nearest first: each time of either list is used once.
fn by_time(labels: &[i64], pictures: &[i64], tolerance_ms: i64) -> Vec<(usize, usize)> {
    let mut sorted = BTreeMap::<i64, Vec<usize>>::new();
    for (at, time) in pictures.iter().enumerate() {
        sorted.entry(*time).or_default().push(at);
    }
    let mut near = Vec::new();
    for (label, time) in labels.iter().enumerate() {
        let range = time.saturating_sub(tolerance_ms)..=time.saturating_add(tolerance_ms);
        for (picture_time, at) in sorted.range(range) {
            let apart = time.abs_diff(*picture_time);
            near.extend(at.iter().map(|picture| (apart, label, *picture)));
        }
    }
    near.sort_unstable();
    let (mut labelled, mut taken) = (vec![false; labels.len()], vec![false; pictures.len()]);
    let mut pairs = Vec::new();
    for (_, label, picture) in near {
        if !labelled[label] && !taken[picture] {
            (labelled[label], taken[picture]) = (true, true);
            pairs.push((label, picture));
        }
    }
    pairs.sort_unstable();
    pairs
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use schemas::time::UnixMillis;

    use super::*;

    fn paired(labels: &[PictureId], pictures: &[PictureId]) -> Result<Pairs, PairingError> {
        let (labels, pictures): (Vec<_>, Vec<_>) =
            (labels.iter().collect(), pictures.iter().collect());
        pair(&labels, &pictures, 5, |at| format!("label {at}"))
    }

    #[test]
    fn the_nearest_picture_within_the_tolerance_is_meant() {
        let times = |of: &[i64]| of.iter().map(|t| PictureId::of_video(*t)).collect::<Vec<_>>();
        let pairs = paired(&times(&[1000, 0, 2000]), &times(&[0, 40, 996, 1003, 2006])).unwrap();
        assert_eq!(pairs.pairs, [(0, 3), (1, 0)]);
        assert_eq!((pairs.labels_alone, pairs.pictures_alone), (1, 3));
    }

    #[test]
    fn a_start_brings_two_clocks_together() {
        let mut labels = [PictureId::captured(UnixMillis::new(1_000_500))];
        let pictures = [PictureId::of_video(500)];
        let error = paired(&labels, &pictures).unwrap_err().to_string();
        assert!(error.contains("by an event time, the pictures by a time in the video"), "{error}");
        labels[0].begun_at(UnixMillis::new(1_000_000));
        assert_eq!(paired(&labels, &pictures).unwrap().pairs, [(0, 0)]);
    }

    #[test]
    fn single_pictures_go_by_their_names() {
        let named = |of: &[&str]| {
            of.iter()
                .map(|name| PictureId { name: Some((*name).into()), ..PictureId::default() })
                .collect::<Vec<_>>()
        };
        let pairs = paired(&named(&["b", "x", "a"]), &named(&["a", "b"])).unwrap();
        assert_eq!(pairs.pairs, [(0, 1), (2, 0)]);
        let error = paired(&named(&["a", "a"]), &named(&["a"])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "two labels are about a: label 0 and label 1; if the labels are of several videos, choose one with --named PREFIX"
        );
    }

    #[test]
    fn pictures_of_two_videos_in_one_folder_go_by_their_names() {
        let of = |names: &[&str]| -> Vec<PictureId> {
            let named =
                |name: &&str| PictureId { name: Some((*name).into()), ..PictureId::of_video(0) };
            names.iter().map(named).collect()
        };
        let named = |labels: &[&str], pictures: &[&str]| paired(&of(labels), &of(pictures));
        let both = ["pen1_t000000000", "pen2_t000000000"];
        assert_eq!(named(&both, &both).unwrap().pairs, [(0, 0), (1, 1)]);
        assert_eq!(named(&both[1..], &both).unwrap().pairs, [(0, 1)], "its own, not the first");
        let error = named(&["a"], &["a", "a"]).unwrap_err().to_string();
        assert!(error.starts_with("two pictures are called a,"), "{error}");
        let error = named(&["3fa9b2c1-pen1_t000000000"], &both).unwrap_err().to_string();
        assert!(error.starts_with("pen1_t000000000 and pen2_t000000000 have the same"), "{error}");
    }

    #[test]
    fn a_name_that_a_tool_has_changed_goes_by_its_time() {
        let of =
            |name: &str, t_ms| PictureId { name: Some(name.into()), ..PictureId::of_video(t_ms) };
        let labels = [of("3fa9b2c1-pen1_t000010000", 10_000)];
        let pictures = [of("pen1_t000000000", 0), of("pen1_t000010000", 10_000)];
        assert_eq!(paired(&labels, &pictures).unwrap().pairs, [(0, 1)]);
    }

    proptest! {
        #[test]
        fn no_picture_has_two_labels(
            labels in prop::collection::btree_set(0_i64..200, 1..30),
            pictures in prop::collection::vec(0_i64..200, 0..30),
        ) {
            let ids = |of: Vec<i64>| of.into_iter().map(PictureId::of_video).collect::<Vec<_>>();
            let labels: Vec<i64> = labels.into_iter().collect();
            let pairs = paired(&ids(labels.clone()), &ids(pictures.clone())).unwrap().pairs;
            let mut taken: Vec<usize> = pairs.iter().map(|(_, picture)| *picture).collect();
            taken.sort_unstable();
            taken.dedup();
            prop_assert_eq!(taken.len(), pairs.len());
            for (label, picture) in &pairs {
                prop_assert!(labels[*label].abs_diff(pictures[*picture]) <= 5);
            }
            // Nobody is left alone beside a free picture that is near.
            for (at, time) in labels.iter().enumerate() {
                let alone = !pairs.iter().any(|(label, _)| *label == at);
                let free = |p: &usize| !pairs.iter().any(|(_, picture)| picture == p);
                let near = (0..pictures.len()).any(|p| free(&p) && pictures[p].abs_diff(*time) <= 5);
                prop_assert!(!(alone && near));
            }
        }
    }
}
