//! Listening and stopping.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;

use super::{Auth, Guard, guard, router};
use crate::engine::Engine;

/// How long answers under way may take once the node has left.
const FINISH: Duration = Duration::from_secs(1);

/// Serves until `stop` resolves, to how long runs are waited for: see [`Engine::leave`]. Until the node has left,
/// requests are answered.
///
/// # Errors
/// The dev identity may not be served on the address, or the listener failed.
pub async fn serve(
    engine: Arc<Engine>,
    guard: Guard,
    listener: TcpListener,
    stop: impl Future<Output = Duration>,
) -> std::io::Result<()> {
    let address: SocketAddr = listener.local_addr()?;
    if let (Auth::Dev, Some(why)) = (&guard.auth, guard::dev_refusal(address)) {
        return Err(std::io::Error::new(std::io::ErrorKind::PermissionDenied, why));
    }
    // Tokens are small and must not wait for one another.
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
    });
    let app = router(Arc::clone(&engine), guard);
    let (left, leaves) = tokio::sync::oneshot::channel::<()>();
    let server = axum::serve(listener, app).with_graceful_shutdown(async move {
        let _ = leaves.await;
    });
    let mut server = std::pin::pin!(async { server.await });
    tokio::select! {
        done = &mut server => done?,
        () = async { engine.leave(stop.await).await } => {
            let _ = left.send(());
            // Answers under way go out; connections that stay open for live delivery are cut.
            if let Ok(done) = tokio::time::timeout(FINISH, server).await {
                done?;
            }
        }
    }
    Ok(())
}
