//! Listening and connections: accepting, TLS, idling, and ending all at once when a restart or an outage is asked for.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::DuplexStream;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::serve::{exchange, After};
use crate::shared::{Shared, Signal};
use crate::wire::{Stream, Unreadable, Wire};

/// A bound socket; the port is shared with our own next listener, so that an outage does not lose it.
fn bound(address: SocketAddr) -> std::io::Result<TcpSocket> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Begins to listen.
pub fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    bound(address)?.listen(4096)
}

/// Takes connections until the server ends.
pub async fn run(shared: Arc<Shared>, mut listener: TcpListener, tls: Option<TlsAcceptor>) {
    let mut signal = shared.signal.subscribe();
    let Ok(address) = listener.local_addr() else {
        return;
    };
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((socket, _)) = accepted {
                    begin(&shared, socket, tls.clone());
                }
            }
            changed = signal.changed() => {
                let now = *signal.borrow_and_update();
                if changed.is_err() || now.stopped {
                    return;
                }
                if now.closed_until.is_some_and(|until| until > Instant::now()) {
                    // A bound socket that does not listen keeps the port and refuses connections.
                    let Ok(placeholder) = bound(address) else { continue };
                    drop(listener);
                    wait_for_the_end(&mut signal).await;
                    match placeholder.listen(4096) {
                        Ok(again) => listener = again,
                        Err(_) => return,
                    }
                }
            }
        }
    }
}

/// Waits until the outage is over; it may be made longer or shorter on the way.
async fn wait_for_the_end(signal: &mut tokio::sync::watch::Receiver<Signal>) {
    loop {
        let now = *signal.borrow_and_update();
        let left = now
            .closed_until
            .map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()));
        if left.is_zero() || now.stopped {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(left) => {}
            changed = signal.changed() => if changed.is_err() { return },
        }
    }
}

fn begin(shared: &Arc<Shared>, socket: TcpStream, tls: Option<TlsAcceptor>) {
    let _ = socket.set_nodelay(true);
    let shared = shared.clone();
    tokio::spawn(async move {
        handshake(&shared, if tls.is_some() { 2 } else { 1 }).await;
        let stream = match tls {
            None => Stream::Plain(socket),
            Some(acceptor) => match tokio::time::timeout(Duration::from_secs(10), acceptor.accept(socket)).await {
                Ok(Ok(stream)) => Stream::Tls(Box::new(stream)),
                _ => {
                    shared.log().failed_handshakes += 1;
                    return;
                }
            },
        };
        connection(shared, stream).await;
    });
}

/// What connecting takes on a link.
async fn handshake(shared: &Shared, trips: u32) {
    if let Some(lines) = shared.clockwork().lines {
        tokio::time::sleep(lines.round_trip() * trips).await;
    }
}

/// Serves what comes through a pipe, as it would a connection without TLS.
pub async fn serve(shared: Arc<Shared>, pipe: DuplexStream) {
    handshake(&shared, 1).await;
    connection(shared, Stream::Pipe(pipe)).await;
}

/// Serves one connection to its end.
async fn connection(shared: Arc<Shared>, stream: Stream) {
    let number = {
        let mut log = shared.log();
        log.connections += 1;
        log.connections
    };
    let mut wire = Wire::new(stream);
    let mut signal = shared.signal.subscribe();
    let generation = signal.borrow_and_update().generation;
    loop {
        let idle = shared.switches().idle_timeout();
        let after = tokio::select! {
            biased;
            () = ended(&mut signal, generation) => After::Reset,
            after = next(&shared, &mut wire, idle, number) => after,
        };
        match after {
            After::Continue => {}
            After::Close => return wire.close().await,
            After::Reset => return wire.reset(),
        }
    }
}

async fn next(shared: &Arc<Shared>, wire: &mut Wire, idle: Duration, number: u64) -> After {
    match wire.read_head(idle).await {
        Ok(head) => {
            wire.travel(shared.clockwork().lines).await;
            exchange(shared, wire, head, number).await
        }
        Err(Unreadable::Gone) => After::Close,
        Err(Unreadable::Refused(reply)) => {
            let _ = wire.answer(&reply, false, None, None).await;
            After::Close
        }
    }
}

/// Ends when connections of this generation must.
async fn ended(signal: &mut tokio::sync::watch::Receiver<Signal>, generation: u64) {
    let over = |now: &Signal| now.stopped || now.generation != generation;
    let _ = signal.wait_for(over).await;
}
