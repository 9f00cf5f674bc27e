//! Request bodies and headers as functions of the seed and the number of the arrival.

/// A text with places to fill in.
#[derive(Clone, Debug)]
pub struct Template;

/// Rows that templates may use.
#[derive(Clone, Debug)]
pub struct Corpus;
