//! What every request passes before its handler and every answer after it: the client's rate, time, headers.

use std::io::IoSlice;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use axum::serve::Listener;
use governor::clock::Clock;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use tokio::io::{self, AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};

use super::answer;

/// Requests of one client per second, and in one burst. A page asks once a second; an interface engine sends up to a
/// thousand observations in one request.
const REQUESTS_PER_SECOND: NonZeroU32 = NonZeroU32::new(100).unwrap();
/// Pause between two rounds of forgetting clients that have been quiet; bounds the limiter's memory.
const FORGET_EVERY: Duration = Duration::from_secs(60);
/// Time one request may take, its body included. Longer than the broker's five seconds for an acknowledgement.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(10);
/// Connections open at a time; with bodies of a megabyte this bounds the role's memory.
const CONNECTIONS_MAX: usize = 256;
/// A connection on which nothing comes for this long is closed.
const CONNECTION_IDLE_MAX: Duration = Duration::from_secs(30);

/// Nothing may be loaded, run or framed: the answers of the API are data.
const DATA_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";
/// Sent with every answer.
const HEADERS: [(HeaderName, &str); 6] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), microphone=(), geolocation=()"),
];

/// The rate each client has left.
pub type ClientLimiter = DefaultKeyedRateLimiter<IpAddr>;

/// A limiter that forgets quiet clients for as long as it is used.
pub fn client_limiter() -> Arc<ClientLimiter> {
    let limiter = Arc::new(RateLimiter::keyed(Quota::per_second(REQUESTS_PER_SECOND)));
    let forgetting = Arc::downgrade(&limiter);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(FORGET_EVERY).await;
            let Some(limiter) = forgetting.upgrade() else { return };
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
    });
    limiter
}

/// Answers 429 with `Retry-After` to a client that asks too often.
pub async fn limit_client(
    State(limiter): State<Arc<ClientLimiter>>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    match limiter.check_key(&client_of(address.ip())) {
        Ok(()) => next.run(request).await,
        Err(until) => {
            let wait = until.wait_time_from(limiter.clock().now());
            answer::later(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", whole_seconds(wait))
        }
    }
}

/// Answers 408 when a request takes too long.
pub async fn limit_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(REQUEST_TIME_MAX, next.run(request)).await {
        Ok(response) => response,
        Err(_elapsed) => answer::reason(StatusCode::REQUEST_TIMEOUT, "too_slow"),
    }
}

/// Adds the strict headers; the page brings its own content policy.
pub async fn strict_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(DATA_POLICY));
    response
}

/// Whom an address stands for: one IPv4 address, or the /64 network that an IPv6 host may choose addresses from.
fn client_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
        v4 => v4,
    }
}

/// Seconds to wait, rounded up and at least one: `Retry-After` has no fractions.
fn whole_seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

/// A listener that holds a bounded number of connections and closes idle ones. Further clients wait in the system's
/// queue.
pub struct Bounded {
    listener: TcpListener,
    room: Arc<Semaphore>,
}

impl Bounded {
    /// Wraps a listener.
    pub fn new(listener: TcpListener) -> Self {
        Self { listener, room: Arc::new(Semaphore::new(CONNECTIONS_MAX)) }
    }
}

impl Listener for Bounded {
    type Io = Held;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Held, SocketAddr) {
        let place = self.room.clone().acquire_owned().await.expect("the semaphore is never closed");
        let (stream, address) = Listener::accept(&mut self.listener).await;
        (Held { stream, idle: Box::pin(tokio::time::sleep(CONNECTION_IDLE_MAX)), _place: place }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection with its place among the [`CONNECTIONS_MAX`], given back when it closes.
pub struct Held {
    stream: TcpStream,
    idle: Pin<Box<Sleep>>,
    _place: OwnedSemaphorePermit,
}

impl Held {
    /// Small answers need not wait to be sent together. A socket that cannot be told so still works.
    pub fn send_at_once(&mut self) {
        if let Err(reason) = self.stream.set_nodelay(true) {
            tracing::debug!(%reason, "a connection keeps Nagle's algorithm");
        }
    }
}

impl AsyncRead for Held {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if read.is_ready() {
            self.idle.as_mut().reset(Instant::now() + CONNECTION_IDLE_MAX);
            return read;
        }
        self.idle.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncWrite for Held {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_cannot_multiply_itself_by_its_addresses() {
        for (address, client) in [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("2001:db8:1:2:ffff::1", "2001:db8:1:2::"),
        ] {
            assert_eq!(client_of(address.parse().unwrap()), client.parse::<IpAddr>().unwrap(), "{address}");
        }
    }

    #[test]
    fn waiting_is_rounded_up() {
        assert_eq!(whole_seconds(Duration::ZERO), 1);
        assert_eq!(whole_seconds(Duration::from_millis(10)), 1);
        assert_eq!(whole_seconds(Duration::from_millis(1_001)), 2);
    }
}
