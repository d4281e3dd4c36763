//! What transactions and applets have in common for scripts: samples, variables, log.

/// Variables, samples and log are the same for transactions and applets.
macro_rules! stream_methods {
    () => {
        fn fetch(&mut self, fetch: SampleId, args: &[Value<'_>]) -> HostResult<Option<Value<'_>>> {
            let direction = self.direction();
            Ok(run_fetch(self.txn_mut(), direction, fetch, args)?.map(values::to_lua))
        }

        fn convert(
            &mut self,
            converter: SampleId,
            input: Value<'_>,
            args: &[Value<'_>],
        ) -> HostResult<Option<Value<'_>>> {
            Ok(run_converter(self.txn_mut(), converter, input, args)?.map(values::to_lua))
        }

        fn set_var(&mut self, name: &[u8], value: Value<'_>, if_exists: bool) -> bool {
            let Some(name) = var_name(name) else { return false };
            let txn = self.txn_mut();
            // Only process variables must be known beforehand (configuration.txt 2.8).
            if if_exists && name.scope == proxy_core::vars::Scope::Proc && txn.var(&name).is_none() {
                return false;
            }
            txn.set_var(&name, values::from_lua(value))
        }

        fn unset_var(&mut self, name: &[u8]) -> bool {
            let Some(name) = var_name(name) else { return false };
            self.txn_mut().unset_var(&name);
            true
        }

        fn var(&mut self, name: &[u8]) -> Option<Value<'_>> {
            let name = var_name(name)?;
            self.txn_mut().var(&name).map(values::to_lua)
        }

        fn log(&mut self, level: Level, message: &str) {
            let txn = self.txn_mut();
            let routes = Extension::of(&txn.worker).routes;
            crate::adapters::hlua_scheduler::send(&txn.worker, &txn.frontend.logs, routes, level, message);
        }

        fn extension(&mut self) -> Option<&mut Option<Box<dyn Any>>> {
            let slot = Extension::of(&self.txn_mut().worker).private_slot;
            Some(self.txn_mut().private(slot))
        }
    };
}
pub(super) use stream_methods;

/// A variable's name as scripts give it.
pub(super) fn var_name(name: &[u8]) -> Option<proxy_core::vars::VarName> {
    proxy_core::vars::VarName::parse(std::str::from_utf8(name).ok()?).ok()
}

