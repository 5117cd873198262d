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
    let mut images = catalog::images(&call.region);
    images.retain(|image| !call.world.account.deregistered.contains(&image.id));
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
        "name" | "description" => one(&image.name),
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
        "block-device-mapping.device-name" => one(image.root_device),
        "block-device-mapping.snapshot-id" => one(&image.snapshot),
        "block-device-mapping.volume-size" => one(&image.snapshot_gib.to_string()),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::world::World;

    #[test]
    fn images_are_found_by_id_owner_and_filter() {
        let count = |input: &str| {
            let mut world = World::default();
            let (now, region) = (jiff::Timestamp::UNIX_EPOCH, "us-east-1".to_owned());
            let mut call = Call { world: &mut world, region, now, operation: "DescribeImages".to_owned() };
            let answer = describe(&mut call, &Query::parse(input.as_bytes())).map_err(|error| error.code)?;
            let text = String::from_utf8(node("R", answer).document(None)).unwrap();
            Ok::<_, String>(text.matches("<imageId>").count())
        };
        let here = catalog::images("us-east-1");
        let elsewhere = catalog::images("eu-central-1");
        for (input, expected) in [
            (format!("ImageId.1={}", here[0].id), Ok(1)),
            (format!("ImageId.1={}", elsewhere[0].id), Err("InvalidAMIID.NotFound")),
            ("ImageId.1=ubuntu".to_owned(), Err("InvalidAMIID.Malformed")),
            ("Owner.1=099720109477".to_owned(), Ok(1)),
            ("Owner.1=amazon".to_owned(), Ok(here.len() - 1)),
            ("Owner.1=self".to_owned(), Ok(0)),
            ("Filter.1.Name=name&Filter.1.Value.1=Deep Learning Base*Ubuntu 24.04*".to_owned(), Ok(4)),
            ("Filter.1.Name=block-device-mapping.volume-size&Filter.1.Value.1=8".to_owned(), Ok(2)),
            ("Filter.1.Name=architecture&Filter.1.Value.1=arm64".to_owned(), Ok(6)),
            ("Filter.1.Name=colour&Filter.1.Value.1=red".to_owned(), Err("InvalidParameterValue")),
            (format!("ImageId.1={}&DryRun=true", here[0].id), Err("DryRunOperation")),
        ] {
            assert_eq!(count(&input), expected.map_err(str::to_owned), "{input}");
        }
    }
}
