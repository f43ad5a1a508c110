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
    reserved: Mutex<Reservations>,
}

/// Who is about to claim which number: at most one number a resource, at most one resource a number.
#[derive(Debug, Default)]
struct Reservations {
    holders: HashMap<E164, ObjectKey>,
    numbers: HashMap<ObjectKey, E164>,
}

impl Reservations {
    fn release(&mut self, key: &ObjectKey) {
        if let Some(number) = self.numbers.remove(key) {
            self.holders.remove(&number);
        }
    }
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
        locked(&self.reserved).release(key);
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
        if reserved.holders.get(number).is_some_and(|holder| holder != key) {
            return false;
        }
        reserved.release(key);
        reserved.holders.insert(number.clone(), key.clone());
        reserved.numbers.insert(key.clone(), number.clone());
        true
    }

    /// Gives up what a resource reserved: its claim does not stand any more.
    pub fn release(&self, key: &ObjectKey) {
        locked(&self.reserved).release(key);
    }

    /// Whether another resource of this process reserved the number.
    pub fn reserved_by_other(&self, number: &E164, key: &ObjectKey) -> bool {
        locked(&self.reserved).holders.get(number).is_some_and(|holder| holder != key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_reserved_for_one_and_given_up_again() {
        let memories = Memories::default();
        let key = |name: &str| ObjectKey { namespace: "ns".into(), name: name.into() };
        let number = |line: u32| E164::parse(&format!("+1418555{line:04}")).unwrap();
        assert!(memories.reserve(&number(1), &key("a")) && memories.reserve(&number(1), &key("a")));
        assert!(!memories.reserve(&number(1), &key("b")) && memories.reserved_by_other(&number(1), &key("b")));
        assert!(memories.reserve(&number(2), &key("a")), "another number in place of the first");
        assert!(memories.reserve(&number(1), &key("b")));
        memories.release(&key("b"));
        assert!(!memories.reserved_by_other(&number(1), &key("a")));
        memories.forget(&key("a"));
        assert!(memories.reserve(&number(2), &key("b")));
    }

    #[test]
    fn a_resource_that_is_applied_again_starts_with_an_empty_memory() {
        let memories = Memories::default();
        let key = ObjectKey { namespace: "ns".into(), name: "a".into() };
        let mut entry = memories.recall(&key, "1", Moment::default());
        entry.memory.failures = 3;
        memories.keep(&key, entry, false);
        assert_eq!(memories.recall(&key, "1", Moment::default()).memory.failures, 3);
        assert_eq!(memories.recall(&key, "2", Moment::default()).memory.failures, 0);
    }

    #[test]
    fn a_suspicion_that_comes_during_a_pass_is_not_lost() {
        let memories = Memories::default();
        let key = ObjectKey { namespace: "ns".into(), name: "a".into() };
        let entry = memories.recall(&key, "1", Moment::default());
        memories.suspect(&key);
        memories.keep(&key, entry, false);
        assert!(memories.recall(&key, "1", Moment::default()).memory.suspect);
    }
}
