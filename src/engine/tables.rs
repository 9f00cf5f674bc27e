//! `Tables`: what is found by a hash, without a long wait where it grows.

use hashbrown::HashTable;

/// What is found by a hash. Many small tables: one that grows moves a 64th of all, so that nobody
/// waits long for it.
#[derive(Debug)]
pub(super) struct Tables<T>(Box<[HashTable<T>; 64]>);

impl<T> Default for Tables<T> {
    fn default() -> Self {
        Self(Box::new([const { HashTable::new() }; 64]))
    }
}

impl<T: Copy + PartialEq> Tables<T> {
    fn place(hash: u64) -> usize {
        // A table itself uses the lowest and the highest bits.
        usize::try_from(hash >> 40 & 63).expect("below 64")
    }

    pub(super) fn has(&self, hash: u64, is_it: impl Fn(T) -> bool) -> bool {
        self.0[Self::place(hash)]
            .find(hash, |item| is_it(*item))
            .is_some()
    }

    pub(super) fn get(&self, hash: u64, is_it: impl Fn(&T) -> bool) -> Option<&T> {
        self.0[Self::place(hash)].find(hash, is_it)
    }

    pub(super) fn get_mut(&mut self, hash: u64, is_it: impl Fn(&T) -> bool) -> Option<&mut T> {
        self.0[Self::place(hash)].find_mut(hash, is_it)
    }

    pub(super) fn insert(&mut self, hash: u64, item: T, hash_of: impl Fn(T) -> u64) {
        self.0[Self::place(hash)].insert_unique(hash, item, |item| hash_of(*item));
    }

    pub(super) fn remove(&mut self, hash: u64, item: T) -> bool {
        match self.0[Self::place(hash)].find_entry(hash, |other| *other == item) {
            Ok(entry) => {
                entry.remove();
                true
            }
            Err(_) => false,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.iter().map(HashTable::len).sum()
    }
}
