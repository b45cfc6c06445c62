//! Pictures of a comparison, as SVG. The only file that names plotters.
//!
//! Ink is of middle brightness and the ground transparent, so that they can be read on
//! dark and light pages; truth and detections have colours that people who see few colours
//! tell apart (Okabe and Ito). Letters are the reader's own, so that no font is needed here.

use plotters::coord::Shift;
use plotters::prelude::{
    ChartBuilder, Circle, Color, DashedLineSeries, DrawingArea, DrawingAreaErrorKind,
    IntoDrawingArea, IntoFont, LineSeries, PathElement, RGBColor, Rectangle, SVGBackend,
    SeriesLabelPosition, Text, TextStyle,
};
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::agreement::BlandAltman;
use crate::comparison::Comparison;
use crate::figures::{Boxes, Figures};
use crate::number::count;
use crate::picture::PictureId;
use crate::series::{self, Level, Means, Series, share_times};

/// Why a picture could not be drawn.
#[derive(Debug, thiserror::Error)]
#[error("could not draw the plot of {what}: {why}")]
pub struct PlotError {
    what: &'static str,
    why: String,
}

type Failed = DrawingAreaErrorKind<std::io::Error>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

const INK: RGBColor = RGBColor(128, 128, 128);
const TRUTH: RGBColor = RGBColor(230, 159, 0);
const DETECTED: RGBColor = RGBColor(46, 144, 214);
const BIAS: RGBColor = RGBColor(213, 94, 0);

/// From the palest cell of the matrix to the deepest.
const CELLS: [RGBColor; 2] = [RGBColor(237, 243, 250), RGBColor(8, 69, 132)];
const ON_PALE: RGBColor = RGBColor(40, 40, 40);
const ON_DEEP: RGBColor = RGBColor(250, 250, 250);

const WIDTH: u32 = 960;

/// From so many frames on, lines are of minutes: more points than dots on a screen.
const FRAMES_MAX: usize = 1500;

/// Most classes that have a plot of their own.
const CLASSES_MAX: usize = 4;

/// Each plot of a comparison: the file's name, and its SVG.
///
/// # Errors
///
/// A picture cannot be drawn.
pub fn all(
    comparison: &Comparison,
    figures: &Figures,
) -> Result<Vec<(&'static str, String)>, PlotError> {
    let series = shown(series::all(comparison));
    let mut plots = vec![
        (
            "counts.svg",
            drawn("counts", 260, &series, |area, series| counts(area, series, comparison))?,
        ),
        (
            "bland-altman.svg",
            drawn("agreement", 320, &series, |area, series| agreement(area, series, comparison))?,
        ),
    ];
    if let Some(boxes) = figures.boxes.as_ref().filter(|boxes| !boxes.classes.is_empty()) {
        let mut svg = String::new();
        let side = 180 + 90 * u32::try_from(boxes.confusion.rows.len()).unwrap_or(1).min(12);
        matrix(&SVGBackend::with_string(&mut svg, (side + 60, side)).into_drawing_area(), boxes)
            .map_err(|error| PlotError { what: "confusion", why: error.to_string() })?;
        plots.push(("confusion.svg", svg));
    }
    Ok(plots)
}

/// The classes of which there is most to see, and the total.
fn shown(mut series: Vec<Series>) -> Vec<Series> {
    let sum = |series: &Series| series.truth.iter().map(|n| u64::from(*n)).sum::<u64>();
    series.sort_by_key(|series| std::cmp::Reverse(sum(series)));
    series.truncate(CLASSES_MAX);
    series
}

/// One panel a series, below each other.
fn drawn(
    what: &'static str,
    height: u32,
    series: &[Series],
    panel: impl Fn(&Area<'_>, &Series) -> Result<(), Failed>,
) -> Result<String, PlotError> {
    let rows = series.len().max(1);
    let height = height * u32::try_from(rows).unwrap_or(1);
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        let drawn = || {
            for (area, series) in root.split_evenly((rows, 1)).iter().zip(series) {
                panel(area, series)?;
            }
            root.present()
        };
        drawn().map_err(|error: Failed| PlotError { what, why: error.to_string() })?;
    }
    Ok(svg)
}

fn ink(size: u32) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&INK)
}

/// The times of `count` moments, in minutes after the first; their places where pictures have
/// none, or those of several videos.
fn minutes(comparison: &Comparison, level: Level, count: usize) -> (Vec<f64>, &'static str) {
    let pictures = comparison.pictures.iter().map(|compared| &compared.picture);
    let several = share_times(pictures.clone());
    let clocks: Option<Vec<i64>> = pictures.map(PictureId::clock_ms).collect();
    let Some(clocks) = clocks.filter(|_| !several) else {
        let places = 0..u32::try_from(count).unwrap_or(u32::MAX);
        return (places.map(f64::from).collect(), level.name());
    };
    let first = clocks.iter().min().copied().unwrap_or(0);
    let minute = |ms: i64| {
        schemas::stats::to_f64(u64::try_from(ms.saturating_sub(first)).unwrap_or(0)) / 60_000.0
    };
    let times = match level {
        Level::Frame => clocks.into_iter().map(minute).collect(),
        _ => {
            let mut starts: Vec<i64> =
                clocks.into_iter().map(|ms| ms.div_euclid(60_000) * 60_000).collect();
            starts.dedup();
            starts.into_iter().map(minute).collect()
        }
    };
    (times, "minutes after the first labelled frame")
}

/// How high an axis must be for `values`.
fn top(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(1.0, f64::max) * 1.1
}

fn counts(area: &Area<'_>, series: &Series, comparison: &Comparison) -> Result<(), Failed> {
    let many = FRAMES_MAX < comparison.pictures.len();
    let level = if many { Level::Minute } else { Level::Frame };
    let means = Means::at(level, series, comparison)
        .or_else(|| Means::at(Level::Frame, series, comparison));
    let Some(means) = means else { return Ok(()) };
    let (times, along) = minutes(comparison, level, means.truth.len());
    // Room for the names of the lines above them.
    let highest = top(means.truth.iter().chain(&means.detected).copied()) * 1.3;
    let last = times.iter().copied().fold(0.0, f64::max).max(1e-3);
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .caption(format!("{}: labels and detections", series.class), ink(18))
        .x_label_area_size(38)
        .y_label_area_size(52)
        .build_cartesian_2d(0.0..last, 0.0..highest)?;
    chart
        .configure_mesh()
        .axis_style(INK)
        .bold_line_style(INK.mix(0.25))
        .light_line_style(INK.mix(0.0))
        .label_style(ink(13))
        .x_desc(along)
        .y_desc("animals")
        .draw()?;
    let line =
        |values: &[f64]| times.iter().copied().zip(values.iter().copied()).collect::<Vec<_>>();
    chart
        .draw_series(LineSeries::new(line(&means.truth), TRUTH.stroke_width(3)))?
        .label("labels")
        .legend(|(x, y)| PathElement::new([(x, y), (x + 22, y)], TRUTH.stroke_width(3)));
    chart
        .draw_series(LineSeries::new(line(&means.detected), DETECTED.stroke_width(1)))?
        .label("detected")
        .legend(|(x, y)| PathElement::new([(x, y), (x + 22, y)], DETECTED.stroke_width(2)));
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .margin(2)
        .label_font(ink(13))
        .legend_area_size(30)
        .draw()
}

fn agreement(area: &Area<'_>, series: &Series, comparison: &Comparison) -> Result<(), Failed> {
    let minutes = Means::at(Level::Minute, series, comparison).filter(|m| 20 <= m.truth.len());
    let per = minutes.as_ref().map_or("frame", |_| "minute");
    let Some(means) = minutes.or_else(|| Means::at(Level::Frame, series, comparison)) else {
        return Ok(());
    };
    let points: Vec<(f64, f64)> = (means.truth.iter().zip(&means.detected))
        .map(|(truth, detected)| (f64::midpoint(*truth, *detected), detected - truth))
        .collect();
    let limits = BlandAltman::of(&means.truth, &means.detected);
    let reach = limits.map_or(0.0, |of| of.low.abs().max(of.high.abs()));
    let reach = top(points.iter().map(|point| point.1.abs()).chain([reach]));
    let right = top(points.iter().map(|point| point.0));
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .caption(format!("{}: Bland-Altman, per {per}", series.class), ink(18))
        .x_label_area_size(38)
        .y_label_area_size(52)
        .build_cartesian_2d(0.0..right, -reach..reach)?;
    chart
        .configure_mesh()
        .axis_style(INK)
        .bold_line_style(INK.mix(0.25))
        .light_line_style(INK.mix(0.0))
        .label_style(ink(13))
        .x_desc("mean of labels and detections, animals")
        .y_desc("detected less labels")
        .draw()?;
    // Many points in one place are darker.
    let dot = |point: &(f64, f64)| Circle::new(*point, 4, DETECTED.mix(0.5).filled());
    chart.draw_series(points.iter().map(dot))?;
    if let Some(BlandAltman { bias, low, high, sd: _ }) = limits {
        chart.draw_series(LineSeries::new([(0.0, bias), (right, bias)], BIAS.stroke_width(2)))?;
        for (name, limit) in [("−1.96 SD", low), ("+1.96 SD", high)] {
            let line = [(0.0, limit), (right, limit)];
            chart.draw_series(DashedLineSeries::new(line, 8, 6, BIAS.stroke_width(1)))?;
            chart.draw_series([Text::new(
                format!("{name} {limit:+.2}"),
                (right, limit),
                right_of(BIAS, VPos::Bottom),
            )])?;
        }
        chart.draw_series([Text::new(
            format!("bias {bias:+.2}"),
            (right, bias),
            right_of(BIAS, VPos::Bottom),
        )])?;
    }
    Ok(())
}

/// Letters that end at their point.
fn right_of(colour: RGBColor, above: VPos) -> TextStyle<'static> {
    ("sans-serif", 13).into_font().color(&colour).pos(Pos::new(HPos::Right, above))
}

/// A heat map: each row's cells are as deep as their share of the row.
fn matrix(area: &Area<'_>, boxes: &Boxes) -> Result<(), Failed> {
    let matrix = &boxes.confusion;
    let names = |last: &'static str| {
        matrix.classes.iter().map(|class| class.to_string()).chain([last.to_owned()]).collect()
    };
    let (rows, columns): (Vec<String>, Vec<String>) = (names("nobody"), names("missed"));
    let side = count(&rows);
    let chart = ChartBuilder::on(area)
        .margin(12)
        .caption("labels (rows) as detected (columns)", ink(18))
        .x_label_area_size(30)
        .y_label_area_size(110)
        .build_cartesian_2d(0.0..side, 0.0..side)?;
    let plane = chart.plotting_area();
    let middle = Pos::new(HPos::Center, VPos::Center);
    let mut top = side;
    for (row, name) in matrix.rows.iter().zip(&rows) {
        let all: u64 = row.iter().sum();
        let mut left = 0.0;
        for (cell, column) in row.iter().zip(&columns) {
            let impossible = name == "nobody" && column == "missed";
            let share =
                crate::number::quotient(schemas::stats::to_f64(*cell), schemas::stats::to_f64(all));
            let share = share.unwrap_or(0.0);
            if !impossible {
                let square = [(left + 0.02, top - 0.02), (left + 0.98, top - 0.98)];
                plane.draw(&Rectangle::new(square, between(share).filled()))?;
                let letters = if share < 0.5 { ON_PALE } else { ON_DEEP };
                let style = ("sans-serif", 16).into_font().color(&letters).pos(middle);
                plane.draw(&Text::new(cell.to_string(), (left + 0.5, top - 0.5), style))?;
            }
            left += 1.0;
        }
        let style = ink(14).pos(Pos::new(HPos::Right, VPos::Center));
        plane.draw(&Text::new(name.clone(), (-0.06, top - 0.5), style))?;
        top -= 1.0;
    }
    let mut left = 0.0;
    for column in columns {
        let style = ink(14).pos(Pos::new(HPos::Center, VPos::Top));
        plane.draw(&Text::new(column, (left + 0.5, -0.04), style))?;
        left += 1.0;
    }
    area.present()
}

/// The colour of a share.
fn between(share: f64) -> RGBColor {
    let [pale, deep] = CELLS;
    let part = |from: u8, to: u8| {
        let value = f64::from(from) + (f64::from(to) - f64::from(from)) * share;
        format!("{value:.0}").parse().unwrap_or(from)
    };
    RGBColor(part(pale.0, deep.0), part(pale.1, deep.1), part(pale.2, deep.2))
}
