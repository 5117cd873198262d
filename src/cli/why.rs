//! `spotctl why`: why the last worker ended, from everybody who may know, also after AWS has forgotten it.

use super::Outcome;
use super::context::{finish, stack};
use super::signal::until_signal;
use crate::cloud::Cloud;
use crate::decide::phase::{LastWord, console_tail};
use crate::decide::why::{Known, verdict};
use crate::decide::workers::Worker;
use crate::error::{Error, Result};
use crate::report::why::{StateReason, Why};
use crate::report::workers::rfc3339;
use crate::resource::{launch_template, worker};
use crate::settings::GlobalArgs;
use crate::spec::WorkerName;
use crate::ui::Ui;

/// Arguments of `why`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// This worker; else the last one that ended, or the last one at all
    #[arg(value_name = "ID")]
    id: Option<String>,
    /// The stack; then no file is needed
    #[arg(long, value_name = "NAME")]
    name: Option<WorkerName>,
    /// How many lines of the console
    #[arg(long, value_name = "N", default_value_t = 30)]
    lines: usize,
}

pub(crate) async fn run(ui: &Ui, global: &GlobalArgs, args: &Args) -> Outcome {
    let (name, cloud) = stack(ui, global, args.name.as_ref()).await?;
    let mut report = Why { stack: name.to_string(), region: cloud.region.clone(), ..Why::default() };
    let result = until_signal(Box::pin(ask(&cloud, &name, args, &mut report))).await;
    finish(ui, "why", &report, result)
}

async fn ask(cloud: &Cloud, stack: &WorkerName, args: &Args, report: &mut Why) -> Result<u8> {
    let (workers, templates, requests) = futures::try_join!(
        worker::observe(cloud, stack),
        Box::pin(launch_template::observe(cloud, stack)),
        worker::requests(cloud, stack)
    )?;
    let word = templates.spot.filter(launch_template::Observed::is_ours).and_then(|found| found.last_word);
    let found = chosen(&workers, args.id.as_deref(), word.as_ref());
    let id = match (found, &word, &args.id) {
        (Some(worker), ..) => worker.id.clone(),
        (None, Some(word), None) => word.worker.clone(),
        (None, Some(word), Some(id)) if word.worker == *id => id.clone(),
        (None, _, Some(id)) => {
            return Err(Error::usage(format!(
                "nobody remembers a worker `{id}` of `{stack}`: AWS forgets an instance within the hour of its end, and \
                 the launch template holds the last word of the last one only"
            )));
        }
        (None, None, None) => {
            report.why = format!("no worker of `{stack}` in {} is remembered", cloud.region);
            return Ok(0);
        }
    };
    let word = word.filter(|word| word.worker == id);
    let request = requests.into_iter().find(|request| request.is_of(&id));
    let console = match found {
        Some(worker) => worker::console(cloud, &worker.id).await?,
        None => None,
    };
    // The box speaks through its own tags until it is gone, and through its last word afterwards.
    let own = |of_worker: Option<&String>, of_word: Option<&String>| of_worker.or(of_word).cloned();
    report.phase = own(found.and_then(|worker| worker.phase.as_ref()), word.as_ref().map(|word| &word.phase));
    report.timeline = own(found.and_then(|worker| worker.timeline.as_ref()), word.as_ref().map(|word| &word.timeline));
    // Who ended it from outside knows more than the box did; of one that lives (it was rebooted, say) no word is the last.
    let lives = found.is_some_and(|worker| worker.state.is_live());
    let word_of_the_end = word.as_ref().filter(|_| !lives).map(|word| word.phase.as_str());
    let phase = word_of_the_end.or(report.phase.as_deref());
    report.why = verdict(Known {
        lives,
        phase,
        state_reason: found.and_then(|worker| worker.state_reason.as_deref()),
        request_status: request.as_ref().map(|request| request.status.as_str()),
    });
    report.id = Some(id);
    report.state = found.map(|worker| worker.state.as_str().to_owned());
    report.launched_at = found.map(|worker| rfc3339(worker.launched_at));
    report.state_reason = found.and_then(|worker| {
        let code = worker.state_reason.clone()?;
        let message = worker.state_message.as_deref().unwrap_or_default();
        // EC2 begins the sentence with the code.
        let message = message.strip_prefix(&code).map_or(message, |rest| rest.trim_start_matches([':', ' ']));
        Some(StateReason { message: message.to_owned(), code })
    });
    report.console = console.as_deref().map(|text| console_tail(text, args.lines)).unwrap_or_default();
    // What EC2 no longer shows it has forgotten; what it shows and that says nothing is silent.
    let is_known = found.is_some();
    let had_request = found.is_none_or(|worker| worker.spot_request.is_some());
    for (name, has_spoken, is_forgotten) in [
        ("instance", is_known, true),
        ("instance tags", found.is_some_and(|worker| worker.phase.is_some()), !is_known),
        ("spot request", request.is_some(), had_request),
        ("console", !report.console.is_empty(), !is_known),
        ("last word", word.is_some(), false),
    ] {
        match (has_spoken, is_forgotten) {
            (true, _) => report.sources.push(name),
            (false, true) => report.forgotten.push(name),
            (false, false) => report.silent.push(name),
        }
    }
    report.spot_request = request;
    report.last_word = word;
    Ok(0)
}

/// The worker that is asked about, as far as EC2 remembers it: the one named; else the last that ended, unless the last
/// word is of a later one, which EC2 has forgotten; else the last one at all.
fn chosen<'a>(workers: &'a [Worker], id: Option<&str>, word: Option<&LastWord>) -> Option<&'a Worker> {
    if let Some(id) = id {
        return workers.iter().find(|worker| worker.id == id);
    }
    let last_over = workers.iter().rfind(|worker| worker.state.is_over());
    match (last_over, word) {
        (Some(worker), _) => Some(worker),
        (None, Some(word)) => workers.iter().find(|worker| worker.id == word.worker),
        (None, None) => workers.last(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::workers::State;
    use crate::decide::workers::tests::worker;

    #[test]
    fn the_one_that_ended_last_is_meant_unless_another_is_named() {
        let word = LastWord::parse("i-0 1970-01-01T00:00:00Z draining:idle / ").unwrap();
        let ended = worker("i-1", State::Terminated, Some(0), 1);
        let live = worker("i-2", State::Running, Some(0), 2);
        let both = [ended.clone(), live.clone()];
        let id = |workers: &[Worker], id, word| chosen(workers, id, word).map(|worker| worker.id.clone());
        assert_eq!(id(&both, None, None).as_deref(), Some("i-1"));
        assert_eq!(id(&both, Some("i-2"), None).as_deref(), Some("i-2"));
        assert_eq!(id(std::slice::from_ref(&live), None, None).as_deref(), Some("i-2"));
        assert_eq!(
            id(std::slice::from_ref(&live), None, Some(&word)),
            None,
            "the last word is of one that EC2 has forgotten"
        );
        assert_eq!(id(&both, Some("i-9"), None), None);
        let own = LastWord::parse("i-2 1970-01-01T00:00:00Z failed:ready:x / ").unwrap();
        assert_eq!(id(&both[1..], None, Some(&own)).as_deref(), Some("i-2"), "EC2 has not noticed its end yet");
    }
}
