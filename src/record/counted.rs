//! Counted: how often each of many things was seen. The things are few and the times many.

/// Different things in ascending order, and how often each was seen. Two of them add up without a
/// loss, in whatever order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted<T> {
    /// In ascending order.
    counted: Vec<(T, u64)>,
}

impl<T> Default for Counted<T> {
    fn default() -> Self {
        Self {
            counted: Vec::new(),
        }
    }
}

/// Things that were seen and not counted yet, each as a number. The order of the numbers is that of
/// the things: numbers are sorted many times faster.
#[derive(Clone, Debug, Default)]
pub(super) struct Loose<N> {
    seen: Vec<N>,
}

impl<N: Copy + Ord> Loose<N> {
    /// One more; the answer is how many there are.
    pub(super) fn push(&mut self, number: N) -> usize {
        self.seen.push(number);
        self.seen.len()
    }

    /// Counts all of them.
    pub(super) fn count<T: Copy + Ord>(&mut self, thing: impl Fn(N) -> T) -> Counted<T> {
        self.seen.sort_unstable();
        let same = || self.seen.chunk_by(|one, two| one == two);
        let mut counted = Vec::with_capacity(same().count());
        counted.extend(same().map(|same| (thing(same[0]), same.len() as u64)));
        self.seen.clear();
        Counted { counted }
    }
}

impl<T: Copy + Ord> Counted<T> {
    /// Of things in any order.
    pub fn of(mut seen: Vec<(T, u64)>) -> Self {
        seen.sort_unstable_by_key(|(thing, _)| *thing);
        seen.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            kept.1 += if same { next.1 } else { 0 };
            same
        });
        Self { counted: seen }
    }

    /// Each different one and how often it was seen, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = (T, u64)> + '_ {
        self.counted.iter().copied()
    }

    /// How many different ones there are.
    pub fn different(&self) -> usize {
        self.counted.len()
    }

    /// Adds those of another shard or time.
    pub fn merge(&mut self, other: &Self) {
        if other.counted.is_empty() {
            return;
        }
        if self.counted.is_empty() {
            self.counted.clone_from(&other.counted);
            return;
        }
        let mut both = Vec::with_capacity(self.counted.len() + other.counted.len());
        let mut theirs = other.iter().peekable();
        for (thing, times) in self.counted.drain(..) {
            while let Some(earlier) = theirs.next_if(|(theirs, _)| *theirs < thing) {
                both.push(earlier);
            }
            let same = theirs.next_if(|(theirs, _)| *theirs == thing);
            both.push((thing, times + same.map_or(0, |(_, times)| times)));
        }
        both.extend(theirs);
        self.counted = both;
    }
}
