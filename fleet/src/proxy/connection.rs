//! One connection through the proxy.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::watch;

use super::{Mode, reset};

/// Bytes under way in one direction at most.
const BUFFER: usize = 16 * 1024;

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Request,
    Reply,
}

/// Carries bytes both ways until one side ends, or until the mode or a cut demands a reset.
pub(super) async fn carry(
    mut client: TcpStream,
    upstream: SocketAddr,
    (mut mode, mut cut): (watch::Receiver<Mode>, watch::Receiver<()>),
) {
    if mode.borrow_and_update().is_deadly() {
        return reset(client);
    }
    let Ok(mut server) = TcpStream::connect(upstream).await else { return reset(client) };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let has_lost = AtomicBool::new(false);
    let cut = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let requests = pump(Way::Request, from_client, to_server, (mode.clone(), &has_lost));
        let replies = pump(Way::Reply, from_server, to_client, (mode.clone(), &has_lost));
        tokio::select! {
            both = async { tokio::try_join!(requests, replies) } => both.is_err(),
            () = unbearable(mode, &has_lost) => true,
            _ = cut.changed() => true,
        }
    };
    if cut {
        reset(client);
        reset(server);
    }
}

/// Resolves when the connection must not live on.
async fn unbearable(mut mode: watch::Receiver<Mode>, has_lost: &AtomicBool) {
    loop {
        let current = *mode.borrow_and_update();
        let out_of_step = has_lost.load(Ordering::Relaxed) && current != Mode::LoseReplies;
        if current.is_deadly() || out_of_step || mode.changed().await.is_err() {
            return;
        }
    }
}

/// The connection is to be reset.
struct Cut;

async fn pump(
    way: Way,
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    (mut mode, has_lost): (watch::Receiver<Mode>, &AtomicBool),
) -> Result<(), Cut> {
    let mut buffer = vec![0; BUFFER];
    let mut replied = 0;
    loop {
        let read = from.read(&mut buffer).await.map_err(|_| Cut)?;
        if read == 0 {
            return to.shutdown().await.map_err(|_| Cut);
        }
        let bytes = &buffer[..read];
        let current = patient(&mut mode).await?;
        match current {
            Mode::LoseReplies if way == Way::Reply => {
                has_lost.store(true, Ordering::Relaxed);
                continue;
            }
            Mode::CutAfter(limit) if way == Way::Reply => {
                replied += read;
                if replied > limit {
                    let _ = to.write_all(&bytes[..read.min(limit)]).await;
                    return Err(Cut);
                }
            }
            Mode::Latency(delay) => tokio::time::sleep(delay).await,
            Mode::Throttle(per_second) => {
                let share = f64::from(u32::try_from(read).unwrap_or(u32::MAX));
                let pause = share / f64::from(per_second.max(1));
                tokio::time::sleep(Duration::from_secs_f64(pause)).await;
            }
            _ => {}
        }
        let size = if let Mode::Slice(size) = current { size.max(1) } else { read };
        for slice in bytes.chunks(size) {
            to.write_all(slice).await.map_err(|_| Cut)?;
            if size < read {
                tokio::task::yield_now().await;
            }
        }
    }
}

/// The mode, once it lets anything through.
async fn patient(mode: &mut watch::Receiver<Mode>) -> Result<Mode, Cut> {
    let open = mode.wait_for(|mode| *mode != Mode::Blackhole).await;
    open.map(|mode| *mode).map_err(|_| Cut)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;
    use tokio::task::JoinSet;

    use super::*;
    use crate::proxy::Proxy;

    /// A server that sends back what it gets, and counts.
    struct Echo {
        port: u16,
        received: watch::Receiver<usize>,
        _serving: JoinSet<()>,
    }

    async fn echo() -> Echo {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (count, received) = watch::channel(0);
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let count = count.clone();
                connections.spawn(async move {
                    let mut buffer = [0; 1024];
                    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                        count.send_modify(|all| *all += read);
                        if stream.write_all(&buffer[..read]).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Echo { port, received, _serving: serving }
    }

    async fn through(proxy: &Proxy) -> TcpStream {
        TcpStream::connect(("127.0.0.1", proxy.port())).await.unwrap()
    }

    async fn ask(stream: &mut TcpStream, text: &[u8]) -> std::io::Result<Vec<u8>> {
        stream.write_all(text).await?;
        let mut reply = vec![0; text.len()];
        stream.read_exact(&mut reply).await?;
        Ok(reply)
    }

    #[tokio::test]
    async fn what_passes_arrives_unchanged_in_every_gentle_mode() {
        let server = echo().await;
        let proxy = Proxy::start(server.port).await.unwrap();
        let mut stream = through(&proxy).await;
        let gentle = [
            Mode::Pass,
            Mode::Latency(Duration::from_millis(5)),
            Mode::Throttle(100_000),
            Mode::Slice(3),
            Mode::CutAfter(1_000_000),
        ];
        for mode in gentle {
            proxy.set_mode(mode);
            assert_eq!(ask(&mut stream, b"a question").await.unwrap(), b"a question", "{mode:?}");
        }
    }

    #[tokio::test]
    async fn a_reset_ends_open_and_new_connections() {
        let server = echo().await;
        let proxy = Proxy::start(server.port).await.unwrap();
        let mut open = through(&proxy).await;
        ask(&mut open, b"hello").await.unwrap();
        proxy.set_mode(Mode::Reset);
        assert!(open.read(&mut [0; 8]).await.is_err(), "an open connection is reset");
        let mut new = through(&proxy).await;
        assert!(ask(&mut new, b"hello").await.is_err());
        proxy.set_mode(Mode::Pass);
        ask(&mut through(&proxy).await, b"hello").await.unwrap();
    }

    #[tokio::test]
    async fn a_black_hole_keeps_everything_until_it_closes() {
        let server = echo().await;
        let proxy = Proxy::start(server.port).await.unwrap();
        let mut stream = through(&proxy).await;
        proxy.set_mode(Mode::Blackhole);
        stream.write_all(b"lost?").await.unwrap();
        let mut reply = [0; 5];
        let silence = tokio::time::timeout(Duration::from_millis(50), stream.read(&mut reply));
        assert!(silence.await.is_err());
        assert_eq!(*server.received.borrow(), 0);
        proxy.set_mode(Mode::Pass);
        stream.read_exact(&mut reply).await.unwrap();
        assert_eq!(&reply, b"lost?");
    }

    #[tokio::test]
    async fn lost_replies_belong_to_requests_that_were_heard() {
        let mut server = echo().await;
        let proxy = Proxy::start(server.port).await.unwrap();
        let mut stream = through(&proxy).await;
        proxy.set_mode(Mode::LoseReplies);
        stream.write_all(b"take it").await.unwrap();
        server.received.wait_for(|all| *all == 7).await.unwrap();
        let mut reply = [0; 8];
        let silence = tokio::time::timeout(Duration::from_millis(50), stream.read(&mut reply));
        assert!(silence.await.is_err());
        proxy.set_mode(Mode::Pass);
        assert!(stream.read(&mut reply).await.is_err(), "out of step, hence reset");
    }

    #[tokio::test]
    async fn a_reply_is_cut_in_the_middle() {
        let server = echo().await;
        let proxy = Proxy::start(server.port).await.unwrap();
        let mut stream = through(&proxy).await;
        proxy.set_mode(Mode::CutAfter(4));
        assert!(ask(&mut stream, b"a long question").await.is_err());
    }

    #[tokio::test]
    async fn a_cut_resets_what_is_open_and_spares_what_comes() {
        let server = echo().await;
        let proxy = Proxy::start(server.port).await.unwrap();
        let mut open = through(&proxy).await;
        ask(&mut open, b"hello").await.unwrap();
        proxy.cut_all();
        assert!(open.read(&mut [0; 8]).await.is_err());
        ask(&mut through(&proxy).await, b"hello").await.unwrap();
        assert_eq!((proxy.mode(), proxy.connections()), (Mode::Pass, 2));
    }

    #[tokio::test]
    async fn a_proxy_follows_its_upstream() {
        let (one, other) = (echo().await, echo().await);
        let proxy = Proxy::start(one.port).await.unwrap();
        proxy.set_upstream(other.port);
        ask(&mut through(&proxy).await, b"hello").await.unwrap();
        assert_eq!((*one.received.borrow(), *other.received.borrow()), (0, 5));
    }
}
