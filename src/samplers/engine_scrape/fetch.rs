//! One request for one page, moved on whenever its socket allows: no step of
//! it waits, so that no engine delays another.
//!
//! HTTP is `ureq-proto`'s, which neither reads nor waits itself; the socket is
//! ours. No redirect is followed, no compression is asked for, and everything
//! has a bound: the head, the page, what the wire may carry around it, and the
//! time. A connection serves one page: engines close idle ones at times of
//! their own, and a retry would hide what a failure says.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};
use ureq_proto::BodyMode;
use ureq_proto::client::state::{RecvBody, RecvResponse};
use ureq_proto::client::{Call, RecvResponseResult, SendRequestResult};
use ureq_proto::http::{Request, Response, header};

use super::page::Page;

/// Room for the head of a response, and for what arrives in one read.
const INPUT_BYTES: usize = 16 * 1024;

/// What one engine may send in one round before others have their turn.
const ROUND_BYTES_MAX: usize = 256 * 1024;

/// Room for a request without its token.
const REQUEST_BYTES: usize = 2048;

/// Why there is no page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// The name has no address.
    Unresolved,
    /// The connection did not come about.
    Connect(ErrorKind),
    /// It ended before the page did.
    Cut,
    /// The deadline passed first.
    Late,
    /// It answered with this status.
    Status(u16),
    /// It sent us elsewhere, with this status.
    Redirect(u16),
    /// It does not speak HTTP, or not as it should.
    NotHttp,
    /// The page is compressed, though nobody asked for that.
    Encoded,
    /// The page has more bytes than it may.
    Bytes,
    /// The page has more lines than it may.
    Lines,
    /// The page is no engine's that we know.
    NoEngine,
}

/// When and how much.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Answer {
    /// When the request went out, ns.
    pub(super) asked_ns: u64,
    /// When the first byte of the answer came, ns: its values are at least as
    /// old as this and no older than `asked_ns`.
    pub(super) came_ns: u64,
    pub(super) page_bytes: usize,
}

/// How a fetch stands.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// It waits for its socket.
    Waits,
    /// It had its turn; more is there.
    Goes,
    /// The page was read to its end.
    Done(Answer),
    Failed(Failure),
}

/// A page on its way.
#[derive(Debug)]
pub(super) struct Fetch {
    socket: TcpStream,
    stage: Stage,
    request: Vec<u8>,
    sent: usize,
    input: Vec<u8>,
    filled: usize,
    wire_bytes: usize,
    pub(super) deadline_ns: u64,
    answer: Answer,
}

#[derive(Debug)]
enum Stage {
    Connecting(Call<RecvResponse>),
    Sending(Call<RecvResponse>),
    Head(Call<RecvResponse>),
    Body(Call<RecvBody>),
    Over,
}

/// What a fetch may use and how much.
pub(super) struct Means<'a> {
    pub(super) now_ns: u64,
    pub(super) page: &'a mut Page,
    /// Where bytes go between the wire and the page.
    pub(super) scratch: &'a mut [u8],
    pub(super) page_bytes_max: usize,
}

impl Fetch {
    /// Begins to connect. `input` is what [`Self::into_input`] gave back, or
    /// empty.
    ///
    /// # Errors
    ///
    /// When the kernel refuses at once.
    pub(super) fn start(
        address: SocketAddr,
        uri: &str,
        token: Option<&str>,
        deadline_ns: u64,
        mut input: Vec<u8>,
    ) -> Result<Self, Failure> {
        let (request, call) = request(uri, token).ok_or(Failure::NotHttp)?;
        let socket = dial(address).map_err(|error| Failure::Connect(error.kind()))?;
        input.resize(INPUT_BYTES, 0);
        Ok(Self {
            socket,
            stage: Stage::Connecting(call),
            request,
            sent: 0,
            input,
            filled: 0,
            wire_bytes: 0,
            deadline_ns,
            answer: Answer::default(),
        })
    }

    /// The buffer, for the next fetch.
    pub(super) fn into_input(self) -> Vec<u8> {
        self.input
    }

    /// What to wait for on [`Self::socket`].
    pub(super) fn interest(&self) -> PollFlags {
        match self.stage {
            Stage::Connecting(_) | Stage::Sending(_) => PollFlags::OUT,
            _ => PollFlags::IN,
        }
    }

    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Goes on as far as the socket allows, up to a bound.
    pub(super) fn advance(&mut self, means: &mut Means<'_>) -> Progress {
        if means.now_ns >= self.deadline_ns {
            return Progress::Failed(Failure::Late);
        }
        match self.go(means) {
            Ok(progress) => progress,
            Err(failure) => Progress::Failed(failure),
        }
    }

    fn go(&mut self, means: &mut Means<'_>) -> Result<Progress, Failure> {
        let until = self.wire_bytes + ROUND_BYTES_MAX;
        loop {
            match std::mem::replace(&mut self.stage, Stage::Over) {
                Stage::Connecting(call) => {
                    if !self.is_connected()? {
                        self.stage = Stage::Connecting(call);
                        return Ok(Progress::Waits);
                    }
                    self.answer.asked_ns = means.now_ns;
                    self.stage = Stage::Sending(call);
                }
                Stage::Sending(call) => {
                    if !self.send()? {
                        self.stage = Stage::Sending(call);
                        return Ok(Progress::Waits);
                    }
                    self.stage = Stage::Head(call);
                }
                Stage::Head(call) => {
                    let read = self.receive(means.now_ns)?;
                    match (self.head(call, means)?, read) {
                        (true, _) => {}
                        (false, Received::Nothing) => return Ok(Progress::Waits),
                        (false, Received::End) => return Err(Failure::Cut),
                        (false, Received::Some) => {}
                    }
                }
                Stage::Body(mut call) => {
                    if self.body(&mut call, means)? {
                        return Ok(Progress::Done(self.answer));
                    }
                    if self.wire_bytes >= until {
                        self.stage = Stage::Body(call);
                        return Ok(Progress::Goes);
                    }
                    match self.receive(means.now_ns)? {
                        Received::Some => self.stage = Stage::Body(call),
                        Received::Nothing => {
                            self.stage = Stage::Body(call);
                            return Ok(Progress::Waits);
                        }
                        // The end is the end of a body that says no length,
                        // and of one whose last batch came.
                        Received::End if call.can_proceed() || call.is_ended_chunked() => {
                            return Ok(Progress::Done(self.answer));
                        }
                        Received::End => return Err(Failure::Cut),
                    }
                }
                Stage::Over => return Err(Failure::Cut),
            }
        }
    }

    fn is_connected(&self) -> Result<bool, Failure> {
        if let Ok(Some(error)) | Err(error) = self.socket.take_error() {
            return Err(Failure::Connect(error.kind()));
        }
        Ok(self.socket.peer_addr().is_ok())
    }

    /// Whether all of the request is out.
    fn send(&mut self) -> Result<bool, Failure> {
        while self.sent < self.request.len() {
            match self.socket.write(&self.request[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if is_for_later(&error) => return Ok(false),
                Err(error) => return Err(Failure::Connect(error.kind())),
            }
        }
        Ok(true)
    }

    fn receive(&mut self, now_ns: u64) -> Result<Received, Failure> {
        if self.filled == self.input.len() {
            // A head, or the size of a batch, that fills all this is none.
            return Err(Failure::NotHttp);
        }
        match self.socket.read(&mut self.input[self.filled..]) {
            Ok(0) => Ok(Received::End),
            Ok(count) => {
                if self.answer.came_ns == 0 {
                    self.answer.came_ns = now_ns;
                }
                self.filled += count;
                self.wire_bytes += count;
                Ok(Received::Some)
            }
            Err(error) if is_for_later(&error) => Ok(Received::Nothing),
            Err(_) => Err(Failure::Cut),
        }
    }

    /// Whether the head was there and the page may come.
    fn head(
        &mut self,
        mut call: Call<RecvResponse>,
        means: &mut Means<'_>,
    ) -> Result<bool, Failure> {
        let (used, response) =
            call.try_response(&self.input[..self.filled], false).map_err(|_| Failure::NotHttp)?;
        self.consume(used);
        let Some(response) = response else {
            self.stage = Stage::Head(call);
            return Ok(used > 0);
        };
        check(&response)?;
        let Some(RecvResponseResult::RecvBody(call)) = call.proceed() else {
            // A page of no bytes.
            return Err(Failure::NoEngine);
        };
        if let BodyMode::LengthDelimited(bytes) = call.body_mode()
            && bytes > means.page_bytes_max as u64
        {
            return Err(Failure::Bytes);
        }
        means.page.begin();
        self.stage = Stage::Body(call);
        Ok(true)
    }

    /// Reads what lies in the input. Whether the page is whole.
    fn body(&mut self, call: &mut Call<RecvBody>, means: &mut Means<'_>) -> Result<bool, Failure> {
        let mut at = 0;
        loop {
            let (used, made) = call
                .read(&self.input[at..self.filled], means.scratch)
                .map_err(|_| Failure::NotHttp)?;
            means.page.push(&means.scratch[..made]);
            at += used;
            self.answer.page_bytes += made;
            if used == 0 && made == 0 {
                break;
            }
        }
        self.consume(at);
        // Around each batch of a page may stand more than the batch.
        let wire_bytes_max = 2 * means.page_bytes_max + INPUT_BYTES;
        if self.answer.page_bytes > means.page_bytes_max || self.wire_bytes > wire_bytes_max {
            return Err(Failure::Bytes);
        }
        Ok(call.can_proceed() && call.body_mode() != BodyMode::CloseDelimited)
    }

    fn consume(&mut self, used: usize) {
        self.input.copy_within(used..self.filled, 0);
        self.filled -= used;
    }
}

enum Received {
    Some,
    Nothing,
    End,
}

/// The request's bytes, and what waits for its answer. The token is put in by
/// us: the library can be made to log what it writes.
fn request(uri: &str, token: Option<&str>) -> Option<(Vec<u8>, Call<RecvResponse>)> {
    let request = Request::get(uri)
        .header(header::ACCEPT, "text/plain;version=0.0.4")
        .header(header::ACCEPT_ENCODING, "identity")
        .header(header::CONNECTION, "close")
        .header(header::USER_AGENT, concat!("eagle-eye/", env!("CARGO_PKG_VERSION")))
        .body(())
        .ok()?;
    let mut call = Call::new(request).ok()?.proceed();
    let mut bytes = vec![0; REQUEST_BYTES];
    let length = call.write(&mut bytes).ok()?;
    bytes.truncate(length);
    if let Some(token) = token {
        bytes.truncate(bytes.strip_suffix(b"\r\n")?.len());
        bytes.extend_from_slice(b"authorization: Bearer ");
        bytes.extend_from_slice(token.as_bytes());
        bytes.extend_from_slice(b"\r\n\r\n");
    }
    match call.proceed() {
        Ok(Some(SendRequestResult::RecvResponse(call))) => Some((bytes, call)),
        _ => None,
    }
}

fn check(response: &Response<()>) -> Result<(), Failure> {
    match response.status().as_u16() {
        200 => {}
        status @ 300..400 => return Err(Failure::Redirect(status)),
        status => return Err(Failure::Status(status)),
    }
    let encoded = response.headers().get(header::CONTENT_ENCODING);
    match encoded.is_some_and(|encoding| encoding != "identity") {
        true => Err(Failure::Encoded),
        false => Ok(()),
    }
}

fn dial(address: SocketAddr) -> io::Result<TcpStream> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    match connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(TcpStream::from(socket)),
        Err(error) => Err(error.into()),
    }
}

fn is_for_later(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

impl Failure {
    /// What happened, as the end of a sentence about the page.
    pub(super) fn says(self) -> String {
        match self {
            Self::Unresolved => "its name has no address".to_owned(),
            Self::Connect(kind) => format!("it cannot be reached: {kind}"),
            Self::Cut => "the connection ended before the page did".to_owned(),
            Self::Late => "it did not come in time; raise samplers.engine_scrape.timeout_ms if the engine is only slow".to_owned(),
            Self::Status(401 | 403) => "the server wants authorization; name a file with a token in samplers.engine_scrape.token_file".to_owned(),
            Self::Status(status) => format!("the server answers {status}; look whether the engine serves metrics, and under which path"),
            Self::Redirect(status) => format!("the server sends elsewhere ({status}), which is not followed; give the address of the page itself"),
            Self::NotHttp => "what answers there does not speak HTTP/1.1".to_owned(),
            Self::Encoded => "the page came compressed, though nobody asked for that".to_owned(),
            Self::Bytes => "the page is longer than samplers.engine_scrape.page_bytes_max".to_owned(),
            Self::Lines => "the page has more lines than any engine's".to_owned(),
            Self::NoEngine => "the page has no name of an engine that is known; `eagle-eye list samplers` says which are".to_owned(),
        }
    }
}
