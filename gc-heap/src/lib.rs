//! dolmen-gc-heap
