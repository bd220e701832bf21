//! The result of a run: as plain data, as a table, a picture and JSON, and the check whether it is good enough.

pub(super) mod assertion;
pub(super) mod buckets;
mod draw;
pub(super) mod report;
pub(super) mod svg;
pub(super) mod table;
pub(super) mod verdict;
