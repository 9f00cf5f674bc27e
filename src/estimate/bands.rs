//! How sure the curve is.

/// The curve on the coarse grid, with pointwise bounds.
#[derive(Clone, Debug, PartialEq)]
pub struct Bands {
    /// In ascending order.
    pub points: Vec<BandPoint>,
    /// How many stretches of the run were drawn from.
    pub blocks: usize,
    /// How often.
    pub resamples: usize,
}

/// Bounds at one age.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BandPoint {
    /// The age.
    pub seconds: f64,
    /// The probability by then, on the coarse grid.
    pub cdf: f64,
    /// The lower end of its 95 % interval.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// Why there are no bands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoBands {
    /// Fewer works than that.
    FewWorks {
        /// At least so many.
        least: u64,
    },
    /// Fewer stretches of the run in which works ended.
    FewBlocks {
        /// So many.
        blocks: usize,
        /// At least so many.
        least: usize,
    },
}
