//! Listening and stopping.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;

use super::{Auth, Guard, guard, router};
use crate::engine::Engine;

/// How long a stop waits for runs to be let go and answers to be finished.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long answers under way may take after that.
const FINISH: Duration = Duration::from_secs(1);

/// Serves until `stop` resolves, then lets go of the runs, each ended as interrupted with its text kept.
///
/// # Errors
/// The dev identity may not be served on the address, or the listener failed.
pub async fn serve(
    engine: Arc<Engine>,
    guard: Guard,
    listener: TcpListener,
    stop: impl Future<Output = ()> + Send + 'static,
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
    let (stopping, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = axum::serve(listener, app).with_graceful_shutdown(async move {
        stop.await;
        let _ = stopping.send(());
    });
    let mut server = std::pin::pin!(async { server.await });
    tokio::select! {
        done = &mut server => done?,
        () = async {
            let _ = stopped.await;
            engine.shut_down(PATIENCE).await;
        } => {
            // Answers under way go out; connections that stay open for live delivery are cut.
            if let Ok(done) = tokio::time::timeout(FINISH, server).await {
                done?;
            }
        }
    }
    Ok(())
}
