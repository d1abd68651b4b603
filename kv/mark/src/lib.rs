//! Coverage marks: which rare branches a test came through.
//!
//! A search by seeds can find bugs only where it comes. A branch that few runs take, and in which a
//! bug would hurt, leaves a mark:
//!
//! ```text
//! mark!("an entry is overtaken");
//! ```
//!
//! A crate that has marks depends on this one and has an empty feature `marks`, which is never a
//! default. Without the feature a mark is the constant `false` in an `if`, so that nothing of it is
//! left in the program. `kv/sim` switches the feature on, and its campaigns tell which marks no seed
//! left.
//!
//! A mark is also a place where something can be done to the program: a simulator [`arm`]s one, and
//! the power fails just there.
//!
//! Everything is of one thread, since what leaves marks is single-threaded.

use std::cell::RefCell;
use std::collections::BTreeSet;

/// Leaves a mark, if the crate that asks is built with its feature `marks`.
#[macro_export]
macro_rules! mark {
    ($name:literal) => {
        if cfg!(feature = "marks") {
            $crate::leave($name);
        }
    };
}

thread_local! {
    static LEFT: RefCell<BTreeSet<&'static str>> = const { RefCell::new(BTreeSet::new()) };
    static ARMED: RefCell<Option<Armed>> = const { RefCell::new(None) };
}

/// What is done when a mark is left.
struct Armed {
    name: &'static str,
    hook: Box<dyn FnOnce()>,
}

/// Leaves a mark. Use [`mark!`], which is nothing in a normal build.
pub fn leave(name: &'static str) {
    LEFT.with_borrow_mut(|left| left.insert(name));
    let armed = ARMED.with_borrow_mut(|armed| armed.take_if(|it| it.name == name));
    if let Some(armed) = armed {
        (armed.hook)();
    }
}

/// Takes the marks that this thread left since the last time.
pub fn take() -> BTreeSet<&'static str> {
    LEFT.with_borrow_mut(std::mem::take)
}

/// Calls `hook` the next time that this thread leaves a mark of this name; instead of the hook that
/// was armed before, if there is one.
pub fn arm(name: &'static str, hook: impl FnOnce() + 'static) {
    ARMED.set(Some(Armed { name, hook: Box::new(hook) }));
}

/// Forgets the hook. Says whether it was still waiting.
pub fn disarm() -> bool {
    ARMED.take().is_some()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;

    #[test]
    fn marks_are_taken_once() {
        leave("a");
        leave("b");
        leave("a");
        assert_eq!(take().into_iter().collect::<Vec<_>>(), ["a", "b"]);
        assert!(take().is_empty());
    }

    #[test]
    fn a_hook_is_called_at_its_mark_and_once() {
        let called = Rc::new(Cell::new(0));
        let counter = Rc::clone(&called);
        arm("a", move || counter.set(counter.get() + 1));
        leave("b");
        assert_eq!(called.get(), 0);
        leave("a");
        leave("a");
        assert_eq!(called.get(), 1);
        assert!(!disarm());
        arm("a", || panic!("it is forgotten"));
        assert!(disarm());
        leave("a");
    }

    #[test]
    fn without_the_feature_nothing_is_left() {
        // This crate has no feature `marks`, as a crate in a shipped build has it off.
        #[expect(unexpected_cfgs, reason = "the feature belongs to the crate that asks")]
        {
            mark!("a");
        }
        assert!(take().is_empty());
    }
}
