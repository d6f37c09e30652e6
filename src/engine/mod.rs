//! Wires the stages and keeps the ledger; the only place that knows the order.
