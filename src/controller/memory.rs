//! What this process remembers of each resource between passes, and which numbers its resources are about to claim.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::{E164, Moment};
use crate::plan::{Memory, ObjectKey};

/// Memory of one resource.
#[derive(Debug, Clone, Default)]
pub struct Entry {
    /// The resource's UID: a resource that is applied again under the same name starts with an empty memory.
    pub uid: String,
    /// For decisions.
    pub memory: Memory,
    /// The version that this process wrote last: a cache that shows another one is read past.
    pub version: Option<String>,
}

/// Memory of every resource.
#[derive(Debug, Default)]
pub struct Memories {
    entries: Mutex<HashMap<ObjectKey, Entry>>,
    reserved: Mutex<HashMap<E164, ObjectKey>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Memories {
    /// The memory of this resource; a new one where there is none.
    pub fn recall(&self, key: &ObjectKey, uid: &str, now: Moment) -> Entry {
        let mut entries = locked(&self.entries);
        let entry = entries.entry(key.clone()).or_default();
        if entry.uid != uid {
            *entry = Entry { uid: uid.to_owned(), memory: Memory { born: now, ..Memory::default() }, version: None };
        }
        entry.clone()
    }

    /// Keeps what a pass learnt. `suspect` may have been raised by another resource's pass meanwhile and stays raised.
    pub fn keep(&self, key: &ObjectKey, mut entry: Entry, was_suspect: bool) {
        let mut entries = locked(&self.entries);
        if let Some(now) = entries.get(key)
            && now.memory.suspect
            && !was_suspect
        {
            entry.memory.suspect = true;
        }
        entries.insert(key.clone(), entry);
    }

    /// Forgets a resource that is gone, and what it reserved.
    pub fn forget(&self, key: &ObjectKey) {
        locked(&self.entries).remove(key);
        locked(&self.reserved).retain(|_, holder| holder != key);
    }

    /// Looks into the memory of one resource.
    pub fn peek<T>(&self, key: &ObjectKey, look: impl FnOnce(&Memory) -> T) -> Option<T> {
        locked(&self.entries).get(key).map(|e| look(&e.memory))
    }

    /// Notes that a resource is about to record a number. Before the write, not after the pass: another resource that sees
    /// the record at once must know that a list which began earlier need not have the number.
    pub fn recording(&self, key: &ObjectKey, now: Moment) {
        if let Some(entry) = locked(&self.entries).get_mut(key) {
            entry.memory.recorded_at = Some(now);
        }
    }

    /// Asks for a look at a resource whose number is missing from a list.
    pub fn suspect(&self, key: &ObjectKey) {
        if let Some(entry) = locked(&self.entries).get_mut(key) {
            entry.memory.suspect = true;
        }
    }

    /// Reserves a number for a resource of this process, in place of what it had reserved; `false` if another one was
    /// first. A convenience that saves conflicts among this process's own resources; safety does not rest on it.
    pub fn reserve(&self, number: &E164, key: &ObjectKey) -> bool {
        let mut reserved = locked(&self.reserved);
        if reserved.get(number).is_some_and(|holder| holder != key) {
            return false;
        }
        reserved.retain(|_, holder| holder != key);
        reserved.insert(number.clone(), key.clone());
        true
    }

    /// Whether another resource of this process reserved the number.
    pub fn reserved_by_other(&self, number: &E164, key: &ObjectKey) -> bool {
        locked(&self.reserved).get(number).is_some_and(|holder| holder != key)
    }
}
