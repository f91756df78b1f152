//! A router: forwards OpenAI-compatible requests to the engine that the view
//! says has the least to do, and streams the answer through.
//!
//! ```text
//! cargo run --example router -- --listen 127.0.0.1:8080 [--nats URL] \
//!     [--score least-work|power-of-two|kv-aware]
//! curl http://127.0.0.1:8080/v1/completions -d '{"model": "m", "prompt": "Hello"}'
//! ```
//!
//! Without `--nats` it reads the local agent. It prints one line a decision.
//! It is an example: one connection a request, no TLS.

#![expect(clippy::print_stdout, reason = "a line a decision is what it shows")]

use std::error::Error;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use eagle_eye::client::{Ask, Options, Policy, RankId, RankState, Reservation, Score, View};
use eagle_eye::schema::{Engine, name_hash};
use http_body_util::{BodyExt, Either, Full, Limited};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::header::{CONNECTION, HOST, HeaderName, HeaderValue, TRANSFER_ENCODING, UPGRADE};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

/// The largest request that is taken.
const BODY_BYTES_MAX: usize = 8 << 20;
/// Engines tried for one request.
const TRIES_MAX: usize = 3;
/// Bytes of JSON that weigh like a token; a router with a tokenizer knows better.
const BYTES_PER_TOKEN: usize = 4;

type AnyError = Box<dyn Error + Send + Sync>;
type Answer = Response<Either<Streamed, Full<Bytes>>>;

struct Settings {
    listen: SocketAddr,
    options: Options,
    score: Choice,
}

#[derive(Debug, Clone, Copy)]
enum Choice {
    LeastWork,
    PowerOfTwo,
    KvAware,
}

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let settings = settings(std::env::args().skip(1))?;
    let view = View::connect(settings.options)?;
    let listener = TcpListener::bind(settings.listen).await?;
    println!("listening on http://{}, choosing by {:?}", listener.local_addr()?, settings.score);
    loop {
        let connection = tokio::select! {
            connection = listener.accept() => connection?.0,
            _ = tokio::signal::ctrl_c() => return Ok(()),
        };
        let (view, choice) = (view.clone(), settings.score);
        tokio::spawn(async move {
            let service = service_fn(|request| answer(&view, choice, request));
            let io = TokioIo::new(connection);
            // A caller who leaves is nobody's mistake.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
        });
    }
}

fn settings(mut words: impl Iterator<Item = String>) -> Result<Settings, AnyError> {
    let mut settings = Settings {
        listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
        options: Options::from_environment(),
        score: Choice::LeastWork,
    };
    while let Some(flag) = words.next() {
        let value = words.next().ok_or_else(|| format!("{flag} needs a value"))?;
        match (flag.as_str(), value.as_str()) {
            ("--listen", address) => settings.listen = address.parse()?,
            ("--nats", urls) => settings.options.nats = Options::over_nats(urls.split(',')).nats,
            ("--socket", path) => settings.options.socket = Some(path.into()),
            ("--score", "least-work") => settings.score = Choice::LeastWork,
            ("--score", "power-of-two") => settings.score = Choice::PowerOfTwo,
            ("--score", "kv-aware") => settings.score = Choice::KvAware,
            _ => return Err(format!("{flag} {value} means nothing here").into()),
        }
    }
    Ok(settings)
}

async fn answer(
    view: &View,
    choice: Choice,
    request: Request<Incoming>,
) -> Result<Answer, AnyError> {
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, BODY_BYTES_MAX).collect().await else {
        return Ok(sentence(StatusCode::PAYLOAD_TOO_LARGE, "the request is larger than 8 MiB"));
    };
    let body = body.to_bytes();
    let mut failed: Vec<RankId> = Vec::new();
    loop {
        let (reservation, engine) = match choose(view, choice, &body, &failed) {
            Ok(chosen) => chosen,
            Err(why) => {
                println!("{} -> nobody: {why}", head.uri.path());
                return Ok(sentence(StatusCode::SERVICE_UNAVAILABLE, &why));
            }
        };
        println!("{} -> {}", head.uri.path(), explained(&reservation, &engine));
        let rank = reservation.pick().state.id;
        match forward(&head, body.clone(), &engine, reservation).await {
            Ok(response) => return Ok(response),
            Err(error) => {
                println!("{} -> {} failed: {error}", head.uri.path(), engine.name);
                failed.push(rank);
            }
        }
        if failed.len() == TRIES_MAX {
            return Ok(sentence(StatusCode::BAD_GATEWAY, "the engines tried did not answer"));
        }
    }
}

/// Reserves a rank that serves the request's model and has an address.
fn choose(
    view: &View,
    choice: Choice,
    body: &Bytes,
    failed: &[RankId],
) -> Result<(Reservation, Arc<Engine>), String> {
    let json: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let model = json.get("model").and_then(|model| model.as_str()).map(name_hash);
    let can = |state: &RankState| {
        let engine = view.engine(state.id.instance);
        !failed.contains(&state.id)
            && engine.is_some_and(|engine| engine.endpoint.starts_with("http://"))
    };
    let prompt_tokens = u32::try_from(body.len() / BYTES_PER_TOKEN).unwrap_or(u32::MAX);
    let ask = Ask { model, prompt_tokens, only: Some(&can) };
    let score = match choice {
        Choice::LeastWork => Score::LeastWork,
        Choice::PowerOfTwo => Score::PowerOfTwo,
        Choice::KvAware => Score::KvAware,
    };
    // Rather a doubtful engine than a refusal: this router has no other pool.
    let reservation =
        view.reserve(&ask, &Policy::lenient(), &score).map_err(|none| none.to_string())?;
    let engine = view.engine(reservation.pick().state.id.instance);
    let engine = engine.ok_or("the engine chosen has just been forgotten")?;
    Ok((reservation, engine))
}

fn explained(reservation: &Reservation, engine: &Engine) -> String {
    let pick = reservation.pick();
    let state = &pick.state;
    let count = |known: bool, count: u32| if known { count.to_string() } else { "?".into() };
    let field = eagle_eye::schema::Field::Running;
    format!(
        "{}#{} score {:.2} of {} ({} running, {} of ours uncounted, {} {}, {:.1} ms old ± {:.1})",
        engine.name,
        state.id.rank,
        pick.score,
        pick.considered,
        count(state.step.known(field), state.step.running),
        state.unaccounted,
        state.freshness,
        state.activity,
        state.age_ns as f64 / 1e6,
        state.error_ns as f64 / 1e6,
    )
}

/// Sends the request on; the reservation lives as long as the answer streams.
async fn forward(
    head: &hyper::http::request::Parts,
    body: Bytes,
    engine: &Engine,
    reservation: Reservation,
) -> Result<Answer, AnyError> {
    let endpoint: Uri = engine.endpoint.parse()?;
    let authority = endpoint.authority().ok_or("the endpoint has no host")?;
    let address = (authority.host(), authority.port_u16().unwrap_or(80));
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(async move {
        // Its failure shows in the response.
        let _ = connection.await;
    });
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let base = endpoint.path().trim_end_matches('/');
    let mut request = Request::builder().method(head.method.clone()).uri(format!("{base}{path}"));
    for (name, value) in &head.headers {
        if !is_of_one_hop(name) {
            request = request.header(name, value);
        }
    }
    let request =
        request.header(HOST, HeaderValue::from_str(authority.as_str())?).body(Full::new(body))?;
    let response = sender.send_request(request).await?;
    let (mut head, incoming) = response.into_parts();
    for name in [CONNECTION, TRANSFER_ENCODING, UPGRADE] {
        head.headers.remove(name);
    }
    let body = Streamed { incoming, reservation, is_first: true };
    Ok(Response::from_parts(head, Either::Left(body)))
}

fn is_of_one_hop(name: &HeaderName) -> bool {
    [CONNECTION, HOST, TRANSFER_ENCODING, UPGRADE].contains(name) || name == "content-length"
}

fn sentence(status: StatusCode, text: &str) -> Answer {
    let text = format!("{{\"error\": {{\"message\": {}}}}}\n", serde_json::Value::from(text));
    let mut response = Response::new(Either::Right(Full::new(Bytes::from(text))));
    *response.status_mut() = status;
    response
}

/// An engine's answer as it comes, and the request's place in the ledger.
struct Streamed {
    incoming: Incoming,
    reservation: Reservation,
    is_first: bool,
}

impl Body for Streamed {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = std::task::ready!(Pin::new(&mut self.incoming).poll_frame(context));
        if std::mem::take(&mut self.is_first) {
            self.reservation.first_token();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
