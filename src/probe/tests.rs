//! The message and its signature; and the real network against servers on this machine.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Request, Response};
use k8s_openapi::jiff::Timestamp;
use rustls::pki_types::PrivateKeyDer;
use secrecy::SecretString;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tower::ServiceExt as _;
use url::form_urlencoded;

use super::*;
use crate::domain::{AccountSid, E164, HttpMethod};
use crate::twilio::signature;

const TOKEN: &str = "0f0f0000000000000000000000000001";

fn request(url: &str, method: HttpMethod) -> Request<bytes::Bytes> {
    let (account, to) = (AccountSid::parse(&format!("AC{:032x}", 1)).unwrap(), E164::parse("+14185550100").unwrap());
    let at: Timestamp = "2026-11-02T10:00:00Z".parse().unwrap();
    Message { url, method, account: &account, to: &to, at }.request(&SecretString::from(TOKEN)).unwrap()
}

#[test]
fn the_message_is_signed_as_twilio_signs_and_marked() {
    for (url, sent) in [
        ("https://hooks.example.com/sms", "https://hooks.example.com/sms"),
        ("https://hooks.example.com/sms?a=1#rc=3", "https://hooks.example.com/sms?a=1"),
        ("https://hooks.example.com:8443/It%27s", "https://hooks.example.com:8443/It%27s"),
    ] {
        let post = request(url, HttpMethod::POST);
        let form: Vec<(String, String)> = form_urlencoded::parse(post.body()).into_owned().collect();
        assert_eq!(post.uri().to_string(), sent);
        let signed = post.headers()[signature::HEADER].to_str().unwrap();
        assert!(signature::verify(url, &form, signed, TOKEN) && !signature::verify(url, &form, signed, "another"));
        for (name, value) in [(MARK, "true"), ("To", "+14185550100"), ("SmsStatus", "received")] {
            assert!(form.iter().any(|(n, v)| n == name && v == value), "{name} in {form:?}");
        }
        assert!(form.iter().any(|(name, text)| name == "Body" && text.contains("Not a message from a person")));

        let get = request(url, HttpMethod::GET);
        let called = get.uri().to_string();
        assert!(called.starts_with(sent) && called.contains(MARK) && get.body().is_empty(), "{called}");
        let signed = get.headers()[signature::HEADER].to_str().unwrap();
        assert!(signature::verify::<&str, &str>(&called, &[], signed, TOKEN));
    }
    assert!(Message { url: "https://exa mple/", ..message_of() }.request(&SecretString::from(TOKEN)).is_err());
}

/// What Twilio's own validators are shown (tests/contract): the same messages, where a recording of the tests is wanted.
#[test]
fn what_is_sent_is_written_down_for_twilios_own_validators() {
    let urls = [
        "https://hooks.example.com/sms",
        "https://hooks.example.com/sms?clinic=1&key=a%20b",
        "https://hooks.example.com:8443/It%27s",
    ];
    let mut vectors = Vec::new();
    for url in urls {
        for method in [HttpMethod::POST, HttpMethod::GET] {
            let sent = request(url, method);
            let params: std::collections::BTreeMap<String, String> =
                form_urlencoded::parse(sent.body()).into_owned().collect();
            // As configured, which is what is signed; a GET has its parameters in it.
            let signed = if method == HttpMethod::POST { url.to_owned() } else { sent.uri().to_string() };
            let signature = sent.headers()[signature::HEADER].to_str().unwrap();
            assert_eq!(params.contains_key(MARK), method == HttpMethod::POST);
            vectors.push(serde_json::json!({
                "what": format!("{} {url}", method.as_str()), "token": TOKEN, "url": signed, "params": params, "signature": signature,
            }));
        }
    }
    if let Some(folder) = std::env::var_os("CPN_SIM_RECORD") {
        std::fs::create_dir_all(&folder).unwrap();
        let text = serde_json::Value::from(vectors).to_string();
        std::fs::write(std::path::Path::new(&folder).join("vectors.json"), text).unwrap();
    }
}

fn message_of() -> Message<'static> {
    let account = Box::leak(Box::new(AccountSid::parse(&format!("AC{:032x}", 1)).unwrap()));
    let to = Box::leak(Box::new(E164::parse("+14185550100").unwrap()));
    Message { url: "", method: HttpMethod::POST, account, to, at: Timestamp::UNIX_EPOCH }
}

/// Every status, and every way of not answering, with words that say what to do.
#[test]
fn every_answer_has_its_verdict() {
    let answered = |status: u16| verdict(&Ok(Response::builder().status(status).body(()).unwrap()));
    for status in 100..600 {
        let kind = match answered(status) {
            Verdict::Accepted(told) => {
                assert_eq!(told, status);
                None
            }
            Verdict::Refused(failure, words) => {
                assert!(words.contains(&status.to_string()) && words.len() > 40, "{words}");
                Some(failure)
            }
        };
        let expected = match status {
            200..=299 => None,
            300..=399 => Some(Failure::Redirected),
            401 | 403 => Some(Failure::SignatureRefused),
            _ => Some(Failure::Error),
        };
        assert_eq!(kind, expected, "{status}");
    }
    for (error, failure) in [
        (TransportError::NotPublic, Failure::NotPublic),
        (TransportError::Unresolved("x".into()), Failure::Unreachable),
        (TransportError::Unreachable("x".into()), Failure::Unreachable),
        (TransportError::Tls("x".into()), Failure::Tls),
        (TransportError::TimedOut, Failure::TimedOut),
        (TransportError::Interrupted("x".into()), Failure::TimedOut),
    ] {
        let Verdict::Refused(told, words) = verdict(&Err(error)) else { panic!("accepted") };
        assert!(told == failure && words.len() > 30, "{words}");
    }
}

fn provider() {
    // Fails only when another test was faster, which is as good.
    drop(rustls::crypto::ring::default_provider().install_default());
}

/// A server with a certificate for `localhost` and 127.0.0.1, which answers everybody with this text, or with nothing.
struct Server {
    at: SocketAddr,
    certificate: reqwest::Certificate,
    /// How each connection was greeted.
    handshakes: Arc<Mutex<Vec<rustls::HandshakeKind>>>,
}

async fn server(answer: Option<String>) -> Server {
    provider();
    let issued = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let certificate = reqwest::Certificate::from_der(issued.cert.der()).unwrap();
    let key = PrivateKeyDer::try_from(issued.signing_key.serialize_der()).unwrap();
    let config =
        rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(vec![issued.cert.der().clone()], key);
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config.unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let handshakes = Arc::<Mutex<Vec<_>>>::default();
    let greeted = Arc::clone(&handshakes);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (acceptor, answer, greeted) = (acceptor.clone(), answer.clone(), Arc::clone(&greeted));
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(socket).await else { return };
                greeted.lock().unwrap().extend(stream.get_ref().1.handshake_kind());
                let mut read = vec![0; 4096];
                drop(stream.read(&mut read).await);
                match answer {
                    Some(answer) => drop(stream.write_all(answer.as_bytes()).await),
                    None => std::future::pending().await,
                }
            });
        }
    });
    Server { at, certificate, handshakes }
}

async fn send(url: &str, options: Options) -> Result<u16, TransportError> {
    provider();
    let transport = network(&options).unwrap();
    transport.oneshot(request(url, HttpMethod::POST)).await.map(|response| response.status().as_u16())
}

fn open(server: &Server) -> Options {
    Options { allow_private: true, roots: vec![server.certificate.clone()], patience: Duration::from_secs(20) }
}

#[tokio::test]
async fn the_status_of_an_answer_is_told_and_its_body_not_read() {
    for status in [200, 204, 302, 401, 500] {
        // A body without end: whoever reads it stays for ever.
        let answer = format!(
            "HTTP/1.1 {status} X\r\nlocation: https://127.0.0.1:1/\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"
        );
        let server = server(Some(answer)).await;
        let url = format!("https://localhost:{}/sms", server.at.port());
        assert_eq!(send(&url, open(&server)).await, Ok(status));
    }
}

#[tokio::test]
async fn failures_are_told_apart() {
    let good = server(Some("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_owned())).await;
    let port = good.at.port();
    let stranger = Options { roots: Vec::new(), ..open(&good) };
    let untrusted = send(&format!("https://localhost:{port}/"), stranger).await;
    assert!(matches!(untrusted, Err(TransportError::Tls(_))), "{untrusted:?}");

    let silent = server(None).await;
    let impatient = Options { patience: Duration::from_millis(300), ..open(&silent) };
    let late = send(&format!("https://localhost:{}/", silent.at.port()), impatient).await;
    assert_eq!(late, Err(TransportError::TimedOut));

    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let nobody = send(&format!("https://localhost:{}/", closed.port()), open(&good)).await;
    assert!(matches!(nobody, Err(TransportError::Unreachable(_))), "{nobody:?}");

    let nowhere = send("https://webhook.invalid/", open(&good)).await;
    assert!(matches!(nowhere, Err(TransportError::Unresolved(_))), "{nowhere:?}");

    let cut = server(Some(String::new())).await;
    let broken = send(&format!("https://localhost:{}/", cut.at.port()), open(&cut)).await;
    assert!(matches!(broken, Err(TransportError::Interrupted(_))), "{broken:?}");
}

/// Addresses and names that lead into the machine, the cluster or the cloud's metadata: none of them gets a connection.
#[tokio::test]
async fn nothing_private_is_called() {
    let server = server(Some("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_owned())).await;
    let port = server.at.port();
    for host in [
        "localhost",
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
        "10.0.0.1",
        "10.96.0.1",
        "169.254.169.254",
        "192.168.0.1",
        "172.16.0.1",
        "100.64.0.1",
        "[fd00:ec2::254]",
        "[fe80::1]",
    ] {
        let guarded = Options { allow_private: false, ..open(&server) };
        let refused = send(&format!("https://{host}:{port}/sms"), guarded).await;
        assert_eq!(refused, Err(TransportError::NotPublic), "{host}");
    }
}

/// A session that is resumed would not have its certificate checked: one that expired since would go on being trusted.
#[tokio::test]
async fn every_try_checks_the_certificate_anew() {
    provider();
    let server = server(Some("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_owned())).await;
    let transport = network(&open(&server)).unwrap();
    let url = format!("https://localhost:{}/sms", server.at.port());
    for _ in 0..3 {
        transport.clone().oneshot(request(&url, HttpMethod::POST)).await.unwrap();
    }
    let handshakes = server.handshakes.lock().unwrap().clone();
    assert_eq!(handshakes, [rustls::HandshakeKind::Full; 3]);
}
