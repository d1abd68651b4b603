//! What a majority has said (section 5.2), and what two majorities have (section 6).
//!
//! Pure functions over sets of voters. A [`Majority`] decides alone; a [`Joint`] quorum decides
//! only what both of its majorities decide, each by its own count: votes of one are never added to
//! votes of the other.

mod joint;
mod majority;

pub use joint::Joint;
pub use majority::Majority;

/// How a vote stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VoteResult {
    /// It can still be won or lost.
    Pending,
    /// Enough voters said yes.
    Won,
    /// Too many voters said no.
    Lost,
}
