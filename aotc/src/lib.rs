//! dolmen-aotc
