//! Connections to servers whose line says `ssl`.

use std::{rc::Rc, sync::Arc};

use super::server::Server;
use crate::{host::ConnectFuture, worker::Worker};

/// The same connection, with hands shaken.
pub(crate) fn secured(
    worker: &Rc<Worker>,
    server: &Arc<Server>,
    connecting: ConnectFuture,
    name: Option<&[u8]>,
) -> ConnectFuture {
    let (worker, server, name) = (worker.clone(), server.clone(), name.map(<[u8]>::to_vec));
    Box::pin(async move {
        let io = connecting.await?;
        worker.host.secure(io, &server, name.as_deref()).await
    })
}
