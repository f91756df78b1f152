//! The loop at the terminal, and what takes its place where there is none.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event};

use super::draw::draw;
use super::plain::plain;
use super::screen::Screen;
use super::ui::{Flow, Tab, Ui};
use crate::platform::clock::{self, SECOND_NS};
use crate::platform::thread::Stop;

/// Redraws, four a second: numbers can be read before they change.
const PERIOD_NS: u64 = SECOND_NS / 4;

/// How often `stop` is looked at, ns.
const LOOK_NS: u64 = SECOND_NS / 20;

/// Shows what `feed` gives for each instant, `tab` at first, until the person leaves or `stop`
/// is raised. Where the standard output is no terminal, plain lines come once
/// a second instead, until `stop` or until nobody reads them.
///
/// The terminal is given back as it was, also when this panics; `Ctrl-C` is a
/// key like any other and leaves.
///
/// # Errors
///
/// When the terminal cannot be set up, written or read.
pub fn run_terminal(feed: impl FnMut(u64) -> Screen, tab: Tab, stop: &Stop) -> io::Result<()> {
    if io::stdout().is_terminal() && io::stdin().is_terminal() {
        run_screen(&mut Raw::enter()?.terminal, feed, tab, stop)
    } else {
        run_lines(&mut io::stdout(), feed, stop)
    }
}

/// The terminal in raw mode, on its other screen. ratatui's own panic hook
/// gives it back before a message is printed, and this does in every other
/// case.
struct Raw {
    terminal: DefaultTerminal,
}

impl Raw {
    fn enter() -> io::Result<Self> {
        match ratatui::try_init() {
            Ok(terminal) => Ok(Self { terminal }),
            Err(error) => {
                let _ = ratatui::try_restore();
                Err(error)
            }
        }
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = ratatui::try_restore();
    }
}

fn run_screen(
    terminal: &mut DefaultTerminal,
    mut feed: impl FnMut(u64) -> Screen,
    tab: Tab,
    stop: &Stop,
) -> io::Result<()> {
    let mut ui = Ui { tab, ..Ui::default() };
    let mut held = None;
    while !stop.is_raised() {
        let now_ns = clock::monotonic_ns();
        let newest = feed(now_ns);
        // What is held stays until it is let go; curves and events go on.
        let screen = match held.take() {
            Some(screen) if ui.paused => screen,
            _ => newest,
        };
        loop {
            terminal.draw(|frame| ui.place = draw(frame, &screen, &ui))?;
            match keys(&mut ui, now_ns + PERIOD_NS, stop)? {
                Keys::Leave => return Ok(()),
                Keys::None => break,
                Keys::Some => {}
            }
        }
        held = Some(screen);
    }
    Ok(())
}

/// What came of waiting for keys.
enum Keys {
    /// None until the next screen is due.
    None,
    /// At least one, or another size: the same screen looks different.
    Some,
    /// The person leaves.
    Leave,
}

fn keys(ui: &mut Ui, due_ns: u64, stop: &Stop) -> io::Result<Keys> {
    loop {
        let now_ns = clock::monotonic_ns();
        if now_ns >= due_ns || stop.is_raised() {
            return Ok(Keys::None);
        }
        if event::poll(Duration::from_nanos((due_ns - now_ns).min(LOOK_NS)))? {
            match event::read()? {
                Event::Key(key) if ui.key(key) == Flow::Leave => return Ok(Keys::Leave),
                Event::Key(_) | Event::Resize(..) => return Ok(Keys::Some),
                _ => {}
            }
        }
    }
}

fn run_lines(
    into: &mut impl Write,
    mut feed: impl FnMut(u64) -> Screen,
    stop: &Stop,
) -> io::Result<()> {
    let mut due_ns = clock::monotonic_ns();
    while !stop.is_raised() {
        let text = plain(&feed(clock::monotonic_ns()));
        match writeln!(into, "{text}").and_then(|()| into.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            written => written?,
        }
        due_ns += SECOND_NS;
        while clock::monotonic_ns() < due_ns && !stop.is_raised() {
            clock::sleep_until(due_ns.min(clock::monotonic_ns() + LOOK_NS));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tests::screen_of_three;
    use super::*;

    /// Takes a number of screens, then raises `stop` or refuses.
    struct Reader {
        taken: Vec<u8>,
        left: usize,
        stop: Option<Stop>,
    }

    impl Write for Reader {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.taken.extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            self.left -= 1;
            match (&self.stop, self.left) {
                (Some(stop), 0) => stop.raise(),
                (None, 0) => return Err(io::ErrorKind::BrokenPipe.into()),
                _ => {}
            }
            Ok(())
        }
    }

    #[test]
    fn plain_lines_come_once_a_second_until_stopped_or_until_nobody_reads() {
        let stop = Stop::default();
        for stopped in [Some(stop.clone()), None] {
            let mut reader = Reader { taken: Vec::new(), left: 2, stop: stopped.clone() };
            let began_ns = clock::monotonic_ns();
            let never = Stop::default();
            let stop = stopped.as_ref().unwrap_or(&never);
            run_lines(&mut reader, |_| screen_of_three(), stop).unwrap();
            let waited_ns = clock::monotonic_ns() - began_ns;
            assert!(waited_ns >= SECOND_NS, "the second screen came after {waited_ns} ns");
            let text = String::from_utf8(reader.taken).unwrap();
            assert_eq!(text.matches("node node-a").count(), 2, "{text}");
        }
    }
}
