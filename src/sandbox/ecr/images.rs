//! What is in a repository: described to clients, and put there by the weather, since nothing can be pushed.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Image, Repository, State, check_named, check_registry, invalid, is_name, missing, page};
use crate::sandbox::call::{AwsError, Call};
use crate::sandbox::wire::hexadecimal;
use crate::sandbox::wire::json::time;
use crate::sandbox::world::ACCOUNT;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Describe {
    registry_id: Option<String>,
    repository_name: String,
    image_ids: Option<Vec<ImageId>>,
    next_token: Option<String>,
    max_results: Option<i64>,
    filter: Option<Filter>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ImageId {
    image_digest: Option<String>,
    image_tag: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Filter {
    tag_status: Option<TagStatus>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum TagStatus {
    Any,
    Tagged,
    Untagged,
}

/// `REPOSITORY:TAG`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    repository: String,
    tag: String,
}

impl FromStr for Reference {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once(':').filter(|(repository, tag)| is_name(repository) && is_tag(tag));
        let (repository, tag) = parts.ok_or_else(|| format!("`{text}` is no image such as `team/worker:1`"))?;
        Ok(Self { repository: repository.to_owned(), tag: tag.to_owned() })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.repository, self.tag)
    }
}

fn is_tag(tag: &str) -> bool {
    let is_allowed = |letter: char| letter.is_ascii_alphanumeric() || "_.-".contains(letter);
    (1..=128).contains(&tag.len()) && tag.chars().all(is_allowed) && !tag.starts_with(['.', '-'])
}

/// Puts an image of this size under this name; the repository is made when it is missing. An image that had the tag stays,
/// without it.
pub fn put(state: &mut State, reference: &Reference, size: u64, now: i64) {
    let repository = state
        .repositories
        .entry(reference.repository.clone())
        .or_insert_with(|| Repository { created_at: now, images: BTreeMap::new() });
    let tag = Some(reference.tag.clone());
    for image in repository.images.values_mut().filter(|image| image.tag == tag) {
        image.tag = None;
    }
    let digest = Sha256::digest(format!("{reference} {size}"));
    let digest = format!("sha256:{}", hexadecimal(&digest));
    repository.images.insert(digest, Image { tag, size, pushed_at: now });
}

/// Takes the image of this name away; whether there was one.
pub fn remove(state: &mut State, reference: &Reference) -> bool {
    let Some(repository) = state.repositories.get_mut(&reference.repository) else { return false };
    let before = repository.images.len();
    repository.images.retain(|_, image| image.tag.as_ref() != Some(&reference.tag));
    repository.images.len() < before
}

pub(super) fn describe(call: &mut Call<'_>, input: &Describe) -> Result<Value, AwsError> {
    check_registry(input.registry_id.as_deref())?;
    let name = &input.repository_name;
    let repository = call.world.region(&call.region).ecr.repositories.get(name).ok_or_else(|| missing(name))?;
    let status = input.filter.as_ref().and_then(|filter| filter.tag_status).unwrap_or(TagStatus::Any);
    let passes = |image: &Image| match status {
        TagStatus::Any => true,
        TagStatus::Tagged => image.tag.is_some(),
        TagStatus::Untagged => image.tag.is_none(),
    };
    if let Some(ids) = &input.image_ids {
        check_named("imageIds", ids.len(), input.max_results, input.next_token.as_deref())?;
        if status != TagStatus::Any {
            return Err(invalid("Invalid parameter: filter cannot be used with imageIds"));
        }
        let shown = ids.iter().map(|id| {
            let (digest, image) = find(name, repository, id)?;
            Ok(shown(name, digest, image))
        });
        return Ok(json!({ "imageDetails": shown.collect::<Result<Vec<_>, AwsError>>()? }));
    }
    let passing = repository.images.iter().filter(|(_, image)| passes(image));
    let all = passing.map(|(digest, image)| (digest.as_str(), shown(name, digest, image)));
    page("imageDetails", all, input.max_results, input.next_token.as_deref())
}

/// The image that has the digest and the tag, as far as either is named.
fn find<'a>(name: &str, repository: &'a Repository, id: &ImageId) -> Result<(&'a String, &'a Image), AwsError> {
    if id.image_digest.is_none() && id.image_tag.is_none() {
        return Err(invalid("Invalid parameter at 'imageIds': an image is named by imageDigest, imageTag or both"));
    }
    let found = repository.images.iter().find(|(digest, image)| {
        id.image_digest.as_ref().is_none_or(|wanted| wanted == *digest)
            && (id.image_tag.is_none() || id.image_tag == image.tag)
    });
    found.ok_or_else(|| {
        let told = |part: &Option<String>| part.clone().unwrap_or_else(|| "null".to_owned());
        AwsError::new(
            "ImageNotFoundException",
            format!(
                "The image with imageId {{imageDigest:'{}', imageTag:'{}'}} does not exist within the repository with name \
                 '{name}' in the registry with id '{ACCOUNT}'",
                told(&id.image_digest),
                told(&id.image_tag)
            ),
        )
    })
}

fn shown(name: &str, digest: &str, image: &Image) -> Value {
    let mut shown = json!({
        "registryId": ACCOUNT,
        "repositoryName": name,
        "imageDigest": digest,
        "imageSizeInBytes": image.size,
        "imagePushedAt": time(image.pushed_at),
        "imageManifestMediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "artifactMediaType": "application/vnd.docker.container.image.v1+json",
        "imageStatus": "ACTIVE",
    });
    if let Some(tag) = &image.tag {
        shown["imageTags"] = json!([tag]);
    }
    shown
}
