//! The example router in front of two engines, of which one is busy.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use bytemuck::Zeroable;
use eagle_eye::platform::{clock, thread};
use eagle_eye::producer::{DoorWriter, Line, LineState};
use eagle_eye::schema::{Engine, Field, StepCore};

use crate::binary::Running;
use crate::server::{eventually, free_port};

/// An engine whose load the test sets, and the address where it answers.
struct FakeEngine {
    writer: DoorWriter,
    line: Line,
    step: StepCore,
}

impl FakeEngine {
    fn new(agent: &Running, name: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        thread::spawn("fake-engine", None, move || serve(&listener, name)).expect("a thread");
        let engine =
            Engine { endpoint: format!("http://{address}"), ..Engine::named(name, "org/model") };
        let writer = DoorWriter::create(&engine, 64).expect("memory for a door");
        let line = writer.line(&agent.socket());
        let mut step = StepCore::zeroed();
        step.instance = engine.instance;
        step.model = engine.model_hash;
        step.producers = 1;
        for field in [Field::Running, Field::Waiting] {
            step.mark(field);
        }
        Self { writer, line, step }
    }

    /// One step with this load. A step of a moment ago is what a router likes.
    fn says(&mut self, running: u32, waiting: u32) {
        self.line.maintain(clock::monotonic_ns());
        self.step.sequence += 1;
        self.step.incarnation = self.writer.engine().incarnation;
        self.step.monotonic_ns = clock::monotonic_ns();
        (self.step.running, self.step.waiting) = (running, waiting);
        self.writer.write(&self.step);
    }
}

/// Answers every request with the engine's name.
fn serve(listener: &TcpListener, name: &str) {
    for stream in listener.incoming() {
        let Ok(mut stream) = stream else { return };
        let mut request = [0; 4096];
        let _ = stream.read(&mut request);
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{name}", name.len());
        let _ = stream.write_all(answer.as_bytes());
    }
}

struct Router(Child);

impl Drop for Router {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn router(agent: &Running, listen: SocketAddr) -> Router {
    // Examples are built beside the binary, one folder down.
    let program = PathBuf::from(env!("CARGO_BIN_EXE_eagle-eye"));
    let program = program.with_file_name("examples").join("router");
    if !program.exists() {
        // Tests picked by name are built without them.
        let built = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--example", "router"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status();
        assert!(built.is_ok_and(|status| status.success()), "the example builds");
    }
    let child = Command::new(program)
        .args(["--listen", &listen.to_string(), "--socket"])
        .arg(agent.socket())
        .env_remove("EAGLE_EYE_NATS")
        .stdout(Stdio::null())
        .spawn()
        .expect("the example was built");
    Router(child)
}

/// Who answers one request.
fn ask(router: SocketAddr) -> Option<String> {
    let body = r#"{"model": "org/model", "prompt": "Hello"}"#;
    let request = format!(
        "POST /v1/completions HTTP/1.1\r\nhost: router\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(router).ok()?;
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.starts_with("HTTP/1.1 200").then(|| answer.rsplit("\r\n").next().map(str::to_owned))?
}

#[test]
fn requests_go_to_the_engine_with_less_to_do_and_follow_the_load_when_it_turns() {
    let agent = Running::start(&[]);
    let (mut left, mut right) = (FakeEngine::new(&agent, "left"), FakeEngine::new(&agent, "right"));
    eventually("both engines are welcome", || {
        left.says(1, 0);
        right.says(40, 20);
        [&left, &right].iter().all(|engine| *engine.line.state() == LineState::Welcome)
    });
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let _router = router(&agent, address);
    for (loads, expected) in [([1, 40], "left"), ([40, 1], "right"), ([1, 40], "left")] {
        eventually(&format!("{expected} is asked"), || {
            left.says(loads[0], loads[0] / 2);
            right.says(loads[1], loads[1] / 2);
            ask(address).as_deref() == Some(expected)
        });
        // And not only once.
        for _ in 0..5 {
            left.says(loads[0], loads[0] / 2);
            right.says(loads[1], loads[1] / 2);
            assert_eq!(ask(address).as_deref(), Some(expected));
        }
    }
}
