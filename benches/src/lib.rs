//! Criterion suites over the way of a datum, one for each of its costs: `window`, `scoring`, `commitment`, `proof`.
//!
//! The suites lie in `benches/`, what they gave on named machines in `records/`. This library is empty: no crate
//! depends on it, and it never holds product logic.
