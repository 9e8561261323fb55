//! dolmen-c-api
