//! dolmen-workloads
