//! The real transport over loopback sockets: what is sent, and how often.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// Reads one whole request; `None` when the connection is at its end.
async fn read_request(stream: &mut TcpStream) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:").map(|v| v.trim().to_owned()))
                .map_or(0, |value| value.parse().unwrap());
            if body.len() >= length {
                return Ok(Some(text));
            }
        }
        match stream.read(&mut chunk).await? {
            0 => return Ok(None),
            read => bytes.extend_from_slice(&chunk[..read]),
        }
    }
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn created() -> String {
    let body = held("+14185551234").to_string();
    format!("HTTP/1.1 201 Created\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

const EMPTY_LIST: &str = r#"{"incoming_phone_numbers":[],"next_page_uri":null}"#;

/// What a server does with one request on one connection.
enum Deed {
    Answer(String),
    /// Answers and closes at once.
    AnswerAndClose(String),
    Close,
    Reset,
    Hang,
}

/// A server that asks `behave` what to do with the n-th request (from 1) and counts them.
struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
}

impl Server {
    async fn start(behave: impl Fn(usize, &str) -> Deed + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(AtomicUsize::new(0));
        let (seen, opened, behave) = (requests.clone(), connections.clone(), Arc::new(behave));
        // Ends with the test's runtime.
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                opened.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, seen.clone(), behave.clone()));
            }
        });
        Self { address, requests, connections }
    }

    fn client(&self) -> Client {
        client_of(self.address, Duration::from_secs(30))
    }

    fn count(&self, method: &str) -> usize {
        self.requests.lock().unwrap().iter().filter(|request| request.starts_with(method)).count()
    }
}

async fn serve(
    mut stream: TcpStream,
    seen: Arc<Mutex<Vec<String>>>,
    behave: Arc<impl Fn(usize, &str) -> Deed + Send + Sync + 'static>,
) {
    while let Ok(Some(request)) = read_request(&mut stream).await {
        let index = {
            let mut seen = seen.lock().unwrap();
            seen.push(request.clone());
            seen.len()
        };
        match behave(index, &request) {
            Deed::Answer(text) => stream.write_all(text.as_bytes()).await.unwrap(),
            Deed::AnswerAndClose(text) => {
                stream.write_all(text.as_bytes()).await.unwrap();
                return;
            }
            Deed::Close => return,
            Deed::Reset => {
                stream.set_zero_linger().unwrap();
                return;
            }
            Deed::Hang => std::future::pending().await,
        }
    }
}

fn client_of(address: SocketAddr, timeout: Duration) -> Client {
    // A second installation is refused, which is as good.
    drop(rustls::crypto::ring::default_provider().install_default());
    let base = Url::parse(&format!("http://{address}")).unwrap();
    let transport = network(&NetworkOptions { timeout, ..NetworkOptions::default() }).unwrap();
    Client::new(Endpoints::single(base).unwrap(), transport, timeout)
}

async fn buy(client: &Client) -> Result<crate::domain::IncomingNumber, Trouble> {
    client.buy(&canary_token(), &purchase(), &open_fence()).await
}

#[tokio::test]
async fn a_purchase_goes_over_the_wire_once() {
    let server = Server::start(|_, _| Deed::Answer(created())).await;
    assert!(buy(&server.client()).await.is_ok());
    let requests = server.requests.lock().unwrap();
    assert_eq!(requests.len(), 1);
    let request = &requests[0];
    assert!(
        request.starts_with(&format!("POST /2010-04-01/Accounts/{}/IncomingPhoneNumbers.json HTTP/1.1\r\n", account()))
    );
    assert!(request.contains(concat!("user-agent: clinic-phone-operator/", env!("CARGO_PKG_VERSION"), "\r\n")));
    assert!(request.contains("authorization: Basic "));
    assert!(request.contains("\r\n\r\nPhoneNumber=%2B14185551234&"));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Server::start(|_, _| Deed::Answer(created())).await;
    for status in [301, 302, 303, 307, 308] {
        let target = elsewhere.address;
        let server = Server::start(move |_, _| {
            Deed::Answer(format!(
                "HTTP/1.1 {status} Elsewhere\r\nlocation: http://{target}/x?key=canary\r\ncontent-length: 0\r\n\r\n"
            ))
        })
        .await;
        let trouble = buy(&server.client()).await.unwrap_err();
        assert_eq!((trouble.meaning, trouble.http_status), (Meaning::Ambiguous, Some(status)));
        assert_eq!(server.count("POST"), 1);
        assert_clean(&format!("{trouble:?}"));
    }
    assert_eq!(elsewhere.connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_broken_exchange_is_not_repeated() {
    for deed in ["close", "reset", "half", "garbage", "too long"] {
        let server = Server::start(move |_, _| match deed {
            "close" => Deed::Close,
            "reset" => Deed::Reset,
            "half" => Deed::AnswerAndClose("HTTP/1.1 201 Created\r\ncontent-length: 500\r\n\r\n{\"sid\":".to_owned()),
            "garbage" => Deed::AnswerAndClose("SSH-2.0-hello\r\n".to_owned()),
            _ => Deed::AnswerAndClose(format!("HTTP/1.1 201 Created\r\n\r\n{}", "x".repeat(17 * 1024 * 1024))),
        })
        .await;
        let trouble = buy(&server.client()).await.unwrap_err();
        assert_eq!(trouble.meaning, Meaning::Ambiguous, "{deed}: {trouble}");
        assert_eq!(server.count("POST"), 1, "{deed}");
        assert!(!trouble.detail.contains("127.0.0.1"), "{trouble}");
        assert_clean(&format!("{trouble:?}"));
    }
}

#[tokio::test]
async fn a_refused_connection_is_not_sent() {
    // Bound and let go: nobody listens there.
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let trouble = buy(&client_of(address, Duration::from_secs(30))).await.unwrap_err();
    assert_eq!((trouble.meaning, trouble.class), (Meaning::NotSent, Class::Unavailable));
    assert!(trouble.detail.contains("refused"), "{trouble}");
    assert!(!trouble.remedy.is_empty());
}

#[tokio::test]
async fn an_unknown_host_and_a_failed_handshake_are_not_sent() {
    drop(rustls::crypto::ring::default_provider().install_default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let plain = format!("https://{}", listener.local_addr().unwrap());
    // Answers a TLS greeting in plain text.
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut chunk = [0; 16];
            drop(stream.read(&mut chunk).await);
            drop(stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await);
        }
    });
    for base in [plain.as_str(), "https://nowhere.invalid"] {
        let transport = network(&NetworkOptions::default()).unwrap();
        let endpoints = Endpoints::single(Url::parse(base).unwrap()).unwrap();
        let trouble = buy(&Client::new(endpoints, transport, Duration::from_secs(30))).await.unwrap_err();
        assert_eq!(trouble.meaning, Meaning::NotSent, "{base}: {trouble}");
        assert!(!trouble.detail.contains("IncomingPhoneNumbers"), "{trouble}");
    }
}

#[tokio::test]
async fn silence_is_ambiguous() {
    let server = Server::start(|_, _| Deed::Hang).await;
    let short = Duration::from_millis(300);
    let trouble = buy(&client_of(server.address, short)).await.unwrap_err();
    assert_eq!(trouble.meaning, Meaning::Ambiguous);

    // The transport's own limit alone means the same.
    let transport = network(&NetworkOptions { timeout: short, ..NetworkOptions::default() }).unwrap();
    let base = Url::parse(&format!("http://{}", server.address)).unwrap();
    let patient = Client::new(Endpoints::single(base).unwrap(), transport, Duration::from_secs(60));
    assert_eq!(buy(&patient).await.unwrap_err().meaning, Meaning::Ambiguous);
    assert!(server.count("POST") <= 2);
}

#[tokio::test]
async fn a_closed_fence_opens_no_connection() {
    let server = Server::start(|_, _| Deed::Answer(created())).await;
    let trouble = server.client().buy(&canary_token(), &purchase(), &closed_fence()).await.unwrap_err();
    assert_eq!(trouble.meaning, Meaning::NotSent);
    assert_eq!(server.connections.load(Ordering::SeqCst), 0);
}

/// The connection is kept alive after a look-up; the purchase is written to it, and the server closes it unanswered.
#[tokio::test]
async fn a_purchase_on_a_reused_connection_is_not_repeated() {
    for reset in [false, true] {
        let server = Server::start(move |_, request| match request {
            _ if request.starts_with("GET") => Deed::Answer(ok(EMPTY_LIST)),
            _ if reset => Deed::Reset,
            _ => Deed::Close,
        })
        .await;
        let client = server.client();
        client.numbers(&canary_token()).await.unwrap();
        let trouble = buy(&client).await.unwrap_err();
        assert_eq!(trouble.meaning, Meaning::Ambiguous, "{trouble}");
        assert_eq!(server.count("POST"), 1);
        assert_eq!(server.connections.load(Ordering::SeqCst), 1, "it was the same connection");
    }
}

/// The server closes the idle connection while the purchase is on its way to it. Which of the two is first differs from
/// round to round; what must hold does not: the purchase is seen once at most, and success means that it was seen.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_connection_that_closes_under_a_purchase_costs_nothing() {
    let server = Server::start(|_, request| {
        if request.starts_with("GET") { Deed::AnswerAndClose(ok(EMPTY_LIST)) } else { Deed::Answer(created()) }
    })
    .await;
    let client = server.client();
    for _ in 0..300 {
        client.numbers(&canary_token()).await.unwrap();
        let before = server.count("POST");
        let bought = buy(&client).await;
        let seen = server.count("POST") - before;
        match bought {
            Ok(_) => assert_eq!(seen, 1),
            Err(trouble) => {
                assert!(seen <= 1);
                assert_eq!(trouble.meaning, Meaning::Ambiguous, "{trouble}");
            }
        }
    }
}

/// The environment of a running process cannot be changed safely: a child runs another test with a dead proxy in it.
#[test]
fn loopback_goes_past_any_proxy() {
    let dead = "http://127.0.0.1:1";
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "twilio::tests::socket::a_purchase_goes_over_the_wire_once"])
        .envs([("HTTP_PROXY", dead), ("http_proxy", dead), ("HTTPS_PROXY", dead), ("ALL_PROXY", dead)])
        .env_remove("NO_PROXY")
        .env_remove("no_proxy")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&child.stdout).into_owned();
    assert!(child.status.success() && text.contains("1 passed"), "{text}");
}

#[tokio::test]
async fn nothing_secret_is_logged_by_any_layer() {
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);
    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().map_err(|_| io::Error::other("poisoned"))?.extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    // With a single dispatcher alive, tracing lets whichever thread meets a call site first decide whether it is ever
    // enabled, and the other tests' threads have no subscriber. A second dispatcher makes it ask both.
    let second = tracing::Dispatch::new(tracing_subscriber::registry());
    let guard = tracing::subscriber::set_default(subscriber);
    let server = Server::start(|index, _| {
        Deed::Answer(match index {
            1 => created(),
            _ => format!("HTTP/1.1 401 No\r\ncontent-length: 32\r\n\r\n{TOKEN}"),
        })
    })
    .await;
    let client = server.client();
    buy(&client).await.unwrap();
    buy(&client).await.unwrap_err();
    drop((guard, second));
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(text.contains("called Twilio") && text.contains("CreateIncomingPhoneNumber"), "{text}");
    assert_clean(&text);
}
