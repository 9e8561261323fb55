//! What instantiation does between initial values.

use super::Result;
use super::memory::number;
use crate::store::StoreInner;

pub(super) fn fill_prototypes(store: &mut StoreInner, instance: u64) -> Result<()> {
    store.instances[number(instance) as usize].fill_prototypes();
    Ok(())
}
