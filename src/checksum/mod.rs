//! The Internet checksum (RFC 1071): contract and dispatch.
