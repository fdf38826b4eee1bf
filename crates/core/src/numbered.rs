//! A map from small numbers: a handful of entries, scanned. A tree would be a tenth of what a browser loads.

use alloc::vec::Vec;

/// Entries by number.
#[derive(Debug)]
pub(crate) struct Numbered<T>(Vec<(u32, T)>);

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Numbered<T> {
    /// Puts an entry in the place of the one that has its number.
    pub(crate) fn insert(&mut self, number: u32, value: T) {
        self.remove(number);
        self.0.push((number, value));
    }

    pub(crate) fn remove(&mut self, number: u32) -> Option<T> {
        let at = self.0.iter().position(|(known, _)| *known == number)?;
        Some(self.0.remove(at).1)
    }

    pub(crate) fn get(&self, number: u32) -> Option<&T> {
        self.iter().find(|(known, _)| *known == number).map(|(_, value)| value)
    }

    pub(crate) fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        self.iter_mut().find(|(known, _)| *known == number).map(|(_, value)| value)
    }

    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        self.0.retain(|(_, value)| keep(value));
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.0.iter().map(|(number, value)| (*number, value))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut T)> {
        self.0.iter_mut().map(|(number, value)| (*number, value))
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|(_, value)| value)
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.iter_mut().map(|(_, value)| value)
    }

    pub(crate) fn numbers(&self) -> Vec<u32> {
        self.0.iter().map(|(number, _)| *number).collect()
    }
}
