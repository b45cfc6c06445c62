//! The report for people, as Markdown.

use std::fmt::Write;

use schemas::time::UnixMillis;

use crate::bootstrap::Interval;
use crate::figures::{Agreement, Boxes, Condition, CountError, LyingShare};
use crate::report::{Report, Setting};

/// What stands for a figure that cannot be said.
const NONE: &str = "–";

impl Report {
    /// The report as Markdown; `plots` are files beside it.
    pub fn markdown(&self, plots: &[&str]) -> String {
        let mut text = Text(String::new());
        text.line("# Accuracy");
        self.setting(&mut text);
        self.share(&mut text);
        self.counts(&mut text);
        self.boxes(&mut text);
        self.agreement(&mut text);
        self.conditions(&mut text);
        for plot in plots {
            text.line(&format!("![{}]({plot})", plot.trim_end_matches(".svg")));
        }
        text.0
    }

    fn setting(&self, text: &mut Text) {
        let Setting { source, labels, labels_form, detections, model, confidence, .. } =
            &self.setting;
        let frames = &self.frames;
        let mut facts =
            vec![format!("Labels: {labels} ({labels_form})"), format!("Detections: {detections}")];
        if let Some(source) = source {
            facts.push(format!("Source: {source}"));
        }
        if let Some(model) = model {
            facts.push(format!("Model: {} ({})", model.name, model.hash));
        }
        let confidence = confidence.map_or("as recorded".to_owned(), |least| least.to_string());
        facts.push(format!(
            "Confidence: {confidence}; overlap of boxes from {}",
            self.setting.iou_min
        ));
        if let Some(least) = self.setting.visible_min {
            facts.push(format!(
                "Animals of which less than {} is to be seen are not asked for",
                percent(least)
            ));
        }
        let between = frames
            .from
            .zip(frames.to)
            .map_or(String::new(), |(from, to): (UnixMillis, UnixMillis)| {
                format!(", from {from} to {to}")
            });
        facts.push(format!(
            "Labelled frames compared: {}{between}; labels without a picture: {}, pictures without a \
             label: {}",
            frames.compared, frames.labels_alone, frames.pictures_alone,
        ));
        if !frames.unlabelled_classes.is_empty() {
            let classes: Vec<String> =
                frames.unlabelled_classes.iter().map(|(class, n)| format!("{n} {class}")).collect();
            facts.push(format!("Left out, as nobody labelled such: {}", classes.join(", ")));
        }
        let plan = self.setting.bootstrap;
        facts.push(format!(
            "Intervals: 95 %, bootstrap of {} draws from {} blocks (each {}), seed {}",
            plan.draws, self.figures.blocks, self.figures.block, plan.seed
        ));
        text.list(&facts);
    }

    fn share(&self, text: &mut Text) {
        let LyingShare {
            truth,
            detected,
            error,
            error_interval,
            frame_mae,
            corrected,
            not_corrected,
        } = &self.figures.lying_share;
        text.line("## Share of lying animals");
        text.row(&["", "share", "95 %"]);
        text.ruler(3);
        let share = |value: &Option<f64>| value.map_or(NONE.to_owned(), percent);
        text.row(&["labels", &share(truth), NONE]);
        text.row(&["detected (raw)", &share(detected), NONE]);
        let interval = error_interval.map_or(NONE.to_owned(), |Interval { low, high }| {
            format!("{} to {}", points(low), points(high))
        });
        let error = error.map_or(NONE.to_owned(), points);
        text.row(&["error (raw less labels)", &error, &interval]);
        text.row(&["absolute error of a frame, mean", &share(frame_mae), NONE]);
        if let Some(corrected) = corrected {
            let found = corrected.share;
            let interval = format!("{} to {}", percent(found.low), percent(found.high));
            // Unlike the other limits these take each animal of each frame to be one of its own.
            let name = format!("corrected ({}, as if independent)", corrected.method);
            text.row(&[&name, &percent(found.share), &interval]);
        }
        text.end();
        if let Some(why) = not_corrected {
            text.line(&format!("No corrected share: {why}."));
        }
    }

    fn counts(&self, text: &mut Text) {
        text.line("## Number of animals in a frame");
        text.row(&[
            "class",
            "labels, mean",
            "detected, mean",
            "MAE",
            "95 %",
            "of the mean",
            "bias",
            "95 %",
            "of the mean",
        ]);
        text.ruler(9);
        for CountError {
            class,
            truth_mean,
            detected_mean,
            mae,
            bias,
            mae_share,
            bias_share,
            mae_interval,
            bias_interval,
        } in &self.figures.counts
        {
            let interval = |of: &Option<Interval>| {
                of.map_or(NONE.to_owned(), |Interval { low, high }| {
                    format!("{low:.3} to {high:.3}")
                })
            };
            text.row(&[
                class,
                &format!("{truth_mean:.3}"),
                &format!("{detected_mean:.3}"),
                &format!("{mae:.3}"),
                &interval(mae_interval),
                &mae_share.map_or(NONE.to_owned(), percent),
                &format!("{bias:+.3}"),
                &interval(bias_interval),
                &bias_share.map_or(NONE.to_owned(), signed_percent),
            ]);
        }
        text.end();
    }

    fn boxes(&self, text: &mut Text) {
        text.line("## Finding animals, and their postures");
        let Some(boxes) = &self.figures.boxes else {
            let why = self.figures.no_boxes.unwrap_or("there are no boxes");
            text.line(&format!("No figures of boxes: {why}."));
            return;
        };
        let Boxes {
            matched,
            missed,
            false_ones,
            left_out,
            precision,
            recall,
            iou_mean,
            classes,
            confusion,
            postures,
        } = boxes;
        text.list(&[
            format!("Animals found: {matched}, missed: {missed}; false detections: {false_ones}; left out: {left_out}"),
            format!("Whatever the class: precision {}, recall {}, mean overlap {}", decimal(*precision), decimal(*recall), decimal(*iou_mean)),
            format!("Lying or standing, of those found: {} right, kappa {}", postures.right.map_or(NONE.to_owned(), percent), decimal(postures.kappa)),
        ]);
        text.row(&["class", "labelled", "detected", "right", "precision", "recall", "F1"]);
        text.ruler(7);
        for of in classes {
            let [labelled, detected, right] =
                [of.labelled, of.detected, of.right].map(|n| n.to_string());
            text.row(&[
                &of.class,
                &labelled,
                &detected,
                &right,
                &decimal(of.precision),
                &decimal(of.recall),
                &decimal(of.f1),
            ]);
        }
        text.end();
        let names: Vec<&str> = confusion.classes.iter().map(|class| &**class).collect();
        let mut head = vec!["label \\ detected as"];
        head.extend(&names);
        head.push("missed");
        text.row(&head);
        text.ruler(head.len());
        for (name, row) in names.iter().copied().chain(["nobody (false)"]).zip(&confusion.rows) {
            let last = confusion.rows.len() - 1;
            // Nobody who was missed is no case.
            let cell = |(at, n): (usize, &u64)| {
                if at == last && name == "nobody (false)" { NONE.to_owned() } else { n.to_string() }
            };
            let cells: Vec<String> = row.iter().enumerate().map(cell).collect();
            let mut line = vec![name];
            line.extend(cells.iter().map(String::as_str));
            text.row(&line);
        }
        text.end();
    }

    fn agreement(&self, text: &mut Text) {
        text.line("## Agreement");
        text.row(&[
            "class",
            "per",
            "n",
            "kappa",
            "kappa, quadratic",
            "Pearson r",
            "bias",
            "limits of agreement",
            "MAE",
        ]);
        text.ruler(9);
        for Agreement { class, level, n, kappa, kappa_quadratic, pearson_r, bland_altman, mae } in
            &self.figures.agreement
        {
            let limits = bland_altman
                .map_or(NONE.to_owned(), |of| format!("{:+.3} to {:+.3}", of.low, of.high));
            let bias = bland_altman.map_or(NONE.to_owned(), |of| format!("{:+.3}", of.bias));
            text.row(&[
                class,
                level.name(),
                &n.to_string(),
                &decimal(*kappa),
                &decimal(*kappa_quadratic),
                &decimal(*pearson_r),
                &bias,
                &limits,
                &format!("{mae:.3}"),
            ]);
        }
        text.end();
    }

    fn conditions(&self, text: &mut Text) {
        text.line("## By condition");
        text.row(&[
            "condition",
            "value",
            "frames",
            "animals, mean",
            "MAE",
            "bias",
            "precision",
            "recall",
            "postures right",
            "lying, labels",
            "lying, detected",
        ]);
        text.ruler(11);
        for Condition {
            condition,
            value,
            frames,
            truth_mean,
            mae,
            bias,
            precision,
            recall,
            postures_right,
            lying_share_truth,
            lying_share_detected,
        } in &self.figures.conditions
        {
            let share = |of: &Option<f64>| of.map_or(NONE.to_owned(), percent);
            text.row(&[
                condition,
                value,
                &frames.to_string(),
                &format!("{truth_mean:.3}"),
                &format!("{mae:.3}"),
                &format!("{bias:+.3}"),
                &decimal(*precision),
                &decimal(*recall),
                &share(postures_right),
                &share(lying_share_truth),
                &share(lying_share_detected),
            ]);
        }
        text.end();
    }
}

fn decimal(value: Option<f64>) -> String {
    value.map_or(NONE.to_owned(), |value| format!("{value:.3}"))
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

fn signed_percent(share: f64) -> String {
    format!("{:+.1} %", share * 100.0)
}

/// A difference of two shares, in percentage points.
fn points(difference: f64) -> String {
    format!("{:+.1} pp", difference * 100.0)
}

/// Markdown that grows.
struct Text(String);

impl Text {
    fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push_str("\n\n");
    }

    fn list(&mut self, items: &[String]) {
        items.iter().for_each(|item| _ = writeln!(self.0, "- {item}"));
        self.end();
    }

    fn row(&mut self, cells: &[&str]) {
        let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
        _ = writeln!(self.0, "| {} |", cells.join(" | "));
    }

    /// What makes the row above it the head of a table; the first column is of words.
    fn ruler(&mut self, columns: usize) {
        let rest = " ---: |".repeat(columns.saturating_sub(1));
        _ = writeln!(self.0, "| --- |{rest}");
    }

    fn end(&mut self) {
        self.0.push('\n');
    }
}
