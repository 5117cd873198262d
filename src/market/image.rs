//! The machine image: which one the file means now, and what it needs.

use aws_sdk_ec2::types::{Image as Ec2Image, ImageState};

use crate::cloud::{Cloud, call};
use crate::decide::classify::Class;
use crate::error::{Error, Result};
use crate::spec::{Ami, Gib};

/// An image as a launch needs to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// `ami-…`.
    pub id: String,
    /// Its name, which for AWS's images holds the date.
    pub name: String,
    /// `x86_64` or `arm64`.
    pub architecture: String,
    /// `/dev/sda1`, `/dev/xvda`: the root volume's mapping must use exactly this.
    pub root_device: String,
    /// A root volume smaller than the image's snapshot is refused at launch.
    pub minimum: Gib,
    /// The root volume's snapshot where it is encrypted; with which key is not told here.
    pub encrypted_snapshot: Option<String>,
}

/// The architectures an image may be for, the one most GPU types run first.
const ARCHITECTURES: [&str; 2] = ["x86_64", "arm64"];

/// What an `ami` of the file can stand for, by architecture; read beside everything else, since it costs no round trip.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Candidates(Vec<(Option<&'static str>, String)>);

impl Candidates {
    /// The image id for types of this architecture.
    ///
    /// # Errors
    /// AWS has no such image for it in this region.
    pub fn pick(&self, architecture: &str, ami: &Ami) -> Result<&str> {
        let fits = |of: Option<&str>| of.is_none_or(|of| of == architecture);
        self.0.iter().find(|(of, _)| fits(*of)).map(|(_, id)| id.as_str()).ok_or_else(|| {
            Error::usage(format!("`instance.ami`: no image for `{}` on {architecture} in this region", text(ami)))
        })
    }
}

/// How the file wrote it; kept in the template's version description, so that an edit is noticed.
#[must_use]
pub fn text(ami: &Ami) -> String {
    match ami {
        Ami::Id(id) => id.clone(),
        Ami::Parameter(name) => format!("ssm:{name}"),
        Ami::DeepLearning(os) => crate::spec::DeepLearningOs::NAMES
            .iter()
            .find(|(_, known)| known == os)
            .map_or_else(String::new, |(name, _)| (*name).to_owned()),
    }
}

/// Asks Parameter Store what the file's `ami` is now.
///
/// # Errors
/// A call's failure; no such parameter.
pub async fn candidates(cloud: &Cloud, ami: &Ami) -> Result<Candidates> {
    let names: Vec<(Option<&'static str>, String)> = match ami {
        Ami::Id(id) => return Ok(Candidates(vec![(None, id.clone())])),
        Ami::Parameter(name) => vec![(None, name.clone())],
        Ami::DeepLearning(os) => ARCHITECTURES.iter().map(|name| (Some(*name), os.parameter(name))).collect(),
    };
    let request = cloud.ssm.get_parameters().set_names(Some(names.iter().map(|(_, name)| name.clone()).collect()));
    let answer = call("GetParameters", request.send())
        .await
        .map_err(|failure| failure.doing("reading the image id from Parameter Store"))?;
    let value = |wanted: &str| {
        answer.parameters().iter().find(|found| found.name() == Some(wanted)).and_then(|found| found.value())
    };
    let found: Vec<_> =
        names.iter().filter_map(|(of, name)| value(name).map(|value| (*of, value.to_owned()))).collect();
    if found.is_empty() {
        let name = names.last().map_or("", |(_, name)| name.as_str());
        return Err(Error::usage(format!("`instance.ami`: no parameter `{name}` in {}", cloud.region)));
    }
    if let Some((_, wrong)) = found.iter().find(|(_, id)| !id.starts_with("ami-")) {
        let wrong: String = wrong.chars().take(20).collect();
        return Err(Error::usage(format!("`instance.ami`: the parameter holds `{wrong}`, which is no image id")));
    }
    Ok(Candidates(found))
}

/// Describes an image; `None` when it does not exist, or no longer.
///
/// # Errors
/// The call's failure.
pub async fn describe(cloud: &Cloud, id: &str) -> Result<Option<Image>> {
    match call("DescribeImages", cloud.ec2.describe_images().image_ids(id).send()).await {
        Ok(answer) => Ok(answer.images().iter().filter(|image| usable(image)).find_map(read)),
        Err(failure) if failure.class == Class::ImageGone => Ok(None),
        Err(failure) => Err(failure.doing(&format!("describing the image {id}"))),
    }
}

fn usable(image: &Ec2Image) -> bool {
    image.state().is_none_or(|state| *state == ImageState::Available)
}

fn read(image: &Ec2Image) -> Option<Image> {
    let root_device = image.root_device_name()?.to_owned();
    let mappings = image.block_device_mappings();
    let root = mappings.iter().find(|mapping| mapping.device_name() == Some(&root_device));
    let disk = root.and_then(|mapping| mapping.ebs());
    let size = disk.and_then(aws_sdk_ec2::types::EbsBlockDevice::volume_size);
    let encrypted = disk.filter(|disk| disk.encrypted() == Some(true));
    Some(Image {
        id: image.image_id()?.to_owned(),
        name: image.name().unwrap_or_default().to_owned(),
        architecture: image.architecture().map_or_else(|| "x86_64".to_owned(), |name| name.as_str().to_owned()),
        root_device,
        minimum: Gib(u32::try_from(size.unwrap_or(1)).unwrap_or(1).max(1)),
        encrypted_snapshot: encrypted.and_then(|disk| disk.snapshot_id()).map(str::to_owned),
    })
}
