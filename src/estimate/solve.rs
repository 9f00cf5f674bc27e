//! Equations with a symmetric, positive matrix.

/// A symmetric matrix: its lower half, row by row.
pub(super) struct Symmetric {
    size: usize,
    rows: Vec<f64>,
}

impl Symmetric {
    pub(super) fn zero(size: usize) -> Self {
        let rows = vec![0.0; size * size];
        Self { size, rows }
    }

    pub(super) fn clear(&mut self) {
        self.rows.fill(0.0);
    }

    /// Adds to an element of the lower half.
    pub(super) fn add(&mut self, row: usize, column: usize, value: f64) {
        self.rows[row * self.size + column] += value;
    }

    /// What the matrix turns into these values: the factors of Cholesky. None where it is not
    /// positive. The matrix is used up.
    pub(super) fn solve(&mut self, values: &[f64]) -> Option<Vec<f64>> {
        let size = self.size;
        for row in 0..size {
            let (above, rest) = self.rows.split_at_mut(row * size);
            let own = &mut rest[..=row];
            for column in 0..row {
                let other = &above[column * size..=column * size + column];
                let sum = own[column] - dot(&own[..column], &other[..column]);
                own[column] = sum / other[column];
            }
            let square = own[row] - dot(&own[..row], &own[..row]);
            if square.is_nan() || square <= 0.0 {
                return None;
            }
            own[row] = square.sqrt();
        }
        let mut found = values.to_vec();
        for row in 0..size {
            let own = &self.rows[row * size..=row * size + row];
            found[row] = (found[row] - dot(&own[..row], &found[..row])) / own[row];
        }
        for row in (0..size).rev() {
            let own = &self.rows[row * size..=row * size + row];
            found[row] /= own[row];
            let times = found[row];
            for (value, part) in found[..row].iter_mut().zip(own) {
                *value -= part * times;
            }
        }
        Some(found)
    }
}

/// The sum of products: in four sums, so that a processor can keep four in hand.
fn dot(one: &[f64], other: &[f64]) -> f64 {
    let mut sums = [0.0; 4];
    let (ones, others) = (one.chunks_exact(4), other.chunks_exact(4));
    let rest: f64 = (ones.remainder().iter().zip(others.remainder()))
        .map(|(one, other)| one * other)
        .sum();
    for (one, other) in ones.zip(others) {
        for place in 0..4 {
            sums[place] += one[place] * other[place];
        }
    }
    rest + sums.iter().sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_solution_solves() {
        for size in [1, 2, 5, 40] {
            let part = |row: usize, column: usize| {
                1.0 / f64::from(u32::try_from(row + column + 1).unwrap())
                    + if row == column { 1.0 } else { 0.0 }
            };
            let mut matrix = Symmetric::zero(size);
            for row in 0..size {
                for column in 0..=row {
                    matrix.add(row, column, part(row, column));
                }
            }
            let wanted: Vec<f64> = (0..size).map(|it| part(it, 3) - 0.3).collect();
            let found = matrix.solve(&wanted).unwrap();
            for (row, wanted) in wanted.iter().enumerate() {
                let sum: f64 = (0..size).map(|it| part(row, it) * found[it]).sum();
                assert!((sum - wanted).abs() < 1e-12, "{size} {row}");
            }
        }
        assert!(Symmetric::zero(3).solve(&[1.0; 3]).is_none());
    }
}
