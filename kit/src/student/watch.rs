//! `cargo kit watch N`: judges again whenever a file is saved.
//!
//! ```text
//!   keyboard ──┐
//!   files    ──┼─▶ Event ─▶ one loop ─▶ `cargo kit check N.S`, a process group of its own:
//!   check    ──┤                        a save in the meantime ends it, and begins anew
//!   signals  ──┘
//! ```
//!
//! Files are looked at five times a second, by size and time of change: there are some twenty, it works
//! on every system and every file system, and nobody saves faster.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, SystemTime};
use std::{fs, thread};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{SigSet, Signal, killpg};
use nix::unistd::Pid;

use crate::chapters::{Chapter, Target};
use crate::place::Place;
use crate::student::keyboard::Keyboard;
use crate::student::page::Page;
use crate::student::progress::{self, Progress};
use crate::student::standing::{self, Standing};
use crate::student::{hint, judge, lab, report, reset_step};

#[derive(clap::Args)]
pub struct Args {
    /// A chapter, from its first unfinished step on; or a step: 5, 05-scheduler, 5.2
    target: Target,
}

/// All that can happen.
enum Event {
    Key(u8),
    /// A file of the lab is not as it was.
    Saved,
    /// The check with this number ended.
    Judged(u32),
    /// Somebody wants us to end.
    Signal,
}

const LOOK: Duration = Duration::from_millis(200);

pub fn run(place: &Place, args: &Args) -> Result<ExitCode> {
    let chapter = Chapter::find(place, &args.target)?;
    judge::must_exist(place, &chapter)?;
    let number = report::typed_chapter(&chapter);
    // Before there are threads, so that every one of them leaves signals to the one that waits for them.
    let signals = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]);
    signals.thread_block()?;
    let Some(keyboard) = Keyboard::take()? else {
        bail!("watch wants a terminal for its keys; `cargo kit check {number}` wants none");
    };
    let (tell, events) = mpsc::channel();
    hear(&tell, signals, chapter.lab(place).join("src"));
    let step = match args.target.step {
        Some(step) => step,
        None => where_to_begin(place, &chapter)?,
    };
    let mut watch =
        Watch { place, chapter: &chapter, step, tell, running: None, note: String::new(), asks_reset: false };
    let ended = watch.follow(&events);
    watch.stop();
    drop(keyboard);
    println!();
    ended?;
    println!("Again: cargo kit watch {number}");
    Ok(ExitCode::SUCCESS)
}

/// The first step that is left, or the first of all.
fn where_to_begin(place: &Place, chapter: &Chapter) -> Result<u32> {
    let standings = standing::of_chapter(place, chapter, &Progress::load(place)?);
    let begin = standing::next(&standings).or(standings.first());
    Ok(begin.with_context(|| format!("chapter {} has no steps", chapter.number))?.step.ordinal())
}

/// Starts whoever waits for keys, files and signals.
fn hear(tell: &Sender<Event>, signals: SigSet, src: PathBuf) {
    let keys = tell.clone();
    thread::spawn(move || {
        while let Some(key) = Keyboard::read() {
            if keys.send(Event::Key(key)).is_err() {
                return;
            }
        }
        // The terminal is gone.
        let _ = keys.send(Event::Signal);
    });
    let saved = tell.clone();
    thread::spawn(move || {
        let mut seen = looks(&src);
        loop {
            thread::sleep(LOOK);
            let now = looks(&src);
            if now != seen {
                seen = now;
                if saved.send(Event::Saved).is_err() {
                    return;
                }
            }
        }
    });
    let signal = tell.clone();
    thread::spawn(move || {
        while signals.wait().is_ok() {
            if signal.send(Event::Signal).is_err() {
                return;
            }
        }
    });
}

/// What tells a saved file from the one before.
fn looks(src: &Path) -> Vec<(PathBuf, u64, Option<SystemTime>)> {
    let mut files = Vec::new();
    progress::collect(src, &mut files);
    files.sort();
    let look = |path: PathBuf| {
        let metadata = fs::metadata(&path).ok();
        let size = metadata.as_ref().map_or(0, fs::Metadata::len);
        let time = metadata.and_then(|metadata| metadata.modified().ok());
        (path, size, time)
    };
    files.into_iter().map(look).collect()
}

struct Watch<'a> {
    place: &'a Place,
    chapter: &'a Chapter,
    /// The step that is worked on.
    step: u32,
    tell: Sender<Event>,
    running: Option<Check>,
    /// What is to be read below the next check.
    note: String,
    /// A question waits for y or n.
    asks_reset: bool,
}

/// A check that runs.
struct Check {
    number: u32,
    group: Pid,
}

/// Whether the loop goes on.
#[derive(PartialEq)]
enum Then {
    GoOn,
    End,
}

impl Watch<'_> {
    fn follow(&mut self, events: &Receiver<Event>) -> Result<()> {
        self.judge(&self.target())?;
        loop {
            match events.recv()? {
                Event::Signal => return Ok(()),
                Event::Key(key) => {
                    if self.handle_key(key)? == Then::End {
                        return Ok(());
                    }
                }
                Event::Saved => self.judge(&self.target())?,
                Event::Judged(number) => {
                    // One that was ended early says so, too.
                    if self.running.as_ref().is_some_and(|check| check.number == number) {
                        self.running = None;
                        print!("{}", std::mem::take(&mut self.note));
                        self.prompt();
                    }
                }
            }
        }
    }

    /// `5.2`
    fn target(&self) -> String {
        format!("{}.{}", report::typed_chapter(self.chapter), self.step)
    }

    fn handle_key(&mut self, key: u8) -> Result<Then> {
        if std::mem::take(&mut self.asks_reset) {
            return self.handle_answer(key);
        }
        match key {
            b'q' | CONTROL_C | CONTROL_D => return Ok(Then::End),
            b'h' => self.hint()?,
            b'l' => self.list()?,
            b'c' => self.judge(&report::typed_chapter(self.chapter))?,
            b'r' => self.judge(&self.target())?,
            b'n' => self.go_on()?,
            b'x' => {
                self.stop();
                println!();
                print!("Put the holes of step {} back? What you wrote is kept aside. [y/n] ", self.target());
                flush();
                self.asks_reset = true;
            }
            // Whoever does not know the keys tries these.
            b'?' | b'\n' | b' ' => self.prompt(),
            _ => {}
        }
        Ok(Then::GoOn)
    }

    fn handle_answer(&mut self, key: u8) -> Result<Then> {
        if key == CONTROL_C || key == CONTROL_D {
            return Ok(Then::End);
        }
        if key != b'y' {
            println!("no");
            self.prompt();
            return Ok(Then::GoOn);
        }
        let mut page = Page::of_the_terminal();
        page.line("");
        let step = self.chapter.step(self.step)?;
        if let Err(error) = reset_step::reset(&mut page, self.place, self.chapter, step, false) {
            page.line(&format!("{error:#}"));
        }
        self.note = page.into_text();
        self.judge(&self.target())?;
        Ok(Then::GoOn)
    }

    fn hint(&mut self) -> Result<()> {
        let step = self.chapter.step(self.step)?;
        let level = hint::next(Progress::load(self.place)?.of(step).hints);
        let mut page = Page::of_the_terminal();
        page.line("");
        hint::tell(&mut page, step, level);
        page.print();
        hint::remember(self.place, step, level)?;
        self.prompt();
        Ok(())
    }

    fn list(&mut self) -> Result<()> {
        let progress = Progress::load(self.place)?;
        let standings = standing::of_chapter(self.place, self.chapter, &progress);
        let mut page = Page::of_the_terminal();
        page.line("");
        lab::steps(&mut page, self.place, &standings, false);
        page.line(&format!("  {}", standing::legend(&page, &standings.iter().collect::<Vec<_>>())));
        page.print();
        self.prompt();
        Ok(())
    }

    /// To the next step that is left, once this one is done.
    fn go_on(&mut self) -> Result<()> {
        match self.standing()? {
            (true, Some(next)) => {
                self.step = next;
                return self.judge(&self.target());
            }
            (true, None) => {
                let number = report::typed_chapter(self.chapter);
                println!("\nThat was the last one. Run it: cargo kit up --mine {number}");
            }
            (false, _) => println!(
                "\nStep {} does not pass yet; `cargo kit watch N.S` takes you to another.",
                self.target()
            ),
        }
        self.prompt();
        Ok(())
    }

    /// Whether the step that is worked on passes, as far as it was judged, and which one is left, best
    /// behind it.
    fn standing(&self) -> Result<(bool, Option<u32>)> {
        let progress = Progress::load(self.place)?;
        let all = standing::of_chapter(self.place, self.chapter, &progress);
        let is_left = |standing: &&Standing<'_>| !standing.is_done() && standing.step.ordinal() != self.step;
        let behind = all.iter().filter(is_left).find(|standing| standing.step.ordinal() > self.step);
        let next = behind.or_else(|| all.iter().find(is_left)).map(|standing| standing.step.ordinal());
        let done = all.iter().any(|standing| standing.step.ordinal() == self.step && standing.is_done());
        Ok((done, next))
    }

    /// Ends the check that runs, and starts another.
    fn judge(&mut self, target: &str) -> Result<()> {
        self.stop();
        self.asks_reset = false;
        // The screen is cleared, and what scrolled away stays.
        print!("\x1b[2J\x1b[H");
        flush();
        let kit = std::env::current_exe().context("this program")?;
        let mut command = Command::new(&kit);
        command.args(["check", target]).stdin(Stdio::null()).process_group(0);
        let mut child = command.spawn().with_context(|| {
            format!("{} is gone, perhaps after an update: start `cargo kit watch` again", kit.display())
        })?;
        let number = child.id();
        self.running = Some(Check { number, group: Pid::from_raw(number.cast_signed()) });
        let tell = self.tell.clone();
        thread::spawn(move || {
            let _ = child.wait();
            let _ = tell.send(Event::Judged(number));
        });
        Ok(())
    }

    /// Cargo and the compiler are in the group; a test ends with whoever judges it.
    fn stop(&mut self) {
        if let Some(check) = self.running.take() {
            // One that has just ended needs no signal.
            let _ = killpg(check.group, Signal::SIGKILL);
        }
    }

    /// The keys; while a check runs, they come when it ends.
    fn prompt(&self) {
        if self.running.is_some() {
            return;
        }
        let page = Page::of_the_terminal();
        let key = |(key, what): &(&str, &str)| format!("{}:{what}", page.bold(key));
        let told: Vec<String> = KEYS.iter().map(key).collect();
        if let Ok((true, Some(_))) = self.standing() {
            println!("\n{} passes: {} takes you on.", self.target(), page.bold("n"));
        }
        println!("\n{}  {}", page.dim(&self.target()), told.join("  "));
    }
}

const KEYS: [(&str, &str); 7] = [
    ("h", "hint"),
    ("l", "list"),
    ("c", "check all"),
    ("r", "run again"),
    ("x", "reset"),
    ("n", "next"),
    ("q", "quit"),
];

const CONTROL_C: u8 = 3;
const CONTROL_D: u8 = 4;

fn flush() {
    let _ = std::io::stdout().flush();
}
