//! What was found beside the passes, until it is found anew. Lost with the process.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Findings by what they are of.
#[derive(Debug)]
pub struct Findings<K, V>(Mutex<HashMap<K, V>>);

impl<K, V> Default for Findings<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, V: Clone> Findings<K, V> {
    pub(super) fn locked(&self) -> MutexGuard<'_, HashMap<K, V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self, key: &K) -> Option<V> {
        self.locked().get(key).cloned()
    }

    pub(super) fn set(&self, key: K, value: V) {
        self.locked().insert(key, value);
    }

    /// Forgets the others.
    pub(super) fn retain(&self, stays: impl Fn(&K) -> bool) {
        self.locked().retain(|key, _| stays(key));
    }
}
