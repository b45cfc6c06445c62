//! The labels of a run: read, renamed, and those that are wanted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use accuracy::labels::{Label, Labels, Naming, Reading};
use accuracy::series::share_times;
use anyhow::bail;
use producers::sample::Sampler;

use super::{Args, Sixth, form_of};

/// The labels that `args` mean.
///
/// # Errors
///
/// There are none, or they cannot be read.
pub(super) fn labels(args: &Args) -> anyhow::Result<Labels> {
    let Some(path) = &args.labels else {
        bail!(
            "no labels, and without them no accuracy: it is a comparison with what somebody saw. \
             Name them with --labels PATH; `animov label export` makes pictures to correct"
        );
    };
    if args.fps.is_some_and(|fps| !(0.001..=1000.0).contains(&fps)) {
        bail!("--fps is not a number from 0.001 to 1000");
    }
    let reading = Reading {
        naming: Naming { fps: args.fps, first: args.first },
        classes: args.classes.iter().map(|class| class.as_str().into()).collect(),
        ignored_columns: args.ignore.clone(),
        source: args.source,
        visible_min: args.visible_min,
        sixth_is_visible: args.sixth == Sixth::Visible,
    };
    let mut labels = Labels::read(path, form_of(args, path)?, &reading)?;
    let renamed: BTreeMap<Arc<str>, Arc<str>> =
        args.rename.iter().map(|r| (r.column().into(), r.name().into())).collect();
    labels.rename(&renamed)?;
    if let Some(start) = args.start {
        labels.pictures.iter_mut().for_each(|label| label.picture.begun_at(start));
    }
    let all = labels.pictures.len();
    labels.pictures.retain(|label| is_wanted(label, args));
    thin(&mut labels, args);
    if labels.pictures.is_empty() {
        bail!("none of the {all} labels is left by --named, --from, --to and --every");
    }
    Ok(labels)
}

fn is_wanted(label: &Label, args: &Args) -> bool {
    let name = label.picture.name.as_deref().unwrap_or_default();
    let named = args.named.as_deref().is_none_or(|prefix| name.starts_with(prefix));
    let at = label.picture.captured_at;
    let from = args.from.is_none_or(|from| at.is_some_and(|at| from <= at));
    let to = args.to.is_none_or(|to| at.is_some_and(|at| at < to));
    named && from && to
}

/// Leaves one label in so long a time, of each video, if asked to.
fn thin(labels: &mut Labels, args: &Args) {
    let Some(every) = args.every else { return };
    let several = share_times(labels.pictures.iter().map(|label| &label.picture));
    labels.pictures.sort_by_key(|label| label.picture.clock_ms());
    let mut samplers = BTreeMap::new();
    labels.pictures.retain(|label| {
        // Without a time nothing tells how far apart they are.
        label.picture.clock_ms().is_none_or(|at| {
            let video = label.picture.video.clone().filter(|_| several);
            let (first, sampler) = samplers.entry(video).or_insert((at, Sampler::new(every)));
            let after = u64::try_from(at.saturating_sub(*first)).unwrap_or(0);
            sampler.takes(Duration::from_millis(after))
        })
    });
}
