//! What an API server may do that launches workers from the stack's template.

use serde_json::{Value, json};

use super::{Place, allow, allow_if, document, everything, make_spot_role, pass_role, tag_at_creation, tagged};
use crate::spec::Spec;

/// What a launcher is held to, as far as it is known yet.
#[derive(Debug, Clone, Copy, Default)]
pub struct LaunchScope<'a> {
    /// Ids of the launch templates, `lt-…`; empty before they exist: then any template that carries the stack's tag.
    pub templates: &'a [String],
    /// Ids of the subnets that may be chosen; empty: any in the account and region.
    pub subnets: &'a [String],
}

/// The policy of a role that launches from the template and ends what it launched.
///
/// What the template names (image, group) cannot be replaced by something else; the zone can, for which interface 0 is
/// given whole, with its subnet and the stack's own group. **What this does not prevent:** user data is no resource, so
/// whoever may launch can run a script of his own as the worker's role. Give this policy to nobody who may not have what
/// the worker has.
#[must_use]
pub fn launcher(spec: &Spec, place: Place<'_>, scope: LaunchScope<'_>) -> Value {
    let name = &spec.name;
    let is_known = !scope.templates.is_empty();
    let ids = |kind: &str, ids: &[String]| ids.iter().map(|id| place.arn("ec2", &format!("{kind}/{id}"))).collect();
    let templates: Vec<String> =
        if is_known { ids("launch-template", scope.templates) } else { place.any(&["launch-template"]) };
    let subnets: Vec<String> =
        if scope.subnets.is_empty() { place.any(&["subnet"]) } else { ids("subnet", scope.subnets) };
    // With ids the condition names the templates. Without, it says "by a template", and the template itself is checked
    // by its tag: a launch needs leave for each thing it touches.
    let by_template = |mut condition: Value| {
        condition[if is_known { "ArnEquals" } else { "ArnLike" }] = json!({"ec2:LaunchTemplate": templates});
        condition
    };
    let run = ["ec2:RunInstances"];

    let mut from_template = place.any(&["instance", "network-interface", "security-group", "subnet", "volume"]);
    from_template.extend(place.any_public(&["image", "snapshot"]));
    let mut interface = subnets;
    interface.extend(place.any(&["network-interface"]));

    document(&[
        allow_if("LaunchFromTheTemplate", &run, &templates, tagged(name)),
        allow_if(
            "UseWhatTheTemplateNames",
            &run,
            &from_template,
            by_template(json!({"Bool": {"ec2:IsLaunchTemplateResource": "true"}})),
        ),
        allow_if("ChooseTheZone", &run, &interface, by_template(json!({}))),
        allow_if("KeepTheGroup", &run, &place.any(&["security-group"]), by_template(tagged(name))),
        // Checked only where the request is tagged at its creation, and without condition keys of the template.
        allow("AskForSpot", &run, &place.any(&["spot-instances-request"])),
        tag_at_creation(
            &place.any(&["instance", "network-interface", "spot-instances-request", "volume"]),
            &["RunInstances"],
        ),
        pass_role(spec, place),
        make_spot_role(place),
        allow_if("EndWorkers", &["ec2:TerminateInstances"], &place.any(&["instance"]), tagged(name)),
        allow(
            "SeeWorkers",
            &[
                "ec2:DescribeInstances",
                "ec2:DescribeLaunchTemplateVersions",
                "ec2:DescribeLaunchTemplates",
                "ec2:DescribeSpotInstanceRequests",
                "ec2:DescribeSpotPriceHistory",
                "ec2:DescribeSubnets",
            ],
            &everything(),
        ),
    ])
}
