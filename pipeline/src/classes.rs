//! Class names as small numbers, and the metrics that each counts for.

use std::sync::{Arc, PoisonError, RwLock};

use rustc_hash::FxHashMap;
use schemas::avro;
use schemas::frame::FrameFault;
use schemas::metric::MetricRules;
use serde::{Deserialize, Serialize};

/// Most classes that one process tells apart. A detector knows a few hundred
/// at most; beyond this, names are made up by a broken producer.
const CLASSES_MAX: usize = 4096;

/// One class name, in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct ClassId(u16);

/// One metric name, in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct MetricId(u16);

/// All names met so far, shared by all threads. Only grows.
#[derive(Debug)]
pub(crate) struct Names {
    rules: MetricRules,
    known: RwLock<Known>,
}

#[derive(Debug, Default)]
struct Known {
    classes: FxHashMap<Box<[u8]>, ClassId>,
    /// By class: the metrics that it counts for.
    counts_for: Vec<Arc<[MetricId]>>,
    metrics: Vec<Arc<str>>,
}

impl Names {
    pub(crate) fn new(rules: MetricRules) -> Names {
        let mut known = Known::default();
        for metric in rules.declared() {
            known.metric(metric.into());
        }
        Names { rules, known: RwLock::new(known) }
    }

    /// The number of a class, given now if it is new.
    fn class(&self, name: &[u8]) -> Result<ClassId, FrameFault> {
        if let Some(id) = self.read().classes.get(name) {
            return Ok(*id);
        }
        let text = avro::name(name)?;
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(id) = known.classes.get(name) {
            return Ok(*id);
        }
        let number = u16::try_from(known.counts_for.len()).map_err(|_| FrameFault::Classes)?;
        if CLASSES_MAX <= known.counts_for.len() {
            return Err(FrameFault::Classes);
        }
        let metrics: Vec<MetricId> =
            self.rules.metrics_of(&text).into_iter().map(|metric| known.metric(metric)).collect();
        known.counts_for.push(metrics.into());
        known.classes.insert(name.into(), ClassId(number));
        Ok(ClassId(number))
    }

    /// The number of a metric, given now if it is new: for rows read back.
    pub(crate) fn metric(&self, name: &Arc<str>) -> MetricId {
        self.known.write().unwrap_or_else(PoisonError::into_inner).metric(Arc::clone(name))
    }

    /// The declared metrics, which have a row in every window.
    pub(crate) fn declared(&self) -> Vec<MetricId> {
        self.rules.declared().map(|name| self.metric(&name.into())).collect()
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn metric(&mut self, name: Arc<str>) -> MetricId {
        let found = self.metrics.iter().position(|known| *known == name);
        let at = found.unwrap_or_else(|| {
            self.metrics.push(name);
            self.metrics.len() - 1
        });
        // A class has at most one metric of its own, so there are few more
        // metrics than classes.
        MetricId(u16::try_from(at).unwrap_or(u16::MAX))
    }
}

/// One thread's way from class names to numbers: it remembers the last ones, in
/// the order in which frames name them, and so seldom looks anything up.
pub(crate) struct ClassLookup {
    names: Arc<Names>,
    recent: Vec<(Box<[u8]>, ClassId)>,
}

/// How many names a thread remembers: a usual detector's.
const RECENT_MAX: usize = 128;

impl ClassLookup {
    pub(crate) fn new(names: Arc<Names>) -> ClassLookup {
        ClassLookup { names, recent: Vec::new() }
    }

    /// The number of the class `name`, expected at place `hint` of the recent
    /// ones; and its place.
    #[inline]
    pub(crate) fn class(
        &mut self,
        name: &[u8],
        hint: usize,
    ) -> Result<(ClassId, usize), FrameFault> {
        match self.recent.get(hint) {
            Some((known, id)) if **known == *name => Ok((*id, hint)),
            _ => self.search(name),
        }
    }

    #[cold]
    fn search(&mut self, name: &[u8]) -> Result<(ClassId, usize), FrameFault> {
        if let Some(at) = self.recent.iter().position(|(known, _)| **known == *name) {
            return Ok((self.recent[at].1, at));
        }
        let id = self.names.class(name)?;
        if RECENT_MAX <= self.recent.len() {
            self.recent.clear();
        }
        self.recent.push((name.into(), id));
        Ok((id, self.recent.len() - 1))
    }
}

/// One thread's way from class numbers to metrics and from these to names.
pub(crate) struct MetricLookup {
    names: Arc<Names>,
    counts_for: Vec<Arc<[MetricId]>>,
    metrics: Vec<Arc<str>>,
}

impl MetricLookup {
    pub(crate) fn new(names: Arc<Names>) -> MetricLookup {
        MetricLookup { names, counts_for: Vec::new(), metrics: Vec::new() }
    }

    /// The metrics that `class` counts for.
    #[inline]
    pub(crate) fn counts_for(&mut self, class: ClassId) -> &[MetricId] {
        let at = usize::from(class.0);
        if self.counts_for.len() <= at {
            self.catch_up();
        }
        &self.counts_for[at]
    }

    /// The name of `metric`.
    pub(crate) fn name(&mut self, metric: MetricId) -> &Arc<str> {
        let at = usize::from(metric.0);
        if self.metrics.len() <= at {
            self.catch_up();
        }
        &self.metrics[at]
    }

    #[cold]
    fn catch_up(&mut self) {
        let known = self.names.read();
        self.counts_for.extend_from_slice(&known.counts_for[self.counts_for.len()..]);
        self.metrics.extend_from_slice(&known.metrics[self.metrics.len()..]);
    }
}
