//! NATS as an engine of ropeway.
