//! Connections for bytes that no client library would send.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::{Context, Result};
use reqwest::Url;
use tokio::net::{TcpSocket, TcpStream};

/// Connects to a gateway from that address.
pub async fn connect_from(base: &str, address: IpAddr) -> Result<TcpStream> {
    let url = Url::parse(base)?;
    let port = url.port().context("a gateway without a port")?;
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(address, 0))?;
    Ok(socket.connect(SocketAddr::from(([127, 0, 0, 1], port))).await?)
}

/// An address of this machine that no other client has.
pub fn new_address() -> IpAddr {
    let [one, two] = rand::random::<[u8; 2]>();
    IpAddr::V4(Ipv4Addr::new(127, one.max(1), two, rand::random_range(1..=254)))
}
