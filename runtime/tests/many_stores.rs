//! Ten thousand stores fit in one process, and one that has allocated nothing takes next to no memory.
//!
//! A test of its own, because it measures the process.

use dolmen::{Config, Engine, Store};

/// Resident memory of this process, in bytes.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = status.split_whitespace().nth(1).unwrap().parse().unwrap();
    pages * 4096
}

#[test]
fn ten_thousand_stores_fit_in_a_process() {
    const STORES: u64 = 10_000;
    const MAX_BYTES_PER_STORE: u64 = 64 << 10;
    let engine = Engine::new(&Config::new()).unwrap();
    let before = resident_bytes();
    let mut stores = Vec::new();
    for number in 0..STORES {
        let store = Store::new(&engine, number);
        stores.push(store.unwrap_or_else(|error| panic!("store {number}: {error}")));
    }
    let each = (resident_bytes() - before) / STORES;
    assert!(each < MAX_BYTES_PER_STORE, "{each} bytes resident per store");
    println!("{each} bytes resident per store");
}
