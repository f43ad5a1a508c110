//! A small HTTP/1.1 client for services on this machine: plain sockets, one request a connection, JSON both ways.
//!
//! Enough for the simulator's control API, the inbox and the operator's admin endpoints, and for nothing else: no TLS, no
//! redirects, no proxies.

use std::io::{self, Read, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use serde_json::Value;

use crate::Error;

/// No answer here takes this long, unless the other side hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// More than the longest list of calls; a bound against a server that never stops.
const MAX_ANSWER: u64 = 256 * 1024 * 1024;

/// What a server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body as text.
    pub body: String,
}

impl Answer {
    /// Returns whether the status is one of success.
    pub fn success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// A service at an address such as `http://127.0.0.1:4010`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    base: String,
}

impl Service {
    /// The service at this base URL; what is wrong with it is told by the first request.
    pub fn new(base: impl Into<String>) -> Self {
        Self { base: base.into().trim_end_matches('/').to_owned() }
    }

    /// The base URL.
    pub fn url(&self) -> &str {
        &self.base
    }

    /// Sends a request and returns whatever comes back.
    ///
    /// # Errors
    /// When there is no answer, or none that can be read. A status that means failure is an answer.
    pub fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Answer, Error> {
        self.exchange(method, path, body).map_err(|source| Error::Http {
            request: format!("{method} {}{path}", self.base),
            problem: source.to_string(),
        })
    }

    /// Gets JSON.
    ///
    /// # Errors
    /// When there is no answer, its status means failure, or it is no JSON.
    pub fn get(&self, path: &str) -> Result<Value, Error> {
        self.json("GET", path, None)
    }

    /// Sends JSON and returns the JSON that comes back.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn json(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, Error> {
        let answer = self.send(method, path, body)?;
        let failed = |problem: String| Error::Http { request: format!("{method} {}{path}", self.base), problem };
        if !answer.success() {
            return Err(failed(format!("answered {}: {}", answer.status, answer.body.trim())));
        }
        serde_json::from_str(&answer.body).map_err(|error| failed(format!("answered no JSON: {error}")))
    }

    fn exchange(&self, method: &str, path: &str, body: Option<&Value>) -> io::Result<Answer> {
        let host = self.base.strip_prefix("http://").filter(|host| !host.is_empty() && !host.contains('/'));
        let host = host.ok_or_else(|| invalid("the address is not http://host:port"))?;
        let address = host.to_socket_addrs()?.next().ok_or_else(|| invalid("the host has no address"))?;
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let body = body.map(Value::to_string);
        let about = body.as_ref().map_or_else(String::new, |body| {
            format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len())
        });
        let body = body.unwrap_or_default();
        let request = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{about}\r\n{body}");
        stream.write_all(request.as_bytes())?;
        let mut bytes = Vec::new();
        stream.take(MAX_ANSWER).read_to_end(&mut bytes)?;
        read_answer(&bytes)
    }
}

fn invalid(problem: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem)
}

/// Reads a whole answer, of which nothing may be missing.
fn read_answer(bytes: &[u8]) -> io::Result<Answer> {
    let end = find(bytes, b"\r\n\r\n").ok_or_else(|| invalid("the answer ends within its headers"))?;
    let (head, rest) = (bytes.get(..end).unwrap_or_default(), bytes.get(end + 4..).unwrap_or_default());
    let head = String::from_utf8_lossy(head);
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok());
    let status = status.ok_or_else(|| invalid("the answer is not HTTP/1"))?;
    let headers: Vec<(String, &str)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim()))
        .collect();
    let header = |name: &str| headers.iter().find(|(found, _)| found == name).map(|(_, value)| *value);
    let body = if header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
        unchunk(rest)?
    } else {
        let length = header("content-length").map(str::parse::<usize>).transpose();
        let length = length.map_err(|_| invalid("its length is no number"))?.unwrap_or(rest.len());
        rest.get(..length).ok_or_else(|| invalid("the answer is cut off"))?.to_vec()
    };
    let body = String::from_utf8(body).map_err(|_| invalid("the answer is no text"))?;
    Ok(Answer { status, body })
}

fn unchunk(mut rest: &[u8]) -> io::Result<Vec<u8>> {
    let cut = || invalid("the answer is cut off");
    let mut body = Vec::new();
    loop {
        let line = find(rest, b"\r\n").ok_or_else(cut)?;
        let size = String::from_utf8_lossy(rest.get(..line).unwrap_or_default()).into_owned();
        let size = size.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).map_err(|_| invalid("a chunk's size is no number"))?;
        if size == 0 {
            return Ok(body);
        }
        let from = line + 2;
        let to = from.checked_add(size).ok_or_else(cut)?;
        body.extend_from_slice(rest.get(from..to).ok_or_else(cut)?);
        rest = rest.get(to..).and_then(|rest| rest.strip_prefix(b"\r\n")).ok_or_else(cut)?;
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::io::{BufRead as _, BufReader};
    use std::net::TcpListener;
    use std::thread::JoinHandle;

    /// Answers one request with this text, and returns the request.
    fn server(answer: &'static str) -> (Service, JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let service = Service::new(format!("http://{}/", listener.local_addr().unwrap()));
        let served = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream);
            let (mut request, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                request.push_str(&line);
                if line == "\r\n" {
                    break;
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            request.push_str(&String::from_utf8(body).unwrap());
            reader.into_inner().write_all(answer.as_bytes()).unwrap();
            request
        });
        (service, served)
    }

    #[test]
    fn json_goes_out_and_comes_back() {
        let (service, served) =
            server("HTTP/1.1 201 Created\r\nContent-Length: 8\r\nX: y\r\n\r\n{\"a\": 1}and this is no part of it");
        let answer = service.json("POST", "/_simulator/accounts", Some(&json!({"b": "é"}))).unwrap();
        assert_eq!(answer, json!({"a": 1}));
        let request = served.join().unwrap();
        assert!(request.starts_with("POST /_simulator/accounts HTTP/1.1\r\nHost: 127.0.0.1:"), "{request}");
        assert!(request.ends_with("Content-Length: 10\r\n\r\n{\"b\":\"é\"}"), "{request}");
    }

    #[test]
    fn chunks_are_put_together() {
        let (service, served) = server(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4;x=y\r\n[1, \r\nA\r\n2, 3, 4, 5\r\n1\r\n]\r\n0\r\n\r\n",
        );
        assert_eq!(service.get("/").unwrap(), json!([1, 2, 3, 4, 5]));
        served.join().unwrap();
    }

    #[test]
    fn a_failure_is_an_answer_and_no_json() {
        let failing = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 8\r\n\r\nwaiting\n";
        let (service, served) = server(failing);
        let answer = service.send("GET", "/readyz", None).unwrap();
        assert_eq!((answer.status, answer.body.as_str(), answer.success()), (503, "waiting\n", false));
        served.join().unwrap();
        let (service, served) = server(failing);
        let told = service.get("/readyz").unwrap_err().to_string();
        assert!(told.contains("/readyz") && told.contains("answered 503: waiting"), "{told}");
        served.join().unwrap();
    }

    #[test]
    fn half_an_answer_is_none() {
        for half in [
            "HTTP/1.1 200 OK\r\nContent-Le",
            "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n123",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n12\r\n",
            "SSH-2.0\r\n\r\n",
            "",
        ] {
            assert!(read_answer(half.as_bytes()).is_err(), "{half:?}");
        }
    }

    #[test]
    fn an_address_that_is_none_and_a_server_that_is_none_are_told() {
        for base in ["https://127.0.0.1:1", "http://", "127.0.0.1:80", "http://127.0.0.1:1/path"] {
            let told = Service::new(base).get("/x").unwrap_err().to_string();
            assert!(told.contains("http://host:port"), "{told}");
        }
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert!(Service::new(format!("http://{closed}")).get("/").is_err());
    }
}
