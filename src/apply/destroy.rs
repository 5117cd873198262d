//! `destroy`: removes what the stack is made of, after `down`.

use std::cell::RefCell;
use std::collections::BTreeSet;

use tokio::time::Instant;

use super::down::{Downed, any_lives, left};
use crate::cloud::{Cloud, poll};
use crate::decide::names;
use crate::decide::workers::Worker;
use crate::error::{Error, Leftover, Result};
use crate::journal::Journal;
use crate::resource::{Action, Change, Kind, launch_template, launchers, parameters, role, security_group, worker};
use crate::spec::WorkerName;

/// What stands of a stack beside its workers, and is the stack's own.
#[derive(Default)]
pub(super) struct Standing {
    groups: Vec<security_group::Observed>,
    role: role::Observed,
    spot: Option<launch_template::Observed>,
    twin: Option<launch_template::Observed>,
    values: BTreeSet<String>,
}

impl Standing {
    async fn read(cloud: &Cloud, stack: &WorkerName) -> Result<Self> {
        let (groups, role, templates, values) = futures::try_join!(
            security_group::observe(cloud, stack),
            role::observe(cloud, stack),
            launch_template::observe(cloud, stack),
            parameters::owned_names(cloud, stack)
        )?;
        let groups = owned(&groups);
        Ok(Self { groups, role, values, ..Self::default() }.with(Some(&templates)))
    }

    /// The same without the templates, as far as it can be read. [`destroy`] reads it again, when nobody is left who could add
    /// to it, and has to succeed.
    pub(super) async fn glimpse(cloud: &Cloud, stack: &WorkerName) -> Self {
        let (groups, role, values) = futures::join!(
            security_group::observe(cloud, stack),
            role::observe(cloud, stack),
            parameters::owned_names(cloud, stack)
        );
        let groups = owned(&groups.unwrap_or_default());
        let (role, values) = (role.unwrap_or_default(), values.unwrap_or_default());
        Self { groups, role, values, ..Self::default() }
    }

    pub(super) fn with(self, templates: Option<&launch_template::Both>) -> Self {
        let ours = |found: &Option<launch_template::Observed>| found.clone().filter(launch_template::Observed::is_ours);
        let spot = templates.and_then(|both| ours(&both.spot));
        let twin = templates.and_then(|both| ours(&both.any_market));
        Self { spot, twin, ..self }
    }

    pub(super) fn leftovers(&self, cloud: &Cloud, stack: &WorkerName) -> Vec<Leftover> {
        let (group, role) = (names::base(stack), names::role(stack, &cloud.region));
        let groups = self.groups.iter().map(|found| deletion(Kind::SecurityGroup, &group, Some(&found.id)));
        let both = role::owned(&self.role).into_iter().map(|kind| deletion(kind, &role, None));
        let templates = self.spot.iter().chain(&self.twin);
        let templates = templates.map(|found| deletion(Kind::LaunchTemplate, &found.id, Some(&found.id)));
        let values = self.values.iter().map(|name| deletion(Kind::Parameter, name, None));
        groups.chain(both).chain(templates).chain(values).map(|change| change.leftover()).collect()
    }
}

fn owned(groups: &[security_group::Observed]) -> Vec<security_group::Observed> {
    security_group::owned(groups).into_iter().cloned().collect()
}

fn deletion(kind: Kind, name: &str, id: Option<&str>) -> Change {
    Change::new(kind, name, Action::Delete, "").id(id.map(str::to_owned))
}

/// Removes everything the stack made. Workers were told to end `before`, by [`down`]; those that it did not see are ended here.
/// What was removed is in the journal.
///
/// # Errors
/// The first failure, after everything under way has ended.
pub async fn destroy(cloud: &Cloud, stack: &WorkerName, journal: &Journal, before: &Downed) -> Result<()> {
    let found = Standing::read(cloud, stack).await?;
    let deleted = |kind: Kind, name: &str, id: Option<&str>| journal.changed(deletion(kind, name, id));
    let seen = &before.seen;
    seen.borrow_mut().extend(found.leftovers(cloud, stack));
    let Standing { groups, role, spot, twin, values: names } = found;
    let kinds = role::owned(&role);
    let is_there = spot.is_some() || !groups.is_empty() || !kinds.is_empty() || !names.is_empty();
    let role_name = names::role(stack, &cloud.region);
    let one = async |found: Option<&launch_template::Observed>| {
        let Some(found) = found else { return Ok(()) };
        launch_template::destroy(cloud, &found.id).await?;
        deleted(Kind::LaunchTemplate, &found.id, Some(&found.id));
        Ok::<_, Error>(())
    };
    let tagged = spot.as_ref().and_then(|found| found.launchers.as_deref());
    let with_launchers = async {
        // Before the template, whose tag says whom the leave was given to.
        for name in launchers::destroy(cloud, stack, tagged).await? {
            deleted(Kind::RolePolicy, &name, None);
        }
        one(spot.as_ref()).await?;
        // An `up` beside this one may have given it again before the template went.
        launchers::destroy(cloud, stack, tagged).await.map(drop)
    };
    let groups = async {
        for group in groups {
            // The one that holds it back may have been launched just before the template went, and show itself only now.
            let end_late = async || {
                let workers = worker::observe(cloud, stack).await?;
                end(cloud, &workers, seen, journal).await.map(drop)
            };
            security_group::destroy(cloud, &group, end_late).await?;
            deleted(Kind::SecurityGroup, &names::base(stack), Some(&group.id));
        }
        Ok::<_, Error>(())
    };
    let role_gone = async {
        role::destroy(cloud, stack, &role).await?;
        for kind in &kinds {
            deleted(*kind, &role_name, None);
        }
        Ok::<_, Error>(())
    };
    let values = async {
        let names: Vec<String> = names.into_iter().collect();
        parameters::delete(cloud, &names, |name| deleted(Kind::Parameter, name, None)).await
    };
    // Nobody can launch from the templates any more; what was launched until now is ended before its role goes.
    let (with_launchers, without) = futures::join!(with_launchers, one(twin.as_ref()));
    with_launchers.and(without)?;
    let late = async {
        let workers = if is_there && before.terminated.is_empty() {
            worker::observe_until(cloud, stack, Instant::now(), any_lives).await?
        } else {
            worker::observe(cloud, stack).await?
        };
        let late = end(cloud, &workers, seen, journal).await?;
        if late.is_empty() { Ok(()) } else { worker::gone(cloud, stack, &late, poll::STATE, |_| ()).await }
    };
    let (late, values) = futures::join!(late, values);
    late?;
    let (groups, role_gone) = futures::join!(groups, role_gone);
    groups.and(role_gone).and(values)
}

/// Ends those that have not ended yet, since they show themselves only now, and answers them.
async fn end(
    cloud: &Cloud,
    workers: &[Worker],
    seen: &RefCell<Vec<Leftover>>,
    journal: &Journal,
) -> Result<BTreeSet<String>> {
    let late = workers.iter().filter(|found| !found.state.is_over());
    let late: Vec<&str> = late.map(|found| found.id.as_str()).collect();
    if !late.is_empty() {
        seen.borrow_mut().extend(late.iter().copied().map(left));
        worker::terminate(cloud, &late, |id| journal.changed(deletion(Kind::Instance, id, Some(id)))).await?;
    }
    Ok(late.into_iter().map(str::to_owned).collect())
}
