//! Volumes: those of instances, and those that outlived theirs.
//!
//! A volume is made with its instance and, unless it was told to stay, goes with it; so it lies in the instance and only
//! what is left over is kept by itself.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::filter::{self, Filters, dry_run};
use super::instances::answer::{tag_set, time, volume_data};
use super::placement::{InstanceState, is_id, state_of};
use super::state::{State, VolumeData};
use crate::sandbox::call::{AwsError, Call};
use crate::sandbox::wire::query::Query;
use crate::sandbox::wire::xml::{Element, leaf, list, maybe};

/// A volume, wherever it lies.
#[derive(Debug)]
pub struct Volume<'a> {
    id: &'a str,
    data: &'a VolumeData,
    zone: &'a str,
    created_at: i64,
    /// Instance, device and whether it is attached for good.
    attached: Option<(&'a str, &'a str, bool)>,
}

/// The volumes that there are.
fn all(state: &State, now: Timestamp) -> Vec<Volume<'_>> {
    let mut volumes = Vec::new();
    for (instance_id, instance) in &state.instances {
        let is = state_of(instance, now);
        for (device, id) in &instance.volumes {
            let Some(data) = volume_data(instance, device) else { continue };
            let is_over = is == InstanceState::Terminated;
            if is_over && data.delete_on_termination != Some(false) {
                continue;
            }
            let attached = (!is_over).then_some((instance_id.as_str(), device.as_str(), is != InstanceState::Pending));
            volumes.push(Volume { id, data, zone: &instance.zone, created_at: instance.launched_at, attached });
        }
    }
    volumes.extend(state.left_volumes.iter().map(|(id, left)| Volume {
        id,
        data: &left.data,
        zone: &left.zone,
        created_at: left.created_at,
        attached: None,
    }));
    volumes.sort_by(|one, other| one.id.cmp(other.id));
    volumes
}

/// The volume with this id.
pub fn find<'a>(state: &'a State, id: &str, now: Timestamp) -> Option<Volume<'a>> {
    all(state, now).into_iter().find(|volume| volume.id == id)
}

fn not_found(id: &str) -> AwsError {
    AwsError::new("InvalidVolume.NotFound", format!("The volume '{id}' does not exist."))
}

/// `DescribeVolumes`.
///
/// # Errors
/// `InvalidVolume.NotFound`, `InvalidParameterValue`.
pub fn describe(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let ids = input.list("VolumeId");
    let filters = Filters::read(input)?;
    dry_run(input)?;
    let now = call.now;
    let region = call.region.clone();
    let state = &call.world.region(&region).ec2;
    let volumes = all(state, now);
    for id in &ids {
        if !is_id(id, "vol-") {
            let message = format!("Value ({id}) for parameter volume is invalid. Expected: 'vol-...'.");
            return Err(AwsError::new("InvalidParameterValue", message));
        }
        volumes.binary_search_by(|volume| volume.id.cmp(id)).map_err(|_| not_found(id))?;
    }
    let named: BTreeSet<&str> = ids.iter().map(String::as_str).collect();
    let mut found = Vec::new();
    for volume in volumes.iter().filter(|volume| named.is_empty() || named.contains(volume.id)) {
        if filters.accept(state.tags_of(volume.id), |name| volume.values(name))? {
            found.push(volume);
        }
    }
    let (found, next) = filter::page(input, found, 5..=1000)?;
    let items = found.into_iter().map(|volume| volume.item(state));
    let mut answer = vec![list("volumeSet", "item", items)];
    answer.extend(maybe("nextToken", next));
    Ok(answer)
}

/// `DeleteVolume`.
///
/// # Errors
/// `InvalidVolume.NotFound`, `VolumeInUse`.
pub fn delete(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let id = input.required("VolumeId")?;
    let is_dry_run = dry_run(input);
    super::run_instances::all_read(input)?;
    let now = call.now;
    let region = call.region.clone();
    let state = &mut call.world.region(&region).ec2;
    let volume = find(state, &id, now).ok_or_else(|| not_found(&id))?;
    if let Some((instance, _, _)) = volume.attached {
        let message = format!("Volume {id} is currently attached to {instance}");
        return Err(AwsError::new("VolumeInUse", message));
    }
    is_dry_run?;
    state.left_volumes.remove(&id);
    state.tags.remove(&id);
    let holder = state.instances.iter().find(|(_, instance)| instance.volumes.values().any(|volume| *volume == id));
    if let Some(holder) = holder.map(|(id, _)| id.clone()) {
        state.instances.entry(holder).and_modify(|instance| instance.volumes.retain(|_, volume| *volume != id));
    }
    Ok(vec![leaf("return", true)])
}

impl Volume<'_> {
    fn status(&self) -> &'static str {
        if self.attached.is_some() { "in-use" } else { "available" }
    }

    fn values(&self, name: &str) -> Option<Vec<String>> {
        let one = |text: &str| Some(vec![text.to_owned()]);
        let of = |text: Option<&str>| Some(text.map(str::to_owned).into_iter().collect());
        match name {
            "volume-id" => one(self.id),
            "status" => one(self.status()),
            "availability-zone" => one(self.zone),
            "volume-type" => of(self.data.kind.as_deref()),
            "snapshot-id" => of(self.data.snapshot.as_deref()),
            "size" => Some(self.data.size.map(|size| size.to_string()).into_iter().collect()),
            "encrypted" => one(&(self.data.encrypted == Some(true)).to_string()),
            "create-time" => one(&time(self.created_at)),
            "attachment.instance-id" => of(self.attached.map(|(instance, _, _)| instance)),
            "attachment.device" => of(self.attached.map(|(_, device, _)| device)),
            "attachment.status" => of(self.attached.map(|attached| attachment_status(attached.2))),
            "attachment.delete-on-termination" => match self.attached {
                Some(_) => one(&(self.data.delete_on_termination != Some(false)).to_string()),
                None => Some(Vec::new()),
            },
            _ => None,
        }
    }

    fn item(&self, state: &State) -> Vec<Element> {
        let mut item = vec![
            leaf("volumeId", self.id),
            leaf("size", self.data.size.unwrap_or_default()),
            leaf("snapshotId", self.data.snapshot.as_deref().unwrap_or_default()),
            leaf("availabilityZone", self.zone),
            leaf("status", self.status()),
            leaf("createTime", time(self.created_at)),
        ];
        let attachment = self.attached.map(|(instance, device, is_attached)| {
            vec![
                leaf("volumeId", self.id),
                leaf("instanceId", instance),
                leaf("device", device),
                leaf("status", attachment_status(is_attached)),
                leaf("attachTime", time(self.created_at)),
                leaf("deleteOnTermination", self.data.delete_on_termination != Some(false)),
            ]
        });
        item.push(list("attachmentSet", "item", attachment));
        item.push(tag_set(state, self.id));
        item.extend(maybe("volumeType", self.data.kind.as_deref()));
        item.extend(maybe("iops", self.data.iops));
        item.extend(maybe("throughput", self.data.throughput));
        item.push(leaf("encrypted", self.data.encrypted == Some(true)));
        item.extend(maybe("kmsKeyId", self.data.kms_key.as_deref()));
        item.push(leaf("multiAttachEnabled", false));
        item
    }
}

fn attachment_status(is_attached: bool) -> &'static str {
    if is_attached { "attached" } else { "attaching" }
}
