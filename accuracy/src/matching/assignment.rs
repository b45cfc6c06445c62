//! The assignment of rows to columns with the most pairs, and of these with the greatest
//! weight: the Hungarian method in the form with potentials and shortest augmenting paths
//! (Jonker and Volgenant 1987), in each connected part of the graph by itself. Animals
//! that touch nobody are parts of one row and one column, so a picture costs what its
//! densest crowd costs, and that the cube of its size.

/// For each of `rows` rows its column, of `columns`. `edges` are row, column and weight,
/// which is positive and below 2; only these pairs may be.
pub(super) fn most_and_heaviest(
    rows: usize,
    columns: usize,
    edges: &[(usize, usize, f64)],
) -> Vec<Option<usize>> {
    let mut parts = Parts::new(rows + columns);
    for (row, column, _) in edges {
        parts.join(*row, rows + column);
    }
    let mut sorted: Vec<(usize, &(usize, usize, f64))> =
        edges.iter().map(|edge| (parts.root(edge.0), edge)).collect();
    sorted.sort_by_key(|(part, _)| *part);
    let mut chosen = vec![None; rows];
    for part in sorted.chunk_by(|a, b| a.0 == b.0) {
        let mut part_rows: Vec<usize> = part.iter().map(|(_, edge)| edge.0).collect();
        let mut part_columns: Vec<usize> = part.iter().map(|(_, edge)| edge.1).collect();
        for list in [&mut part_rows, &mut part_columns] {
            list.sort_unstable();
            list.dedup();
        }
        let place = |list: &[usize], at: usize| list.binary_search(&at).unwrap_or(0);
        let mut weights = vec![vec![0.0; part_columns.len()]; part_rows.len()];
        for (_, (row, column, weight)) in part {
            weights[place(&part_rows, *row)][place(&part_columns, *column)] = *weight;
        }
        for (at, column) in solve(&weights).into_iter().enumerate() {
            chosen[part_rows[at]] = column.map(|column| part_columns[column]);
        }
    }
    chosen
}

/// Disjoint sets of nodes.
struct Parts(Vec<usize>);

impl Parts {
    fn new(nodes: usize) -> Parts {
        Parts((0..nodes).collect())
    }

    fn root(&mut self, mut node: usize) -> usize {
        while self.0[node] != node {
            self.0[node] = self.0[self.0[node]];
            node = self.0[node];
        }
        node
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        self.0[a] = b;
    }
}

/// Solves one part; a weight of 0 is no edge.
fn solve(weights: &[Vec<f64>]) -> Vec<Option<usize>> {
    let (rows, columns) = (weights.len(), weights.first().map_or(0, Vec::len));
    let size = rows.max(columns);
    // One more pair outweighs whatever all the others weigh.
    let pair = 2.0 * f64::from(u32::try_from(size).unwrap_or(u32::MAX)) + 1.0;
    let cost = |row: usize, column: usize| {
        let weight = weights.get(row).and_then(|row| row.get(column)).copied().unwrap_or(0.0);
        if 0.0 < weight { -(pair + weight) } else { 0.0 }
    };
    // Node 0 of either side stands for nobody; rows and columns are counted from 1.
    let (mut of_row, mut of_column) = (vec![0.0; size + 1], vec![0.0; size + 1]);
    let mut row_of = vec![0; size + 1];
    for row in 1..=size {
        row_of[0] = row;
        let mut here = 0;
        let mut least = vec![f64::INFINITY; size + 1];
        let mut came_from = vec![0; size + 1];
        let mut done = vec![false; size + 1];
        while row_of[here] != 0 {
            done[here] = true;
            let at = row_of[here];
            let (mut step, mut next) = (f64::INFINITY, 0);
            for column in (1..=size).filter(|column| !done[*column]) {
                let reduced = cost(at - 1, column - 1) - of_row[at] - of_column[column];
                if reduced < least[column] {
                    (least[column], came_from[column]) = (reduced, here);
                }
                if least[column] < step {
                    (step, next) = (least[column], column);
                }
            }
            for column in 0..=size {
                if done[column] {
                    of_row[row_of[column]] += step;
                    of_column[column] -= step;
                } else {
                    least[column] -= step;
                }
            }
            here = next;
        }
        // Along the path that was found, everybody moves on to the next column.
        while here != 0 {
            row_of[here] = row_of[came_from[here]];
            here = came_from[here];
        }
    }
    let mut chosen = vec![None; rows];
    for column in 1..=columns {
        let row = row_of[column] - 1;
        if row < rows && 0.0 < weights[row][column - 1] {
            chosen[row] = Some(column - 1);
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Every way to pair off the rows from `row` on: the most pairs, and their weight.
    fn best(
        row: usize,
        rows: usize,
        edges: &[(usize, usize, f64)],
        used: &[usize],
    ) -> (usize, f64) {
        if row == rows {
            return (0, 0.0);
        }
        let mut best_so_far = best(row + 1, rows, edges, used);
        for (_, column, weight) in edges.iter().filter(|edge| edge.0 == row) {
            if !used.contains(column) {
                let (pairs, sum) = best(row + 1, rows, edges, &[used, &[*column]].concat());
                let with = (pairs + 1, sum + weight);
                if best_so_far.0 < with.0 || best_so_far.0 == with.0 && best_so_far.1 < with.1 {
                    best_so_far = with;
                }
            }
        }
        best_so_far
    }

    fn graph() -> impl Strategy<Value = (usize, usize, Vec<(usize, usize, f64)>)> {
        (1_usize..7, 1_usize..7).prop_flat_map(|(rows, columns)| {
            let edges = prop::collection::btree_map((0..rows, 0..columns), 0.5..1.5, 0..20);
            let edges = edges.prop_map(|edges| {
                edges.into_iter().map(|((row, column), weight)| (row, column, weight)).collect()
            });
            (Just(rows), Just(columns), edges)
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn no_other_assignment_is_better((rows, columns, edges) in graph()) {
            let chosen = most_and_heaviest(rows, columns, &edges);
            let mut used = Vec::new();
            let mut weight = 0.0;
            for (row, column) in chosen.iter().enumerate() {
                if let Some(column) = column {
                    let edge = edges.iter().find(|edge| (edge.0, edge.1) == (row, *column));
                    weight += edge.expect("only given pairs").2;
                    prop_assert!(!used.contains(column));
                    used.push(*column);
                }
            }
            let (pairs, sum) = best(0, rows, &edges, &[]);
            prop_assert_eq!(used.len(), pairs);
            prop_assert!((weight - sum).abs() < 1e-9, "{} {}", weight, sum);
        }
    }
}
