//! `dry-run`, `profile`, `account-plan`: EC2 itself is asked whether it would do what `up` does.
//!
//! Before the first `apply` the launch is tried with image, type and subnet as `up` would choose them; afterwards by the
//! launch template, profile included. The requests carry the stack's tags, because leave may depend on them. Odd in AWS: a
//! dry run that succeeds is an error, and proves neither quota nor capacity; of an account on the free plan EC2 says that
//! the type is not eligible, as if it were a wrong parameter.

use aws_sdk_ec2::types::{
    BlockDeviceMapping, EbsBlockDevice, IamInstanceProfileSpecification, InstanceInterruptionBehavior,
    InstanceMarketOptionsRequest, InstanceNetworkInterfaceSpecification, InstanceType, LaunchTemplateSpecification,
    MarketType, RequestLaunchTemplateData, ResourceType, SpotInstanceType, SpotMarketOptions, TagSpecification,
    VolumeType,
};

use super::reads::{Look, Read};
use super::{Reads, Verdict};
use crate::cloud::dry_run::{decoded, refusal};
use crate::cloud::{Failure, call};
use crate::decide::classify::{Class, is_free_plan};
use crate::decide::offers::Ranking;
use crate::decide::permissions::{self, Missing};
use crate::decide::{names, workers::Worker};
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::plan::{self, Chosen};
use crate::resource::launch_template::content::tagged;
use crate::resource::launch_template::{Both, Observed as Template, Target, Which};
use crate::resource::{Kind, ec2_tags, role, tags};

/// What EC2 said to a call that was not to be carried out.
#[derive(Debug, Clone)]
pub(super) enum Answer {
    /// It would have been.
    Accepted,
    /// The caller may not.
    Denied(Missing),
    /// The account's plan has no such type.
    FreePlan(String),
    /// EC2 knows no such instance profile.
    NoProfile,
    /// Anything else.
    Refused(Box<Error>),
}

/// The launch that was tried.
#[derive(Debug, Clone)]
pub(super) struct Trial {
    /// The type.
    instance_type: String,
    /// Whether an instance profile was handed over.
    with_profile: bool,
    answer: Answer,
}

/// What the trial is made of.
#[derive(Debug, Clone)]
pub(super) struct Parts<'a> {
    pub(super) templates: Read<'a, Both>,
    pub(super) chosen: Read<'a, Chosen>,
    pub(super) ranking: Read<'a, Ranking>,
    pub(super) role: Read<'a, role::Observed>,
}

pub(super) async fn trial<'a>(look: Look<'a>, parts: Parts<'a>) -> Result<Trial> {
    let template = parts.templates.clone().await?.spot.filter(Template::is_ours);
    if let Some(template) = template {
        return Ok(by_template(look, &template).await);
    }
    let (chosen, ranking, role) = futures::try_join!(parts.chosen, parts.ranking, parts.role)?;
    let target = cheapest(&ranking).ok_or_else(|| {
        Error::new(ErrorKind::Capacity, "there is nothing to try: no type of the file is offered in a usable subnet")
    })?;
    let with_profile = role::owned(&role).contains(&Kind::InstanceProfile);
    Ok(by_parts(look, &chosen, &target, with_profile).await)
}

/// What would be launched, or what would be if its price were right.
fn cheapest(ranking: &Ranking) -> Option<Target> {
    let offer = ranking.offers.first()?;
    Some(Target { instance_type: offer.instance_type.clone(), subnet: offer.subnet.clone() })
}

async fn by_template(look: Look<'_>, template: &Template) -> Trial {
    let request = look
        .cloud
        .launcher
        .run_instances()
        .dry_run(true)
        .launch_template(
            LaunchTemplateSpecification::builder().launch_template_id(&template.id).version("$Default").build(),
        )
        .set_tag_specifications(Some(worker_tags(look)))
        .min_count(1)
        .max_count(1);
    let answer = answer(look, call("RunInstances", request.send()).await).await;
    let instance_type = template.target.as_ref().map_or_else(String::new, |target| target.instance_type.clone());
    Trial { instance_type, with_profile: true, answer }
}

async fn by_parts(look: Look<'_>, chosen: &Chosen, target: &Target, with_profile: bool) -> Trial {
    let Look { cloud, spec, .. } = look;
    let image = &chosen.image;
    let size = spec.instance.volume.size.max(image.minimum);
    let root = EbsBlockDevice::builder()
        .volume_type(VolumeType::from(spec.instance.volume.kind.as_str()))
        .volume_size(i32::try_from(size.0).unwrap_or(i32::MAX))
        .build();
    let interface = InstanceNetworkInterfaceSpecification::builder()
        .device_index(0)
        .subnet_id(&target.subnet)
        .associate_public_ip_address(true)
        .build();
    let profile = with_profile
        .then(|| IamInstanceProfileSpecification::builder().name(names::role(&spec.name, &cloud.region)).build());
    let spot = SpotMarketOptions::builder()
        .spot_instance_type(SpotInstanceType::OneTime)
        .instance_interruption_behavior(InstanceInterruptionBehavior::Terminate)
        .set_max_price(spec.instance.max_price.map(|price| price.to_string()))
        .build();
    let request = cloud
        .launcher
        .run_instances()
        .dry_run(true)
        .image_id(&image.id)
        .instance_type(InstanceType::from(target.instance_type.as_str()))
        .block_device_mappings(BlockDeviceMapping::builder().device_name(&image.root_device).ebs(root).build())
        .network_interfaces(interface)
        .set_iam_instance_profile(profile)
        .instance_market_options(
            InstanceMarketOptionsRequest::builder().market_type(MarketType::Spot).spot_options(spot).build(),
        )
        .set_tag_specifications(Some(worker_tags(look)))
        .min_count(1)
        .max_count(1);
    let answer = answer(look, call("RunInstances", request.send()).await).await;
    Trial { instance_type: target.instance_type.clone(), with_profile, answer }
}

fn worker_tags(look: Look<'_>) -> Vec<TagSpecification> {
    let lifetime = &look.spec.lifetime;
    let tags: Vec<(String, String)> = plan::worker_tags(look.spec, lifetime.max, lifetime.idle).into_iter().collect();
    tagged(Which::Spot).into_iter().map(|kind| specification(kind, &tags)).collect()
}

fn specification(kind: ResourceType, tags: &[(String, String)]) -> TagSpecification {
    TagSpecification::builder().resource_type(kind).set_tags(Some(ec2_tags(tags))).build()
}

/// What the answer to a dry run means; a refusal that hides its reason is decoded where that is permitted.
async fn answer<T>(look: Look<'_>, answer: Result<T, Failure>) -> Answer {
    let Some(failure) = refusal(answer) else { return Answer::Accepted };
    if failure.is_denied() {
        let action = format!("ec2:{}", failure.operation);
        let plain = Missing { action, resource: String::new() };
        let named = decoded(look.cloud, &failure).await.and_then(|message| permissions::decoded(&message));
        return Answer::Denied(named.or_else(|| permissions::said(&failure.message)).unwrap_or(plain));
    }
    if failure.class == Class::ProfileNotVisible {
        return Answer::NoProfile;
    }
    if is_free_plan(&failure.message) {
        return Answer::FreePlan(failure.message);
    }
    let doing = format!("a dry run of {}", failure.operation);
    Answer::Refused(Box::new(failure.doing(&doing)))
}

/// The other calls that `up` would make now, each with what EC2 says.
async fn others(reads: &Reads<'_>) -> Vec<(&'static str, Answer)> {
    let look = reads.look;
    let (templates, groups, network, workers) =
        futures::join!(reads.templates.clone(), reads.groups.clone(), reads.network.clone(), reads.workers.clone());
    let own = tags(&look.spec.tags, &look.spec.name);
    let template = templates.map(|both| both.spot);
    let group = async {
        // One that is there, whoever's it is, is not made again.
        let vpc =
            network.ok().and_then(|network| network.vpc.ok()).filter(|_| groups.is_ok_and(|all| all.is_empty()))?;
        let request = look
            .cloud
            .ec2
            .create_security_group()
            .dry_run(true)
            .group_name(names::base(&look.spec.name))
            .description("spotctl: would it be permitted?")
            .vpc_id(vpc)
            .tag_specifications(specification(ResourceType::SecurityGroup, &own));
        let done = call("CreateSecurityGroup", request.send()).await;
        Some(("CreateSecurityGroup", answer(look, done).await))
    };
    let made = async {
        let data = RequestLaunchTemplateData::builder().instance_type(InstanceType::G4dnXlarge).build();
        match &template {
            Ok(None) => {
                let request = look
                    .cloud
                    .ec2
                    .create_launch_template()
                    .dry_run(true)
                    .launch_template_name(names::base(&look.spec.name))
                    .launch_template_data(data)
                    .tag_specifications(specification(ResourceType::LaunchTemplate, &own));
                let done = call("CreateLaunchTemplate", request.send()).await;
                Some(("CreateLaunchTemplate", answer(look, done).await))
            }
            Ok(Some(found)) if found.is_ours() => {
                let request = look
                    .cloud
                    .ec2
                    .create_launch_template_version()
                    .dry_run(true)
                    .launch_template_id(&found.id)
                    .launch_template_data(data);
                let done = call("CreateLaunchTemplateVersion", request.send()).await;
                Some(("CreateLaunchTemplateVersion", answer(look, done).await))
            }
            _ => None,
        }
    };
    let retagged = async {
        let found = template.as_ref().ok()?.as_ref().filter(|found| found.is_ours())?;
        let request = look.cloud.ec2.create_tags().dry_run(true).resources(&found.id).set_tags(Some(ec2_tags(&own)));
        let done = call("CreateTags", request.send()).await;
        Some(("CreateTags", answer(look, done).await))
    };
    let ended = async {
        let live = |worker: &&Worker| worker.state.is_live();
        let workers = workers.as_ref().ok()?.get(look.spec.name.as_str())?;
        let request = look.cloud.ec2.terminate_instances().dry_run(true).instance_ids(&workers.iter().find(live)?.id);
        let done = call("TerminateInstances", request.send()).await;
        Some(("TerminateInstances", answer(look, done).await))
    };
    let (group, made, retagged, ended) =
        futures::join!(Box::pin(group), Box::pin(made), Box::pin(retagged), Box::pin(ended));
    [group, made, retagged, ended].into_iter().flatten().collect()
}

pub(super) async fn dry_run(reads: &Reads<'_>) -> Verdict {
    let (trial, others) = futures::join!(reads.trial.clone(), Box::pin(others(reads)));
    let launch = match trial {
        Ok(trial) => ("RunInstances", trial.answer),
        Err(error) if others.is_empty() => return hidden(&error),
        Err(error) => return Verdict::all([judge(&others), hidden(&error)]).unwrap_or_else(|| hidden(&error)),
    };
    let mut all = others;
    all.push(launch);
    judge(&all)
}

/// What the trial needs is missing, which is another check's business.
fn hidden(error: &Error) -> Verdict {
    Verdict::hidden(error, |evidence| format!("RunInstances was not tried: {evidence}"))
}

fn judge(answers: &[(&'static str, Answer)]) -> Verdict {
    let mut accepted = Vec::new();
    let mut denied = Vec::new();
    let mut refused = Vec::new();
    let mut is_free_plan = false;
    for (operation, answer) in answers {
        match answer {
            Answer::Accepted => accepted.push(*operation),
            Answer::Denied(missing) => denied.push(format!("{operation} needs {missing}")),
            // The permission is there; the profile has a check of its own.
            Answer::NoProfile => accepted.push(*operation),
            Answer::FreePlan(_) => is_free_plan = true,
            Answer::Refused(error) => refused.push(error.clone()),
        }
    }
    if !denied.is_empty() {
        let evidence = format!("EC2 does not permit: {}", denied.join("; "));
        return Verdict::fail(evidence, "give this policy to whoever runs spotctl: spotctl render policy operator");
    }
    if let Some(error) = refused.first() {
        // A call that got no answer, or one that EC2 will not take as it is.
        let messages: Vec<&str> = refused.iter().map(|error| error.message.as_str()).collect();
        let advice = error.hints.first().cloned().unwrap_or_else(|| "what `up` would change: spotctl plan".to_owned());
        return Verdict::fail(messages.join("; "), advice);
    }
    let permitted = format!("EC2 permits {}", accepted.join(", "));
    match (is_free_plan, accepted.is_empty()) {
        (false, _) => Verdict::ok(permitted),
        (true, false) => Verdict::ok(format!("{permitted}; RunInstances fails before (check `account-plan`)")),
        (true, true) => Verdict::skip("not told: RunInstances fails before (check `account-plan`)"),
    }
}

pub(super) async fn account_plan(reads: &Reads<'_>) -> Verdict {
    match reads.trial.clone().await {
        Ok(trial) => plan_of(&trial),
        Err(error) => hidden(&error),
    }
}

fn plan_of(trial: &Trial) -> Verdict {
    let Trial { instance_type, answer, .. } = trial;
    match answer {
        Answer::FreePlan(said) => Verdict::fail(
            format!("an account on the free plan may launch no GPU type, {instance_type} neither; EC2 says: {said}"),
            "upgrade the account's plan: https://console.aws.amazon.com/billing/home#/account",
        ),
        Answer::Accepted | Answer::NoProfile => Verdict::ok(format!("the account's plan has {instance_type}")),
        Answer::Denied(_) | Answer::Refused(_) => {
            Verdict::skip(format!("not told: the dry run of {instance_type} fails before (check `dry-run`)"))
        }
    }
}

pub(super) async fn profile(reads: &Reads<'_>) -> Verdict {
    let role = match reads.role.clone().await {
        Ok(role) => role,
        Err(error) => return Verdict::unread(&error),
    };
    if !role::owned(&role).contains(&Kind::InstanceProfile) {
        return Verdict::ok("not made yet; `up` makes it and waits until EC2 knows it");
    }
    match reads.trial.clone().await {
        Ok(trial) => known(&trial, &names::role(&reads.look.spec.name, &reads.look.cloud.region)),
        Err(error) => hidden(&error),
    }
}

fn known(trial: &Trial, name: &str) -> Verdict {
    match &trial.answer {
        Answer::NoProfile => Verdict::warn(
            format!("EC2 does not know the instance profile `{name}`; a new one can take minutes"),
            "if it stays so: spotctl apply",
        ),
        Answer::Accepted if trial.with_profile => Verdict::ok(format!("EC2 knows `{name}`")),
        _ => Verdict::skip("not told: the dry run fails before (check `dry-run`)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Status;

    fn refused(message: &str) -> Answer {
        Answer::Refused(Box::new(Error::new(ErrorKind::Aws, message)))
    }

    fn missing() -> Answer {
        Answer::Denied(Missing { action: "iam:PassRole".to_owned(), resource: "arn:role".to_owned() })
    }

    #[test]
    fn a_denied_call_names_what_it_lacks_and_a_refused_one_what_ec2_says() {
        for (answers, status, evidence) in [
            (
                vec![("CreateTags", Answer::Accepted), ("RunInstances", Answer::Accepted)],
                Status::Ok,
                "CreateTags, RunInstances",
            ),
            (vec![("RunInstances", missing())], Status::Fail, "RunInstances needs iam:PassRole on arn:role"),
            (vec![("RunInstances", refused("no such thing"))], Status::Fail, "no such thing"),
            (vec![("A", refused("no")), ("B", missing())], Status::Fail, "B needs"),
            (vec![("RunInstances", Answer::FreePlan("x".to_owned()))], Status::Skip, "check `account-plan`"),
            (
                vec![("CreateTags", Answer::Accepted), ("RunInstances", Answer::FreePlan("x".to_owned()))],
                Status::Ok,
                "EC2 permits CreateTags; RunInstances fails before",
            ),
            (vec![("RunInstances", Answer::NoProfile)], Status::Ok, "RunInstances"),
        ] {
            let verdict = judge(&answers);
            assert_eq!(verdict.status, status, "{answers:?}");
            assert!(verdict.evidence.contains(evidence), "{}", verdict.evidence);
        }
    }

    #[test]
    fn one_trial_tells_of_plan_and_profile_where_it_gets_so_far() {
        let trial =
            |answer: Answer, with_profile| Trial { instance_type: "g5.xlarge".to_owned(), with_profile, answer };
        for (trial, plan, profile) in [
            (trial(Answer::Accepted, true), Status::Ok, Status::Ok),
            (trial(Answer::Accepted, false), Status::Ok, Status::Skip),
            (trial(Answer::NoProfile, true), Status::Ok, Status::Warn),
            (trial(Answer::FreePlan("not eligible for Free Tier".to_owned()), true), Status::Fail, Status::Skip),
            (trial(missing(), true), Status::Skip, Status::Skip),
            (trial(refused("x"), true), Status::Skip, Status::Skip),
        ] {
            assert_eq!((plan_of(&trial).status, known(&trial, "r").status), (plan, profile), "{trial:?}");
        }
    }
}
