//! Maps and ACL files: `core.set_map`, `core.add_acl` and their kin.
/// Pattern files by name, for the legacy map and ACL calls of `core`.
pub trait Patterns {
    /// Adds an ACL key, or sets a map key to `value`. False: no file of that name.
    fn set(&self, file: &str, key: &str, value: Option<&str>) -> bool;
    /// Removes a key; absent keys are fine. False: no file of that name.
    fn del(&self, file: &str, key: &str) -> bool;
}
const _: Option<&dyn Patterns> = None;
