//! From the file's shape to a [`Spec`]: every default and every rule about a value, all findings at once.
//!
//! Must not know the YAML library, and calls nothing: what only AWS knows (whether a type, a subnet or a queue exists) is
//! AWS's answer later. Defaults stand here; `file` repeats them for editors, and a test holds the two together.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::path::Path;
use std::str::FromStr;

use super::diagnostic::{Finding, did_you_mean};
use super::file::{self, File};
use super::tree::{Node, Step, dotted};
use crate::spec::{
    Ami, Architecture, DeepLearningOs, Egress, Gib, Instance, Lifetime, Network, Parameters, Period, Spec, Subnets,
    Text, TypePattern, Types, Usd, Volume, VolumeKind, Vpc, WorkerName,
};

mod access;
mod container;
mod tags;

/// The worker ends by itself, unless the file says `none` in so many letters.
const MAX: Period = Period::from_secs(8 * 3600);
const IDLE: Period = Period::from_secs(15 * 60);
const BOOT: Period = Period::from_secs(20 * 60);
/// The first that fits a useful model.
const GPU_MEMORY: Gib = Gib(16);
/// What the free tier gives; images raise it.
const VOLUME_SIZE: Gib = Gib(30);
/// What gp3 has without asking.
const GP3_IOPS: u32 = 3000;
const GP3_THROUGHPUT: u32 = 125;

/// The spec, where no finding was added. `node` is the tree that `file` was read from, for the places.
pub(super) fn validate(file: File, node: &Node, folder: &Path, findings: &mut Vec<Finding>) -> Option<Spec> {
    let mut rules = Rules { node, findings };
    let name: Option<WorkerName> = rules.parsed(file.name.as_deref(), &key("name"));
    let region = file.region;
    rules.region(region.as_deref(), name.as_ref());
    let access = access::access(&mut rules, file.access.unwrap_or_default());
    let container = file.container.unwrap_or_default();
    let image: Option<Text> = rules.parsed(container.image.as_deref(), &keys(&["container", "image"]));
    if let Some(image) = &image {
        container::check_image(&mut rules, image);
    }
    let (mut parameters, path) = rules.parameters(file.parameters.unwrap_or_default(), folder);
    parameters.extend_plain(image.as_ref(), &access);
    let container = container::container(&mut rules, container, image, &parameters.plain);
    let instance = rules.instance(file.instance.unwrap_or_default());
    let network = rules.network(file.network.unwrap_or_default());
    let lifetime = rules.lifetime(&file.lifetime.unwrap_or_default());
    let tags = tags::tags(&mut rules, file.tags.unwrap_or_default());
    // The two that must be there; that they are not is among the findings already.
    let (name, container) = (name?, container?);
    let path = path.unwrap_or_else(|| crate::spec::ParameterPath::default_for(&name));
    let parameters = Parameters {
        path,
        file: Some(parameters.file),
        file_is_required: parameters.file_is_required,
        plain: parameters.plain,
        kms_key: parameters.kms_key,
    };
    Some(Spec { name, region, container, parameters, instance, network, lifetime, access, tags })
}

fn key(name: &str) -> Vec<Step> {
    vec![Step::Key(name.to_owned())]
}

fn keys(names: &[&str]) -> Vec<Step> {
    names.iter().map(|name| Step::Key((*name).to_owned())).collect()
}

fn within(path: &[Step], step: Step) -> Vec<Step> {
    path.iter().cloned().chain([step]).collect()
}

/// Where the rules write down what they refuse.
struct Rules<'a> {
    node: &'a Node,
    findings: &'a mut Vec<Finding>,
}

impl Rules<'_> {
    fn refuse(&mut self, path: &[Step], message: impl Display) {
        let finding = Finding::new(self.node.place(path), dotted(path), message.to_string());
        self.findings.push(finding);
    }

    fn refuse_with(&mut self, path: &[Step], message: impl Display, hint: impl Display) {
        let finding = Finding::new(self.node.place(path), dotted(path), message.to_string());
        self.findings.push(finding.hint(hint.to_string()));
    }

    /// The value as its type wants it; none where there is none or it was refused.
    fn parsed<T: FromStr<Err = crate::spec::InvalidText>>(&mut self, text: Option<&str>, path: &[Step]) -> Option<T> {
        match text?.parse() {
            Ok(value) => Some(value),
            Err(why) => {
                self.refuse(path, why);
                None
            }
        }
    }

    /// A text with `${X}`; no NUL, which neither an environment nor an argument can hold.
    fn text(&mut self, text: &str, path: &[Step]) -> Option<Text> {
        if text.contains('\0') {
            let message = format!("`{}` holds a NUL character, which no environment and no argument can", dotted(path));
            self.refuse(path, message);
            return None;
        }
        self.parsed(Some(text), path)
    }

    fn region(&mut self, region: Option<&str>, name: Option<&WorkerName>) {
        let Some(region) = region else { return };
        let parts: Vec<&str> = region.split('-').collect();
        let is_word = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase());
        let is_region = match &parts[..] {
            [words @ .., number] => {
                words.len() >= 2 && words.iter().all(is_word) && !number.is_empty() && is_digits(number)
            }
            [] => false,
        };
        if !is_region {
            let message = format!("`{region}` is not a region such as `ap-northeast-2`");
            let zone = region.strip_suffix(|c: char| c.is_ascii_lowercase());
            if let Some(region) = zone.filter(|region| region.ends_with(|c: char| c.is_ascii_digit())) {
                return self.refuse_with(
                    &key("region"),
                    message,
                    format!("did you mean `{region}`? a zone is one of its parts"),
                );
            }
            return self.refuse(&key("region"), message);
        }
        // IAM allows 64 characters for a role's name, and roles of all regions share their names.
        let role = name.map_or(0, |name| format!("spotctl-{name}-{region}").len());
        if role > 64 {
            let message =
                format!("the role's name `spotctl-NAME-{region}` would have {role} characters; IAM allows 64");
            self.refuse_with(&key("name"), message, format!("shorten the name by {}", role - 64));
        }
    }

    fn instance(&mut self, instance: file::Instance) -> Instance {
        let at = |name: &str| keys(&["instance", name]);
        let types = match instance.types {
            None | Some(file::Types::Cheapest(_)) => Types::Cheapest,
            Some(file::Types::Listed(list)) => Types::Listed(self.types(list)),
        };
        let max_price: Option<Usd> = instance.max_price.and_then(|price| {
            let usd: Usd = self.parsed(Some(&price.0), &at("max_price"))?;
            if usd.micros() == 0 {
                self.refuse_with(&at("max_price"), "a price of nothing buys nothing", "without a cap: remove the line");
            }
            Some(usd)
        });
        let on_demand_fallback = instance.on_demand_fallback.unwrap_or(false);
        // On-demand prices are several times those of Spot: never without the user's own ceiling.
        if on_demand_fallback && max_price.is_none() && !self.was_refused(&at("max_price")) {
            let message = "`instance.on_demand_fallback` needs `instance.max_price`: the ceiling holds on demand too";
            self.refuse_with(&at("on_demand_fallback"), message, "add below: max_price: 0.60");
        }
        let exclude = self.exclude(instance.exclude.unwrap_or_default(), &types);
        Instance {
            types,
            gpus: instance.gpus.unwrap_or(1),
            gpu_memory: self.size(instance.gpu_memory.as_deref(), &at("gpu_memory")).unwrap_or(GPU_MEMORY),
            vcpus: instance.vcpus,
            memory: self.size(instance.memory.as_deref(), &at("memory")),
            arch: instance.arch.map(|arch| match arch {
                file::Arch::X86 => Architecture::X86,
                file::Arch::Arm64 => Architecture::Arm64,
            }),
            exclude,
            max_price,
            on_demand_fallback,
            ami: instance.ami.and_then(|ami| self.ami(&ami)).unwrap_or(Ami::DeepLearning(DeepLearningOs::Ubuntu2404)),
            volume: self.volume(&instance.volume.unwrap_or_default()),
        }
    }

    fn was_refused(&self, path: &[Step]) -> bool {
        let name = dotted(path);
        self.findings.iter().any(|finding| finding.key == name)
    }

    /// The form only: which types there are is AWS's answer, and a new one needs no new release.
    fn types(&mut self, list: Vec<String>) -> Vec<String> {
        let mut kept: Vec<String> = Vec::new();
        for (index, name) in list.into_iter().enumerate() {
            let path = within(&keys(&["instance", "types"]), Step::Index(index));
            let is_part = |part: &str| {
                !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            };
            if !name.split_once('.').is_some_and(|(family, size)| is_part(family) && is_part(size)) {
                let message = format!("`{name}` is not an instance type such as `g4dn.xlarge`");
                if name == "cheapest" {
                    self.refuse_with(&path, message, "`types: cheapest` stands alone, not in a list");
                } else if name.to_lowercase() != name {
                    self.refuse_with(&path, message, format!("did you mean `{}`?", name.to_lowercase()));
                } else {
                    self.refuse(&path, message);
                }
            } else if !kept.contains(&name) {
                kept.push(name);
            }
        }
        kept
    }

    /// What may never be taken. One that leaves nothing is a slip.
    fn exclude(&mut self, list: Vec<String>, types: &Types) -> Vec<TypePattern> {
        let at = keys(&["instance", "exclude"]);
        let mut kept: Vec<TypePattern> = Vec::new();
        for (index, text) in list.into_iter().enumerate() {
            let path = within(&at, Step::Index(index));
            match text.parse::<TypePattern>() {
                Ok(pattern) if pattern.fits_all() => {
                    self.refuse_with(&path, format!("`{text}` excludes every type"), "such as `g4dn.*` or `*.metal`");
                }
                Ok(pattern) if kept.contains(&pattern) => {}
                Ok(pattern) => kept.push(pattern),
                Err(why) => {
                    let lower = text.to_lowercase();
                    let meant = [lower.clone(), format!("{lower}.*")]
                        .into_iter()
                        .find(|text| text.parse::<TypePattern>().is_ok_and(|pattern| !pattern.fits_all()));
                    match meant {
                        Some(meant) => self.refuse_with(&path, why, format!("did you mean `{meant}`?")),
                        None => self.refuse(&path, why),
                    }
                }
            }
        }
        if let Types::Listed(names) = types
            && !names.is_empty()
            && names.iter().all(|name| kept.iter().any(|pattern| pattern.fits(name)))
        {
            self.refuse(&at, "`exclude` leaves none of the listed `types`");
        }
        kept
    }

    fn size(&mut self, text: Option<&str>, path: &[Step]) -> Option<Gib> {
        let text = text?;
        match text.parse() {
            Ok(size) => Some(size),
            Err(why) => {
                let number: String = text.chars().take_while(char::is_ascii_digit).collect();
                if number.is_empty() || number.starts_with('0') {
                    self.refuse(path, why);
                } else if text.to_lowercase().contains('t') {
                    self.refuse_with(path, why, "sizes are in GiB; 1 TiB is 1024GiB");
                } else {
                    self.refuse_with(path, why, format!("did you mean `{number}GiB`?"));
                }
                None
            }
        }
    }

    fn ami(&mut self, text: &str) -> Option<Ami> {
        let path = keys(&["instance", "ami"]);
        if let Some((_, os)) = DeepLearningOs::NAMES.iter().find(|(name, _)| *name == text) {
            return Some(Ami::DeepLearning(*os));
        }
        if is_id(text, "ami-") {
            return Some(Ami::Id(text.to_owned()));
        }
        if let Some(parameter) = text.strip_prefix("ssm:") {
            let is_name = parameter.len() > 1
                && parameter.starts_with('/')
                && parameter.chars().all(|c| c.is_ascii_alphanumeric() || "_.-/".contains(c));
            if is_name {
                return Some(Ami::Parameter(parameter.to_owned()));
            }
            self.refuse(&path, format!("`{text}` does not name a parameter such as `ssm:/images/worker`"));
            return None;
        }
        let names = DeepLearningOs::NAMES.map(|(name, _)| name);
        let message = format!(
            "`{text}` is not an image: {}, `ami-…` or `ssm:/…`",
            names.map(|name| format!("`{name}`")).join(", ")
        );
        match did_you_mean(text, names) {
            Some(name) => self.refuse_with(&path, message, format!("did you mean `{name}`?")),
            None if text.starts_with('/') => self.refuse_with(&path, message, format!("did you mean `ssm:{text}`?")),
            None => self.refuse(&path, message),
        }
        None
    }

    /// gp3: 1 to 65,536 GiB, 3,000 to 80,000 IOPS, 125 to 2,000 MiB/s, at most 0.25 MiB/s an operation (AWS raised these
    /// in September 2025). The limit of 500 IOPS a GiB is not held here, since the image may raise the size.
    fn volume(&mut self, volume: &file::Volume) -> Volume {
        let at = |name: &str| keys(&["instance", "volume", name]);
        let kind = match volume.kind {
            None | Some(file::VolumeKind::Gp3) => VolumeKind::Gp3,
            Some(file::VolumeKind::Gp2) => VolumeKind::Gp2,
        };
        let size = self.size(volume.size.as_deref(), &at("size")).unwrap_or(VOLUME_SIZE);
        let most = if kind == VolumeKind::Gp3 { 65_536 } else { 16_384 };
        if size.0 > most {
            self.refuse(&at("size"), format!("{size} is more than a {} volume holds, {most}GiB", kind.as_str()));
        }
        if kind == VolumeKind::Gp2 {
            for (name, value) in [("iops", volume.iops), ("throughput", volume.throughput)] {
                if value.is_some() {
                    let message = format!("`{name}` is gp3's: a gp2 volume gets its speed by its size");
                    self.refuse_with(&at(name), message, "remove the line, or write: type: gp3");
                }
            }
            return Volume { kind, size, iops: None, throughput: None };
        }
        let iops = volume.iops.unwrap_or(GP3_IOPS);
        if let Some(throughput) = volume.throughput.filter(|throughput| throughput * 4 > iops) {
            let message = format!("{throughput} MiB/s needs at least {} IOPS, and there are {iops}", throughput * 4);
            self.refuse_with(&at("throughput"), message, format!("add beside it: iops: {}", throughput * 4));
        }
        Volume {
            kind,
            size,
            // Written out or not, the volume is the same, and so is the template's content.
            iops: volume.iops.filter(|iops| *iops != GP3_IOPS),
            throughput: volume.throughput.filter(|throughput| *throughput != GP3_THROUGHPUT),
        }
    }

    fn network(&mut self, network: file::Network) -> Network {
        let vpc = match network.vpc {
            None => Vpc::Default,
            Some(file::Vpc::Name(name)) => self.vpc(&name),
            Some(file::Vpc::Tag(tags)) => {
                let path = keys(&["network", "vpc"]);
                if tags.len() != 1 {
                    self.refuse(&path, "a VPC is found by one tag: `vpc: {Name: main}`");
                }
                tags.into_iter().next().map_or(Vpc::Default, |(key, value)| Vpc::Tag { key, value: value.0 })
            }
        };
        let subnets = match network.subnets {
            None | Some(file::Subnets::Public(_)) => Subnets::Public,
            Some(file::Subnets::Listed(list)) => {
                let mut kept: Vec<String> = Vec::new();
                for (index, id) in list.into_iter().enumerate() {
                    if !is_id(&id, "subnet-") {
                        let path = within(&keys(&["network", "subnets"]), Step::Index(index));
                        self.refuse(&path, format!("`{id}` is not a subnet's id such as `subnet-0123456789abcdef0`"));
                    } else if !kept.contains(&id) {
                        kept.push(id);
                    }
                }
                Subnets::Ids(kept)
            }
        };
        let egress = match network.egress {
            None | Some(file::Egress::All(_)) => Egress::All,
            Some(file::Egress::Ports(list)) => self.ports(&list),
        };
        Network { vpc, subnets, egress }
    }

    fn vpc(&mut self, name: &str) -> Vpc {
        if name == "default" {
            return Vpc::Default;
        }
        if !is_id(name, "vpc-") {
            let path = keys(&["network", "vpc"]);
            let message = format!("`{name}` is not a VPC: `default`, `vpc-…` or a tag such as {{Name: main}}");
            match did_you_mean(name, ["default"]) {
                Some(word) => self.refuse_with(&path, message, format!("did you mean `{word}`?")),
                None if name.starts_with("vpc-") => self.refuse(&path, message),
                None => self.refuse_with(&path, message, format!("by its name: vpc: {{Name: {name}}}")),
            }
        }
        Vpc::Id(name.to_owned())
    }

    fn ports(&mut self, list: &[String]) -> Egress {
        let path = keys(&["network", "egress"]);
        let mut ports = BTreeSet::new();
        let mut is_whole = true;
        for (index, text) in list.iter().enumerate() {
            let path = within(&path, Step::Index(index));
            match text.parse::<crate::spec::Port>() {
                Ok(port) => {
                    ports.insert(port);
                }
                Err(why) if !text.is_empty() && is_digits(text) => {
                    self.refuse_with(&path, why, format!("did you mean `{text}/tcp`?"));
                    is_whole = false;
                }
                Err(why) => {
                    self.refuse(&path, why);
                    is_whole = false;
                }
            }
        }
        // Without it the worker cannot read a parameter nor say where it stuck, and would only cost money until its end.
        if is_whole && !ports.iter().any(|port| port.to_string() == "443/tcp") {
            self.refuse_with(&path, "a worker cannot reach AWS without `443/tcp`", "add it to the list");
        }
        Egress::Ports(ports)
    }

    fn lifetime(&mut self, lifetime: &file::Lifetime) -> Lifetime {
        let mut period = |text: Option<&str>, name: &str, default: Period| match text {
            None => Some(default),
            Some("none") => None,
            Some(text) => {
                let path = keys(&["lifetime", name]);
                match text.parse() {
                    Ok(period) => Some(period),
                    Err(why) => {
                        if did_you_mean(text, ["none"]).is_some()
                            || ["never", "off", "false", "0", "-1"].contains(&text)
                        {
                            self.refuse_with(&path, why, "did you mean `none`?");
                        } else if !text.is_empty() && is_digits(text) {
                            self.refuse_with(&path, why, format!("with its unit: {text}h, {text}m or {text}s"));
                        } else {
                            self.refuse(&path, why);
                        }
                        Some(default)
                    }
                }
            }
        };
        let max = period(lifetime.max.as_deref(), "max", MAX);
        let idle = period(lifetime.idle.as_deref(), "idle", IDLE);
        let boot = period(lifetime.boot.as_deref(), "boot", BOOT);
        // Defaults may overtake each other without harm; two written values that do are a slip.
        if let (Some(_), Some(_), Some(max), Some(boot)) = (&lifetime.max, &lifetime.boot, max, boot)
            && boot >= max
        {
            self.refuse(&keys(&["lifetime", "boot"]), format!("`boot` ({boot}) is not shorter than `max` ({max})"));
        }
        Lifetime { max, idle, boot }
    }

    fn parameters(
        &mut self,
        parameters: file::Parameters,
        folder: &Path,
    ) -> (container::Values, Option<crate::spec::ParameterPath>) {
        let at = |name: &str| keys(&["parameters", name]);
        let path = self.parsed(parameters.path.as_deref(), &at("path"));
        let mut plain = BTreeSet::new();
        for (index, key) in parameters.plain.unwrap_or_default().into_iter().enumerate() {
            self.parameter_key(&key, &within(&at("plain"), Step::Index(index)));
            plain.insert(key);
        }
        let kms_key = parameters.kms_key.map_or_else(
            || crate::spec::KmsKey::AWS_MANAGED.to_owned(),
            |key| {
                if !access::is_kms_key(&key) {
                    let message = format!("`{key}` is not a KMS key: `alias/NAME`, a key id or the ARN of either");
                    if key.contains(['/', ':', ' ']) {
                        self.refuse(&at("kms_key"), message);
                    } else {
                        self.refuse_with(&at("kms_key"), message, format!("did you mean `alias/{key}`?"));
                    }
                }
                key
            },
        );
        let file_is_required = parameters.file.is_some();
        let file = folder.join(parameters.file.as_deref().unwrap_or(".env"));
        let kms_key = crate::spec::KmsKey(kms_key);
        (container::Values { file, file_is_required, plain, kms_key }, path)
    }

    fn parameter_key(&mut self, key: &str, path: &[Step]) {
        if !crate::spec::is_key(key) {
            let message = format!("`{key}` is not a key: letters, digits and `_`, no digit first");
            match key.strip_prefix("${").and_then(|key| key.strip_suffix('}')) {
                Some(key) => self.refuse_with(path, message, format!("did you mean `{key}`?")),
                None => self.refuse(path, message),
            }
        }
    }
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// AWS's ids: eight hexadecimal digits in old accounts, seventeen since 2016.
fn is_id(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix).is_some_and(|id| {
        (8..=17).contains(&id.len()) && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

/// For a message: the keys of a map of texts, checked and parsed.
fn text_map(rules: &mut Rules<'_>, map: BTreeMap<String, file::Plain>, path: &[Step]) -> BTreeMap<String, Text> {
    let parse = |(key, value): (String, file::Plain)| {
        let text = rules.text(&value.0, &within(path, Step::Key(key.clone())))?;
        Some((key, text))
    };
    map.into_iter().filter_map(parse).collect()
}
