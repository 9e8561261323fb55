//! dolmen-spec-tests
