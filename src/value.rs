//! Values as a user writes them.

/// Why a text is no such value: what is wrong with it, and what may be written.
///
/// ```
/// use wharf::ValueError;
/// use wharf::source::packet::Directions;
///
/// let error: ValueError = "inward".parse::<Directions>().unwrap_err();
/// assert_eq!(error.to_string(), "inward: not a direction: in, out or inout");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ValueError(pub(crate) String);
