//! Ports tell programs apart: a map from ports to outputs.
