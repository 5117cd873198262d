//! The only module that writes to the terminal.
//!
//! stdout is data, stderr is everything else. A thing that waits has one progress line: a spinner on a terminal, one
//! plain line elsewhere, nothing with `--quiet`. A reader that went away (`spotctl status | head`) is not an error.
//! Whatever a text holds, it commands no terminal: see [`legible`].

use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::error::Error;
use crate::settings::{Address, Color, Output};

pub mod legible;

/// Both streams, and how to write to them.
#[derive(Debug, Clone)]
pub struct Ui {
    /// Text or JSON.
    pub output: Output,
    quiet: bool,
    color_out: bool,
    color_err: bool,
    interactive: bool,
    address: Arc<Address>,
    /// The spinners that turn now: a line is written above them, not into them.
    spinning: Arc<Mutex<Vec<ProgressBar>>>,
    /// Where a test listens.
    heard: Option<Arc<Mutex<Heard>>>,
    /// Why stdout took something not.
    lost: Arc<OnceLock<String>>,
}

/// What was written.
#[derive(Debug, Clone, Default)]
pub(crate) struct Heard {
    pub(crate) out: String,
    pub(crate) err: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stream {
    Out,
    Err,
}

/// How stderr's lines begin.
const ERROR: (&str, Style) = ("error", AnsiColor::Red.on_default().bold());
const WARNING: (&str, Style) = ("warning", AnsiColor::Yellow.on_default().bold());
const HINT: (&str, Style) = ("hint", AnsiColor::Cyan.on_default().bold());

impl Ui {
    /// Looks at the streams once.
    #[must_use]
    pub fn new(output: Output, quiet: bool, color: Color) -> Self {
        let decide = |is_terminal: bool| match color {
            Color::Always => true,
            Color::Never => false,
            // https://no-color.org: present and not empty, whatever its value.
            Color::Auto => {
                is_terminal
                    && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
                    && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
            }
        };
        let (out, err) = (std::io::stdout().is_terminal(), std::io::stderr().is_terminal());
        let interactive = err && !quiet;
        Self {
            output,
            quiet,
            color_out: decide(out),
            color_err: decide(err),
            interactive,
            address: Arc::default(),
            spinning: Arc::default(),
            lost: Arc::default(),
            heard: None,
        }
    }

    /// One that writes into `heard`, as to a file, and in colour where that is forced.
    #[cfg(test)]
    pub(crate) fn listened(output: Output, color: Color, heard: Arc<Mutex<Heard>>) -> Self {
        let is_colored = color == Color::Always;
        let plain = Self::new(output, false, color);
        Self { color_out: is_colored, color_err: is_colored, interactive: false, heard: Some(heard), ..plain }
    }

    fn put(&self, stream: Stream, text: &str) {
        if let Some(heard) = &self.heard {
            let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
            return match stream {
                Stream::Out => heard.out.push_str(text),
                Stream::Err => heard.err.push_str(text),
            };
        }
        let write = |writer: &mut dyn Write| writer.write_all(text.as_bytes()).and_then(|()| writer.flush());
        match stream {
            Stream::Out => match write(&mut std::io::stdout().lock()) {
                // Whoever reads has read enough.
                Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                    let _ = self.lost.set(error.to_string());
                }
                _ => {}
            },
            // There is nowhere left to say it.
            Stream::Err => drop(write(&mut std::io::stderr().lock())),
        }
    }

    /// Why data did not get out on stdout; `None` where it did.
    #[must_use]
    pub fn lost(&self) -> Option<&str> {
        self.lost.get().map(String::as_str)
    }

    /// The same for a command about this account, region and file: commands that it names are about them too.
    #[must_use]
    pub fn about(self, address: Address) -> Self {
        Self { address: Arc::new(address), ..self }
    }

    /// The command is about the region that its file names.
    pub fn is_in(&self, file_region: &str) {
        self.address.is_in(file_region);
    }

    /// The text with each command that it names made one about the same account, region and file.
    #[must_use]
    pub fn complete(&self, text: &str) -> String {
        self.address.complete(text)
    }

    /// Whether text on stdout may be coloured.
    #[must_use]
    pub fn colors_data(&self) -> bool {
        self.color_out
    }

    /// Whether text on stderr may be coloured.
    #[must_use]
    pub fn colors_notes(&self) -> bool {
        self.color_err
    }

    /// Data: exactly this, on stdout.
    pub fn data(&self, text: &str) {
        self.put(Stream::Out, text);
    }

    /// A line for the person at the terminal.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            self.line(None, text);
        }
    }

    /// Something the user should know even when all went well.
    pub fn warn(&self, text: &str) {
        if !self.quiet {
            self.line(Some(WARNING), text);
        }
    }

    /// A failure, its hints and what is left; said even with `--quiet`.
    pub fn error(&self, error: &Error) {
        if let Some(findings) = &error.findings {
            // Drawn already, in colour where that is wanted.
            self.above_spinner(|| self.put(Stream::Err, &format!("{}\n", findings.text.trim_end())));
        }
        self.line(Some(ERROR), &error.message);
        if let Some(id) = &error.request_id {
            self.line(None, &format!("  AWS request id: {id}"));
        }
        if !error.console.is_empty() {
            self.line(None, "the end of its console:");
            error.console.iter().for_each(|text| self.line(None, &format!("  {text}")));
        }
        if !error.leftovers.is_empty() {
            self.line(None, "what exists now:");
            for left in &error.leftovers {
                let cost = match left.usd_per_hour {
                    Some(price) if price.micros() == 0 => "costs nothing".to_owned(),
                    Some(price) => format!("{price} USD an hour"),
                    None => "costs the pool's Spot price".to_owned(),
                };
                self.line(None, &format!("  {} {} ({cost})", left.kind, left.id));
            }
        }
        for hint in &error.hints {
            self.line(Some(HINT), hint);
        }
    }

    /// Begins to wait for something; dropping the answer ends its line.
    #[must_use]
    pub fn wait(&self, label: &str) -> Waiting {
        if !self.interactive {
            self.note(&format!("{label} …"));
            return Waiting { ui: self.clone(), bar: None, last: label.to_owned() };
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        let template =
            if self.color_err { "{spinner:.cyan} {msg} {elapsed:.dim}" } else { "{spinner} {msg} {elapsed}" };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(legible::line(label).into_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
        self.spinning().push(bar.clone());
        Waiting { ui: self.clone(), bar: Some(bar), last: label.to_owned() }
    }

    fn spinning(&self) -> MutexGuard<'_, Vec<ProgressBar>> {
        self.spinning.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks a yes-or-no question; `None` where nobody can answer.
    #[must_use]
    pub fn confirm(&self, question: &str) -> Option<bool> {
        if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
            return None;
        }
        let mut err = std::io::stderr().lock();
        let _ = write!(err, "{question} [y/N] ");
        let _ = err.flush();
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer).ok()?;
        Some(matches!(answer.trim(), "y" | "Y" | "yes" | "Yes"))
    }

    fn line(&self, heading: Option<(&str, Style)>, text: &str) {
        let text = self.complete(&legible::line(text));
        self.above_spinner(|| {
            let line = match heading {
                Some((word, style)) if self.color_err => format!("{style}{word}:{style:#} {text}\n"),
                Some((word, _)) => format!("{word}: {text}\n"),
                None => format!("{text}\n"),
            };
            self.put(Stream::Err, &line);
        });
    }

    fn above_spinner(&self, write: impl FnOnce()) {
        let spinner = self.spinning().last().cloned();
        match spinner {
            Some(spinner) => spinner.suspend(write),
            None => write(),
        }
    }
}

/// One thing that is being waited for.
#[derive(Debug)]
pub struct Waiting {
    ui: Ui,
    bar: Option<ProgressBar>,
    last: String,
}

impl Waiting {
    /// What it is doing now; elsewhere than on a terminal a line only when the text changed.
    pub fn update(&mut self, label: &str) {
        if self.last == label {
            return;
        }
        match &self.bar {
            Some(bar) => bar.set_message(legible::line(label).into_owned()),
            None => self.ui.note(&format!("{label} …")),
        }
        label.clone_into(&mut self.last);
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
            self.ui.spinning().retain(|spinner| !spinner.is_finished());
        }
    }
}
