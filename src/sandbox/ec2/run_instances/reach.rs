//! What a launch would touch, for who asks beforehand whether it may.
//!
//! It reads the request as the launch itself does and changes nothing. What it cannot find it refuses in the launch's own
//! words.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::state::State;
use super::super::{launch_data, launch_templates};
use super::checks::{self, Here};
use crate::sandbox::call::{AwsError, Call};
use crate::sandbox::iam;
use crate::sandbox::wire::query::Query;

/// One thing that a launch touches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touched {
    /// As ARNs name it, such as `security-group`.
    pub kind: &'static str,
    /// `None`: the launch makes it.
    pub id: Option<String>,
    /// Whether the launch template alone says so, and not the request.
    pub is_of_template: bool,
}

/// All that a launch touches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// `lt-…`, where one is used.
    pub template: Option<String>,
    /// Each of them.
    pub things: Vec<Touched>,
    /// Of what it makes, by kind, those of the template included.
    pub tags: BTreeMap<String, BTreeMap<String, String>>,
    /// ARN of the role that the instances get.
    pub role: Option<String>,
    /// Such as `g4dn.xlarge`.
    pub instance_type: String,
    /// Else it is on demand.
    pub is_spot: bool,
}

/// Works it out.
///
/// # Errors
/// Those of `RunInstances`.
pub fn reach(call: &mut Call<'_>, input: &Query) -> Result<Reach, AwsError> {
    let asked = launch_data::parse_run(input)?;
    let template = match input.structure("LaunchTemplate") {
        Some(template) => Some(launch_templates::resolve(call, template)?),
        None => None,
    };
    let data = template.as_ref().map_or_else(|| asked.clone(), |found| launch_data::merge(&found.data, &asked));
    let interface = checks::interface(&data)?;
    let image = checks::image(call, data.image.as_deref())?;
    let kind = checks::instance_type(data.instance_type.as_deref(), &image)?;
    let region = call.region.clone();
    let now = call.now;
    let world = &*call.world;
    let none = State::default();
    let state = world.regions.get(&region).map_or(&none, |region| &region.ec2);
    let place = match checks::pinned_place(state, interface.subnet.as_deref(), data.zone.as_deref())? {
        Some(place) => place,
        None => checks::choose_place(state, &kind.name, |zone| world.weather.is_dry(&kind.name, zone))?,
    };
    let here = Here { state, weather: &world.weather, now };
    let groups = checks::groups(here, &place.vpc, &interface.groups, &data.security_group_names)?;
    // Whether EC2 sees the profile by now is the launch's own question.
    let profile = data.profile.as_deref();
    let role = profile.and_then(|said| iam::profile_for_ec2(&world.iam, said, now, Duration::ZERO));
    let role = role.and_then(|(_, _, name)| world.iam.roles.get(&name).map(|role| role.arn(&name)));

    let has_template = template.is_some();
    let network = has_template && asked.interfaces.is_empty();
    let in_group = network && asked.security_groups.is_empty() && asked.security_group_names.is_empty();
    let mut things = Vec::new();
    let mut touch = |kind: &'static str, id: Option<String>, is_of_template: bool| {
        things.push(Touched { kind, id, is_of_template });
    };
    touch("instance", None, has_template);
    touch("image", Some(image.id), has_template && asked.image.is_none());
    touch("subnet", Some(place.subnet), network && asked.zone.is_none());
    touch("network-interface", None, network);
    for group in groups {
        touch("security-group", Some(group), in_group);
    }
    touch("volume", None, has_template && asked.volumes.is_empty());
    for snapshot in data.volumes.iter().filter_map(|volume| volume.snapshot.clone()) {
        touch("snapshot", Some(snapshot), has_template && asked.volumes.is_empty());
    }
    if let Some(found) = &template {
        touch("launch-template", Some(found.id.clone()), false);
    }
    let tags_request = data.tags.get("spot-instances-request").is_some_and(|tags| !tags.is_empty());
    // EC2 asks leave for the request itself only where it is tagged in the same call.
    if data.market.is_some() && tags_request {
        touch("spot-instances-request", None, false);
    }
    let instance_type = kind.name.clone();
    let is_spot = data.market.is_some();
    Ok(Reach { template: template.map(|found| found.id), things, tags: data.tags, role, instance_type, is_spot })
}
