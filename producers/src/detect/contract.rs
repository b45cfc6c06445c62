//! What a model's numbers mean: which contract its shapes fit, and its output read
//! by that contract.
//!
//! # Invariants
//!
//! - A model is taken by one contract or refused with the shapes found and the
//!   shapes wanted; nothing is guessed from its name.
//! - Reading an output neither copies nor allocates, and a number that is no number
//!   is no box.

use crate::detect::letterbox::{Channels, InputFormat, Placement, Range, Size};

/// A contract, with the sizes that a model fills it with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contract {
    pub family: Family,
    pub input: Size,
    /// Boxes that each answer holds, good and bad.
    pub anchors: usize,
    pub classes: usize,
}

/// Who defined the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// YOLOX, raw: `[1, anchors, 5 + classes]` of dx, dy, log w, log h, objectness,
    /// scores; BGR, 0 to 255, the picture in the top left corner.
    Yolox,
    /// Ultralytics' `YOLOv8` and v11: `[1, 4 + classes, anchors]` of cx, cy, w, h in
    /// input pixels, scores; RGB, 0 to 1, the picture in the centre.
    Ultralytics,
}

/// One box as a model answered it: corners in input pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    pub class: usize,
    pub confidence: f32,
    /// Left, top, right, bottom.
    pub corners: [f32; 4],
}

/// A model whose shapes fit no contract.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "its shapes fit no detector that animov knows: found {found}; wanted input f32 [1, 3, H, W] with \
     H and W multiples of 32, and one output f32, either [1, A, 5 + classes] (YOLOX, raw) or \
     [1, 4 + classes, A] (Ultralytics v8 and v11), where A is the number of grid cells of strides \
     8, 16 and 32{anchors}"
)]
pub struct NoContract {
    found: String,
    anchors: String,
}

/// A tensor's sides as a model declares them, -1 for an open one; in words for
/// people where it is no tensor of floats.
pub type Shape = Result<Vec<i64>, String>;

/// The strides of the grids that models of each family have had.
const STRIDES: [&[u32]; 3] = [&[8, 16, 32], &[8, 16, 32, 64], &[4, 8, 16, 32]];

impl NoContract {
    fn of(inputs: &[Shape], outputs: &[Shape], anchors: String) -> NoContract {
        let found = format!("inputs {}, outputs {}", shown(inputs), shown(outputs));
        NoContract { found, anchors }
    }
}

impl Contract {
    /// The size of the pictures that a model of these shapes may be shown.
    ///
    /// # Errors
    ///
    /// Its input is no picture's, so it keeps no contract.
    pub fn input_size(inputs: &[Shape], outputs: &[Shape]) -> Result<Size, NoContract> {
        let size = match inputs {
            [Ok(input)] => input_size(input),
            _ => None,
        };
        size.ok_or_else(|| NoContract::of(inputs, outputs, String::new()))
    }

    /// The contract that a model of these shapes keeps.
    ///
    /// # Errors
    ///
    /// The shapes fit none.
    pub fn recognise(inputs: &[Shape], outputs: &[Shape]) -> Result<Contract, NoContract> {
        let input = Contract::input_size(inputs, outputs)?;
        let [Ok(output)] = outputs else {
            return Err(NoContract::of(inputs, outputs, String::new()));
        };
        let anchors = STRIDES.map(|strides| cells(input, strides));
        let sides: Option<Vec<usize>> =
            output.iter().map(|side| usize::try_from(*side).ok()).collect();
        let (family, anchors, values) = match sides.as_deref() {
            Some(&[1, a, values]) if a == anchors[0] && 5 < values => {
                (Family::Yolox, a, values - 5)
            }
            Some(&[1, values, a]) if anchors.contains(&a) && 4 < values => {
                (Family::Ultralytics, a, values - 4)
            }
            _ => {
                let here = format!(", here {}", anchors[0]);
                return Err(NoContract::of(inputs, outputs, here));
            }
        };
        Ok(Contract { family, input, anchors, classes: values })
    }

    /// What models of this contract usually want to be shown.
    pub fn input_format(&self) -> InputFormat {
        let (placement, channels, range) = match self.family {
            Family::Yolox => (Placement::TopLeft, Channels::Bgr, Range::Byte),
            Family::Ultralytics => (Placement::Centre, Channels::Rgb, Range::Unit),
        };
        InputFormat { size: self.input, placement, channels, range }
    }

    /// A reader of this contract's outputs.
    pub fn reader(&self) -> Reader {
        let grid = match self.family {
            Family::Yolox => grid(self.input),
            Family::Ultralytics => Vec::new(),
        };
        Reader { contract: self.clone(), grid, best: vec![Best::NONE; self.anchors] }
    }
}

/// H and W of `[1, 3, H, W]`.
fn input_size(shape: &[i64]) -> Option<Size> {
    let &[1, 3, height, width] = shape else { return None };
    let side = |side: i64| {
        let side = u32::try_from(side).ok()?;
        (0 < side && side % 32 == 0 && side <= SIDE_MAX).then_some(side)
    };
    Some(Size { width: side(width)?, height: side(height)? })
}

/// Longest side of an input, pixels.
const SIDE_MAX: u32 = 8192;

fn cells(input: Size, strides: &[u32]) -> usize {
    let cells: u32 = strides.iter().map(|s| (input.width / s) * (input.height / s)).sum();
    crate::pixels::index(cells)
}

fn shown(shapes: &[Shape]) -> String {
    let each: Vec<String> = shapes
        .iter()
        .map(|shape| match shape {
            Ok(sides) => format!("f32 {sides:?}"),
            Err(other) => other.clone(),
        })
        .collect();
    if each.is_empty() { "none".to_owned() } else { each.join(" and ") }
}

/// A cell of YOLOX's grids.
#[derive(Clone, Copy, Debug)]
struct Cell {
    column: f32,
    row: f32,
    stride: f32,
}

#[expect(clippy::as_conversions, reason = "a cell's number is far below 2^24")]
fn grid(input: Size) -> Vec<Cell> {
    let level = |stride: u32| {
        let (columns, rows) = (input.width / stride, input.height / stride);
        (0..rows).flat_map(move |row| {
            (0..columns).map(move |column| Cell {
                column: column as f32,
                row: row as f32,
                stride: stride as f32,
            })
        })
    };
    STRIDES[0].iter().flat_map(|stride| level(*stride)).collect()
}

/// The class that an anchor most likely is.
#[derive(Clone, Copy, Debug)]
struct Best {
    score: f32,
    class: u32,
}

impl Best {
    const NONE: Best = Best { score: f32::NEG_INFINITY, class: 0 };
}

/// Reads outputs of one contract, reusing its room.
#[derive(Clone, Debug)]
pub struct Reader {
    contract: Contract,
    grid: Vec<Cell>,
    best: Vec<Best>,
}

impl Reader {
    /// How many numbers an output has.
    pub fn values(&self) -> usize {
        self.contract.anchors * self.values_per_anchor()
    }

    fn values_per_anchor(&self) -> usize {
        match self.contract.family {
            Family::Yolox => 5 + self.contract.classes,
            Family::Ultralytics => 4 + self.contract.classes,
        }
    }

    /// Adds the boxes of `output` that are surer than `confidence` to `candidates`.
    ///
    /// # Panics
    ///
    /// If `output` has not the contract's size.
    pub fn read(&mut self, output: &[f32], confidence: f32, candidates: &mut Vec<Candidate>) {
        assert_eq!(output.len(), self.values(), "the output is not the contract's");
        match self.contract.family {
            Family::Yolox => self.read_yolox(output, confidence, candidates),
            Family::Ultralytics => self.read_ultralytics(output, confidence, candidates),
        }
    }

    fn read_yolox(&self, output: &[f32], confidence: f32, candidates: &mut Vec<Candidate>) {
        let values = self.values_per_anchor();
        for (anchor, cell) in output.chunks_exact(values).zip(&self.grid) {
            let Some((&[dx, dy, log_w, log_h, objectness], scores)) = anchor.split_first_chunk()
            else {
                continue;
            };
            // A score is at most 1, so most anchors end here.
            if objectness <= confidence || objectness.is_nan() {
                continue;
            }
            let Some((class, score)) = best_of(scores) else { continue };
            let confidence_here = objectness * score;
            if confidence < confidence_here {
                let Cell { column, row, stride } = *cell;
                let centre = [(dx + column) * stride, (dy + row) * stride];
                let size = [log_w.exp() * stride, log_h.exp() * stride];
                push(candidates, class, confidence_here, centre, size);
            }
        }
    }

    /// Class by class, as the scores lie in memory.
    fn read_ultralytics(
        &mut self,
        output: &[f32],
        confidence: f32,
        candidates: &mut Vec<Candidate>,
    ) {
        let (boxes, scores) = output.split_at(4 * self.contract.anchors);
        self.best.fill(Best::NONE);
        for (class, scores) in (0_u32..).zip(scores.chunks_exact(self.contract.anchors)) {
            for (best, &score) in self.best.iter_mut().zip(scores) {
                // Without a branch: the loop vectorises.
                let better = best.score < score;
                best.score = if better { score } else { best.score };
                best.class = if better { class } else { best.class };
            }
        }
        for (anchor, best) in self.best.iter().enumerate() {
            if confidence < best.score {
                let [x, y, w, h] =
                    [0, 1, 2, 3].map(|value| boxes[value * self.contract.anchors + anchor]);
                push(candidates, crate::pixels::index(best.class), best.score, [x, y], [w, h]);
            }
        }
    }
}

fn best_of(scores: &[f32]) -> Option<(usize, f32)> {
    let mut best = None;
    for (class, &score) in scores.iter().enumerate() {
        let better = match best {
            Some((_, most)) => most < score,
            None => !score.is_nan(),
        };
        if better {
            best = Some((class, score));
        }
    }
    best
}

fn push(
    candidates: &mut Vec<Candidate>,
    class: usize,
    confidence: f32,
    [x, y]: [f32; 2],
    [w, h]: [f32; 2],
) {
    let corners = [x - w / 2.0, y - h / 2.0, x + w / 2.0, y + h / 2.0];
    // Also refuses what is no number; a model's rounding may exceed 1 a little.
    if corners.iter().all(|at| at.is_finite()) && confidence.is_finite() {
        candidates.push(Candidate { class, confidence: confidence.clamp(0.0, 1.0), corners });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recognise(input: &[i64], output: &[i64]) -> Result<Contract, NoContract> {
        Contract::recognise(&[Ok(input.to_vec())], &[Ok(output.to_vec())])
    }

    #[test]
    fn a_model_is_known_by_its_shapes() {
        let family = |input: &[i64], output: &[i64]| {
            recognise(input, output).map(|c| (c.family, c.anchors, c.classes)).ok()
        };
        assert_eq!(family(&[1, 3, 416, 416], &[1, 3549, 85]), Some((Family::Yolox, 3549, 80)));
        assert_eq!(
            family(&[1, 3, 416, 416], &[1, 84, 3549]),
            Some((Family::Ultralytics, 3549, 80))
        );
        assert_eq!(family(&[1, 3, 640, 640], &[1, 6, 8400]), Some((Family::Ultralytics, 8400, 2)));
        assert_eq!(family(&[1, 3, 384, 640], &[1, 6, 5040]), Some((Family::Ultralytics, 5040, 2)));
        // Strides up to 64, and from 4 on.
        assert_eq!(family(&[1, 3, 64, 64], &[1, 6, 85]), Some((Family::Ultralytics, 85, 2)));
        assert_eq!(family(&[1, 3, 64, 64], &[1, 6, 340]), Some((Family::Ultralytics, 340, 2)));

        for (input, output) in [
            (&[1, 3, 640, 640][..], &[1, 300, 6][..]), // v10, suppressed already
            (&[1, 3, 640, 640], &[1, 25200, 85]),      // v5
            (&[1, 3, 224, 224], &[1, 1000]),           // a classifier
            (&[1, 3, 416, 416], &[1, 4, 3549]),        // no class
            (&[1, 3, 416, 416], &[1, 3549, 5]),
            (&[1, 1, 416, 416], &[1, 84, 3549]),
            (&[2, 3, 416, 416], &[2, 84, 3549]),
            (&[1, 3, 400, 416], &[1, 84, 3549]),
            (&[1, 3, -1, -1], &[1, 84, -1]),
            (&[1, 3, 0, 0], &[1, 84, 0]),
        ] {
            assert_eq!(family(input, output), None, "{input:?} {output:?}");
        }
    }

    #[test]
    fn a_refusal_says_what_was_found_and_what_was_wanted() {
        insta::assert_snapshot!(recognise(&[1, 3, 64, 64], &[1, 300, 6]).unwrap_err(), @"its shapes fit no detector that animov knows: found inputs f32 [1, 3, 64, 64], outputs f32 [1, 300, 6]; wanted input f32 [1, 3, H, W] with H and W multiples of 32, and one output f32, either [1, A, 5 + classes] (YOLOX, raw) or [1, 4 + classes, A] (Ultralytics v8 and v11), where A is the number of grid cells of strides 8, 16 and 32, here 84");
        let halves = Contract::recognise(&[Err("f16 [1, 3, 64, 64]".to_owned())], &[]).unwrap_err();
        assert!(halves.to_string().contains("found inputs f16 [1, 3, 64, 64], outputs none"));
    }

    #[test]
    fn both_families_mean_the_same_boxes() {
        let yolox = recognise(&[1, 3, 32, 32], &[1, 21, 7]).unwrap();
        let mut output = vec![0.0; 21 * 7];
        // The second anchor of the second level: column 1, row 0, stride 16.
        output[17 * 7..18 * 7].copy_from_slice(&[0.25, 0.5, 0.0, 1.0_f32.ln(), 0.8, 0.1, 0.9]);
        // Sure of an object, but of no class.
        output[7..14].copy_from_slice(&[0.0, 0.0, 0.0, 0.0, 0.9, f32::NAN, 0.1]);
        output[14..21].copy_from_slice(&[0.0, 0.0, f32::INFINITY, 0.0, 0.9, 0.9, 0.1]);
        let mut candidates = Vec::new();
        yolox.reader().read(&output, 0.5, &mut candidates);
        let expected =
            Candidate { class: 1, confidence: 0.8 * 0.9, corners: [12.0, 0.0, 28.0, 16.0] };
        assert_eq!(candidates, [expected]);

        let ultralytics = recognise(&[1, 3, 32, 32], &[1, 6, 21]).unwrap();
        let mut output = vec![0.0; 21 * 6];
        for (value, number) in [20.0, 8.0, 16.0, 16.0, 0.1, 0.8 * 0.9].into_iter().enumerate() {
            output[value * 21 + 5] = number;
        }
        output[5 * 21 + 6] = f32::NAN;
        candidates.clear();
        ultralytics.reader().read(&output, 0.5, &mut candidates);
        assert_eq!(candidates, [expected]);
    }
}
