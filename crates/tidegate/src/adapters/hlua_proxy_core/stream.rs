//! What transactions and applets have in common for scripts: samples, variables, log.

/// Variables, samples and log are the same for transactions and applets: both have a `txn`, a
/// `direction` and a `scratch` for the text that is shown to the script.
macro_rules! stream_methods {
    () => {
        fn fetch(&mut self, fetch: SampleId, args: &[Value<'_>]) -> HostResult<Option<Value<'_>>> {
            let (txn, direction, scratch) = self.parts();
            run_fetch(txn, direction, fetch, args, scratch)
        }

        fn convert(
            &mut self,
            converter: SampleId,
            input: Value<'_>,
            args: &[Value<'_>],
        ) -> HostResult<Option<Value<'_>>> {
            let (txn, ..) = self.parts();
            Ok(run_converter(txn, converter, input, args)?.map(values::to_lua))
        }

        fn set_var(&mut self, name: &[u8], value: Value<'_>, if_exists: bool) -> bool {
            let Some(name) = VarKey::parse(name) else { return false };
            let (txn, ..) = self.parts();
            // Only process variables must be known beforehand (configuration.txt 2.8).
            if if_exists && name.scope == Scope::Proc && txn.var(name).is_none() {
                return false;
            }
            txn.set_var(name, values::from_lua(value))
        }

        fn unset_var(&mut self, name: &[u8]) -> bool {
            let Some(name) = VarKey::parse(name) else { return false };
            self.parts().0.unset_var(name);
            true
        }

        fn var(&mut self, name: &[u8]) -> Option<Value<'_>> {
            let name = VarKey::parse(name)?;
            let (txn, _, scratch) = self.parts();
            txn.with_var(name, |value| {
                let scalar = values::put(value?.as_ref(), scratch);
                Some(scalar.unwrap_or(Value::Str(Cow::Borrowed(scratch))))
            })
        }

        fn log(&mut self, level: Level, message: &str) {
            let (txn, ..) = self.parts();
            let routes = Extension::of(&txn.worker).routes;
            crate::adapters::hlua_scheduler::send(&txn.worker, &txn.frontend.logs, routes, level, message);
        }

        fn log_default(&mut self, message: &str) {
            match self.parts().0.log.level {
                None => self.log(Level::Info, message),
                Some(proxy_core::log::LevelOverride::Level(level)) => {
                    self.log(crate::adapters::level_to_lua(level), message);
                }
                Some(proxy_core::log::LevelOverride::Silent) => {}
            }
        }

        fn id(&mut self) -> Option<String> {
            Some(self.parts().0.id.to_string())
        }

        fn extension(&mut self) -> Option<&mut Option<Box<dyn Any>>> {
            let (txn, ..) = self.parts();
            let slot = Extension::of(&txn.worker).private_slot;
            Some(txn.private(slot))
        }
    };
}
pub(super) use stream_methods;
