//! Outputs on threads of their own: what a slow one does to the others, what is dropped and what is not, and how they
//! end.

mod ends;
mod order;
mod slow;
mod support;
