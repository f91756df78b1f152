//! Lets a router ask "how loaded and how healthy is every engine, as of when?"
//!
//! [`View`] is the picture; [`View::pick`] and [`View::reserve`] choose by it.
//! Underneath, [`ViewCore`] takes bytes and times and keeps the newest values;
//! `local` and `remote` feed it, from this host's agent or over NATS.
//!
//! It keeps no history and decides nothing by itself: what to do with an engine
//! that is stale, ill or unknown is the caller's [`Policy`], which has no
//! default.
//!
//! ```no_run
//! use eagle_eye::client::{Ask, Options, Policy, Score, View};
//!
//! let view = View::connect(Options::from_environment())?;
//! let ask = Ask { prompt_tokens: 512, ..Ask::default() };
//! let reservation = view.reserve(&ask, &Policy::strict(), &Score::LeastWork)?;
//! let engine = view.engine(reservation.pick().state.id.instance);
//! // … send the request to `engine.endpoint`; then:
//! reservation.first_token();
//! reservation.finish();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod brief;
mod changes;
mod clock;
mod connect;
mod core;
mod counts;
mod details;
mod health;
pub mod instance;
mod ledger;
mod local;
pub mod merge;
mod news;
mod over_nats;
mod pick;
mod policy;
pub mod remote;
mod reservation;
mod shared;
mod state;
mod tables;
mod verdicts;
mod view;

pub use changes::{Change, Changes, What};
pub use clock::{ERROR_UNKNOWN_NS, Offset, SenderClock};
pub use connect::{ConnectError, Options};
pub use core::{Fed, RANKS_MAX, Refused, ViewCore, ViewSettings};
pub use counts::Counts;
pub use details::Details;
pub use instance::InstanceState;
pub use ledger::{ADMISSION_MARGIN_NS, Entry, Ledger, Owed, SLOTS};
pub use news::{NEWS_QUEUE_MAX, Told};
pub use pick::{Ask, Excluded, NoPick, Pick, Score, TOKENS_PER_REQUEST};
pub use policy::{Policy, Treat};
pub use reservation::Reservation;
pub use state::{Patience, RankId, RankState};
pub use verdicts::{OPEN_MAX, RESOLVED_MAX};
pub use view::{Ranks, View};

#[cfg(all(test, not(miri)))]
mod vectors;
