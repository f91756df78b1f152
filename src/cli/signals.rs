//! Ctrl-C and the service manager's wish, as a flag.

use std::io;

use crate::platform::thread::{self, Stop};

/// A flag that Ctrl-C, SIGTERM or SIGHUP raises.
pub(super) fn stop_on_signal() -> io::Result<Stop> {
    let stop = Stop::default();
    let raise = stop.clone();
    thread::spawn("ee-signals", None, move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        if let Ok(runtime) = runtime {
            let _ = runtime.block_on(any_signal());
        }
        raise.raise();
    })?;
    Ok(stop)
}

async fn any_signal() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hang_up.recv() => {}
    }
    Ok(())
}
