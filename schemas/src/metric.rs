//! Metrics: named sets of classes whose boxes are counted per frame.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The declared metrics, and the rule for classes that none of them names.
///
/// A declared metric has a row in every window, also when it saw nothing. A
/// class outside all declared metrics is a metric of its own, with a row in
/// each window where it was seen; where it was not, its count is zero in every
/// frame, and readers answer so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MetricRules {
    declared: BTreeMap<String, Vec<String>>,
}

impl Default for MetricRules {
    /// `lying`, `standing`, and `total`, which is both. Their classes are those of the
    /// built-in model, and those of the original system's clients.
    fn default() -> MetricRules {
        let classes = |names: &[&str]| names.iter().copied().map(String::from).collect();
        MetricRules {
            declared: BTreeMap::from([
                ("lying".into(), classes(&["lying", "couche"])),
                ("standing".into(), classes(&["standing", "debout"])),
                ("total".into(), classes(&["lying", "standing", "couche", "debout"])),
            ]),
        }
    }
}

impl MetricRules {
    /// Rules from metric name to class names.
    pub fn new(declared: BTreeMap<String, Vec<String>>) -> MetricRules {
        MetricRules { declared }
    }

    /// The declared metrics' names, ascending.
    pub fn declared(&self) -> impl Iterator<Item = &str> {
        self.declared.keys().map(String::as_str)
    }

    /// Each declared metric with its classes, by name.
    pub fn declared_classes(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.declared.iter().map(|(metric, classes)| (metric.as_str(), classes.as_slice()))
    }

    /// The metrics that a box of `class` counts for; never none.
    pub fn metrics_of(&self, class: &str) -> Vec<Arc<str>> {
        let naming = |(_, classes): &(&String, &Vec<String>)| classes.iter().any(|c| c == class);
        let declared: Vec<Arc<str>> =
            self.declared.iter().filter(naming).map(|(metric, _)| metric.as_str().into()).collect();
        if !declared.is_empty() {
            return declared;
        }
        // A class that only shares a declared metric's name must not be added
        // to it.
        match self.declared.contains_key(class) {
            true => vec![format!("{class} (class)").into()],
            false => vec![class.into()],
        }
    }
}

/// The metrics that stand for what the original system counted: its tables, views
/// and routes know these three, whatever a site's metrics are called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Postures {
    /// Its column `total`.
    pub total: Arc<str>,
    /// Its column `couche`.
    pub lying: Arc<str>,
    /// Its column `debout`.
    pub standing: Arc<str>,
}

impl Default for Postures {
    /// `total`, `lying` and `standing`, as the metrics of [`MetricRules::default`].
    fn default() -> Postures {
        Postures { total: "total".into(), lying: "lying".into(), standing: "standing".into() }
    }
}

impl Postures {
    /// Each with its name here.
    pub fn named(&self) -> [(&'static str, &Arc<str>); 3] {
        [("total", &self.total), ("lying", &self.lying), ("standing", &self.standing)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_counts_for_the_metrics_that_name_it_or_for_itself() {
        let rules = MetricRules::default();
        let of = |class| rules.metrics_of(class).join(" + ");
        assert_eq!(of("lying"), "lying + total");
        assert_eq!(of("standing"), "standing + total");
        assert_eq!((of("couche"), of("debout")), (of("lying"), of("standing")));
        assert_eq!(of("person"), "person");
        assert_eq!(of("total"), "total (class)");
    }
}
