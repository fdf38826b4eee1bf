//! First in, first out, out of two vectors: `VecDeque` is some kilobytes more for a browser to load.

use alloc::vec::Vec;

/// A queue.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    leaving: alloc::vec::IntoIter<T>,
    waiting: Vec<T>,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { leaving: Vec::new().into_iter(), waiting: Vec::new() }
    }
}

impl<T> Queue<T> {
    pub(crate) fn push(&mut self, item: T) {
        self.waiting.push(item);
    }

    pub(crate) fn pop(&mut self) -> Option<T> {
        self.leaving.next().or_else(|| {
            self.leaving = core::mem::take(&mut self.waiting).into_iter();
            self.leaving.next()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Queue;

    #[test]
    fn what_came_first_goes_first() {
        let mut queue = Queue::default();
        queue.push(1);
        queue.push(2);
        assert_eq!(queue.pop(), Some(1));
        queue.push(3);
        assert_eq!([queue.pop(), queue.pop(), queue.pop()], [Some(2), Some(3), None]);
    }
}
