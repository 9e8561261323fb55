//! dolmen-cli
