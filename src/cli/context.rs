//! What every verb that needs the file begins with: file, `.env`, settings, clients.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use futures::FutureExt;
use secrecy::SecretString;

use crate::cli::{Failure, signal};
use crate::cloud::{Cloud, poll};
use crate::config::{self, LoadError};
use crate::error::{Error, Findings, Kind, Result};
use crate::journal::Journal;
use crate::plan::{self, Observed, Plan, Trust, Wants};
use crate::report::{self, Report};
use crate::resource::{parameters, worker};
use crate::settings::{GlobalArgs, Settings};
use crate::spec::{Spec, WorkerName};
use crate::ui::Ui;

/// A run with a file.
#[derive(Debug)]
pub struct Context {
    /// The terminal.
    pub ui: Ui,
    /// The file.
    pub spec: Spec,
    /// The `.env`; `None` where there is none.
    pub env: Option<BTreeMap<String, SecretString>>,
    /// AWS.
    pub cloud: Cloud,
    /// What was done.
    pub journal: Journal,
    /// Whether the embedded AWS answers in process: then no box runs.
    pub is_rehearsal: bool,
}

impl Context {
    /// Reads and checks everything local, before anything is called.
    pub(crate) async fn load(ui: &Ui, args: &GlobalArgs) -> Result<Self> {
        match Self::load_to_look(ui, args).await? {
            (context, None) => Ok(context),
            (_, Some(error)) => Err(error),
        }
    }

    /// The same for who says what is wrong with the `.env` beside all else.
    pub(crate) async fn load_to_look(ui: &Ui, args: &GlobalArgs) -> Result<(Self, Option<Error>)> {
        let spec = read(&args.config, ui)?;
        let (env, wrong) = match read_env(&spec, ui) {
            Ok(env) => (env, None),
            Err(error) => (None, Some(error)),
        };
        let settings = settle(ui, args, spec.region.as_deref());
        // A mistake in a file goes before a missing region.
        let cloud = Cloud::connect(&settings).await.map_err(|error| wrong.clone().unwrap_or(error))?;
        let context =
            Self { ui: ui.clone(), spec, env, cloud, journal: Journal::default(), is_rehearsal: settings.sandbox };
        Ok((context, wrong))
    }

    /// Reads AWS and decides: the plan that `plan` shows and `up` carries out.
    /// Changes nothing.
    pub(crate) async fn plan(&self, wants: &Wants) -> Result<(Observed, Plan)> {
        self.plan_after(wants, Trust::Nothing, async |_| Ok(())).await
    }

    /// The same for `up`, which first ends what two racing runs launched twice, and what a killed `down` left half done.
    pub(crate) async fn plan_to_launch(&self, wants: &Wants, trust: Trust) -> Result<(Observed, Plan)> {
        let mend = async |observed: &mut Observed| {
            for left in worker::end_abandoned(&self.cloud, &mut observed.workers).await? {
                self.journal.ended(&left);
                self.ui.warn(&format!("{left} was marked as ended, by a command that did not end it; it is ended now"));
            }
            end_duplicates(&self.cloud, &self.ui, &mut observed.workers).await?;
            // A run that plans anew has launched these a moment ago: they hold their slots before they show themselves.
            let shown: BTreeSet<String> = observed.workers.iter().map(|worker| worker.id.clone()).collect();
            let launched = self.journal.workers().into_iter().map(|(worker, _)| worker);
            observed.workers.extend(launched.filter(|worker| !shown.contains(&worker.id)));
            Ok(())
        };
        self.plan_after(wants, trust, mend).await
    }

    /// Reads again what `observed` knows of the foundation, and decides again; what it should know has been said.
    pub(crate) async fn look_again(&self, observed: &Observed, wants: &Wants) -> Result<(Observed, Plan)> {
        let mut observed = plan::observe_foundation(&self.cloud, &self.spec, observed).await?;
        let image = plan::image(&self.cloud, &self.spec, &observed, wants, Trust::Nothing);
        let (chosen, parameters) = futures::try_join!(image, self.parameters(&observed, wants))?;
        observed.parameters = parameters;
        let plan = plan::decide(&self.spec, self.env.as_ref(), &observed, &chosen, wants, &self.cloud.region)?;
        Ok((observed, plan))
    }

    /// The parameters, without what another run is in the middle of.
    async fn parameters(&self, observed: &Observed, wants: &Wants) -> Result<parameters::Observed> {
        let desired = parameters::desired(&self.spec, self.env.as_ref());
        parameters::settled(&self.cloud, &self.spec.name, &desired, &observed.parameters, wants.leave()).await
    }

    async fn plan_after(
        &self,
        wants: &Wants,
        trust: Trust,
        mend: impl AsyncFnOnce(&mut Observed) -> Result<()>,
    ) -> Result<(Observed, Plan)> {
        let _waiting = self.ui.wait("reading the account");
        let (cloud, spec) = (&self.cloud, &self.spec);
        // The quotas beside all else: nothing but the decision needs them.
        let quotas = Box::pin(plan::look_at_quotas(cloud, spec, wants)).shared();
        let reads = async {
            let mut observed = plan::observe(cloud, spec, wants).await?;
            mend(&mut observed).await?;
            let counted = async { plan::count_quotas(cloud, &observed.market, quotas.clone().await).await };
            let image = plan::image(cloud, spec, &observed, wants, trust);
            let list = plan::list_prices(cloud, spec, &observed, wants);
            let parameters = self.parameters(&observed, wants);
            let (chosen, counted, list, parameters) = futures::join!(image, counted, list, parameters);
            observed.parameters = parameters?;
            observed.quotas = counted;
            observed.list = list;
            Ok::<_, Error>((observed, chosen?))
        };
        let (read, _) = futures::join!(Box::pin(reads), quotas.clone());
        let (observed, chosen) = read?;
        let plan = plan::decide(&self.spec, self.env.as_ref(), &observed, &chosen, wants, &self.cloud.region)?;
        for note in &plan.notes {
            self.ui.warn(note);
        }
        Ok((observed, plan))
    }
}

/// Ends what two racing runs launched twice, and says so.
pub(crate) async fn end_duplicates(
    cloud: &Cloud,
    ui: &Ui,
    workers: &mut [crate::decide::workers::Worker],
) -> Result<()> {
    for extra in worker::end_duplicates(cloud, workers).await? {
        ui.warn(&format!("{extra} was launched twice for one slot by two runs at once; the later one is ended"));
    }
    Ok(())
}

/// The stack that a command is about when no file is needed.
pub(crate) async fn stack(ui: &Ui, args: &GlobalArgs, name: Option<&WorkerName>) -> Result<(WorkerName, Cloud)> {
    let (name, settings) = match name {
        // Where the file is another stack's it says nothing of where this one is.
        Some(name) => (name.clone(), settle_without_file(ui, args, |spec| spec.name == *name)),
        None => {
            let spec = read(&args.config, ui).map_err(|error| error.hint("or without a file: --name NAME"))?;
            (spec.name, settle(ui, args, spec.region.as_deref()))
        }
    };
    Ok((name, Cloud::connect(&settings).await?))
}

/// The settings of a command that needs no file: it is looked at for its region alone, and only where nothing else names one.
pub(super) fn settle_without_file(ui: &Ui, args: &GlobalArgs, is_it: impl Fn(&Spec) -> bool) -> Settings {
    let settings = settle(ui, args, None);
    if settings.region.is_some() && !settings.sandbox {
        return settings;
    }
    match config::load(&args.config) {
        Ok(spec) if is_it(&spec) => settle(ui, args, spec.region.as_deref()),
        Ok(_) | Err(LoadError::NotFound) => settings,
        Err(_) => {
            ui.warn(&format!("`{}` cannot be read, so its region is not known", args.config.display()));
            settings
        }
    }
}

/// The settings, told to whoever names other commands.
pub(super) fn settle(ui: &Ui, args: &GlobalArgs, file_region: Option<&str>) -> Settings {
    let settings = Settings::resolve(args, |name| std::env::var(name).ok(), file_region);
    let is_it = |region: &&str| args.region.is_none() && settings.region.as_deref() == Some(region);
    if let Some(region) = file_region.filter(is_it) {
        ui.is_in(region);
    }
    settings
}

/// The file, all its mistakes at once.
pub(crate) fn read(path: &Path, ui: &Ui) -> Result<Spec> {
    config::load(path).map_err(|error| match error {
        LoadError::NotFound => Error::usage(format!("no file `{}`", path.display()))
            .hint("spotctl init writes one that works")
            .hint("or name another: spotctl --config FILE"),
        LoadError::Unreadable(why) => Error::usage(format!("reading `{}`: {why}", path.display())),
        LoadError::Findings(findings) => wrong(path, &findings, ui),
    })
}

fn wrong(path: &Path, findings: &config::Findings, ui: &Ui) -> Error {
    let count = findings.len();
    let mistakes = if count == 1 { "1 mistake".to_owned() } else { format!("{count} mistakes") };
    let mut error = Error::usage(format!("{mistakes} in `{}`", path.display()));
    error.findings = Some(Box::new(Findings { text: findings.render(ui.colors_notes()), list: findings.to_json() }));
    error
}

/// The `.env`: an error when the file names one that is not there, nothing when only the default is missing.
fn read_env(spec: &Spec, ui: &Ui) -> Result<Option<BTreeMap<String, SecretString>>> {
    let Some(path) = &spec.parameters.file else { return Ok(None) };
    match config::load_env(path) {
        Ok(values) => Ok(Some(values)),
        Err(LoadError::NotFound) if !spec.parameters.file_is_required => Ok(None),
        Err(LoadError::NotFound) => {
            Err(Error::usage(format!("no file `{}`, which `parameters.file` names", path.display())).hint(
                "write it, one KEY=value a line, or remove `file` when the parameters are in Parameter Store already",
            ))
        }
        Err(LoadError::Unreadable(why)) => Err(Error::usage(format!("reading `{}`: {why}", path.display()))),
        Err(LoadError::Findings(findings)) => Err(wrong(path, &findings, ui)),
    }
}

/// Prints the report with the outcome, and turns the outcome into an exit status. Signals have ended the work by now.
pub(crate) fn finish(ui: &Ui, command: &str, report: &impl Report, result: Result<u8>) -> Result<u8, Failure> {
    match result {
        Ok(code) => {
            report::write(ui, command, report, None);
            Ok(code)
        }
        Err(error) => {
            report::write(ui, command, report, Some(&error));
            Err(Failure::Reported(error.kind.exit_code()))
        }
    }
}

/// After a failure or a signal: what was made stays and is named. Where the launch's answer is not known, one quick look.
pub(crate) async fn name_leftovers(context: &Context, mut error: Error) -> Error {
    /// A killed command must end soon.
    const PATIENCE: Duration = Duration::from_secs(5);
    let stack = &context.spec.name;
    let is_signal = is_signal(&error);
    if context.journal.may_have_launched() {
        let look = tokio::time::timeout(PATIENCE, worker::observe(&context.cloud, stack)).await;
        match look {
            Ok(Ok(workers)) => {
                let live = workers.iter().filter(|worker| worker.state.is_live());
                live.for_each(|worker| context.journal.launched(worker, None));
                error = error.hint(format!(
                    "a launch was under way; what it made may show itself only later: spotctl status --name {stack}"
                ));
            }
            _ => error = error.hint("a launch was under way, and AWS does not answer now whether it took effect"),
        }
    }
    error.leftovers = context.journal.leftovers();
    let asked = context.journal.asked();
    if !asked.is_empty() {
        let things: Vec<String> =
            asked.iter().map(|change| format!("{} {}", change.kind.words(), change.name)).collect();
        let things = things.join(", ");
        error = error.hint(format!("AWS has not said whether it made this; the same command finds out: {things}"));
    }
    if !error.leftovers.is_empty() {
        error = error.hint(format!("remove everything: spotctl destroy --name {stack} --yes"));
    }
    if is_signal {
        error = error.hint("the same command again goes on where this one stopped");
    }
    error
}

fn is_signal(error: &Error) -> bool {
    matches!(error.kind, Kind::Interrupted | Kind::Terminated)
}

/// Runs the work under the eye of the signals, and names what it left when it failed.
pub(crate) async fn guarded(context: &Context, work: impl Future<Output = Result<u8>>) -> Result<u8> {
    let mut work = Box::pin(work);
    match signal::until_signal(work.as_mut()).await {
        Ok(code) => Ok(code),
        Err(error) => {
            if is_signal(&error) && context.journal.is_launching() {
                // What is under way is launched whether anybody listens or not, and only its answer names it. A second signal
                // ends that, too.
                context.journal.stop();
                context.ui.note("waiting a moment for the answer to what is being launched");
                let answered = poll::poll(poll::ANSWERED, async || {
                    let is_open = context.journal.is_launching();
                    Ok::<_, Error>(if is_open { poll::Look::Again } else { poll::Look::Done(()) })
                });
                tokio::select! {
                    _ = answered => {}
                    _ = signal::until_signal(work.as_mut()) => {}
                }
            }
            // A call of it that stands still must not keep the look at what is left.
            drop(work);
            Err(name_leftovers(context, error).await)
        }
    }
}
