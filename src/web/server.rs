//! The listening thread: accepts within limits, serves, and leaves in time.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::Sources;
use super::limits::{
    BUFFER_BYTES_MAX, CONNECTIONS_MAX, HEADER_BYTES_MAX, HEADER_TIME, HEADERS_MAX, REFUSAL_TIME,
    REFUSALS_MAX, WRITE_TIME,
};
use super::pace::Pace;
use super::routes::{self, Web};
use crate::exporter::Exporter;
use crate::platform::thread;

/// The running server. Dropping it ends it at once.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    leave: watch::Sender<Option<Duration>>,
    thread: Option<JoinHandle<()>>,
}

/// Serves `sources` and the pages of `exporter` at `listen` from a thread named
/// `ee-web`.
///
/// # Errors
///
/// When the address cannot be had or the system refuses a thread; the error
/// is a sentence that says what to do.
pub fn start(listen: SocketAddr, sources: Sources, exporter: Exporter) -> io::Result<Server> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let listener = bind(&runtime, listen).map_err(|error| refused(listen, &error))?;
    let address = listener.local_addr()?;
    let (leave, leaving) = watch::channel(None);
    let router = routes::router(Web::new(sources, exporter, leaving.clone()));
    let thread = thread::spawn("ee-web", None, move || {
        runtime.block_on(serve(listener, router, leaving));
    })?;
    Ok(Server { address, leave, thread: Some(thread) })
}

impl Server {
    /// The address that is served, with the port that was chosen for port 0.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more connections, ends streams, lets requests finish for at
    /// most `limit`, and returns when all is closed.
    pub fn stop(mut self, limit: Duration) {
        self.leave(limit);
    }

    fn leave(&mut self, limit: Duration) {
        self.leave.send_replace(Some(limit));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.leave(Duration::ZERO);
    }
}

fn bind(runtime: &Runtime, listen: SocketAddr) -> io::Result<TcpListener> {
    const BACKLOG: u32 = 128;
    let _entered = runtime.enter();
    let socket = if listen.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    // Accepted sockets inherit it: the kernel, too, keeps little for a reader
    // that does not read.
    socket.set_send_buffer_size(2 * BUFFER_BYTES_MAX as u32)?;
    socket.bind(listen)?;
    socket.listen(BACKLOG)
}

fn refused(listen: SocketAddr, error: &io::Error) -> io::Error {
    let remedy = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "something listens there already, perhaps another agent: stop it, \
             or choose another address with --listen ADDRESS (or --listen off)"
        }
        io::ErrorKind::PermissionDenied => {
            "this user may not use that port: choose one above 1023 with --listen ADDRESS"
        }
        io::ErrorKind::AddrNotAvailable => {
            "no interface of this machine has that address: choose another with --listen ADDRESS"
        }
        _ => "choose another address with --listen ADDRESS, or --listen off",
    };
    io::Error::new(error.kind(), format!("cannot serve HTTP at {listen}: {error}; {remedy}"))
}

async fn serve(
    listener: TcpListener,
    router: Router,
    mut leaving: watch::Receiver<Option<Duration>>,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let refusals = Arc::new(Semaphore::new(REFUSALS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            _ = leaving.wait_for(Option::is_some) => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                // Out of descriptors, or gone before it was accepted.
                Err(_) => {
                    sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
        };
        if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
            let (router, leaving) = (router.clone(), leaving.clone());
            connections.spawn(async move {
                converse(stream, router, leaving).await;
                drop(place);
            });
        } else if let Ok(place) = Arc::clone(&refusals).try_acquire_owned() {
            connections.spawn(async move {
                let _ = timeout(REFUSAL_TIME, refuse(stream)).await;
                drop(place);
            });
        }
    }
    drop(listener);
    let limit = leaving.borrow().unwrap_or_default();
    let _ = timeout(limit, async { while connections.join_next().await.is_some() {} }).await;
}

async fn converse(
    stream: TcpStream,
    router: Router,
    mut leaving: watch::Receiver<Option<Duration>>,
) {
    let _ = stream.set_nodelay(true);
    let io = TokioIo::new(Pace::new(stream, WRITE_TIME));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_header_size(HEADER_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .max_buf_size(BUFFER_BYTES_MAX);
    let connection = http.serve_connection(io, TowerToHyperService::new(router));
    tokio::pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = leaving.wait_for(Option::is_some) => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

/// Says that there are too many. What the peer asks is read first, since
/// closing with unread bytes would destroy the answer on its way.
async fn refuse(stream: TcpStream) {
    const ANSWER: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
        content-type: text/plain; charset=utf-8\r\ncontent-length: 45\r\n\
        retry-after: 1\r\nconnection: close\r\n\r\n\
        Too many connections; try again in a moment.\n";
    let mut asked = [0; 4096];
    if stream.readable().await.is_ok() && stream.try_read(&mut asked).is_ok() {
        let _ = stream.try_write(ANSWER);
        let mut stream = stream;
        let shut = std::future::poll_fn(|context| {
            tokio::io::AsyncWrite::poll_shutdown(std::pin::Pin::new(&mut stream), context)
        });
        let _ = shut.await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hinders_listening_is_said_with_its_remedy() {
        for (kind, remedy) in [
            (io::ErrorKind::AddrInUse, "stop it"),
            (io::ErrorKind::PermissionDenied, "above 1023"),
            (io::ErrorKind::AddrNotAvailable, "no interface"),
            (io::ErrorKind::OutOfMemory, "--listen off"),
        ] {
            let error = refused(([127, 0, 0, 1], 80).into(), &kind.into());
            let sentence = error.to_string();
            assert!(sentence.starts_with("cannot serve HTTP at 127.0.0.1:80: "), "{sentence}");
            assert!(sentence.contains(remedy) && error.kind() == kind, "{sentence}");
        }
    }
}
