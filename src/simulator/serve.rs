//! The simulator on a socket whose connections can be cut.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, State};
use axum::serve::{IncomingStream, Listener};
use bytes::Bytes;
use http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::Simulator;

/// No request is larger: a long list of accounts is the largest one there is.
const MAX_BODY: usize = 16 * 1024 * 1024;

/// How long open connections have when the simulator stops.
const GRACE: Duration = Duration::from_secs(2);

impl Simulator {
    /// The simulator as a router. A cut connection is cut by [`Simulator::serve`]; another server ends it in the middle
    /// of an answer, which is the best a router can do.
    pub fn router(&self) -> axum::Router {
        self.routed(CancellationToken::new())
    }

    fn routed(&self, stop: CancellationToken) -> axum::Router {
        axum::Router::new().fallback(entry).with_state((self.clone(), stop))
    }

    /// Serves until told to stop. Calls that are held unanswered are cut then.
    ///
    /// # Errors
    /// None so far: the listener retries what fails.
    pub async fn serve(&self, listener: TcpListener, stop: CancellationToken) -> io::Result<()> {
        let service = self.routed(stop.clone()).into_make_service_with_connect_info::<Cutter>();
        let stopped = stop.clone();
        let server = axum::serve(CuttableListener(listener), service)
            .with_graceful_shutdown(async move { stopped.cancelled().await });
        tokio::select! {
            done = server.into_future() => done,
            // A client that keeps a half-sent request open does not hold the simulator.
            () = async { stop.cancelled().await; tokio::time::sleep(GRACE).await } => Ok(()),
        }
    }
}

async fn entry(
    State((simulator, stop)): State<(Simulator, CancellationToken)>,
    mut request: http::Request<Body>,
) -> http::Response<Body> {
    let cutter = request.extensions_mut().remove::<ConnectInfo<Cutter>>().map(|ConnectInfo(cutter)| cutter);
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, MAX_BODY).await else {
        let mut response = http::Response::new(Body::empty());
        *response.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
        return response;
    };
    let request = http::Request::from_parts(parts, body);
    let answer = tokio::select! {
        answer = simulator.answer(request) => answer.ok(),
        () = stop.cancelled() => None,
    };
    if let Some(response) = answer {
        return response.map(Body::from);
    }
    if let Some(cutter) = cutter {
        cutter.0.store(true, Ordering::Release);
    }
    // Never seen where the connection can be cut; elsewhere the body breaks off.
    let broken = futures::stream::once(async { Err::<Bytes, io::Error>(reset()) });
    http::Response::new(Body::from_stream(broken))
}

fn reset() -> io::Error {
    io::Error::from(io::ErrorKind::ConnectionReset)
}

/// Cuts a connection: the next time it is used, it fails and is reset.
#[derive(Clone, Default)]
struct Cutter(Arc<AtomicBool>);

impl Connected<IncomingStream<'_, CuttableListener>> for Cutter {
    fn connect_info(stream: IncomingStream<'_, CuttableListener>) -> Self {
        stream.io().cutter.clone()
    }
}

struct CuttableListener(TcpListener);

impl Listener for CuttableListener {
    type Io = Cuttable;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Cuttable, SocketAddr) {
        let (stream, address) = Listener::accept(&mut self.0).await;
        (Cuttable { stream, cutter: Cutter::default() }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

struct Cuttable {
    stream: TcpStream,
    cutter: Cutter,
}

impl Cuttable {
    /// The stream, unless it was cut.
    fn whole(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        if self.cutter.0.load(Ordering::Acquire) { Err(reset()) } else { Ok(Pin::new(&mut self.stream)) }
    }
}

impl Drop for Cuttable {
    fn drop(&mut self) {
        // What was cut ends with RST, not with a polite end. Where that cannot be set, the end has to do.
        if self.cutter.0.load(Ordering::Acquire) {
            drop(self.stream.set_zero_linger());
        }
    }
}

impl AsyncRead for Cuttable {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.get_mut().whole()?.poll_read(cx, buf)
    }
}

impl AsyncWrite for Cuttable {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().whole()?.poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().whole()?.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().whole()?.poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().whole()?.poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
