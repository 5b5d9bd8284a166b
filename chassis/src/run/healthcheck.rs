//! Asking a running process of the same configuration whether it is ready.
//!
//! Container images without a shell have no other program that could ask.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// Longest wait for each of connection, request and answer.
const TIMEOUT: Duration = Duration::from_secs(2);
/// More of the answer is not read: the status line is at its beginning.
const ANSWER_BYTES: u64 = 4_096;

/// Succeeds when `/readyz` at `internal` answers 200; otherwise tells why not.
pub(super) fn ask(internal: SocketAddr) -> Result<(), String> {
    let answer = fetch(reachable(internal)).map_err(|error| format!("{internal}: {error}"))?;
    match answer.lines().next() {
        Some(status) if status.contains(" 200 ") => Ok(()),
        _ => Err(answer.lines().last().unwrap_or("an empty answer").to_owned()),
    }
}

fn fetch(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES).read_to_string(&mut answer)?;
    Ok(answer)
}

/// A process that listens on every address is asked on loopback.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn answering(answer: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1_024];
            let _ = stream.read(&mut request).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
        });
        address
    }

    #[test]
    fn a_ready_process_is_healthy() {
        assert_eq!(ask(answering("HTTP/1.1 200 OK\r\n\r\n{}")), Ok(()));
    }

    #[test]
    fn a_process_that_is_not_ready_says_why() {
        let address = answering("HTTP/1.1 503 Service Unavailable\r\n\r\nwaiting for database");
        assert_eq!(ask(address), Err("waiting for database".to_owned()));
    }

    #[test]
    fn nobody_there_is_not_healthy() {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert!(ask(free).is_err());
    }

    #[test]
    fn every_address_means_loopback() {
        assert_eq!(reachable(([0, 0, 0, 0], 9051).into()), ([127, 0, 0, 1], 9051).into());
        assert_eq!(reachable(([10, 0, 0, 7], 9051).into()), ([10, 0, 0, 7], 9051).into());
    }
}
