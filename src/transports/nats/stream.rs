//! The JetStream stream in which messages are kept: found, or created.

use std::error::Error;
use std::time::Duration;

use async_nats::jetstream::context::{
    CreateStreamErrorKind, GetStreamErrorKind, RequestError, RequestErrorKind,
};
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use async_nats::jetstream::{self, Context, ErrorCode};

/// The stream that stores the messages.
#[derive(Debug, Clone)]
pub struct StreamSettings {
    /// Its name.
    pub name: String,
    /// The subjects that it stores; may be patterns.
    pub subjects: Vec<String>,
    /// Whether to create it when it is absent. An existing one is used as it
    /// is.
    pub create: bool,
    /// How long it keeps a message.
    pub age_max: Duration,
    /// How many bytes it keeps; the oldest go first.
    pub bytes_max: u64,
    /// On how many servers of a cluster.
    pub replicas: usize,
    /// How long it remembers message ids.
    pub duplicate_window: Duration,
}

impl Default for StreamSettings {
    fn default() -> Self {
        Self {
            name: "EAGLE_EYE".into(),
            subjects: Vec::new(),
            create: true,
            age_max: Duration::from_secs(7 * 24 * 3600),
            bytes_max: 1 << 30,
            replicas: 1,
            duplicate_window: Duration::from_secs(600),
        }
    }
}

/// How a search for the stream went.
pub(super) enum Found {
    Ready,
    NoJetStream,
    /// It may be there, or possible, in a moment: a cluster without a leader
    /// or with too few servers. The sentence says so.
    NotYet(String),
    /// It cannot be found or made. Publishing is tried all the same, and each
    /// message tells its own fault.
    Unseen(String),
}

/// How a look for the stream went, before anything is done about it.
pub(super) enum Looked {
    /// JetStream works and has no such stream.
    Absent,
    Otherwise(Found),
}

/// Looks for the stream, and creates it if that is wanted.
pub(super) async fn find(context: &Context, wanted: &StreamSettings) -> Found {
    match look(context, &wanted.name).await {
        Looked::Otherwise(found) => found,
        Looked::Absent if wanted.create => create(context, wanted).await,
        Looked::Absent => Found::Unseen(format!(
            "there is no JetStream stream {}: create it, or let it be created",
            wanted.name
        )),
    }
}

/// Looks for the stream and changes nothing.
pub(super) async fn look(context: &Context, name: &str) -> Looked {
    let Err(error) = context.get_stream(name).await else {
        return Looked::Otherwise(Found::Ready);
    };
    Looked::Otherwise(match error.kind() {
        GetStreamErrorKind::JetStream(fault) => match fault.error_code() {
            ErrorCode::STREAM_NOT_FOUND => return Looked::Absent,
            ErrorCode::JETSTREAM_NOT_ENABLED | ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT => {
                Found::NoJetStream
            }
            _ if may_pass(&fault) => {
                Found::NotYet(format!("JetStream is not ready for the stream {name}: {fault}"))
            }
            _ => Found::Unseen(format!("cannot look up the JetStream stream {name}: {fault}")),
        },
        GetStreamErrorKind::Request => match request_fault(&error) {
            Some(RequestErrorKind::NoResponders) => Found::NoJetStream,
            Some(RequestErrorKind::TimedOut) => Found::NotYet(format!(
                "JetStream does not answer about the stream {name}: its cluster may have no leader"
            )),
            _ => Found::Unseen(format!("cannot look up the JetStream stream {name}: {error}")),
        },
        GetStreamErrorKind::EmptyName | GetStreamErrorKind::InvalidStreamName => {
            Found::Unseen(format!("{name:?} is no name for a JetStream stream"))
        }
    })
}

async fn create(context: &Context, wanted: &StreamSettings) -> Found {
    let name = &wanted.name;
    let config = Config {
        name: name.clone(),
        subjects: wanted.subjects.clone(),
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::Old,
        storage: StorageType::File,
        max_age: wanted.age_max,
        max_bytes: i64::try_from(wanted.bytes_max).unwrap_or(i64::MAX),
        num_replicas: wanted.replicas,
        duplicate_window: wanted.duplicate_window,
        ..Config::default()
    };
    let Err(error) = context.create_stream(config).await else { return Found::Ready };
    let passes = match error.kind() {
        CreateStreamErrorKind::JetStream(fault) => may_pass(&fault),
        kind => kind == CreateStreamErrorKind::TimedOut,
    };
    let sentence = format!(
        "cannot create the JetStream stream {name} ({error}): create it yourself or allow it"
    );
    if passes { Found::NotYet(sentence) } else { Found::Unseen(sentence) }
}

/// Whether a fault may go away by itself, as servers join and elect.
fn may_pass(fault: &jetstream::Error) -> bool {
    fault.code() == 503 || fault.error_code() == ErrorCode::CLUSTER_NO_PEERS
}

fn request_fault(error: &dyn Error) -> Option<RequestErrorKind> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(request) = error.downcast_ref::<RequestError>() {
            return Some(request.kind());
        }
        cause = error.source();
    }
    None
}
