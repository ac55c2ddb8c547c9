//! A way through which bytes go until it is cut.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Forwards connections on a port of its own; cut, it drops those it has and takes no more.
pub struct Proxy {
    address: SocketAddr,
    open: watch::Sender<bool>,
}

impl Proxy {
    /// A way to `target`.
    pub async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (open, watched) = watch::channel(true);
        tokio::spawn(forward(listener, target, watched));
        Self { address, open }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts the way, or opens it again.
    pub fn set_open(&self, open: bool) {
        self.open.send_replace(open);
    }
}

async fn forward(listener: TcpListener, target: SocketAddr, open: watch::Receiver<bool>) {
    while let Ok((mut from, _)) = listener.accept().await {
        let mut watched = open.clone();
        if !*watched.borrow() {
            continue;
        }
        tokio::spawn(async move {
            let Ok(mut to) = TcpStream::connect(target).await else { return };
            tokio::select! {
                _ = copy_bidirectional(&mut from, &mut to) => {}
                _ = watched.wait_for(|open| !open) => {}
            }
        });
    }
}
