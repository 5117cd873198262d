//! Machine images, as AWS publishes them.

use super::catalog::{self, Image};
use super::filter::{Filters, dry_run, page};
use super::placement::is_id;
use crate::sandbox::call::{AwsError, Call};
use crate::sandbox::wire::query::Query;
use crate::sandbox::wire::xml::{Element, leaf, list, maybe, node};

/// `DescribeImages`.
///
/// # Errors
/// An id that is malformed or unknown, a filter that is not known.
pub fn describe(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let (ids, owners) = (input.list("ImageId"), input.list("Owner"));
    let filters = Filters::read(input)?;
    let _ = input.list("ExecutableBy");
    input.boolean("IncludeDeprecated")?;
    let images = catalog::images(&call.region);
    if let Some(id) = ids.iter().find(|id| !is_id(id, "ami-")) {
        let message = format!("Invalid id: \"{id}\" (expecting \"ami-...\")");
        return Err(AwsError::new("InvalidAMIID.Malformed", message));
    }
    let unknown: Vec<&str> =
        ids.iter().filter(|id| !images.iter().any(|image| image.id == **id)).map(String::as_str).collect();
    if !unknown.is_empty() {
        let message = format!("The image id '[{}]' does not exist", unknown.join(", "));
        return Err(AwsError::new("InvalidAMIID.NotFound", message));
    }
    let mut items = Vec::new();
    for image in &images {
        let is_owner = |owner: &String| owner == image.owner || Some(owner.as_str()) == image.owner_alias;
        let is_asked =
            (ids.is_empty() || ids.contains(&image.id)) && (owners.is_empty() || owners.iter().any(is_owner));
        if is_asked && filters.accept(None, |name| values(image, name))? {
            items.push(item(image));
        }
    }
    let (items, next) = page(input, items, 1..=1000)?;
    dry_run(input)?;
    let mut answer = vec![list("imagesSet", "item", items)];
    answer.extend(maybe("nextToken", next));
    Ok(answer)
}

fn values(image: &Image, name: &str) -> Option<Vec<String>> {
    let one = |text: &str| Some(vec![text.to_owned()]);
    match name {
        "image-id" => one(&image.id),
        "name" => one(&image.name),
        "architecture" => one(image.architecture),
        "owner-id" => one(image.owner),
        "owner-alias" => Some(image.owner_alias.map(str::to_owned).into_iter().collect()),
        "state" => one("available"),
        "root-device-name" => one(image.root_device),
        "root-device-type" => one("ebs"),
        "virtualization-type" => one("hvm"),
        "is-public" => one("true"),
        "image-type" => one("machine"),
        "creation-date" => one(image.created),
        _ => None,
    }
}

fn item(image: &Image) -> Vec<Element> {
    let ebs = vec![
        leaf("deleteOnTermination", true),
        leaf("snapshotId", &image.snapshot),
        leaf("volumeSize", image.snapshot_gib),
        leaf("volumeType", "gp3"),
        leaf("encrypted", false),
    ];
    let mut item = vec![
        leaf("imageId", &image.id),
        leaf("imageLocation", format!("{}/{}", image.owner_alias.unwrap_or(image.owner), image.name)),
        leaf("imageState", "available"),
        leaf("imageOwnerId", image.owner),
        leaf("creationDate", image.created),
        leaf("isPublic", true),
        leaf("architecture", image.architecture),
        leaf("imageType", "machine"),
        leaf("name", &image.name),
        leaf("description", &image.name),
        leaf("rootDeviceType", "ebs"),
        leaf("rootDeviceName", image.root_device),
        list("blockDeviceMapping", "item", [vec![leaf("deviceName", image.root_device), node("ebs", ebs)]]),
        leaf("virtualizationType", "hvm"),
        leaf("hypervisor", "xen"),
        leaf("enaSupport", true),
        leaf("platformDetails", "Linux/UNIX"),
        leaf("usageOperation", "RunInstances"),
    ];
    item.extend(maybe("imageOwnerAlias", image.owner_alias));
    item
}
