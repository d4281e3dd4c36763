//! What a run was lent, for the length of one API call.

use super::{Failure, Stack};
use crate::api::Class;
use crate::host::{AppletHttp, AppletIo, AppletTcp, Lent, Stream, Txn};
use crate::vm::VmState;

impl<'a> Stack<'a> {
    /// Borrows what this run was lent, if the object at argument 1 is this run's.
    pub(crate) fn lent(&mut self, class: Class) -> Result<Borrowed<'a>, Failure> {
        if self.vm.run.objects.has(class, self.address(1)) {
            return Ok(self.lent_unchecked());
        }
        let Some(handle) = self.handle(1) else { return Err(self.expected(1, class.name())) };
        if handle.abs() != self.vm.run.handle.get() {
            return Err(stale(class.name()));
        }
        Ok(self.lent_unchecked())
    }

    pub(crate) fn lent_unchecked(&mut self) -> Borrowed<'a> {
        Borrowed { vm: self.vm, lent: self.vm.run.lent.take() }
    }
}

pub(crate) fn stale(class: &str) -> Failure {
    Failure::Error(
        format!("{class}: this object belongs to a call that is over or is not running now").into(),
    )
}

/// The lent TXN or applet for the length of one API call; put back when dropped.
///
/// It is out of the VM meanwhile, so a host that runs another Lua function from inside the call meets no borrow.
pub(crate) struct Borrowed<'a> {
    vm: &'a VmState,
    lent: Lent,
}

impl Drop for Borrowed<'_> {
    fn drop(&mut self) {
        self.vm.run.lent.set(std::mem::take(&mut self.lent));
    }
}

impl Borrowed<'_> {
    pub(crate) fn stream(&mut self) -> Result<&mut dyn Stream, Failure> {
        match &mut self.lent {
            Lent::Txn(txn) => Ok(&mut **txn),
            Lent::AppletHttp(applet) => Ok(&mut **applet),
            Lent::AppletTcp(applet) => Ok(&mut **applet),
            Lent::Nothing => Err(stale("TXN")),
        }
    }

    pub(crate) fn txn(&mut self) -> Result<&mut dyn Txn, Failure> {
        match &mut self.lent {
            Lent::Txn(txn) => Ok(&mut **txn),
            _ => Err(stale("TXN")),
        }
    }

    pub(crate) fn applet_http(&mut self) -> Result<&mut dyn AppletHttp, Failure> {
        match &mut self.lent {
            Lent::AppletHttp(applet) => Ok(&mut **applet),
            _ => Err(stale("AppletHTTP")),
        }
    }

    pub(crate) fn applet_tcp(&mut self) -> Result<&mut dyn AppletTcp, Failure> {
        match &mut self.lent {
            Lent::AppletTcp(applet) => Ok(&mut **applet),
            _ => Err(stale("AppletTCP")),
        }
    }

    pub(crate) fn io(&mut self) -> Result<&mut dyn AppletIo, Failure> {
        match &mut self.lent {
            Lent::AppletHttp(applet) => Ok(&mut **applet),
            Lent::AppletTcp(applet) => Ok(&mut **applet),
            _ => Err(stale("applet")),
        }
    }
}
