//! Criterion suites over the way of a datum.
