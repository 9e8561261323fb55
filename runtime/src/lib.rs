//! dolmen
