//! The kernel's side: sockets, mappings, namespaces. The island of unsafe code.
