//! Why a command was not carried out.

use std::sync::Arc;

/// The result of one command.
pub type Result<T> = std::result::Result<T, Failure>;

/// Why a command was not carried out. It changed nothing.
///
/// All but `Engine` concern this command alone: the same command fails again. What to do about
/// `Engine` says the error in it.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The value is no decimal number of 64 bits, or there is none to come to.
    #[error("value is not an integer or out of range")]
    NotInteger,
    /// The sum does not fit 64 bits.
    #[error("increment or decrement would overflow")]
    Overflow,
    /// The value, or what is to be added, is no decimal number.
    #[error("value is not a valid float")]
    NotFloat,
    /// The sum is not finite.
    #[error("increment would produce NaN or Infinity")]
    NotFinite,
    /// The key to be moved is absent.
    #[error("no such key")]
    NoSuchKey,
    /// The key is too long.
    #[error("the key has {bytes} bytes, at most {limit} are allowed")]
    KeyTooLong {
        /// Its length in bytes.
        bytes: usize,
        /// The largest length allowed.
        limit: usize,
    },
    /// The value is, or would become, too long.
    #[error("the value has {bytes} bytes, at most {limit} are allowed")]
    ValueTooLong {
        /// Its length in bytes.
        bytes: usize,
        /// The largest length allowed.
        limit: usize,
    },
    /// The command would set keys in several regions of a cluster all at once.
    #[error(
        "the keys are in several regions, and only those of one region can be set at once: \
         set them one by one"
    )]
    SeveralRegions,
    /// The engine could not read what the command needs.
    #[error("{0}")]
    Engine(Arc<engine::Error>),
}

impl From<engine::Error> for Failure {
    fn from(error: engine::Error) -> Failure {
        Failure::Engine(Arc::new(error))
    }
}

impl PartialEq for Failure {
    /// Whether they say the same.
    fn eq(&self, other: &Failure) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
            && self.to_string() == other.to_string()
    }
}

impl Eq for Failure {}
